//! Channels: messages between the clients in a room, in one order that is the same for everyone.
//!
//! A channel has a name within its room. The server numbers its messages from 1 without gaps, and stamps each
//! with its sender and the time. Every message is acknowledged, is in the channel once however often it was
//! sent again, and reaches everyone in the same order. The server keeps the last messages and sends them to
//! clients that join later or were away. Where a client missed more than is kept, it gets an [`Item::Gap`]. The
//! messages are kept in memory, unless the server's program declares the channel as durable
//! (`ChannelKind::durable`).
//!
//! This module owns what an app sees of a channel: [`Message`], [`Item`], and [`Log`], the state of a
//! client's [`Replica`](crate::replica::Replica) of the channel. A channel is a room of its own kind, and the
//! two state machines are those of every room; nothing here does I/O.
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
