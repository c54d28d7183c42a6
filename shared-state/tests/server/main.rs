//! The server over real sockets.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod client;
mod hook;
mod observed;
mod presence;
mod rooms;
#[cfg(feature = "derive")]
mod typed;
mod v1;
