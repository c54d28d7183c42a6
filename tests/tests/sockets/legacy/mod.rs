//! Clients of the original hook.

mod node;
mod relays;
mod rooms;
mod server;
mod transcript;
