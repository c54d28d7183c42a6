//! Rooms in one redb file, on one node.
//!
//! Owns the file, the thread that writes it and the threads that read it. Called only through [`RoomStore`].
//!
//! # Why an acknowledged entry survives
//!
//! A write is acknowledged after the transaction that carries it was committed with `Durability::Immediate` and quick
//! repair. redb then commits in two phases. First, new pages are written to places that no committed page uses,
//! together with the checksummed slot that names them, and synced. Then the one byte that says which of two slots is
//! current is written and synced, and only then does the commit return.
//!
//! - `kill -9` loses nothing that was written, synced or not, because the kernel has it.
//! - A loss of power before the second sync ends leaves the byte on the old slot or on the new one, and either slot
//!   is whole by then: a torn write hits only pages or a slot that nothing points to yet.
//!
//! A group of calls is therefore stored as a whole or not at all. What was acknowledged is there; what was not
//! acknowledged may be.
//!
//! Quick repair stores the allocator's state with each commit, so that opening after a crash takes milliseconds at
//! any size, instead of a walk through the file. Its price is the second sync and a few pages per commit, shared by
//! the group. The file is created under another name, and appears under its own by a rename that is synced, when it
//! is complete. All of this assumes a disk that reports syncs truthfully, and single bytes that are written whole.
//!
//! # Failure
//!
//! redb refuses all work on a file after its first I/O error. The writer thread then closes the file and opens it
//! again, under the same lock on the directory (see `recovery`). Opening it reads what was committed, as after a
//! crash. Meanwhile the queue is suspended: the calls of the failed group are answered with that error, and all
//! others, waiting or new, with one that says that the file is being opened again. A reader that finds the error wakes
//! the writer. Transactions of readers end when the file is closed.
//!
//! A failed sync is not repeated on the same pages, because a kernel may take them for written, and show them to
//! readers, though they never reached the disk. Two phases make it safe to go on from there. If the first sync failed,
//! the byte still names the old slot, whose pages were synced before, and the new slot is ignored. If the second one
//! failed, the byte may be the new one only in memory; the pages that it stands for were synced, and redb writes the
//! page with the byte again and syncs it when it opens the file.
//!
//! The file counts as open again after a commit that changes nothing, so that a disk that is full or read-only does not
//! pass for one that works. redb may panic on damaged pages: a panic of the writer is treated as an I/O error, one of a
//! reader fails that read.
//!
//! A deleted file takes writes as before, and loses them when it is closed. After each commit the device and inode of
//! the open file are therefore compared with those of the path, and only then is the commit acknowledged. A file is
//! opened again only if it has the key of clients' names that the store was opened with, which no other store's file
//! has. None is created.
//!
//! Against a disk that returns what was never written, every record has its own checksum, and a room is verified as a
//! whole when it is loaded (see `format`). Only the damaged room is refused.

mod file;
mod format;
mod group;
mod queue;
mod readers;
mod recovery;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use self::file::{DirectoryLock, Location, NameKey, directory, sync_directory};
use self::group::Groups;
use self::queue::{Done, Job, Limits, Queue, Refused, Stopped};
use self::readers::Readers;
use self::recovery::{Pauses, Recovery};
use self::writer::Writer;
use super::{
    Append, AppendError, Cause, CloseError, CompactError, DeleteError, ListError, LoadError, RoomInfo,
    RoomStore, Snapshot, StoreFuture, StoredRoom,
};

/// The longest entry or snapshot, in bytes.
const MAX_RECORD: usize = 1 << 30;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory, or a file in it, could not be created, opened or locked.
    #[error("the store's `{}` cannot be used", .path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// The error of the file system.
        source: io::Error,
    },
    /// Another store, in this process or another, has the directory open.
    #[error("the store in `{}` is already open, in this process or another", .path.display())]
    Locked {
        /// The store's directory.
        path: PathBuf,
    },
    /// The file has a format that this version does not know, or is not a store's file. It was not changed.
    #[error("`{}` has format {found}, this version reads format {known}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version found; 0 if the file has none.
        found: u64,
        /// The version that this code reads.
        known: u64,
    },
    /// redb could not open the file.
    #[error("`{}` cannot be opened", .path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// redb's error.
        source: Cause,
    },
}

/// Options for opening a [`RedbStore`].
#[derive(Clone, Debug)]
#[must_use]
pub struct RedbBuilder {
    cache: usize,
    limits: Limits,
    readers: usize,
    pauses: Pauses,
}

impl Default for RedbBuilder {
    fn default() -> Self {
        Self {
            cache: 64 << 20,
            limits: Limits { calls: 65_536, bytes: 64 << 20 },
            readers: 2,
            pauses: Pauses::default(),
        }
    }
}

