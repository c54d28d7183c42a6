//! The writer thread: takes the calls that wait, performs them in one transaction, commits it once, and sends them their
//! outcomes. Meanwhile the next calls gather, so a slow commit carries more of them (group commit, see `group`). When the
//! file fails, the thread refuses all calls, opens the file again (see `recovery`), and goes on.

use std::collections::HashMap;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, Table, WriteTransaction};

use super::file::{self, Misplaced, OpenFile};
use super::format::{self, LOG, ROOMS, SNAPSHOTS};
use super::group::Groups;
use super::queue::{Job, Queue, Queued, Stopped, Taken};
use super::readers::{self, Readers, Reading, Wanted};
use super::recovery::{Panicked, Recovery, Reopening};
use crate::store::head::{Extent, Head};
use crate::store::{Append, AppendError, Cause, CompactError, DeleteError, Snapshot};

/// A commit that takes longer is logged.
const SLOW: Duration = Duration::from_secs(1);

/// How many rooms' extents are cached between transactions. Beyond it the cache is cleared, and extents are read
/// again as needed.
const CACHED_ROOMS: usize = 65_536;

pub(super) struct Writer {
    pub(super) queue: Arc<Queue>,
    /// The calls that were taken from the queue and wait for the next commits.
    pub(super) backlog: Vec<Queued>,
    pub(super) groups: Groups,
    pub(super) readers: Readers,
    pub(super) commits: Arc<AtomicU64>,
    pub(super) extents: HashMap<Arc<str>, Cached>,
    pub(super) recovery: Recovery,
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

/// Why the calls of a group were not performed.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Database(#[from] redb::Error),
    #[error(transparent)]
    Misplaced(#[from] Misplaced),
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

impl WriteError {
    /// Whether the file must be opened again for the next group.
    fn has_failed(&self) -> bool {
        match self {
            Self::Database(error) => format::has_failed(error),
            Self::Misplaced(_) | Self::Panicked(_) => true,
        }
    }
}

/// The file must be opened again.
struct Failed;

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
    pub(super) fn run(mut self, mut file: OpenFile) {
        let queue = self.queue.clone();
        let mut end = End(Some(queue.clone()));
        let open = loop {
            match self.serve(&file) {
                Ok(()) => break Some(file),
                Err(Failed) => match self.recovery.reopen(file, &queue) {
                    Some(again) => file = again,
                    None => break None,
                },
            }
            queue.resume();
        };
        self.readers.stop();
        let closed = match open {
            Some(file) => file.db.close().map_err(|error| Arc::new(error) as Cause),
            None => Err(queue.outage().unwrap_or_else(|| Arc::new(Stopped))),
        };
        if let Err(error) = &closed {
            let error: &(dyn Error + 'static) = &**error;
            tracing::error!(error, "the store was not closed cleanly");
        }
        // The lock is released before the closers are woken, because they may open the store again at once.
        drop(self.recovery);
        end.0 = None;
        queue.end(closed);
    }

    /// Performs calls until the queue is closed and empty, or the file fails.
    fn serve(&mut self, file: &OpenFile) -> Result<(), Failed> {
        loop {
            match self.queue.take(&mut self.backlog) {
                Taken::Calls => {
                    let group = self.groups.take(&mut self.backlog);
                    self.group(file, group)?;
                }
                Taken::Failed(cause) => return Err(self.fail(Vec::new(), &cause)),
                Taken::Closed => return Ok(()),
            }
        }
    }

    /// Performs a group of calls and sends their outcomes.
    fn group(&mut self, file: &OpenFile, group: Vec<Queued>) -> Result<(), Failed> {
        let written = catch_unwind(AssertUnwindSafe(|| self.write(file, &group)));
        match written.unwrap_or_else(|_| Err(Panicked.into())) {
            Ok(verdicts) => {
                for (queued, verdict) in group.into_iter().zip(verdicts) {
                    self.answer(file, queued, verdict);
                }
            }
            Err(error) if error.has_failed() => return Err(self.fail(group, &(Arc::new(error) as Cause))),
            Err(error) => {
                tracing::error!(%error, calls = group.len(), "a commit failed; the calls it carried are refused");
                self.extents.clear();
                let cause: Cause = Arc::new(error);
                for queued in group {
                    let verdict =
                        if reads(&queued.job) { Verdict::Reading } else { Verdict::Failed(cause.clone()) };
                    self.answer(file, queued, verdict);
                }
            }
        }
        if self.extents.len() > CACHED_ROOMS {
            self.extents.clear();
        }
        Ok(())
    }

    /// The file has failed: refuses the calls of the group that found it, those that wait, and all later ones.
    fn fail(&mut self, group: Vec<Queued>, cause: &Cause) -> Failed {
        let outage: Cause = Arc::new(Reopening { source: cause.clone() });
        let mut waiting = std::mem::take(&mut self.backlog);
        waiting.extend(self.queue.suspend(outage.clone()));
        let calls = group.len() + waiting.len();
        let error: &(dyn Error + 'static) = &**cause;
        tracing::error!(
            error,
            calls,
            "the store's file failed; all calls are refused until it is open again"
        );
        self.extents.clear();
        refuse(group, cause);
        refuse(waiting, &outage);
        Failed
    }

    /// Performs the writes of a group in one transaction. After an error the file has all of them or none; which is
    /// unknown.
    fn write(&mut self, file: &OpenFile, group: &[Queued]) -> Result<Vec<Verdict>, WriteError> {
        if group.iter().all(|queued| reads(&queued.job)) {
            return Ok(group.iter().map(|_| Verdict::Reading).collect());
        }
        let started = Instant::now();
        let (verdicts, changed) = self.commit(&file.db, group)?;
        if !changed {
            return Ok(verdicts);
        }
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.recovery.location.check(file)?;
        self.recovery.committed();
        let took = started.elapsed();
        if took > SLOW {
            tracing::warn!(ms = took.as_millis() as u64, calls = group.len(), "a commit was slow");
        }
        Ok(verdicts)
    }

    /// Returns the verdicts, and whether the calls changed anything.
    fn commit(&mut self, db: &Database, group: &[Queued]) -> Result<(Vec<Verdict>, bool), redb::Error> {
        let txn = file::begin(db)?;
        let (verdicts, changed) = {
            let mut tables = Tables::open(&txn, &mut self.extents)?;
            let verdicts =
                group.iter().map(|queued| tables.perform(&queued.job)).collect::<Result<_, _>>()?;
            (verdicts, tables.finish()?)
        };
        if changed {
            txn.commit()?
        } else {
            txn.abort()?
        }
        Ok((verdicts, changed))
    }

    /// Sends a call its outcome, or hands a read to the readers.
    fn answer(&self, file: &OpenFile, Queued { job, ticket }: Queued, verdict: Verdict) {
        let wanted = match (job, verdict) {
            (Job::Load { room, done }, Verdict::Reading) => Wanted::Room { room, done },
            (Job::List { done }, Verdict::Reading) => Wanted::List { done },
            (job, verdict) => return send(job, verdict),
        };
        let (queue, reopened) = (self.queue.clone(), self.queue.reopened());
        // To begin a read, redb reads a page.
        match catch_unwind(AssertUnwindSafe(|| file.db.begin_read())) {
            Ok(Ok(txn)) => self.readers.read(Reading { txn, wanted, ticket, queue, reopened }),
            Ok(Err(error)) => {
                let cause: Cause = Arc::new(redb::Error::from(error));
                readers::report(&queue, reopened, &cause);
                wanted.refuse(cause);
            }
            Err(_) => wanted.refuse(Arc::new(Panicked)),
        }
    }
}

fn reads(job: &Job) -> bool {
    matches!(job, Job::Load { .. } | Job::List { .. })
}

/// Sends calls the error for which they were not performed.
fn refuse(calls: Vec<Queued>, cause: &Cause) {
    for Queued { job, ticket } in calls {
        send(job, Verdict::Failed(cause.clone()));
        drop(ticket);
    }
}

/// Sends a call its outcome. Receivers that were dropped are ignored.
fn send(job: Job, verdict: Verdict) {
    match job {
        Job::Append { append: Append { room, epoch, expected, .. }, done } => {
            let outcome = match verdict {
                Verdict::Conflict(actual) => {
                    Err(AppendError::Conflict { room, expected: Head { epoch, version: expected }, actual })
                }
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
        // A read that has no error goes to the readers.
        Job::Load { room, done } => {
            if let Verdict::Failed(source) = verdict {
                Wanted::Room { room, done }.refuse(source);
            }
        }
        Job::List { done } => {
            if let Verdict::Failed(source) = verdict {
                Wanted::List { done }.refuse(source);
            }
        }
    }
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
    ) -> Result<Self, redb::TableError> {
        Ok(Self {
            rooms: txn.open_table(ROOMS)?,
            snapshots: txn.open_table(SNAPSHOTS)?,
            log: txn.open_table(LOG)?,
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
        Ok(read.map_err(|bad| Arc::new(bad) as Cause))
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
