//! What a client says about its connection and at its end.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::proto::Violation;

/// How a client's connection is. Reads and writes work all the same in each but the last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// The first attempt is under way.
    Connecting,
    /// The server has welcomed the client.
    Connected,
    /// There is no connection; the client waits until `next_try` and then tries again.
    Reconnecting {
        /// Which attempt in a row is next, from 1.
        attempt: u32,
        /// When it is made. In the past while it is under way.
        next_try: Instant,
        /// Why there is no connection.
        cause: Arc<str>,
    },
    /// The end: there will be no connection any more, and nothing can be written.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
}

/// Why a client has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// It was closed, or its last handle was dropped.
    Closed,
    /// More attempts in a row have failed than were allowed.
    GaveUp {
        /// How many.
        attempts: u32,
        /// Why the last one failed.
        cause: Arc<str>,
    },
    /// The server does not want this client: its id is not valid or is used by somebody else.
    Refused(Violation),
    /// There is nothing to connect to at such an URL.
    Url(Arc<str>),
    /// The client could not be started.
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
            Self::Url(why) => write!(f, "the URL is of no use: {why}"),
            Self::Start(why) => write!(f, "the client could not be started: {why}"),
            Self::Runtime => f.write_str("the runtime was shut down"),
        }
    }
}

/// What a client could not deliver before it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// Per room, how many changes were not answered: they may or may not have been applied. Rooms with none are
    /// left out.
    pub rooms: Vec<(Arc<str>, usize)>,
}

impl Unsent {
    /// Whether everything was answered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many changes were not answered, in all rooms.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.rooms.iter().map(|(_, changes)| changes).sum()
    }
}
