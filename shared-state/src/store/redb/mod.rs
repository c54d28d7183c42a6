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
//! Against a disk that returns what was never written, every record has its own checksum, and a room is verified as a
//! whole when it is loaded (see `format`). Only the damaged room is refused.

mod format;
mod queue;
mod readers;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::future::ready;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use redb::{Database, DatabaseError, Durability};
use tokio::sync::oneshot;

use self::format::{FORMAT, FORMAT_KEY, KEY_PARTS, LOG, META, ROOMS, SNAPSHOTS};
use self::queue::{Done, Job, Limits, Queue, Refused, Stopped};
use self::readers::Readers;
use self::writer::Writer;
use super::{
    Append, AppendError, Cause, CloseError, CompactError, DeleteError, ListError, LoadError, RoomInfo,
    RoomStore, Snapshot, StoreFuture, StoredRoom,
};

const FILE: &str = "rooms.redb";
/// The name of the file while it is being created.
const NEW_FILE: &str = "rooms.redb.new";
/// Locked while the store is open, also before the file exists.
const LOCK_FILE: &str = "rooms.lock";

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
}

impl Default for RedbBuilder {
    fn default() -> Self {
        Self { cache: 64 << 20, limits: Limits { calls: 65_536, bytes: 64 << 20 }, readers: 2 }
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

        let lock = dir.join(LOCK_FILE);
        let locked = OpenOptions::new().create(true).truncate(false).write(true).open(&lock);
        let locked = locked.map_err(directory(&lock))?;
        match locked.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::Locked { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(OpenError::Directory { path: lock, source }),
        }

        let file = dir.join(FILE);
        if !file.try_exists().map_err(directory(&file))? {
            self.create(dir, &file)?;
            for made in missing {
                if let Some(parent) = made.parent() {
                    sync_directory(parent)?;
                }
            }
        }
        let db = redb::Builder::new().set_cache_size(self.cache).open(&file).map_err(database(&file))?;
        match format_of(&db).map_err(failed(&file))? {
            FORMAT => {
                let key = name_key_of(&db).map_err(failed(&file))?;
                let mut store = self.start(db, Some(locked)).map_err(directory(&file))?;
                store.key = Some(key);
                Ok(store)
            }
            found => Err(OpenError::Format { path: file, found, known: FORMAT }),
        }
    }

    /// Creates the file under another name first, so that a crash leaves no incomplete file.
    fn create(&self, dir: &Path, file: &Path) -> Result<(), OpenError> {
        let new = dir.join(NEW_FILE);
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(directory(&new)(error)),
            _ => {}
        }
        let db = redb::Builder::new().set_cache_size(self.cache).create(&new).map_err(database(&new))?;
        initialise(&db).map_err(failed(&new))?;
        db.close().map_err(database(&new))?;
        std::fs::rename(&new, file).map_err(directory(file))?;
        sync_directory(dir)
    }

    /// Starts the threads on a file of the current format.
    fn start(self, db: Database, lock: Option<File>) -> io::Result<RedbStore> {
        let queue = Arc::new(Queue::new(self.limits));
        let commits = Arc::<AtomicU64>::default();
        let readers = Readers::start(self.readers)?;
        let writer = Writer {
            db,
            queue: queue.clone(),
            readers,
            commits: commits.clone(),
            extents: HashMap::new(),
            lock,
        };
        let thread = std::thread::Builder::new().name("rooms-write".into()).spawn(|| writer.run())?;
        Ok(RedbStore { queue, commits, writer: Some(thread), key: None })
    }
}

/// Creates the tables of an empty file.
fn initialise(db: &Database) -> Result<(), redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_quick_repair(true);
    txn.open_table(ROOMS)?;
    txn.open_table(SNAPSHOTS)?;
    txn.open_table(LOG)?;
    txn.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    txn.commit()?;
    Ok(())
}

