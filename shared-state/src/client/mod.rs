//! The native client, over tokio: connect to a server, join rooms, read, write and watch their state.
//!
//! This module owns the client's task (socket, timers, reconnecting) and the handles that an app holds. It
//! decides nothing about the state: that is [`Replica`](crate::replica::Replica), one for each room, and
//! [`Link`](crate::replica::Link), one for each client.
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
//! document.set_title("My Document")?.await?;                        // shows at once; resolves when it is durable
//!
//! let mut titles = document.watch(Document::TITLE);
//! while let Some(title) = titles.next().await {
//!     println!("{title}");
//! }
//! # Ok(()) }
//! # }
//! ```
//!
//! # Presence
//! [`Room::presence`] joins a room's presence. A [`Presence`] shows this client to the others, and the others
//! to this client.
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
//! A client that is created outside a tokio runtime runs its own runtime on a thread of its own. Reads and
//! writes never wait for the network, so a synchronous program needs only three more calls:
//! [`Receipt::wait`], [`Receipt::try_result`] and [`Client::close_blocking`].
//!
//! # The life of a client
//! A client lives until [`Client::close`] is called or its last handle is dropped. A [`Client`], [`Room`],
//! [`State`], [`Channel`] or [`Presence`] is a handle, and so is a stream that one of them returned, unless
//! the documentation of the stream says otherwise. A receipt is not a handle. At the end the client still
//! sends what is pending, for as long as [`ClientBuilder::linger`] allows.
//!
//! A client leaves a room when the last handle of its state is dropped and every change made there is
//! answered. It leaves a room's presence when the last handle of the presence is dropped.

mod block;
mod broadcast;
mod builder;
mod channel;
mod checked_mutex;
#[allow(clippy::module_inception)] // the type of this name
mod client;
mod presence;
mod raw_messages;
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
pub use raw_messages::{Lagged, RawMessage};
pub use receipt::Receipt;
pub use room::{Room, StateError};
pub use state::State;
pub use status::{DisconnectReason, Status, Unsent};
pub use subscription::{Events, Subscription};
pub use transact::TransactError;

pub use crate::replica::RoomPermissions;

/// The handle of a state of type `S`: the struct's own accessors over [`State`].
pub type Handle<S> = <S as crate::core::SharedState>::Handle<State<S>>;

/// Locks a mutex, also if a thread panicked while it held the lock. The guarded values stay consistent,
/// because only the state machines change them; an app's code that runs under the lock does not.
fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