impl RedbBuilder {
    /// How much memory redb may use to cache pages of the file, in bytes. Default 64 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache = bytes;
        self
    }

    /// The most calls, of any kind, that may be queued or in progress; at least 1. Beyond it a call fails with
    /// `Busy`. Default 65,536.
    pub fn queued_calls(mut self, calls: usize) -> Self {
        self.limits.calls = calls.max(1);
        self
    }

    /// The most bytes that the entries and snapshots queued or in progress may have together. Beyond it a call fails
    /// with `Busy`, unless no other call holds any bytes, so that one record larger than the limit is accepted.
    /// Default 64 MiB.
    pub fn queued_bytes(mut self, bytes: usize) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// How many rooms may be read at the same time, each by a thread of its own; at least 1. Default 2.
    pub fn readers(mut self, threads: usize) -> Self {
        self.readers = threads.max(1);
        self
    }

    /// Opens the store in the directory `path`, which is created if it does not exist. Blocks for milliseconds.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, is open already, or holds a file that this version cannot read; see
    /// [`OpenError`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbStore, OpenError> {
        let dir = path.as_ref();
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
        std::fs::create_dir_all(dir).map_err(directory(dir))?;

        let lock = DirectoryLock::take(dir)?;
        let location = Location::new(dir, self.cache);
        if location.create()? {
            for made in missing {
                if let Some(parent) = made.parent() {
                    sync_directory(parent)?;
                }
            }
        }
        self.start(location, Some(lock))
    }

    /// Opens the file and starts the threads.
    fn start(self, location: Location, lock: Option<DirectoryLock>) -> Result<RedbStore, OpenError> {
        let file = location.open()?;
        let (key, path) = (file.key, location.path().to_owned());
        let queue = Arc::new(Queue::new(self.limits));
        let commits = Arc::<AtomicU64>::default();
        let readers = Readers::start(self.readers).map_err(directory(&path))?;
        let writer = Writer {
            queue: queue.clone(),
            backlog: Vec::new(),
            groups: Groups::default(),
            readers,
            commits: commits.clone(),
            extents: HashMap::new(),
            recovery: Recovery::new(location, lock, key, self.pauses),
        };
        let thread = std::thread::Builder::new().name("rooms-write".into()).spawn(|| writer.run(file));
        let thread = thread.map_err(directory(&path))?;
        Ok(RedbStore { queue, commits, writer: Some(thread), key })
    }
}

/// Rooms in one file on this node: an acknowledged change survives `kill -9` and power loss. See [`RoomStore`] for
/// the calls.
///
/// ```no_run
/// use shared_state::server::Server;
/// use shared_state::store::RedbStore;
///
/// # fn build() -> Result<(), shared_state::store::OpenError> {
/// let server = Server::builder().store(RedbStore::open("data")?).untyped_rooms(true).build();
/// # drop(server);
/// # Ok(())
/// # }
/// ```
///
/// # Threads
/// One thread writes. It takes the waiting calls, of all rooms, into one transaction and commits it once. Meanwhile
/// the next calls gather, so that the more there is to do, the more calls share the cost of a commit, which is two
/// syncs of the file. When more than 128 KiB wait, rooms take turns, and short calls go first, so that a room that writes
/// little does not wait for one that writes much. Loads and lists run on threads of their own, after the calls made before them, and delay no
/// write. No runtime is needed: the futures can be awaited in any executor.
///
/// # Memory
/// redb's page cache and the queued calls, both limited by the [`RedbBuilder`]; the heads of at most 65,536 rooms;
/// and the rooms being loaded. An entry or a snapshot has at most 1 GiB.
///
/// # Failure
/// When the disk fails or is full, or the file was deleted or replaced, the calls of the commit that finds it fail with
/// `Storage`. The store then closes the file and opens it again by itself: at once, and as long as that fails, again
/// after pauses that grow from 50 ms to 2 s. Until the file is open and was written and synced once, every call fails
/// at once with `Storage`, reads too, and [`is_available`](Self::is_available) is `false`. What was acknowledged before
/// is there afterwards; whether an unanswered write is there, [`load`](RoomStore::load) tells. The failure is logged
/// as an error, and the end of it with its length.
///
/// A file that is missing is never created while the store is open: the store waits until its file, or a copy of it, is
/// at its path again. A file of another store is not taken. Deleting is noticed by the next commit that changes
/// anything: what was acknowledged before that commit, and is not in the file put back, is lost.
///
/// # Closing
/// Only one store at a time can have a directory open. Dropping the store closes it and blocks until all calls made
/// before are done. To wait without blocking, await [`close`](RoomStore::close) first.
pub struct RedbStore {
    queue: Arc<Queue>,
    commits: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
    key: NameKey,
}

