//! Where rooms survive: "a room is a log".
//!
//! Owns the trait [`RoomStore`] and its implementations. A store knows no state, no policy and no protocol: an
//! entry is the bytes the authority wrote, a snapshot likewise. Only the server calls it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// A future of a store call.
pub type StoreFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'static>>;

/// One accepted change, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The version the change made.
    pub version: u64,
    /// What the authority wrote.
    pub bytes: Bytes,
}

/// A room's whole state at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version the snapshot was taken at.
    pub version: u64,
    /// What the authority wrote.
    pub bytes: Bytes,
}

/// What a store has of a room: the latest snapshot, and every entry after it without a hole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoom {
    /// The random id of the room's history.
    pub epoch: u64,
    /// The latest snapshot; `None` while the room has only entries.
    pub snapshot: Option<Snapshot>,
    /// The entries after the snapshot, oldest first.
    pub tail: Vec<Entry>,
}

/// An entry to be appended.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room.
    pub room: Arc<str>,
    /// The epoch the writer knows; the first append of a room creates it.
    pub epoch: u64,
    /// The version the room must be at; the entry becomes `expected + 1`.
    pub expected: u64,
    /// What the authority wrote.
    pub entry: Bytes,
}
