//! The server: rooms over WebSockets, and the server's own program as one of their writers.
//!
//! What is here are sockets, tasks and queues. What a change means, whether it is accepted, in which order and
//! who is sent what is decided by the [`authority`](crate::authority); where it survives is the
//! [`store`](crate::store)'s business.
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
//! A connection is one task (`socket`), which asks a state machine without I/O what each frame means
//! (`connection`), and one bounded queue (`queue`), into which all its rooms put frames. A room (`room`) is an
//! authority behind a lock and the way of its changes to the store. The `directory` knows which rooms are live,
//! the `connections` which connections. Who is here is apart from all that (`presence`, `lane`); who comes in is said by the
//! room's `accesses`, of which a connection is a membership (`memberships`).

mod access;
mod builder;
mod connection;
mod connections;
mod fanout;
mod membership;
mod presence;
mod rate_limit;
mod rooms;
#[allow(clippy::module_inception)] // the type of this name
mod server;
mod upgrade;

pub use access::{Action, Handshake};
pub use builder::ServerBuilder;
pub use membership::settings::RoomSettings;
#[cfg(feature = "password")]
pub use membership::settings::{PasswordError, PasswordHash};
pub use rooms::channel_handle::Channel;
pub use rooms::channel_types::ChannelKind;
pub use rooms::directory::{LiveRoom, OpenRoomError};
pub use rooms::handle::{OutcomeUnknown, Receipt, State};
pub use rooms::hooks::RoomHooks;
pub use rooms::participant::Participant;
pub use server::Server;

pub use crate::authority::{ProposedChange, Retention, Verdict};
pub use crate::core::Roles;
