//! The writer thread: takes all the calls that wait, performs them in one transaction, commits it once, and sends
//! them their outcomes. Meanwhile the next calls gather, so a slow commit carries more of them (group commit).

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redb::{Database, Durability, ReadableDatabase, Table, WriteTransaction};

use super::format::{self, LOG, ROOMS, SNAPSHOTS};
use super::queue::{Job, Queue, Queued, Stopped};
use super::readers::{Readers, Reading, Wanted};
use crate::store::head::{Extent, Head};
use crate::store::{Append, AppendError, Cause, CompactError, DeleteError, ListError, LoadError, Snapshot};

/// A commit that takes longer is logged.
const SLOW: Duration = Duration::from_secs(1);

/// How many rooms' extents are cached between transactions. Beyond it the cache is cleared, and extents are read
/// again as needed.
const CACHED_ROOMS: usize = 65_536;

pub(super) struct Writer {
    pub(super) db: Database,
    pub(super) queue: Arc<Queue>,
    pub(super) readers: Readers,
    pub(super) commits: Arc<AtomicU64>,
    pub(super) extents: HashMap<Arc<str>, Cached>,
    /// Holds the lock on the directory until the file is closed.
    pub(super) lock: Option<File>,
}

/// A room's extent after the last commit, or after the calls made so far in the current transaction.
pub(super) struct Cached {
    extent: Option<Extent>,
    /// Whether the current transaction has changed the extent and not yet written the room's row.
    dirty: bool,
}

/// The outcome of a call, provided that the transaction is committed.
enum Verdict {
    Done,
    Conflict(Option<Head>),
    /// The room's row is damaged, which concerns no other room, or the commit of the whole group failed.
    Failed(Cause),
    /// The call does not write.
    Reading,
}

/// Tells the queue that the writer ended if it panics.
struct End(Option<Arc<Queue>>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some(queue) = self.0.take() {
            queue.end(Err(Arc::new(Stopped)));
        }
    }
}