impl RedbStore {
    /// Opens the store in the directory `path` with the default options. The directory is created if it does not
    /// exist. Blocks for milliseconds.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, is open already, or holds a file that this version cannot read; see
    /// [`OpenError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        RedbBuilder::default().open(path)
    }

    /// A builder, to open a store with other options.
    pub fn builder() -> RedbBuilder {
        RedbBuilder::default()
    }

    /// The number of transactions committed since the store was opened. The number of calls that wrote, divided by
    /// it, is the average size of a group.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Whether the store takes calls. It is `false` after the file has failed, until the file is open again and could
    /// be written, and once the store is closed; see [Failure](#failure). For readiness checks: it costs a lock and
    /// does not touch the file, so that a failure shows with the first call that meets it. A program that gives the
    /// store to a server keeps an [`Arc`] of it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.queue.is_available()
    }

    /// Queues a call; the future waits for its outcome.
    fn call<T, E>(
        &self,
        bytes: usize,
        job: impl FnOnce(Done<T, E>) -> Job,
        refused: impl Fn(Refused) -> E + Send + 'static,
    ) -> StoreFuture<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let (done, outcome) = oneshot::channel();
        match self.queue.push(bytes, || job(done)) {
            Ok(()) => Box::pin(async move {
                outcome.await.unwrap_or_else(|_| Err(refused(Refused::Failed(Arc::new(Stopped)))))
            }),
            Err(why) => Box::pin(ready(Err(refused(why)))),
        }
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

impl RoomStore for RedbStore {
    fn load(&self, room: Arc<str>) -> StoreFuture<Option<StoredRoom>, LoadError> {
        let name = room.clone();
        self.call(
            0,
            |done| Job::Load { room, done },
            move |why| {
                let room = name.clone();
                match why {
                    Refused::Busy { limit, unit } => LoadError::Busy { room, limit, unit },
                    Refused::Closed => LoadError::Closed { room },
                    Refused::Failed(source) => LoadError::Storage { room, source },
                }
            },
        )
    }

    fn append(&self, append: Append) -> StoreFuture<(), AppendError> {
        let (room, version) = (append.room.clone(), append.expected.saturating_add(1));
        let size = append.entry.len();
        if size > MAX_RECORD {
            return Box::pin(ready(Err(AppendError::TooLarge { room, version, size, limit: MAX_RECORD })));
        }
        self.call(
            size,
            |done| Job::Append { append, done },
            move |why| {
                let room = room.clone();
                match why {
                    Refused::Busy { limit, unit } => AppendError::Busy { room, version, limit, unit },
                    Refused::Closed => AppendError::Closed { room, version },
                    Refused::Failed(source) => AppendError::Storage { room, version, source },
                }
            },
        )
    }

    fn compact(&self, room: Arc<str>, epoch: u64, snapshot: Snapshot) -> StoreFuture<(), CompactError> {
        let (name, version, size) = (room.clone(), snapshot.version, snapshot.bytes.len());
        if size > MAX_RECORD {
            return Box::pin(ready(Err(CompactError::TooLarge { room, version, size, limit: MAX_RECORD })));
        }
        self.call(
            size,
            |done| Job::Compact { room, epoch, snapshot, done },
            move |why| {
                let room = name.clone();
                match why {
                    Refused::Busy { limit, unit } => CompactError::Busy { room, version, limit, unit },
                    Refused::Closed => CompactError::Closed { room, version },
                    Refused::Failed(source) => CompactError::Storage { room, version, source },
                }
            },
        )
    }

    fn list(&self) -> StoreFuture<Vec<RoomInfo>, ListError> {
        self.call(
            0,
            |done| Job::List { done },
            |why| match why {
                Refused::Busy { limit, unit } => ListError::Busy { limit, unit },
                Refused::Closed => ListError::Closed,
                Refused::Failed(source) => ListError::Storage { source },
            },
        )
    }

    fn delete(&self, room: Arc<str>) -> StoreFuture<(), DeleteError> {
        let name = room.clone();
        self.call(
            0,
            |done| Job::Delete { room, done },
            move |why| {
                let room = name.clone();
                match why {
                    Refused::Busy { limit, unit } => DeleteError::Busy { room, limit, unit },
                    Refused::Closed => DeleteError::Closed { room },
                    Refused::Failed(source) => DeleteError::Storage { room, source },
                }
            },
        )
    }

    fn name_key(&self) -> Option<[u8; 32]> {
        Some(self.key)
    }

    fn close(&self) -> StoreFuture<(), CloseError> {
        let ended = self.queue.close();
        Box::pin(async move {
            let ended = ended.await.unwrap_or_else(|_| Err(Arc::new(Stopped)));
            ended.map_err(|source| CloseError::Storage { source })
        })
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        drop(self.queue.close());
        if let Some(thread) = self.writer.take() {
            // If the writer panicked, its calls have reported that.
            let _ = thread.join();
        }
    }
}
