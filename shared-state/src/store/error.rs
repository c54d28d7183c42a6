//! The errors of the store, one enum per operation. All are cheap to clone, because calls that shared a commit share
//! its error.

use std::error::Error;
use std::sync::Arc;

use super::head::{Head, OrAbsent};

/// The error of the underlying storage.
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
    /// A record is damaged. The room must be restored or deleted.
    #[error("room `{room}` is corrupt at version {version}: {reason}")]
    Corrupt {
        /// The room.
        room: Arc<str>,
        /// The version of the damaged entry or snapshot; 0 if the record of the room's head is damaged.
        version: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Too much is queued in the store; try again later.
    #[error("room `{room}` was not loaded: the store has {limit} {unit} queued, the most it takes")]
    Busy {
        /// The room.
        room: Arc<str>,
        /// The limit that was reached.
        limit: usize,
        /// The limit's unit: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The underlying storage failed.
    #[error("room `{room}` was not loaded: the storage failed")]
    Storage {
        /// The room.
        room: Arc<str>,
        /// The storage's error.
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
    /// The room is not at the head that the append expects; nothing was stored.
    #[error("room `{room}` was expected at {expected}, it is {}", OrAbsent(*.actual))]
    Conflict {
        /// The room.
        room: Arc<str>,
        /// The head that the append expects.
        expected: Head,
        /// The room's head; `None` if the room does not exist.
        actual: Option<Head>,
    },
    /// The entry is larger than the store accepts; nothing was stored.
    #[error("version {version} of room `{room}` has {size} bytes, the store takes at most {limit}")]
    TooLarge {
        /// The room.
        room: Arc<str>,
        /// The version that the entry would have become.
        version: u64,
        /// The entry's length, in bytes.
        size: usize,
        /// The longest entry that the store accepts, in bytes.
        limit: usize,
    },
    /// Too much is queued in the store; nothing was stored. Try again later.
    #[error(
        "version {version} of room `{room}` was not stored: the store has {limit} {unit} queued, the most it takes"
    )]
    Busy {
        /// The version that the entry would have become.
        room: Arc<str>,
        /// The version the entry would have made.
        version: u64,
        /// The limit that was reached.
        limit: usize,
        /// The limit's unit: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The underlying storage failed; whether the entry is stored is unknown.
    #[error("version {version} of room `{room}` may not have been stored: the storage failed")]
    Storage {
        /// The room.
        room: Arc<str>,
        /// The version that the entry would have become.
        version: u64,
        /// The storage's error.
        source: Cause,
    },
    /// The store is closed; nothing was stored.
    #[error("version {version} of room `{room}` was not stored: the store is closed")]
    Closed {
        /// The room.
        room: Arc<str>,
        /// The version that the entry would have become.
        version: u64,
    },
}

/// A room was not compacted. It is unchanged, unless the storage failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompactError {
    /// The room does not exist, is in another epoch, or has not reached the snapshot's version.
    #[error("room `{room}` cannot have a snapshot at {taken}, it is {}", OrAbsent(*.actual))]
    Conflict {
        /// The room.
        room: Arc<str>,
        /// The head at which the snapshot was taken.
        taken: Head,
        /// The room's head; `None` if the room does not exist.
        actual: Option<Head>,
    },
    /// The snapshot is larger than the store accepts.
    #[error(
        "the snapshot of room `{room}` at version {version} has {size} bytes, the store takes at most {limit}"
    )]
    TooLarge {
        /// The room.
        room: Arc<str>,
        /// The snapshot's version.
        version: u64,
        /// The snapshot's length, in bytes.
        size: usize,
        /// The longest snapshot that the store accepts, in bytes.
        limit: usize,
    },
    /// Too much is queued in the store; try again later.
    #[error(
        "the snapshot of room `{room}` at version {version} was not stored: \
         the store has {limit} {unit} queued, the most it takes"
    )]
    Busy {
        /// The room.
        room: Arc<str>,
        /// The snapshot's version.
        version: u64,
        /// The limit that was reached.
        limit: usize,
        /// The limit's unit: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The underlying storage failed; whether the room was compacted is unknown.
    #[error(
        "the snapshot of room `{room}` at version {version} may not have been stored: the storage failed"
    )]
    Storage {
        /// The room.
        room: Arc<str>,
        /// The snapshot's version.
        version: u64,
        /// The storage's error.
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
    /// The record of a room's head is damaged. Other rooms can be loaded, and this one can be deleted.
    #[error("the rooms cannot be listed: room `{room}` is corrupt: {reason}")]
    Corrupt {
        /// The room.
        room: Arc<str>,
        /// What is wrong with its record.
        reason: &'static str,
    },
    /// Too much is queued in the store; try again later.
    #[error("the rooms were not listed: the store has {limit} {unit} queued, the most it takes")]
    Busy {
        /// The limit that was reached.
        limit: usize,
        /// The limit's unit: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The underlying storage failed.
    #[error("the rooms were not listed: the storage failed")]
    Storage {
        /// The storage's error.
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
    /// Too much is queued in the store; try again later.
    #[error("room `{room}` was not deleted: the store has {limit} {unit} queued, the most it takes")]
    Busy {
        /// The room.
        room: Arc<str>,
        /// The limit that was reached.
        limit: usize,
        /// The limit's unit: `calls` or `bytes`.
        unit: &'static str,
    },
    /// The underlying storage failed; whether the room was deleted is unknown.
    #[error("room `{room}` may not have been deleted: the storage failed")]
    Storage {
        /// The room.
        room: Arc<str>,
        /// The storage's error.
        source: Cause,
    },
    /// The store is closed.
    #[error("room `{room}` was not deleted: the store is closed")]
    Closed {
        /// The room.
        room: Arc<str>,
    },
}

/// A store was not closed cleanly. Acknowledged changes are durable all the same.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The underlying storage failed.
    #[error("the store was not closed cleanly: the storage failed")]
    Storage {
        /// The storage's error.
        source: Cause,
    },
}
