//! `#[derive(SharedState)]` turns a plain serde struct into a live object that is the same for everyone in a room: typed
//! reads, typed writes, typed change events, in programs and in the server. A write shows at once, survives a lost
//! connection, is checked by the same rules on both sides, is put in one order by the server, and is then acknowledged
//! or rolled back.
//!
#![cfg_attr(all(feature = "derive", feature = "client"), doc = "```no_run")]
#![cfg_attr(not(all(feature = "derive", feature = "client")), doc = "```ignore")]
//! use serde::{Deserialize, Serialize};
//! use shared_state::{SharedState, client::Client};
//!
//! #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
//! struct Document {
//!     title: String,
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("ws://127.0.0.1:8080/ws").connect();
//! let doc = client.room("document-123").state(Document::default());
//!
//! let receipt = doc.set_title("My Document")?; // shows at once: `doc.title()` is "My Document"
//! let version = receipt.await?; // in the room's history, or refused and rolled back
//! # Ok(())
//! # }
//! ```
//!
//! The [`guide`] goes on from here: its first page, [`guide::grow`], shows every attribute, and the others a client, a
//! server and tests.
//!
//! # A map of the crate
//!
//! | you write | it is in |
//! |---|---|
//! | `#[derive(SharedState)]`, `#[shared(..)]` | [`SharedState`](macro@SharedState), with tables of all attributes |
//! | `Document::TITLE`, `DocumentPatch`, `SharedDocument`, `doc.set_title(..)` | generated beside your struct; [`Field`], [`Backend`] |
#![cfg_attr(
    feature = "client",
    doc = "| `Client::builder(..)`, `client.room(..)`, `room.state(..)`, `doc.watch(..)`, `doc.events()` | [`client`] |"
)]
#![cfg_attr(
    feature = "server",
    doc = "| `Server::builder()`, `server.room(..)`, `RoomHooks`, `RoomSettings` | [`server`] |"
)]
#![cfg_attr(feature = "server", doc = "| `RedbStore::open(..)`, `RoomStore` | [`store`] |")]
//! | `WriteError`, `Rejected`, `Invalid`, `Code` | [`WriteError`], [`Rejected`], [`Invalid`], [`proto::Code`] |
//! | `List`, `Text`, `MergePolicy`, and which policy to choose | [`merge`] |
//! | `User`, `Peer`, `PresenceEvent` | [`presence`] |
//! | `Message`, `Item`, `Broadcast` | [`channel`] |
#![cfg_attr(feature = "testing", doc = "| `Pair`, `Simulation` | [`testing`] |")]
//! | `Document::INFO`, `Schema`: a struct described at run time | [`schema`] |
//! | `Limits`, the messages, the state machines without I/O for other transports | [`proto`] |
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `derive` | yes | `#[derive(SharedState)]` |
//! | `client` | yes | the client, over tokio |
//! | `server` | yes | the server, over tokio and axum, and the in-memory store |
//! | `password` | yes | rooms with a password, hashed with Argon2 |
//! | `redb` | yes | the durable store for a single node |
//! | `text` | yes | texts that several people edit at once, with Yjs' edits |
//! | `rustls` | | `wss://` for the client |
//! | `server-rustls` | | `wss://` for the server's own listeners |
//! | `email`, `url` | | the rules `validate(email)` and `validate(url)` |
//! | `garde` | | `#[shared(garde)]`: the rules of a struct's own `garde::Validate` |
//! | `indexmap` | | `IndexMap` and `IndexSet` as `map` and `set` |
//! | `testing` | | the pair in memory and the simulation |
//!
//! Without any feature the crate has the traits, the merge policies, the protocol and the state machines, and no tokio.
//!
//! # Limits of the guarantees
//!
//! It is not peer to peer: clients exchange changes only through a server. If two people set a plain field at once, one
//! value wins. Unacknowledged changes are kept in the client's memory: they survive a lost connection, but not the end
//! of the client's process. Acknowledged changes survive the server's process only with a durable store. If a client
//! stays away longer than the room remembers it, a change that it sends again is refused with
//! [`Code::Uncertain`](proto::Code::Uncertain): it may or may not have been applied.

#[doc(hidden)]
pub mod __private;
mod authority;
pub mod channel;
#[cfg(feature = "client")]
pub mod client;
mod core;
pub mod guide;
mod legacy;
pub mod merge;
pub mod presence;
pub mod proto;
mod replica;
pub mod schema;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use crate::core::{Author, Backend, Field, FieldValue, Invalid, Rejected, SharedState, WriteError};
pub use merge::List;
#[cfg(feature = "text")]
pub use merge::Text;

#[cfg(feature = "derive")]
pub use shared_state_derive::SharedState;

/// Compiles the code in the README.
#[cfg(all(doctest, feature = "derive", feature = "client", feature = "redb"))]
#[doc = include_str!("../../README.md")]
struct Readme;
