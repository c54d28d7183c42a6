//! Presence over connections that break.

mod client;
mod kill;
mod server;
