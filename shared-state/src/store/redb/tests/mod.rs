//! The store on disks that fail, fill up and lose power, and on files that disappear.

mod disk;
mod faults;
mod full;
mod moved;
mod outage;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use self::disk::{Disk, Remains};
use super::RedbStore;
use crate::store::{Append, AppendError, LoadError, RoomStore, Snapshot, StoredRoom};

const EPOCH: u64 = 1;

fn append(room: &str, expected: u64, len: usize) -> Append {
    let entry = Bytes::from(vec![expected as u8; len]);
    Append { room: room.into(), epoch: EPOCH, expected, entry }
}

/// Waits for an outcome; each call must have one, whatever happens to the file.
async fn answered<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), call).await.expect("each call is answered")
}

/// Waits until the store takes calls again.
async fn available(store: &RedbStore) {
    answered(async {
        while !store.is_available() {
            tokio::task::yield_now().await;
        }
    })
    .await;
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
    let disk = Disk::formatted();
    let store = disk.open();
    disk.with(|disk| {
        disk.records = true;
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
        let store = Disk::holding(image).open();
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
    let disk = Disk::formatted();
    let store = disk.open();
    store.append(append("a", 0, 10)).await.unwrap();
    disk.fail_all();
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

    disk.repair();
    let store = disk.open();
    let stored = store.load("a".into()).await.unwrap().unwrap();
    check(&stored);
    store.append(append("a", stored.version(), 10)).await.unwrap();
}

#[tokio::test]
async fn a_stopped_writer_is_reported_to_every_call() {
    let queue = super::queue::Queue::new(super::queue::Limits { calls: 10, bytes: 10 });
    let (done, outcome) = tokio::sync::oneshot::channel();
    queue.push(0, || super::queue::Job::Delete { room: "a".into(), done }).unwrap();
    let closed = queue.close();
    queue.end(Err(Arc::new(super::queue::Stopped)));
    assert!(outcome.await.is_err());
    assert!(closed.await.unwrap().is_err());
    assert!(queue.close().await.unwrap().is_err());
}