impl Writer {
    /// Performs calls until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let queue = self.queue.clone();
        let mut end = End(Some(queue.clone()));
        while let Some(group) = queue.take() {
            self.group(group);
        }
        self.readers.stop();
        let closed = self.db.close().map_err(|error| Arc::new(error) as Cause);
        if let Err(error) = &closed {
            tracing::error!(%error, "the store was not closed cleanly");
        }
        // The lock is released before the closers are woken, because they may open the store again at once.
        drop(self.lock);
        end.0 = None;
        queue.end(closed);
    }

    /// Performs a group of calls and sends their outcomes.
    fn group(&mut self, group: Vec<Queued>) {
        let verdicts = self.write(&group).inspect_err(|error| {
            tracing::error!(%error, calls = group.len(), "a commit failed; the calls it carried are refused");
            self.extents.clear();
        });
        match verdicts {
            Ok(verdicts) => {
                for (queued, verdict) in group.into_iter().zip(verdicts) {
                    self.answer(queued, verdict);
                }
            }
            Err(cause) => {
                for queued in group {
                    self.answer(queued, Verdict::Failed(cause.clone()));
                }
            }
        }
        if self.extents.len() > CACHED_ROOMS {
            self.extents.clear();
        }
    }

    /// Performs the writes of a group in one transaction. After an error the file has all of them or none; which is
    /// unknown.
    fn write(&mut self, group: &[Queued]) -> Result<Vec<Verdict>, Cause> {
        let reads = |queued: &Queued| matches!(queued.job, Job::Load { .. } | Job::List { .. });
        if group.iter().all(reads) {
            return Ok(group.iter().map(|_| Verdict::Reading).collect());
        }
        let started = Instant::now();
        let mut txn = self.db.begin_write().map_err(cause)?;
        txn.set_durability(Durability::Immediate).map_err(cause)?;
        txn.set_quick_repair(true);
        let (verdicts, changed) = {
            let mut tables = Tables::open(&txn, &mut self.extents)?;
            let verdicts = group
                .iter()
                .map(|queued| tables.perform(&queued.job))
                .collect::<Result<_, redb::StorageError>>();
            (verdicts.map_err(cause)?, tables.finish().map_err(cause)?)
        };
        if !changed {
            txn.abort().map_err(cause)?;
            return Ok(verdicts);
        }
        txn.commit().map_err(cause)?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        let took = started.elapsed();
        if took > SLOW {
            tracing::warn!(ms = took.as_millis() as u64, calls = group.len(), "a commit was slow");
        }
        Ok(verdicts)
    }

    /// Sends a call its outcome, or hands a read to the readers. Receivers that were dropped are ignored.
    fn answer(&self, Queued { job, ticket }: Queued, verdict: Verdict) {
        match job {
            Job::Append { append: Append { room, epoch, expected, .. }, done } => {
                let outcome = match verdict {
                    Verdict::Conflict(actual) => Err(AppendError::Conflict {
                        room,
                        expected: Head { epoch, version: expected },
                        actual,
                    }),
                    Verdict::Failed(source) => {
                        Err(AppendError::Storage { room, version: expected.saturating_add(1), source })
                    }
                    Verdict::Done | Verdict::Reading => Ok(()),
                };
                let _ = done.send(outcome);
            }
            Job::Compact { room, epoch, snapshot: Snapshot { version, .. }, done } => {
                let outcome = match verdict {
                    Verdict::Conflict(actual) => {
                        Err(CompactError::Conflict { room, taken: Head { epoch, version }, actual })
                    }
                    Verdict::Failed(source) => Err(CompactError::Storage { room, version, source }),
                    Verdict::Done | Verdict::Reading => Ok(()),
                };
                let _ = done.send(outcome);
            }
            Job::Delete { room, done } => {
                let outcome = match verdict {
                    Verdict::Failed(source) => Err(DeleteError::Storage { room, source }),
                    Verdict::Done | Verdict::Conflict(_) | Verdict::Reading => Ok(()),
                };
                let _ = done.send(outcome);
            }
            Job::Load { room, done } => match self.db.begin_read() {
                Ok(txn) => self.readers.read(Reading { txn, wanted: Wanted::Room { room, done }, ticket }),
                Err(error) => drop(done.send(Err(LoadError::Storage { room, source: Arc::new(error) }))),
            },
            Job::List { done } => match self.db.begin_read() {
                Ok(txn) => self.readers.read(Reading { txn, wanted: Wanted::List { done }, ticket }),
                Err(error) => drop(done.send(Err(ListError::Storage { source: Arc::new(error) }))),
            },
        }
    }
}

fn cause(error: impl std::error::Error + Send + Sync + 'static) -> Cause {
    Arc::new(error)
}

/// The tables of the current transaction, and the cached extents.
struct Tables<'txn, 'writer> {
    rooms: Table<'txn, &'static str, &'static [u8]>,
    snapshots: Table<'txn, &'static str, &'static [u8]>,
    log: Table<'txn, (&'static str, u64), &'static [u8]>,
    extents: &'writer mut HashMap<Arc<str>, Cached>,
    dirty: Vec<Arc<str>>,
}

impl<'txn, 'writer> Tables<'txn, 'writer> {
    fn open(
        txn: &'txn WriteTransaction,
        extents: &'writer mut HashMap<Arc<str>, Cached>,
    ) -> Result<Self, Cause> {
        Ok(Self {
            rooms: txn.open_table(ROOMS).map_err(cause)?,
            snapshots: txn.open_table(SNAPSHOTS).map_err(cause)?,
            log: txn.open_table(LOG).map_err(cause)?,
            extents,
            dirty: Vec::new(),
        })
    }

