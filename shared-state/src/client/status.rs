//! The status of a client's connection, and how a client ended.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::proto::Violation;

/// The state of a client's connection. Reads and writes work in every state but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The first attempt to connect is being made.
    Connecting,
    /// The server has accepted the client.
    Connected,
    /// There is no connection. The client waits until `next_try` and then tries again.
    Reconnecting {
        /// The number of the next attempt in a row, from 1.
        attempt: u32,
        /// When that attempt is made. In the past while it is being made.
        next_try: Instant,
        /// Why the last connection or attempt failed.
        cause: Arc<str>,
    },
    /// The client has ended. There will be no connection any more, and nothing can be written.
    Disconnected {
        /// Why it has ended.
        reason: DisconnectReason,
    },
}

/// Why a client has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// It was closed, or its last handle was dropped.
    Closed,
    /// Too many attempts in a row failed.
    GaveUp {
        /// How many attempts failed.
        attempts: u32,
        /// Why the last one failed.
        cause: Arc<str>,
    },
    /// The server rejected this client: its token or its id is not valid, or another client connected with
    /// the same id.
    Refused(Violation),
    /// The URL is not usable.
    Url(Arc<str>),
    /// The client could not be started: no random id, runtime or thread.
    Start(Arc<str>),
    /// The runtime that the client ran on was shut down.
    Runtime,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the client was closed"),
            Self::GaveUp { attempts, cause } => {
                write!(f, "gave up after {attempts} failed attempts, the last one: {cause}")
            }
            Self::Refused(violation) => write!(f, "the server refused the client: {violation}"),
            Self::Url(why) => write!(f, "the URL cannot be used: {why}"),
            Self::Start(why) => write!(f, "the client could not be started: {why}"),
            Self::Runtime => f.write_str("the runtime was shut down"),
        }
    }
}

/// What a client could not deliver before it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Per room, how many changes were not answered. They may or may not have been applied. Rooms without any
    /// are left out.
    pub rooms: Vec<(Arc<str>, usize)>,
}

impl Unsent {
    /// Whether everything was answered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many changes were not answered, in all rooms together.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.rooms.iter().map(|(_, changes)| changes).sum()
    }
}
