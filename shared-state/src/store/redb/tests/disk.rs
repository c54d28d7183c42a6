//! A disk in memory, which fails calls and loses power.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redb::StorageBackend;

use crate::store::redb::file::{DirectoryLock, Location, initialise};
use crate::store::redb::recovery::Pauses;
use crate::store::redb::{OpenError, RedbBuilder, RedbStore};

/// A write to the disk that is not synced yet.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                to.resize(to.len().max(at + bytes.len()), 0);
                to[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Length(len) => to.resize(*len, 0),
        }
    }

    /// What reaches the disk when the power fails: all of the write, none of it, or some of its sectors.
    fn tear(&self, random: &mut fastrand::Rng, to: &mut Vec<u8>) {
        const SECTOR: usize = 512;
        match self {
            Self::Write(at, bytes) if random.bool() => {
                for (n, sector) in bytes.chunks(SECTOR).enumerate() {
                    if random.bool() {
                        Self::Write(at + n * SECTOR, sector.to_vec()).apply(to);
                    }
                }
            }
            _ if random.bool() => self.apply(to),
            _ => {}
        }
    }
}

/// What the disk would hold if the power failed at a sync, and the version acknowledged by then.
pub(super) struct Remains {
    pub(super) image: Vec<u8>,
    pub(super) acknowledged: u64,
}

/// The error of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `EIO`. What a failed sync should have written is never written, though reads show it: so the page caches of some
    /// kernels behave.
    Broken,
    /// `ENOSPC`. Half of a failed write is written. Reads and syncs fail with `EIO`.
    Full,
}

/// The calls that fail: `calls` of them from the call `at` on, counted since the disk was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) at: usize,
    pub(super) calls: usize,
    pub(super) fault: Fault,
}

#[derive(Default)]
pub(super) struct Platter {
    /// What a read sees.
    current: Vec<u8>,
    /// What was synced.
    synced: Vec<u8>,
    /// The writes since the last sync.
    pending: Vec<Change>,
    /// How many calls there were.
    pub(super) calls: usize,
    plan: Option<Plan>,
    /// Whether a call has failed.
    failed: bool,
    pub(super) acknowledged: u64,
    pub(super) random: fastrand::Rng,
    /// Whether each sync adds to `remains`.
    pub(super) records: bool,
    pub(super) remains: Vec<Remains>,
}

impl Platter {
    /// Counts a call; the fault if it fails.
    fn call(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        let plan = self.plan?;
        let fails = call.checked_sub(plan.at)? < plan.calls;
        self.failed |= fails;
        fails.then_some(plan.fault)
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.pending.push(change);
    }
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(28)
}

#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Platter>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    pub(super) fn holding(image: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.with(|disk| {
            disk.current.clone_from(&image);
            disk.synced = image;
        });
        disk
    }

    /// A disk with an empty store.
    pub(super) fn formatted() -> Self {
        let disk = Self::default();
        initialise(&redb::Builder::new().create_with_backend(disk.clone()).unwrap()).unwrap();
        Self::holding(disk.image())
    }

    pub(super) fn with<T>(&self, run: impl FnOnce(&mut Platter) -> T) -> T {
        run(&mut self.0.lock().unwrap())
    }

    /// What is left if the power fails now.
    pub(super) fn image(&self) -> Vec<u8> {
        self.with(|disk| disk.synced.clone())
    }

    pub(super) fn fail(&self, plan: Plan) {
        self.with(|disk| disk.plan = Some(plan));
    }

    /// From now on, all calls fail. Returns how many there were before.
    pub(super) fn fail_all(&self) -> usize {
        self.with(|disk| {
            disk.plan = Some(Plan { at: disk.calls, calls: usize::MAX, fault: Fault::Broken });
            disk.calls
        })
    }

    pub(super) fn repair(&self) {
        self.with(|disk| disk.plan = None);
    }

    /// Whether a call has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.with(|disk| disk.failed)
    }

    /// Opens the store on this disk. The cache is small, so that the disk is read, too.
    pub(super) fn open_with(
        &self,
        pauses: Pauses,
        lock: Option<DirectoryLock>,
    ) -> Result<RedbStore, OpenError> {
        let disk = self.clone();
        let backend = Box::new(move |builder: &redb::Builder| builder.create_with_backend(disk.clone()));
        let builder = RedbBuilder { pauses, ..RedbBuilder::default() };
        builder.start(Location::of_backend(64 << 10, backend), lock)
    }

    pub(super) fn open(&self) -> RedbStore {
        self.open_with(SHORT, None).unwrap()
    }
}

pub(super) const SHORT: Pauses =
    Pauses { first: Duration::from_micros(100), longest: Duration::from_millis(1) };

/// Longer than any test takes.
pub(super) const LONG: Pauses =
    Pauses { first: Duration::from_secs(3600), longest: Duration::from_secs(3600) };

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.with(|disk| match disk.call() {
            Some(_) => Err(broken()),
            None => Ok(disk.current.len() as u64),
        })
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        self.with(|disk| {
            if disk.call().is_some() {
                return Err(broken());
            }
            match disk.current.get(at..at + out.len()) {
                Some(bytes) => {
                    out.copy_from_slice(bytes);
                    Ok(())
                }
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|disk| match disk.call() {
            Some(Fault::Broken) => Err(broken()),
            Some(Fault::Full) => Err(full()),
            None => {
                disk.change(Change::Length(len as usize));
                Ok(())
            }
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk| {
            if disk.call().is_some() {
                disk.pending.clear();
                return Err(broken());
            }
            if disk.records {
                // The power may fail during any sync, before or after it took effect.
                let mut image = disk.synced.clone();
                for change in &disk.pending {
                    change.tear(&mut disk.random, &mut image);
                }
                disk.remains.push(Remains { image, acknowledged: disk.acknowledged });
            }
            for change in std::mem::take(&mut disk.pending) {
                change.apply(&mut disk.synced);
            }
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|disk| match disk.call() {
            Some(Fault::Broken) => Err(broken()),
            Some(Fault::Full) => {
                disk.change(Change::Write(offset as usize, data[..data.len() / 2].to_vec()));
                Err(full())
            }
            None => {
                disk.change(Change::Write(offset as usize, data.to_vec()));
                Ok(())
            }
        })
    }
}