    fn perform(&mut self, job: &Job) -> Result<Verdict, redb::StorageError> {
        match job {
            Job::Append { append, .. } => self.append(append),
            Job::Compact { room, epoch, snapshot, .. } => self.compact(room, *epoch, snapshot),
            Job::Delete { room, .. } => self.delete(room),
            Job::Load { .. } | Job::List { .. } => Ok(Verdict::Reading),
        }
    }

    fn append(&mut self, append: &Append) -> Result<Verdict, redb::StorageError> {
        let Append { room, epoch, expected, entry } = append;
        let current = match self.extent(room)? {
            Ok(current) => current,
            Err(cause) => return Ok(Verdict::Failed(cause)),
        };
        match Extent::append(current, Head { epoch: *epoch, version: *expected }) {
            Err(actual) => Ok(Verdict::Conflict(actual)),
            Ok(next) => {
                let key = (&**room, next.head.version);
                let mut record = self.log.insert_reserve(key, format::record_len(entry))?;
                format::write_record(record.as_mut(), room, next.head, entry);
                drop(record);
                self.put(room, Some(next));
                Ok(Verdict::Done)
            }
        }
    }

    fn compact(
        &mut self,
        room: &Arc<str>,
        epoch: u64,
        taken: &Snapshot,
    ) -> Result<Verdict, redb::StorageError> {
        let current = match self.extent(room)? {
            Ok(current) => current,
            Err(cause) => return Ok(Verdict::Failed(cause)),
        };
        let at = Head { epoch, version: taken.version };
        match Extent::compact(current, at) {
            Err(actual) => Ok(Verdict::Conflict(actual)),
            Ok(None) => Ok(Verdict::Done),
            Ok(Some(next)) => {
                let mut record = self.snapshots.insert_reserve(&**room, format::record_len(&taken.bytes))?;
                format::write_record(record.as_mut(), room, at, &taken.bytes);
                drop(record);
                self.log.retain_in(format::keys(room, taken.version), |_, _| false)?;
                self.put(room, Some(next));
                Ok(Verdict::Done)
            }
        }
    }

    fn delete(&mut self, room: &Arc<str>) -> Result<Verdict, redb::StorageError> {
        if let Ok(None) = self.extent(room)? {
            return Ok(Verdict::Done);
        }
        self.log.retain_in(format::keys(room, u64::MAX), |_, _| false)?;
        self.snapshots.remove(&**room)?;
        self.put(room, None);
        Ok(Verdict::Done)
    }

    /// The room's extent after the calls made so far.
    fn extent(&mut self, room: &Arc<str>) -> Result<Result<Option<Extent>, Cause>, redb::StorageError> {
        if let Some(cached) = self.extents.get(room) {
            return Ok(Ok(cached.extent));
        }
        let read = format::read_extent(room, &self.rooms, &self.snapshots, &self.log)?;
        if let Ok(extent) = read {
            self.extents.insert(room.clone(), Cached { extent, dirty: false });
        }
        Ok(read.map_err(cause))
    }

    /// Records a room's extent; `finish` writes it.
    fn put(&mut self, room: &Arc<str>, extent: Option<Extent>) {
        let old = self.extents.get_mut(room);
        match old {
            Some(cached) if cached.dirty => cached.extent = extent,
            _ => {
                self.extents.insert(room.clone(), Cached { extent, dirty: true });
                self.dirty.push(room.clone());
            }
        }
    }

    /// Writes the rows of the rooms that changed. Returns whether any did.
    fn finish(mut self) -> Result<bool, redb::StorageError> {
        for room in &self.dirty {
            let Some(cached) = self.extents.get_mut(room) else { continue };
            cached.dirty = false;
            match cached.extent {
                Some(extent) => drop(self.rooms.insert(&**room, &format::write_row(room, extent)[..])?),
                None => drop(self.rooms.remove(&**room)?),
            }
            if cached.extent.is_none() {
                self.extents.remove(room);
            }
        }
        Ok(!self.dirty.is_empty())
    }
}
