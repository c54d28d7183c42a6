//! Legacy clients.

mod node;
mod relays;
mod rooms;
mod server;
mod transcript;
