//! Durable storage of rooms: each room is a log of entries and a snapshot.
//!
//! This module owns the trait [`RoomStore`] and its implementations. A store knows no state, merge policy or
//! protocol: entries and snapshots are bytes that the authority wrote. Only the server calls it.
//!
//! A room is at a *head*: the epoch of its history and the version of its last entry. The store holds at most one
//! snapshot of it, at some version, and every entry after that. [`append`](RoomStore::append) moves the head forward
//! by one; [`compact`](RoomStore::compact) moves the snapshot forward and drops the entries it covers.
//!
//! - [`MemoryStore`]: nothing outlives the process; for tests and temporary data.
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

/// The outcome of a store call. The call was made when the future was returned, not when it is first polled: see
/// [`RoomStore`].
pub type StoreFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'static>>;

/// The entries of a room as they are appended; returned by [`RoomStore::subscribe`].
pub type EntryStream = Pin<Box<dyn Stream<Item = Result<Entry, LoadError>> + Send + 'static>>;

/// One accepted change in a room's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The version that the change made.
    pub version: u64,
    /// The entry's content, as the authority wrote it.
    pub bytes: Bytes,
}

/// A room's whole state at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The version of the state.
    pub version: u64,
    /// The state, as the authority wrote it.
    pub bytes: Bytes,
}

/// Everything a store has of a room: the latest snapshot and every entry after it, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRoom {
    /// The random id of the room's history.
    pub epoch: u64,
    /// The latest snapshot; `None` while the room has only entries.
    pub snapshot: Option<Snapshot>,
    /// The entries after the snapshot, oldest first. The first one's version is the snapshot's plus one, or 1 without
    /// a snapshot.
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

/// An entry to append.
///
/// The store holds the bytes until the append is done, [`MemoryStore`] as long as it holds the entry. A small slice
/// of a large buffer therefore keeps the whole buffer in memory.
#[derive(Clone, Debug)]
pub struct Append {
    /// The room.
    pub room: Arc<str>,
    /// The epoch that the writer expects. The first append of a room sets it.
    pub epoch: u64,
    /// The version that the room must be at; the entry becomes version `expected + 1`. 0 creates the room.
    pub expected: u64,
    /// The entry's content, as the authority wrote it.
    pub entry: Bytes,
}

/// A room as [`list`](RoomStore::list) returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomInfo {
    /// The room.
    pub room: Arc<str>,
    /// The random id of the room's history.
    pub epoch: u64,
    /// The version of the room's last entry.
    pub version: u64,
}

/// A durable store of rooms, used as `Arc<dyn RoomStore>`. Implement it to store rooms elsewhere; [`MemoryStore`] is
/// the simplest example.
///
/// # Order and cancellation
///
/// Every method makes its call before it returns: the request is queued then, and the future only waits for the
/// outcome. Calls therefore take effect in the order in which they were made, whatever the order in which their
/// futures are polled, and dropping a future, polled or not, cancels nothing.
///
/// A call sees the effects of all calls before it. For example, a `load` after an `append` that nobody awaited finds
/// the entry, unless the append failed.
///
/// The futures are `'static`, can be awaited in any executor, and do not keep the store open.
///
/// # Pipelining
///
/// Any number of appends to one room may be outstanding, each expecting the version that the one before it makes. If
/// one fails, those queued behind it fail too, because the room is not at the version they expect. A room's appends
/// are ordered by the order of the calls, so one task should make them.
///
/// # Errors
///
/// Each operation has its own error enum. `Conflict`, `Busy`, `TooLarge` and `Closed` mean that nothing was stored.
/// A store that is busy says so when it is called: the future of an append is ready with `Busy` at once, so that the
/// append, and those after it, can be made again in their order.
/// `Storage` from a method that writes means that the outcome is unknown: the write may be found later, and
/// [`load`](Self::load) then returns what the room holds. A store may recover from a failure by itself: the caller
/// loads the room again and goes on from what it holds. What was acknowledged is there then, and the versions of a
/// room have no gap.
pub trait RoomStore: Send + Sync + 'static {
    /// Loads everything the store has of a room; `None` if there is no such room.
    ///
    /// A room with a gap or a damaged record is refused as a whole, and never returned without its end. Takes time
    /// and memory in proportion to the snapshot and the entries after it.
    fn load(&self, room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError>;

    /// Appends an entry as version `expected + 1`, if the room is at version `expected` in the given epoch.
    ///
    /// The first append of a room, which expects version 0, creates it. The future resolves when the entry is as
    /// durable as this store makes it. Takes time in proportion to the entry.
    fn append(&self, append: Append) -> StoreFuture<(), AppendError>;

    /// Stores a snapshot and drops the entries up to its version, atomically.
    ///
    /// The room must exist in the given epoch, at the snapshot's version or later. If it has a snapshot of that
    /// version or later already, the call succeeds and changes nothing, so a compaction may be repeated. Takes time
    /// in proportion to the snapshot and to the entries dropped; writes queued behind it wait.
    fn compact(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> StoreFuture<(), CompactError>;

    /// Lists all rooms, sorted by name. Takes time and memory in proportion to their number, not to their size.
    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError>;

    /// Deletes a room and its history; succeeds if there is no such room. Works on a damaged room, too.
    ///
    /// Takes time in proportion to the room's entries.
    fn delete(&self, room: Arc<str>) -> StoreFuture<(), DeleteError>;

    /// The entries after version `after` that any node appends to the room, this one included, in order and without a
    /// gap. The stream ends when the store is closed, and after its first error.
    ///
    /// `None`, which this default returns, means that this process is the only writer, so there is nothing to follow.
    /// Every single-node store returns it. A store over an external log, to which several nodes append with an
    /// expected version, returns a stream.
    fn subscribe(&self, room: Arc<str>, after: u64) -> Option<EntryStream> {
        let _ = (room, after);
        None
    }

    /// A secret key of 32 random bytes that belongs to the store: the same for as long as the store's rooms exist, and
    /// on every node. The server computes the public names of clients with it, so that nobody can test guesses of a
    /// client's secret id against its name.
    ///
    /// `None`, which this default returns, means that the store has no key; names are then computed without one. A key
    /// that changes while rooms are stored makes the server take returning clients for new ones.
    fn name_key(&self) -> Option<[u8; 32]> {
        None
    }

    /// Refuses all later calls, and resolves when the earlier ones are done and the store is shut down.
    ///
    /// The earlier calls report their own errors; this future fails only if shutting down does. May be called more
    /// than once.
    fn close(&self) -> StoreFuture<(), CloseError>;
}

/// A store that the program keeps as well, for example to ask whether it is available.
impl<S: RoomStore + ?Sized> RoomStore for Arc<S> {
    fn load(&self, room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError> {
        (**self).load(room)
    }

    fn append(&self, append: Append) -> StoreFuture<(), AppendError> {
        (**self).append(append)
    }

    fn compact(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> StoreFuture<(), CompactError> {
        (**self).compact(room, epoch, snapshot)
    }

    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError> {
        (**self).list()
    }

    fn delete(&self, room: Arc<str>) -> StoreFuture<(), DeleteError> {
        (**self).delete(room)
    }

    fn subscribe(&self, room: Arc<str>, after: u64) -> Option<EntryStream> {
        (**self).subscribe(room, after)
    }

    fn name_key(&self) -> Option<[u8; 32]> {
        (**self).name_key()
    }

    fn close(&self) -> StoreFuture<(), CloseError> {
        (**self).close()
    }
}
