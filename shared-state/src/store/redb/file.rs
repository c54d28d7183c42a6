//! The file and its directory: the lock, how the file is created and opened, and whether it is still the one at its
//! path. Called by the builder, and by the writer thread, which opens the file again after an error.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Database, DatabaseError, Durability, WriteTransaction};

use super::OpenError;
use super::format::{FORMAT, FORMAT_KEY, KEY_PARTS, LOG, META, ROOMS, SNAPSHOTS};

const FILE: &str = "rooms.redb";
/// The name of the file while it is being created.
const NEW_FILE: &str = "rooms.redb.new";
/// Locked while the store is open, also before the file exists.
const LOCK_FILE: &str = "rooms.lock";

/// The key of clients' names. Each store has another one.
pub(super) type NameKey = [u8; 32];

/// Opens a database that is no file.
#[cfg(test)]
pub(super) type Backend =
    Box<dyn Fn(&redb::Builder) -> Result<Database, DatabaseError> + Send + Sync + 'static>;

/// Where the file is, and how it is opened.
pub(super) struct Location {
    dir: PathBuf,
    path: PathBuf,
    /// The size of redb's page cache, in bytes.
    cache: usize,
    /// Opened in place of the file.
    #[cfg(test)]
    backend: Option<Backend>,
}

/// An open file of the current format.
pub(super) struct OpenFile {
    pub(super) db: Database,
    pub(super) key: NameKey,
    /// `None` if there is no path to compare with.
    identity: Option<Identity>,
}

/// What distinguishes a file from every other one that exists at the same time: its device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Identity {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Only Unix tells files apart in the standard library. Elsewhere, it is checked only that there is a file.
    #[cfg(not(unix))]
    fn of(_: &Metadata) -> Self {
        Self {}
    }

    /// Whether this file is the one at `path`.
    fn is_at(self, path: &Path) -> io::Result<bool> {
        match std::fs::metadata(path) {
            Ok(metadata) => Ok(Self::of(&metadata) == self),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The open file cannot be shown to be the one at its path.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misplaced {
    #[error("`{}` was deleted or replaced; the store waits until it is there again", .path.display())]
    Gone { path: PathBuf },
    #[error("`{}` cannot be examined", .path.display())]
    Unknown { path: PathBuf, source: io::Error },
}

/// The file at the path belongs to another store.
#[derive(Debug, thiserror::Error)]
#[error("the file belongs to another store; it is used after a restart")]
struct OtherStore;

impl Location {
    pub(super) fn new(dir: &Path, cache: usize) -> Self {
        Self {
            dir: dir.to_owned(),
            path: dir.join(FILE),
            cache,
            #[cfg(test)]
            backend: None,
        }
    }

    /// A location in no directory, where `backend` is opened.
    #[cfg(test)]
    pub(super) fn of_backend(cache: usize, backend: Backend) -> Self {
        Self { backend: Some(backend), ..Self::new(Path::new(""), cache) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn builder(&self) -> redb::Builder {
        let mut builder = redb::Builder::new();
        builder.set_cache_size(self.cache);
        builder
    }

    /// Creates the file if there is none, under another name first, so that a crash leaves no incomplete file. Returns
    /// whether there was none.
    pub(super) fn create(&self) -> Result<bool, OpenError> {
        if self.path.try_exists().map_err(directory(&self.path))? {
            return Ok(false);
        }
        let new = self.dir.join(NEW_FILE);
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(directory(&new)(error)),
            _ => {}
        }
        let db = self.builder().create(&new).map_err(database(&new))?;
        initialise(&db).map_err(failed(&new))?;
        db.close().map_err(database(&new))?;
        std::fs::rename(&new, &self.path).map_err(directory(&self.path))?;
        sync_directory(&self.dir)?;
        Ok(true)
    }

    /// Opens the file and checks its format. Never creates it.
    pub(super) fn open(&self) -> Result<OpenFile, OpenError> {
        let file = self.open_known()?;
        match file.key {
            Some(key) => Ok(OpenFile { db: file.db, key, identity: file.identity }),
            None => {
                let key = make_name_key(&file.db).map_err(failed(&self.path))?;
                Ok(OpenFile { db: file.db, key, identity: file.identity })
            }
        }
    }

    /// Opens the file again, which must be that of the store with this key, and shows by a commit that it can be
    /// written.
    pub(super) fn open_again(&self, key: NameKey) -> Result<OpenFile, OpenError> {
        let file = self.open_known()?;
        if file.key != Some(key) {
            return Err(OpenError::Database { path: self.path.clone(), source: Arc::new(OtherStore) });
        }
        write_format(&file.db).map_err(failed(&self.path))?;
        if file.identity.is_some() {
            // The file may have been moved here.
            sync_directory(&self.dir)?;
        }
        Ok(OpenFile { db: file.db, key, identity: file.identity })
    }

    fn open_known(&self) -> Result<Known, OpenError> {
        let (db, identity) = self.open_database()?;
        match format_of(&db).map_err(failed(&self.path))? {
            FORMAT => {
                let key = name_key_of(&db).map_err(failed(&self.path))?;
                Ok(Known { db, key, identity })
            }
            found => Err(OpenError::Format { path: self.path.clone(), found, known: FORMAT }),
        }
    }

    fn open_database(&self) -> Result<(Database, Option<Identity>), OpenError> {
        let path = &self.path;
        #[cfg(test)]
        if let Some(backend) = &self.backend {
            return Ok((backend(&self.builder()).map_err(database(path))?, None));
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(directory(path))?;
        let metadata = file.metadata().map_err(directory(path))?;
        if metadata.len() == 0 {
            // redb would make a database of it.
            return Err(OpenError::Format { path: path.clone(), found: 0, known: FORMAT });
        }
        let backend = FileBackend::new(file).map_err(database(path))?;
        let db = self.builder().create_with_backend(backend).map_err(database(path))?;
        Ok((db, Some(Identity::of(&metadata))))
    }

    /// Checks that the open file is the one at the path.
    pub(super) fn check(&self, file: &OpenFile) -> Result<(), Misplaced> {
        let Some(identity) = file.identity else { return Ok(()) };
        match identity.is_at(&self.path) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Misplaced::Gone { path: self.path.clone() }),
            Err(source) => Err(Misplaced::Unknown { path: self.path.clone(), source }),
        }
    }
}

/// An open file of the current format, and its key, if it has one.
struct Known {
    db: Database,
    key: Option<NameKey>,
    identity: Option<Identity>,
}

/// The lock on the store's directory.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    dir: PathBuf,
    locked: File,
}

impl DirectoryLock {
    pub(super) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK_FILE);
        let locked = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let locked = locked.map_err(directory(&path))?;
        match locked.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), locked }),
            Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(OpenError::Directory { path, source }),
        }
    }

    /// Takes the lock on the directory that is at the path now, if that is another one.
    pub(super) fn renew(&mut self) -> Result<(), OpenError> {
        let path = self.dir.join(LOCK_FILE);
        let held = self.locked.metadata().map_err(directory(&path))?;
        if !Identity::of(&held).is_at(&path).map_err(directory(&path))? {
            *self = Self::take(&self.dir)?;
        }
        Ok(())
    }
}

