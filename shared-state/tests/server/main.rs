//! The server over real sockets.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[cfg(feature = "derive")]
mod access;
mod client;
#[cfg(feature = "derive")]
mod hook;
mod hook_rooms;
#[path = "../common/kept.rs"]
mod kept;
mod kick;
mod observed;
#[cfg(feature = "password")]
mod passwords;
mod presence;
mod relays;
#[cfg(feature = "derive")]
mod roles;
mod rooms;
#[cfg(feature = "derive")]
mod rules;
mod settings;
#[cfg(feature = "password")]
mod table;
#[cfg(feature = "derive")]
mod typed;
mod v1;
