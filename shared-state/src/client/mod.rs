//! The native client: sockets, timers, handles and streams over tokio.
//!
//! Owns the connection's task, what wakes it, and the handles an app holds. Decides nothing about the state: that
//! is [`Replica`](crate::replica::Replica), one per room, and [`Link`](crate::replica::Link), one per client.
//!
//! ```no_run
//! use shared_state::client::Client;
//! # #[cfg(feature = "derive")] mod app {
//! # use serde::{Deserialize, Serialize};
//! # use shared_state::{SharedState, client::Client};
//! #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
//! struct Document { title: String }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("ws://127.0.0.1:8080/ws").connect(); // returns at once, reconnects for ever
//! let document = client.room("document-123").state(Document::default());
//! document.set_title("My Document")?.await?;                        // shows at once; resolves when it is kept
//!
//! let mut titles = document.watch(Document::TITLE);
//! while let Some(title) = titles.next().await {
//!     println!("{title}");
//! }
//! # Ok(()) }
//! # }
//! ```
//!
//! # Who is here
//! [`Room::presence`] takes part in a room's presence: [`Presence`] shows the others, and the others this client.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use shared_state::{client::Client, presence::{PresenceEvent, User}};
//!
//! #[derive(Serialize, Deserialize, Clone, Default)]
//! struct Cursor { x: f64, y: f64 }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("ws://127.0.0.1:8080/ws").connect();
//! let here = client.room("document-123").presence(User::new("user-123").name("Alice"), Cursor::default());
//! here.update(|cursor| cursor.x = 10.0)?;
//! println!("{} people are here", here.count());
//!
//! let mut events = here.events();
//! while let Some(event) = events.next().await {
//!     match event {
//!         PresenceEvent::Joined(peer) => println!("{:?} is here", peer.user.name),
//!         PresenceEvent::Updated(peer) => println!("{:?} is at {}", peer.user.name, peer.data.x),
//!         PresenceEvent::Left(peer) => println!("{:?} is gone", peer.user.name),
//!         _ => {}
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Without a runtime
//! A client that is made outside a tokio runtime runs one of its own on a thread of its own. Reads and writes
//! never wait for the network, so a plain program needs nothing else; [`Receipt::wait`],
//! [`Receipt::try_result`] and [`Client::close_blocking`] are for it.
//!
//! # Until when a client lives
//! Until [`Client::close`], or until its last handle is dropped: [`Client`], [`Room`], [`State`], [`Presence`] and the
//! streams of the latter two are handles; receipts and the stream of statuses are not. Then what is pending is still
//! sent, for as long as [`ClientBuilder::linger`] says. A room is left when the last handle of its state is dropped and
//! everything written there was answered; its presence when the last handle of that is dropped.

mod block;
mod broadcast;
mod builder;
mod channel;
#[allow(clippy::module_inception)] // the type of this name
mod client;
mod presence;
mod raw;
mod receipt;
mod room;
mod state;
mod status;
mod subscription;
mod task;
mod transact;

pub use broadcast::{Broadcast, BroadcastError, RecvError};
pub use builder::ClientBuilder;
pub use channel::Channel;
pub use client::Client;
pub use presence::Presence;
pub use raw::{Lagged, RawMessage};
pub use receipt::Receipt;
pub use room::{Room, StateError};
pub use state::State;
pub use status::{DisconnectReason, Status, Unsent};
pub use subscription::{Events, Subscription};
pub use transact::TransactError;

pub use crate::replica::RoomPermissions;

/// The handle of a state of type `S` in a room: the struct's own accessors over [`State`].
pub type Handle<S> = <S as crate::core::SharedState>::Handle<State<S>>;

/// A lock that a panic cannot take away: what it guards is changed by the state machines only, never by the code of
/// an app that runs under it.
fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
