//! The server: accepts WebSocket connections, keeps rooms in memory, and lets the embedding program read and write
//! them.
//!
//! This module owns the sockets, the tasks and the queues. It never decides what a change means, whether a change is
//! accepted, in which order changes apply, or who is sent what: the [`authority`](crate::proto::authority) does. Durability
//! is the [`store`](crate::store)'s.
//!
//! ```no_run
//! use shared_state::server::Server;
//!
//! # async fn run() -> std::io::Result<()> {
//! let server = Server::builder().untyped_rooms(true).build();
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! server.serve(listener).await;
//! # Ok(())
//! # }
//! ```
//!
//! # The parts
//! - `upgrade` reads the HTTP request, and `origins` says which pages may send it; `access` calls the program's
//!   `authenticate` and `authorize`; `connections` lists the open connections.
//! - `connection`: one task per connection. Its part `protocol` decides without I/O what each frame asks for; `join`
//!   performs joins, leaves and token renewals.
//! - `fanout`: one bounded queue per connection, which all rooms of the connection share.
//! - `rooms`: a room is an authority behind a lock, plus the appends that the store has not answered yet. `directory`
//!   lists the rooms in memory, opens them and closes idle ones.
//! - `membership`: a room's settings (password, limit of users), its bans, and the connections in it.
//! - `presence`: who is in a room. Presence does not depend on the room's state.

mod access;
mod addresses;
mod builder;
mod client_names;
mod connection;
mod connections;
mod fanout;
mod membership;
mod origins;
mod presence;
mod processor_time;
mod rate_limit;
mod rooms;
mod serve;
#[allow(clippy::module_inception)] // the type of this name
mod server;
mod upgrade;

pub use access::{Action, Handshake};
pub use builder::ServerBuilder;
pub use membership::settings::RoomSettings;
#[cfg(feature = "password")]
pub use membership::settings::{PasswordError, PasswordHash};
pub use origins::Origins;
pub use rooms::channel_handle::Channel;
pub use rooms::channel_kind::ChannelKind;
pub use rooms::directory::{LiveRoom, OpenRoomError};
pub use rooms::handle::{OutcomeUnknown, Receipt, State};
pub use rooms::hooks::RoomHooks;
pub use rooms::participant::Participant;
pub use server::Server;

pub use crate::authority::{PathChange, ProposedChange, Retention, Verdict};
pub use crate::core::Roles;
