//! The file format: tables, records and checksums, and how a room is verified as it is read.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `"format"` | the version of this format |
//! | `rooms` | room | crc32, epoch, version of the head, version of the snapshot plus one, or 0 |
//! | `snapshots` | room | crc32, bytes |
//! | `log` | (room, version) | crc32, bytes |
//!
//! Numbers are little-endian; values in `rooms` have 28 bytes. A checksum covers the room's name, its epoch and the
//! version as well as the bytes, so an intact record in the wrong place is detected, too. Because `rooms` holds the
//! head, a log without its end is detected as well as one with a gap.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError};

use crate::store::head::{Extent, Head};
use crate::store::{Cause, Entry, ListError, LoadError, RoomInfo, Snapshot, StoredRoom};

/// The version of the format that this code reads and writes.
pub(super) const FORMAT: u64 = 1;
pub(super) const FORMAT_KEY: &str = "format";
/// The four parts of the key of clients' names in the meta table, 8 bytes each.
pub(super) const KEY_PARTS: [&str; 4] = ["name-key-0", "name-key-1", "name-key-2", "name-key-3"];

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const ROOMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rooms");
pub(super) const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");
pub(super) const LOG: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("log");

const CRC: usize = 4;
const ROW: usize = CRC + 3 * 8;

/// A record is damaged.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("bad record: {reason}")]
pub(super) struct BadRecord {
    pub(super) reason: &'static str,
}

const fn bad(reason: &'static str) -> BadRecord {
    BadRecord { reason }
}

/// Whether redb refuses all further work on the file after this error. Other errors, for example of a damaged page,
/// concern one call.
pub(super) fn has_failed(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::LockPoisoned(_))
}

/// The keys of a room's entries up to version `last`.
pub(super) fn keys(room: &str, last: u64) -> RangeInclusive<(&str, u64)> {
    (room, 0)..=(room, last)
}

fn checksum(room: &str, at: Head, bytes: &[u8]) -> [u8; CRC] {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&at.epoch.to_le_bytes());
    crc.update(&at.version.to_le_bytes());
    crc.update(&(room.len() as u64).to_le_bytes());
    crc.update(room.as_bytes());
    crc.update(bytes);
    crc.finalize().to_le_bytes()
}

/// The length of the record that holds `bytes`.
pub(super) fn record_len(bytes: &[u8]) -> usize {
    CRC + bytes.len()
}

/// Writes the record of an entry or a snapshot into a slice of that length.
pub(super) fn write_record(into: &mut [u8], room: &str, at: Head, bytes: &[u8]) {
    into[..CRC].copy_from_slice(&checksum(room, at, bytes));
    into[CRC..].copy_from_slice(bytes);
}

fn read_record(record: &[u8], room: &str, at: Head) -> Result<Bytes, BadRecord> {
    let (crc, bytes) = record.split_at_checked(CRC).ok_or(bad("the record is too short"))?;
    if crc == checksum(room, at, bytes) {
        Ok(Bytes::copy_from_slice(bytes))
    } else {
        Err(bad("the checksum does not match"))
    }
}

/// The row of a room in the table `rooms`.
pub(super) fn write_row(room: &str, extent: Extent) -> [u8; ROW] {
    let Extent { head, snapshot } = extent;
    let mut row = [0; ROW];
    row[CRC..CRC + 8].copy_from_slice(&head.epoch.to_le_bytes());
    row[CRC + 8..CRC + 16].copy_from_slice(&head.version.to_le_bytes());
    row[CRC + 16..].copy_from_slice(&snapshot.map_or(0, |version| version.saturating_add(1)).to_le_bytes());
    let crc = checksum(room, head, &row[CRC..]);
    row[..CRC].copy_from_slice(&crc);
    row
}

fn read_row(room: &str, row: &[u8]) -> Result<Extent, BadRecord> {
    let row: &[u8; ROW] = row.try_into().map_err(|_| bad("the room's row has the wrong length"))?;
    let number = |at: usize| row[at..at + 8].iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let head = Head { epoch: number(CRC), version: number(CRC + 8) };
    let extent = Extent { head, snapshot: number(CRC + 16).checked_sub(1) };
    if row[..CRC] != checksum(room, head, &row[CRC..]) {
        return Err(bad("the checksum of the room's row does not match"));
    }
    if extent.snapshot.is_some_and(|snapshot| snapshot > head.version) {
        return Err(bad("the room's snapshot is newer than its head"));
    }
    Ok(extent)
}

