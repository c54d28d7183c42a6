//! What a store call can fail with: one enum per operation, all of them cheap to clone, as the calls that shared a
//! commit share its error.

use std::error::Error;
use std::sync::Arc;

use super::head::{Head, OrAbsent};

/// What the storage underneath reported.
pub type Cause = Arc<dyn Error + Send + Sync + 'static>;

/// A room could not be loaded.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// An entry is missing; entries before and after it may exist. The room must be restored or deleted.
    #[error("room `{room}` has a hole: version {version} is missing")]
    Hole {
        /// The room.
        room: Arc<str>,
        /// The first version that is missing.
        version: u64,
    },
    /// A record is not what was written. The room must be restored or deleted.
    #[error("room `{room}` is corrupt at version {version}: {reason}")]
    Corrupt {
        /// The room.
        room: Arc<str>,
        /// The version of the bad entry or snapshot; 0 if the record that says where the room is, is bad.
        version: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too much is queued in the store; try again when some of it is done.
    #[error("room `{room}` was not loaded: the store has {limit} {unit} queued, the most it takes")]
    Busy {
        /// The room.
        room: Arc<str>,
        /// The limit that was met.
        limit: usize,
        /// Of what: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The storage underneath failed.
    #[error("room `{room}` was not loaded: the storage failed")]
    Storage {
        /// The room.
        room: Arc<str>,
        /// What it reported.
        source: Cause,
    },
    /// The store is closed.
    #[error("room `{room}` was not loaded: the store is closed")]
    Closed {
        /// The room.
        room: Arc<str>,
    },
}

/// An entry was not appended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The room is elsewhere than the append expects; nothing was stored.
    #[error("room `{room}` was expected at {expected}, it is {}", OrAbsent(*.actual))]
    Conflict {
        /// The room.
        room: Arc<str>,
        /// Where the append expects the room.
        expected: Head,
        /// Where it is; `None` if it does not exist.
        actual: Option<Head>,
    },
    /// The entry is larger than the store takes; nothing was stored.
    #[error("version {version} of room `{room}` has {size} bytes, the store takes at most {limit}")]
    TooLarge {
        /// The room.
        room: Arc<str>,
        /// The version the entry would have made.
        version: u64,
        /// The entry's bytes.
        size: usize,
        /// The most an entry may have.
        limit: usize,
    },
    /// Too much is queued in the store; nothing was stored. Try again when some of it is done.
    #[error(
        "version {version} of room `{room}` was not stored: the store has {limit} {unit} queued, the most it takes"
    )]
    Busy {
        /// The room.
        room: Arc<str>,
        /// The version the entry would have made.
        version: u64,
        /// The limit that was met.
        limit: usize,
        /// Of what: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The storage underneath failed; whether the entry is stored is not known.
    #[error("version {version} of room `{room}` may not have been stored: the storage failed")]
    Storage {
        /// The room.
        room: Arc<str>,
        /// The version the entry would have made.
        version: u64,
        /// What it reported.
        source: Cause,
    },
    /// The store is closed; nothing was stored.
    #[error("version {version} of room `{room}` was not stored: the store is closed")]
    Closed {
        /// The room.
        room: Arc<str>,
        /// The version the entry would have made.
        version: u64,
    },
}

/// A room was not compacted; unless the storage failed, it is as it was.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// The room does not exist, is in another epoch, or has not reached the snapshot's version.
    #[error("room `{room}` cannot have a snapshot at {taken}, it is {}", OrAbsent(*.actual))]
    Conflict {
        /// The room.
        room: Arc<str>,
        /// Where the snapshot was taken.
        taken: Head,
        /// Where the room is; `None` if it does not exist.
        actual: Option<Head>,
    },
    /// The snapshot is larger than the store takes.
    #[error(
        "the snapshot of room `{room}` at version {version} has {size} bytes, the store takes at most {limit}"
    )]
    TooLarge {
        /// The room.
        room: Arc<str>,
        /// The snapshot's version.
        version: u64,
        /// The snapshot's bytes.
        size: usize,
        /// The most a snapshot may have.
        limit: usize,
    },
    /// Too much is queued in the store; try again when some of it is done.
    #[error(
        "the snapshot of room `{room}` at version {version} was not stored: \
         the store has {limit} {unit} queued, the most it takes"
    )]
    Busy {
        /// The room.
        room: Arc<str>,
        /// The snapshot's version.
        version: u64,
        /// The limit that was met.
        limit: usize,
        /// Of what: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The storage underneath failed; the room is as it was or compacted.
    #[error(
        "the snapshot of room `{room}` at version {version} may not have been stored: the storage failed"
    )]
    Storage {
        /// The room.
        room: Arc<str>,
        /// The snapshot's version.
        version: u64,
        /// What it reported.
        source: Cause,
    },
    /// The store is closed.
    #[error("the snapshot of room `{room}` at version {version} was not stored: the store is closed")]
    Closed {
        /// The room.
        room: Arc<str>,
        /// The snapshot's version.
        version: u64,
    },
}

/// The rooms could not be listed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The record that says where a room is, is bad. The other rooms load, and this one can be deleted.
    #[error("the rooms cannot be listed: room `{room}` is corrupt: {reason}")]
    Corrupt {
        /// The room.
        room: Arc<str>,
        /// What is wrong with its record.
        reason: &'static str,
    },
    /// Too much is queued in the store; try again when some of it is done.
    #[error("the rooms were not listed: the store has {limit} {unit} queued, the most it takes")]
    Busy {
        /// The limit that was met.
        limit: usize,
        /// Of what: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The storage underneath failed.
    #[error("the rooms were not listed: the storage failed")]
    Storage {
        /// What it reported.
        source: Cause,
    },
    /// The store is closed.
    #[error("the rooms were not listed: the store is closed")]
    Closed,
}

/// A room was not deleted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// Too much is queued in the store; try again when some of it is done.
    #[error("room `{room}` was not deleted: the store has {limit} {unit} queued, the most it takes")]
    Busy {
        /// The room.
        room: Arc<str>,
        /// The limit that was met.
        limit: usize,
        /// Of what: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The storage underneath failed; the room is there as it was or gone.
    #[error("room `{room}` may not have been deleted: the storage failed")]
    Storage {
        /// The room.
        room: Arc<str>,
        /// What it reported.
        source: Cause,
    },
    /// The store is closed.
    #[error("room `{room}` was not deleted: the store is closed")]
    Closed {
        /// The room.
        room: Arc<str>,
    },
}

/// A store was not shut as it should be. What was acknowledged is durable all the same.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The storage underneath failed.
    #[error("the store was not closed cleanly: the storage failed")]
    Storage {
        /// What it reported.
        source: Cause,
    },
}
