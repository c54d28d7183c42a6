//! Channels: messages between those in a room, one after the other, the same for everybody.
//!
//! A channel has a name in its room. Its messages are numbered by the server, from 1 without a hole, and stamped with
//! their sender and the time; each is acknowledged, is there once however often it was sent again, and comes to
//! everybody in the same order. The server keeps the last ones: who comes later, or was away, gets these. Where more
//! was missed than is kept, that is said ([`Item::Gap`]).
//!
//! Here is what both sides of it have in common with an app: [`Message`], [`Item`], and [`Log`], the state that a
//! client's [`Replica`](crate::replica::Replica) of a channel has. A channel is a room of its own kind, and the two
//! state machines are the ones of every room.
#![cfg_attr(feature = "client", doc = "An app uses [`client::Channel`](crate::client::Channel).")]

mod cursor;
mod log;
mod message;
mod state;

pub use cursor::Cursor;
pub use log::Log;
#[cfg(feature = "client")]
pub(crate) use log::RETAINED;
pub use message::{Item, Message, Unreadable};
pub use state::{Bare, NoPatch, Update};
