//! Where rooms survive: "a room is a log".
//!
//! Owns the trait [`RoomStore`] and its implementations. A store knows no state, no policy and no protocol: an
//! entry is the bytes the authority wrote, a snapshot likewise. Only the server calls it.
//!
//! A room is at a *head*: the epoch of its history and the version of its last entry. It holds at most one
//! snapshot, at some version, and every entry after it. [`append`](RoomStore::append) moves the head by one,
//! [`compact`](RoomStore::compact) moves the snapshot forward and drops the entries it covers.
//!
//! - [`MemoryStore`]: nothing outlives the process; for tests and temporary rooms.
//! - `RedbStore` (feature `redb`): one file on one node, survives `kill -9` and power loss.

mod error;
mod head;
mod memory;
mod null;
#[cfg(feature = "redb")]
mod redb;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;

pub use error::{AppendError, Cause, CloseError, CompactError, DeleteError, ListError, LoadError};
pub use head::Head;
pub use memory::MemoryStore;
pub(crate) use null::NullStore;
#[cfg(feature = "redb")]
pub use redb::{OpenError, RedbBuilder, RedbStore};

/// A future of a store call. The call itself is already made when the future is returned: see [`RoomStore`].
pub type StoreFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'static>>;

/// The entries of a room as they come to be, of [`RoomStore::subscribe`].
pub type EntryStream = Pin<Box<dyn Stream<Item = Result<Entry, LoadError>> + Send + 'static>>;

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
    /// The entries after the snapshot, oldest first. The first has the snapshot's version plus one, or 1.
    pub tail: Vec<Entry>,
}

impl StoredRoom {
    /// The version of the last entry, or of the snapshot if there is no entry after it.
    #[must_use]
    pub fn version(&self) -> u64 {
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
        self.tail.last().map_or(snapshot, |entry| entry.version)
    }
}

/// An entry to be appended.
///
/// The bytes are held as they are until the append is done (by [`MemoryStore`]: as long as the entry), so a small
/// slice of a large buffer keeps the whole buffer.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room.
    pub room: Arc<str>,
    /// The epoch the writer knows; the first append of a room creates it.
    pub epoch: u64,
    /// The version the room must be at; the entry becomes `expected + 1`. 0 creates the room.
    pub expected: u64,
    /// What the authority wrote.
    pub entry: Bytes,
}

/// A room in a [`list`](RoomStore::list).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// The room.
    pub room: Arc<str>,
    /// The random id of the room's history.
    pub epoch: u64,
    /// The version of its last entry.
    pub version: u64,
}

/// A place where rooms survive. Used as `Arc<dyn RoomStore>`.
///
/// # Order and cancellation
///
/// Every method makes its call before it returns: what it asks for is queued then, and the future only waits for
/// the outcome. So calls take effect in the order in which they were made, whatever order their futures are polled
/// in, and dropping a future, polled or not, undoes nothing. A call sees all those made before it: a `load` after
/// an `append` whose future nobody awaited finds the entry, if it was not refused.
///
/// The futures are `'static`, can be awaited in any executor, and do not keep the store open.
///
/// # Pipelining
///
/// Any number of appends of one room may be outstanding, each expecting the version the one before it makes. If
/// one fails, those already queued behind it fail as well, as the room is not at the version they expect. The
/// order of a room's appends is the order of the calls, so one task should make them.
///
/// # Errors
///
/// Every operation has its own enum. `Conflict`, `Busy` and `TooLarge` say that nothing was stored. `Storage` from
/// a method that writes says that the outcome is not known: the write may be found after the store is opened again,
/// and what the room holds is what [`load`](Self::load) then returns.
pub trait RoomStore: Send + Sync + 'static {
    /// Everything the store has of the room; `None` if it has no such room.
    ///
    /// A room with a hole or a damaged record is refused whole, never returned without its end.
    /// Costs time and memory in proportion to the snapshot and the tail.
    fn load(&self, room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError>;

    /// Adds an entry at `expected + 1`, if the room is at `expected` in the epoch given.
    ///
    /// The first append of a room, which expects version 0, creates it. The future resolves when the entry is as
    /// durable as the store makes it. Costs time in proportion to the entry.
    fn append(&self, append: Append) -> StoreFuture<(), AppendError>;

    /// Stores a snapshot and drops the entries up to its version, both or neither.
    ///
    /// The room must exist in the epoch given, at the snapshot's version or later. If it has a snapshot of that
    /// version or a later one already, nothing changes and the call succeeds: compaction may be repeated.
    /// Costs time in proportion to the snapshot and the entries dropped; the writes queued behind it wait.
    fn compact(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> StoreFuture<(), CompactError>;

    /// All rooms, sorted by name. Costs time and memory in proportion to their number, not to their size.
    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError>;

    /// Removes the room and its history; succeeds if there is no such room. Works on a damaged room as well.
    ///
    /// Costs time in proportion to the room's entries.
    fn delete(&self, room: Arc<str>) -> StoreFuture<(), DeleteError>;

    /// The entries after version `after` that any node appends to the room, this one included, in order and
    /// without a hole; it ends when the store is closed, and after its first error.
    ///
    /// `None`, which is what this default returns, means that this process is the only writer: no entry can come
    /// from elsewhere, so there is nothing to follow. It is the answer of every single-node store. A store over an
    /// external log, to which several nodes append with an expected version, returns the stream.
    fn subscribe(&self, room: Arc<str>, after: u64) -> Option<EntryStream> {
        let _ = (room, after);
        None
    }

    /// Refuses every later call, and resolves when all calls made before are done and the store is shut.
    ///
    /// Those calls report their own errors; this future fails only if the shutting itself does. May be called more
    /// than once.
    fn close(&self) -> StoreFuture<(), CloseError>;
}
