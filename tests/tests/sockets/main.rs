//! Tests that need sockets, processes or files: real clients and the real server, killed servers, stores on
//! disk.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod access;
mod channels;
mod common;
mod evolution;
mod faults;
mod legacy;
mod merge;
mod presence;
mod rooms;
mod store;
mod sync;
