//! Who is here: two state machines without I/O.
//!
//! [`Roster`] is the server's: who takes part in a room's presence, what has changed since it last told everybody, and
//! what each has been told. [`PresenceClient`] is a client's: what it shows of itself, and the others. Presence is never
//! stored and has no versions; of what changes faster than it is told, the latest is told. Both are given the time
//! and know no socket, no clock and no task.
//!
//! # Who is a user
//! What a session says of its user is any JSON. Sessions whose user has the same member `id` (a string or a number),
//! or is the same string or number, are one user in several tabs. A session whose user has neither is a user of its
//! own.

mod client;
mod event;
mod fanout;
mod legacy;
mod roster;
mod user;

pub use client::{PresenceClient, PresenceError, PresenceOptions};
pub use event::{Peer, PresenceEvent, UserSessions};
pub use roster::{PresenceOutbox, PresenceSessionId, Present, Roster, RosterConfig};
pub use user::User;
#[cfg(feature = "server")]
pub(crate) use user::is_known_by;
