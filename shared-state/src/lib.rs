//! Shared, live, typed state: derive [`SharedState`] on a plain serde struct, and everyone in a room works on the same
//! object.
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
#![cfg_attr(feature = "derive", doc = include_str!("grow.md"))]
//!
//! # Where to look
//!
#![cfg_attr(feature = "client", doc = "* [`client`]: connect, join rooms, read, write, watch.")]
#![cfg_attr(
    feature = "server",
    doc = "* [`server`]: serve rooms beside your own routes; your program can write to them as well."
)]
#![cfg_attr(feature = "server", doc = "* [`store`]: store rooms durably, or in memory.")]
#![cfg_attr(
    feature = "testing",
    doc = "* [`testing`]: test your own struct against lost connections and crashes."
)]
//! * [`merge`]: how concurrent writes combine, and which merge policy to choose.
//! * [`channel`]: messages between the clients in a room.
//! * [`presence`]: who is in a room, and what they show.
//! * [`schema`]: how programs with different versions of a struct share a room.
//! * [`proto`]: the messages and limits; [`proto::replica`] and [`proto::authority`] are the two state machines,
//!   without I/O, for other transports.
//!
//! The repository contains example programs for the terminal, each of which teaches one thing: `quickstart`,
//! `document` (validation, debounce), `tictactoe` (rules and transactions), `todo` (a list that several people edit
//! at once, undo), `dashboard` (throttled drags, nested structs) and `chat` (a channel).
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
//! | `text` | yes | texts that several people edit at once, over yrs |
//! | `rustls` | | `wss://` for the client |
//! | `email`, `url` | | the validation rules `validate(email)` and `validate(url)` |
//! | `garde` | | `#[shared(garde)]`: use the rules of a struct's own `garde::Validate` |
//! | `indexmap` | | `IndexMap` and `IndexSet` as `map` and `set` fields |
//! | `testing` | | the simulation |
//!
//! Without any feature the crate contains the state, the merge policies, the protocol and the two state machines, and
//! does not depend on tokio.
//!
//! # Limits of the guarantees
//!
//! The system is not peer to peer: without a server nobody sees each other's edits. A plain field is replaced as a
//! whole, not merged within its value. If a client stays away for longer than the room remembers it, the client
//! learns which of its changes may already have been applied ([`Code::Uncertain`](proto::Code::Uncertain)); the
//! library does not guess.

#[doc(hidden)]
pub mod __private;
mod authority;
pub mod channel;
#[cfg(feature = "client")]
pub mod client;
mod core;
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

pub use crate::core::{Author, Backend, Field, Invalid, Rejected, SharedState, WriteError};
pub use merge::List;
#[cfg(feature = "text")]
pub use merge::Text;

#[cfg(feature = "derive")]
pub use shared_state_derive::SharedState;

/// Compiles the code in the README.
#[cfg(all(doctest, feature = "derive", feature = "client", feature = "redb"))]
#[doc = include_str!("../../README.md")]
struct Readme;