/// A room's head and snapshot version; `None` if there is nothing of the room. The inner error concerns only this
/// room.
pub(super) fn read_extent(
    room: &str,
    rooms: &impl ReadableTable<&'static str, &'static [u8]>,
    snapshots: &impl ReadableTable<&'static str, &'static [u8]>,
    log: &impl ReadableTable<(&'static str, u64), &'static [u8]>,
) -> Result<Result<Option<Extent>, BadRecord>, redb::StorageError> {
    if let Some(row) = rooms.get(room)? {
        return Ok(read_row(room, row.value()).map(Some));
    }
    // A room that lost its row must not look like a new one: the next append would start it again.
    let orphan = snapshots.get(room)?.is_some() || log.range(keys(room, u64::MAX))?.next().is_some();
    Ok(if orphan { Err(bad("the room's row is missing")) } else { Ok(None) })
}

/// Reads and verifies a whole room.
pub(super) fn read_room(txn: &ReadTransaction, room: &Arc<str>) -> Result<Option<StoredRoom>, LoadError> {
    let failed = |source: Cause| LoadError::Storage { room: room.clone(), source };
    let storage = |error: redb::StorageError| failed(Arc::new(redb::Error::from(error)));
    let table = |error: TableError| failed(Arc::new(redb::Error::from(error)));
    let corrupt =
        |version: u64, bad: BadRecord| LoadError::Corrupt { room: room.clone(), version, reason: bad.reason };
    let hole = |version: u64| LoadError::Hole { room: room.clone(), version };

    let rooms = txn.open_table(ROOMS).map_err(table)?;
    let snapshots = txn.open_table(SNAPSHOTS).map_err(table)?;
    let log = txn.open_table(LOG).map_err(table)?;

    let extent = read_extent(room, &rooms, &snapshots, &log).map_err(storage)?;
    let Some(Extent { head, snapshot }) = extent.map_err(|bad| corrupt(0, bad))? else {
        return Ok(None);
    };
    let stored = snapshots.get(&**room).map_err(storage)?;
    let snapshot = match (snapshot, stored) {
        (None, None) => None,
        (Some(version), Some(record)) => {
            let bytes = read_record(record.value(), room, Head { version, ..head })
                .map_err(|bad| corrupt(version, bad))?;
            Some(Snapshot { version, bytes })
        }
        (Some(version), None) => return Err(corrupt(version, bad("the snapshot is missing"))),
        (None, Some(_)) => {
            return Err(corrupt(0, bad("the room has a snapshot that its row does not mention")));
        }
    };

    let mut tail = Vec::new();
    let mut version = snapshot.as_ref().map_or(0, |snapshot| snapshot.version);
    for record in log.range(keys(room, u64::MAX)).map_err(storage)? {
        let (key, record) = record.map_err(storage)?;
        let (_, found) = key.value();
        if found <= version {
            return Err(corrupt(
                found,
                bad("the entry is covered by the snapshot and should have been removed"),
            ));
        }
        if found > head.version {
            return Err(if version < head.version {
                hole(version + 1)
            } else {
                corrupt(found, bad("the entry is newer than the room's head"))
            });
        }
        version += 1;
        if found > version {
            return Err(hole(version));
        }
        let bytes = read_record(record.value(), room, Head { version, ..head })
            .map_err(|bad| corrupt(version, bad))?;
        tail.push(Entry { version, bytes });
    }
    if version < head.version {
        return Err(hole(version + 1));
    }
    Ok(Some(StoredRoom { epoch: head.epoch, snapshot, tail }))
}

/// Reads the head of every room.
pub(super) fn read_list(txn: &ReadTransaction) -> Result<Vec<RoomInfo>, ListError> {
    let failed = |error: redb::Error| ListError::Storage { source: Arc::new(error) };
    let storage = |error: redb::StorageError| failed(error.into());
    let rooms = txn.open_table(ROOMS).map_err(|error| failed(error.into()))?;
    let mut list = Vec::new();
    for row in rooms.iter().map_err(storage)? {
        let (room, row) = row.map_err(storage)?;
        let room: Arc<str> = Arc::from(room.value());
        let Extent { head, .. } = read_row(&room, row.value())
            .map_err(|bad| ListError::Corrupt { room: room.clone(), reason: bad.reason })?;
        list.push(RoomInfo { room, epoch: head.epoch, version: head.version });
    }
    Ok(list)
}