/// The key of clients' names, which is made when the file has none.
fn name_key_of(db: &Database) -> Result<[u8; 32], redb::Error> {
    use redb::ReadableDatabase as _;
    let mut key = [0; 32];
    let known = {
        let meta = db.begin_read()?.open_table(META)?;
        let mut known = true;
        for (name, part) in KEY_PARTS.iter().zip(key.chunks_exact_mut(8)) {
            match meta.get(*name)? {
                Some(value) => part.copy_from_slice(&value.value().to_le_bytes()),
                None => known = false,
            }
        }
        known
    };
    if known {
        return Ok(key);
    }
    getrandom::fill(&mut key).map_err(|error| redb::Error::Io(io::Error::other(error.to_string())))?;
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_quick_repair(true);
    {
        let mut meta = txn.open_table(META)?;
        for (name, part) in KEY_PARTS.iter().zip(key.chunks_exact(8)) {
            let part = part.try_into().map(u64::from_le_bytes).expect("chunks of 8 bytes");
            meta.insert(*name, part)?;
        }
    }
    txn.commit()?;
    Ok(key)
}

/// The version of the file's format; 0 if it has none.
fn format_of(db: &impl redb::ReadableDatabase) -> Result<u64, redb::Error> {
    match db.begin_read()?.open_table(META) {
        Ok(meta) => Ok(meta.get(FORMAT_KEY)?.map_or(0, |version| version.value())),
        Err(redb::TableError::Storage(error)) => Err(error.into()),
        // No such table, or one of other types: another program's file.
        Err(_) => Ok(0),
    }
}

fn directory(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::Directory { path: path.to_owned(), source }
}

fn failed(path: &Path) -> impl FnOnce(redb::Error) -> OpenError {
    move |error| OpenError::Database { path: path.to_owned(), source: Arc::new(error) }
}

fn database(path: &Path) -> impl FnOnce(DatabaseError) -> OpenError {
    move |error| match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::Locked { path: path.to_owned() },
        error => OpenError::Database { path: path.to_owned(), source: Arc::new(error) },
    }
}

/// Syncs a directory, so that the names in it survive a loss of power.
#[cfg(unix)]
fn sync_directory(dir: &Path) -> Result<(), OpenError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|open| open.sync_all()).map_err(directory(dir))
}

/// Only Unix needs a directory to be synced, and only there it is possible.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> Result<(), OpenError> {
    Ok(())
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
/// One thread writes. It takes all waiting calls, of all rooms, into one transaction and commits it once. Meanwhile
/// the next calls gather, so that the more there is to do, the more calls share the cost of a commit, which is two
/// syncs of the file. Loads and lists run on threads of their own, after the calls made before them, and delay no
/// write. No runtime is needed: the futures can be awaited in any executor.
///
/// # Memory
/// redb's page cache and the queued calls, both limited by the [`RedbBuilder`]; the heads of at most 65,536 rooms;
/// and the rooms being loaded. An entry or a snapshot has at most 1 GiB.
///
/// # Failure
/// After an I/O error, redb refuses all further work on the file, and so does the store: every call fails with
/// `Storage` until the store is closed and opened again.
///
/// # Closing
/// Only one store at a time can have a directory open. Dropping the store closes it and blocks until all calls made
/// before are done. To wait without blocking, await [`close`](RoomStore::close) first.
pub struct RedbStore {
    queue: Arc<Queue>,
    commits: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
    /// The key of clients' names; `None` until it is read.
    key: Option<[u8; 32]>,
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
            Ok(()) => {
                Box::pin(async move { outcome.await.unwrap_or_else(|_| Err(refused(Refused::Stopped))) })
            }
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
                    Refused::Stopped => LoadError::Storage { room, source: Arc::new(Stopped) },
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
                    Refused::Stopped => AppendError::Storage { room, version, source: Arc::new(Stopped) },
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
                    Refused::Stopped => CompactError::Storage { room, version, source: Arc::new(Stopped) },
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
                Refused::Stopped => ListError::Storage { source: Arc::new(Stopped) },
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
                    Refused::Stopped => DeleteError::Storage { room, source: Arc::new(Stopped) },
                }
            },
        )
    }

    fn name_key(&self) -> Option<[u8; 32]> {
        self.key
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
