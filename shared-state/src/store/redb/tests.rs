//! The store on a disk that fails, and on one that loses power.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use redb::StorageBackend;

use super::{RedbBuilder, RedbStore, initialise};
use crate::store::{Append, AppendError, LoadError, RoomStore, Snapshot, StoredRoom};

const EPOCH: u64 = 1;

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
struct Remains {
    image: Vec<u8>,
    acknowledged: u64,
}

#[derive(Default)]
struct Platter {
    /// What a read sees.
    current: Vec<u8>,
    /// What was synced.
    synced: Vec<u8>,
    /// The writes since the last sync.
    pending: Vec<Change>,
    failing: bool,
    acknowledged: u64,
    random: fastrand::Rng,
    remains: Vec<Remains>,
}

#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Platter>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

impl Disk {
    fn with<T>(&self, run: impl FnOnce(&mut Platter) -> T) -> T {
        run(&mut self.0.lock().unwrap())
    }

    fn change(&self, change: Change) -> io::Result<()> {
        self.with(|disk| {
            if disk.failing {
                return Err(io::Error::other("the disk is on fire"));
            }
            change.apply(&mut disk.current);
            disk.pending.push(change);
            Ok(())
        })
    }

    /// Opens a store on this disk, and creates it if the disk is empty.
    fn open(&self) -> RedbStore {
        let fresh = self.with(|disk| disk.current.is_empty());
        let db = redb::Builder::new().create_with_backend(self.clone()).unwrap();
        if fresh {
            initialise(&db).unwrap();
        }
        RedbBuilder::default().start(db, None).unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|disk| disk.current.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = offset as usize;
        self.with(|disk| match disk.current.get(at..at + out.len()) {
            Some(bytes) => {
                out.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Change::Length(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|disk| {
            if disk.failing {
                return Err(io::Error::other("the disk is on fire"));
            }
            // The power may fail during any sync, before or after it took effect.
            let mut image = disk.synced.clone();
            for change in &disk.pending {
                change.tear(&mut disk.random, &mut image);
            }
            disk.remains.push(Remains { image, acknowledged: disk.acknowledged });
            disk.pending.clear();
            disk.synced.clone_from(&disk.current);
            Ok(())
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset as usize, data.to_vec()))
    }
}

fn append(room: &str, expected: u64, len: usize) -> Append {
    let entry = Bytes::from(vec![expected as u8; len]);
    Append { room: room.into(), epoch: EPOCH, expected, entry }
}

fn check(room: &StoredRoom) {
    for entry in &room.tail {
        assert!(entry.bytes.iter().all(|byte| *byte == (entry.version - 1) as u8));
    }
}

#[tokio::test]
async fn g2_what_was_acknowledged_survives_a_loss_of_power_at_any_sync() {
    let seed = std::env::var("STORE_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("STORE_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = Disk::default();
    let store = disk.open();
    disk.with(|disk| {
        disk.remains.clear();
        disk.random = random.fork();
    });
    let mut at = 0;
    for _ in 0..60 {
        let calls: Vec<_> =
            (0..random.u64(1..8)).map(|n| store.append(append("a", at + n, random.usize(..9000)))).collect();
        let compacted = (random.u8(..8) == 0).then(|| {
            let bytes = Bytes::from(vec![7; random.usize(..30_000)]);
            store.compact("a".into(), EPOCH, Snapshot { version: at, bytes })
        });
        at += calls.len() as u64;
        for call in calls {
            call.await.unwrap();
        }
        disk.with(|disk| disk.acknowledged = at);
        if let Some(compacted) = compacted {
            compacted.await.unwrap();
        }
    }
    let remains = disk.with(|disk| std::mem::take(&mut disk.remains));
    assert!(remains.len() >= 120, "{} syncs", remains.len());
    for (n, Remains { image, acknowledged }) in remains.into_iter().enumerate() {
        let disk = Disk::default();
        disk.with(|disk| {
            disk.current.clone_from(&image);
            disk.synced = image;
        });
        let store = disk.open();
        let stored = store.load("a".into()).await.unwrap();
        let version = stored.as_ref().map_or(0, StoredRoom::version);
        assert!(version >= acknowledged, "sync {n}: at {version}, not {acknowledged}; seed {seed}");
        if let Some(stored) = stored {
            check(&stored);
        }
        store.append(append("a", version, 10)).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_commit_is_reported_to_every_call_it_carried_and_acknowledges_none() {
    let disk = Disk::default();
    let store = disk.open();
    store.append(append("a", 0, 10)).await.unwrap();
    disk.with(|disk| disk.failing = true);
    let calls: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .flat_map(|room| (0..5).map(move |n| append(room, n + u64::from(room == "a"), 10)))
        .map(|append| store.append(append))
        .collect();
    for call in calls {
        let error = call.await.unwrap_err();
        let AppendError::Storage { room, version, .. } = &error else { panic!("{error:?}") };
        assert!(error.to_string().contains(&format!("version {version} of room `{room}`")), "{error}");
    }
    assert_eq!(store.commits(), 1);
    let loaded = store.load("b".into()).await;
    assert!(matches!(loaded, Ok(None) | Err(LoadError::Storage { .. })), "{loaded:?}");
    store.close().await.ok();
    drop(store);

    disk.with(|disk| disk.failing = false);
    let store = disk.open();
    let stored = store.load("a".into()).await.unwrap().unwrap();
    check(&stored);
    store.append(append("a", stored.version(), 10)).await.unwrap();
}

#[tokio::test]
async fn a_stopped_writer_is_reported_to_every_call() {
    let queue = super::Queue::new(super::Limits { calls: 10, bytes: 10 });
    let (done, outcome) = tokio::sync::oneshot::channel();
    queue.push(0, || super::Job::Delete { room: "a".into(), done }).unwrap();
    let closed = queue.close();
    queue.end(Err(Arc::new(super::Stopped)));
    assert!(outcome.await.is_err());
    assert!(closed.await.unwrap().is_err());
    assert!(queue.close().await.unwrap().is_err());
}