/// Creates the tables of an empty file.
pub(super) fn initialise(db: &Database) -> Result<(), redb::Error> {
    let txn = begin(db)?;
    txn.open_table(ROOMS)?;
    txn.open_table(SNAPSHOTS)?;
    txn.open_table(LOG)?;
    txn.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    txn.commit()?;
    Ok(())
}

/// A transaction that is durable when its commit returns, and whose commit makes opening the file fast.
pub(super) fn begin(db: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut txn = db.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    txn.set_quick_repair(true);
    Ok(txn)
}

/// Writes the format that the file has, and syncs the file.
fn write_format(db: &Database) -> Result<(), redb::Error> {
    let txn = begin(db)?;
    txn.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    txn.commit()?;
    Ok(())
}

/// The file's key of clients' names; `None` if it has none.
fn name_key_of(db: &Database) -> Result<Option<NameKey>, redb::Error> {
    use redb::ReadableDatabase as _;
    let mut key = [0; 32];
    let meta = db.begin_read()?.open_table(META)?;
    for (name, part) in KEY_PARTS.iter().zip(key.chunks_exact_mut(8)) {
        match meta.get(*name)? {
            Some(value) => part.copy_from_slice(&value.value().to_le_bytes()),
            None => return Ok(None),
        }
    }
    Ok(Some(key))
}

/// Makes the key of clients' names of a file that has none.
fn make_name_key(db: &Database) -> Result<NameKey, redb::Error> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(|error| redb::Error::Io(io::Error::other(error.to_string())))?;
    let txn = begin(db)?;
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

pub(super) fn directory(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
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
pub(super) fn sync_directory(dir: &Path) -> Result<(), OpenError> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|open| open.sync_all()).map_err(directory(dir))
}

/// Only Unix needs a directory to be synced, and only there it is possible.
#[cfg(not(unix))]
pub(super) fn sync_directory(_: &Path) -> Result<(), OpenError> {
    Ok(())
}
