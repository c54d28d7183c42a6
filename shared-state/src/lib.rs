//! Shared, live, typed state: derive it on a plain serde struct, and everyone in a room has the same object.
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
    doc = "* [`server`]: rooms beside your own routes; the server is a writer too."
)]
#![cfg_attr(feature = "server", doc = "* [`store`]: where rooms survive.")]
#![cfg_attr(
    feature = "testing",
    doc = "* [`testing`]: run your own struct through lost connections and crashes."
)]
//! * [`state`]: what a derived struct is; [`merge`]: how concurrent writes combine, and which policy to choose.
//! * [`channel`]: messages between those in a room.
//! * [`replica`] and [`authority`]: the two state machines, without I/O, for other transports.
//! * [`presence`]: who is here.
//! * [`protocol`]: the messages.
//!
//! The repository has programs for the terminal to start from, each of which teaches one thing: `quickstart`,
//! `document` (validation, debounce), `tictactoe` (rules and transactions), `todo` (a list that several people edit at
//! once, undo) and `dashboard` (a drag that sends little, structs in structs), `chat`
//! (a channel).
//!
//! # Features
//!
//! | feature | default | |
//! |---|---|---|
//! | `derive` | yes | `#[derive(SharedState)]` |
//! | `client` | yes | the client over tokio |
//! | `server` | yes | the server over tokio and axum, and the store in memory |
//! | `password` | yes | rooms with a password, hashed by Argon2 |
//! | `redb` | yes | the durable store of a single node |
//! | `text` | yes | texts that several people type in at once, over yrs |
//! | `rustls` | | `wss://` for the client |
//! | `email`, `url` | | the rules `validate(email)` and `validate(url)` |
//! | `garde` | | `#[shared(garde)]`: the rules of a struct's own `garde::Validate` |
//! | `indexmap` | | `IndexMap` and `IndexSet` as `map` and `set` |
//! | `testing` | | the simulation |
//!
//! Without any feature there are the state, the policies, the protocol and the two state machines, and no tokio.
//!
//! # Limits of the promise
//!
//! Not peer to peer: without a server nobody sees each other's edits. A plain field does not merge inside one
//! value. A client that stays away longer than the room remembers it is told which of its changes may already have
//! been applied ([`Code::Uncertain`](proto::Code::Uncertain)), instead of somebody guessing.

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

/// The code in the README, compiled.
#[cfg(all(doctest, feature = "derive", feature = "client", feature = "redb"))]
#[doc = include_str!("../../README.md")]
struct Readme;
