//! Presence: who is in a room and what they show, in two state machines without I/O.
//!
//! [`Roster`] is the server's: the sessions that are present, what has changed since the last flush, and what
//! each session has been sent. [`PresenceClient`] is a client's: what it shows of itself, and the others.
//! Presence is never stored and has no versions; of data that changes faster than it is sent, the latest is
//! sent. Both machines get the time as an argument, and have no socket, clock or task. The client's and the
//! server's tasks drive them, and so does the simulation in the tests.
//!
//! # Who is a user
//! The user that a session shows can be any JSON. Sessions are the same user, for example in several tabs, if
//! their users have the same member `id` (a string or a number), or are themselves the same string or number.
//! A session whose user has neither is a user of its own.

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
