//! Channels between real clients and a real server.

mod kill;
mod messages;
