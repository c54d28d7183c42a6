//! What only the durable store does: reopening, group commits, limits, exclusive opening.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use shared_state::store::{Append, AppendError, MemoryStore, OpenError, RedbStore, RoomStore, Snapshot};
use shared_state_tests::seeds;

use super::{EPOCH, entries, entry, fill, room, snapshot};

fn open(path: &Path) -> RedbStore {
    RedbStore::open(path).unwrap()
}

/// The model is the in-memory store, which passes the suite itself.
#[tokio::test]
async fn g2_random_calls_and_reopening_agree_with_the_model() {
    let seeds =
        seeds::given().map_or_else(|| (0..12).map(|_| fastrand::u64(..)).collect(), |seed| vec![seed]);
    for seed in seeds {
        let _replay = seeds::Replay::of(seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let dir = tempfile::tempdir().unwrap();
        let model = MemoryStore::new();
        let mut store = open(dir.path());
        let mut calls = Vec::new();
        for step in 0..400 {
            let name = room(["a", "aa", "b", "c"][random.usize(..4)]);
            let at = model.load(name.clone()).await.unwrap().map_or(0, |room| room.version());
            // Mostly right, sometimes a little too high.
            let mut near =
                |version: u64| if random.u8(..6) == 0 { version + random.u64(..3) } else { version };
            let (expected, taken) = (near(at), near(at.saturating_sub(2)));
            let epoch = if random.u8(..20) == 0 { 7 } else { EPOCH };
            match random.u8(..100) {
                0..70 => {
                    let bytes = Bytes::from(vec![step as u8; random.usize(..3000)]);
                    let append = Append { room: name, epoch, expected, entry: bytes };
                    let wanted = model.append(append.clone()).await.map_err(|error| error.to_string());
                    calls.push((wanted, store.append(append)));
                }
                70..80 => {
                    let bytes = Bytes::from(vec![step as u8; random.usize(..20_000)]);
                    let taken = Snapshot { version: taken, bytes };
                    model.compact(name.clone(), epoch, taken.clone()).await.ok();
                    drop(store.compact(name, epoch, taken));
                }
                80..83 => {
                    model.delete(name.clone()).await.unwrap();
                    drop(store.delete(name));
                }
                83..95 => {
                    let (stored, wanted) =
                        (store.load(name.clone()).await.unwrap(), model.load(name).await.unwrap());
                    assert_eq!(stored, wanted, "seed {seed}, step {step}");
                }
                95..98 => {
                    let (stored, wanted) = (store.list().await.unwrap(), model.list().await.unwrap());
                    assert_eq!(stored, wanted, "seed {seed}, step {step}");
                }
                _ => {
                    if random.bool() {
                        store.close().await.unwrap();
                    }
                    drop(store);
                    store = open(dir.path());
                }
            }
        }
        for (wanted, call) in calls {
            assert_eq!(call.await.map_err(|error| error.to_string()), wanted, "seed {seed}");
        }
        store.close().await.unwrap();
        let store = open(dir.path());
        for name in ["a", "aa", "b", "c"] {
            let (stored, wanted) = (store.load(room(name)).await, model.load(room(name)).await);
            assert_eq!(stored.unwrap(), wanted.unwrap(), "seed {seed}");
        }
        assert_eq!(store.list().await.unwrap(), model.list().await.unwrap(), "seed {seed}");
    }
}

#[tokio::test]
async fn many_rooms_share_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let rooms: Vec<_> = (0..100).map(|n| room(&format!("room {n}"))).collect();
    let calls: Vec<_> = (0..20)
        .flat_map(|at| rooms.iter().map(move |room| entry(room, at)))
        .map(|call| store.append(call))
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    // The first call may be committed alone, and the machine may pause the caller a few times.
    assert!((1..=100).contains(&store.commits()), "2000 appends took {} commits", store.commits());
}

#[tokio::test]
async fn refused_and_empty_calls_commit_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(entry(&room("a"), 5)).await.unwrap_err();
    store.delete(room("a")).await.unwrap();
    store.load(room("a")).await.unwrap();
    assert_eq!(store.commits(), 0);
}

#[tokio::test]
async fn g9_past_the_limit_of_calls_the_store_is_busy_until_some_are_done() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::builder().queued_calls(10).open(dir.path()).unwrap();
    let a = room("a");
    let mut at = 0;
    let mut calls = Vec::new();
    // A commit takes two syncs and a call takes nothing, so the queue fills within a few commits.
    let error = loop {
        calls.push(store.append(entry(&a, at)));
        at += 1;
        assert!(calls.len() < 1_000_000, "never busy");
        // The future of a refused call is ready at once, and so is that of a finished commit.
        if let Some(Err(error)) = futures_util::FutureExt::now_or_never(calls.last_mut().unwrap()) {
            break error;
        }
    };
    assert!(matches!(error, AppendError::Busy { limit: 10, unit: "calls", .. }), "{error:?}");
    calls.pop();
    for call in calls {
        call.await.ok();
    }
    let stored = store.load(a.clone()).await.unwrap().unwrap().version();
    assert_eq!(stored, at - 1);
    fill(&store, &a, stored, stored + 1).await;
}

#[tokio::test]
async fn g9_past_the_limit_of_bytes_the_store_is_busy_but_takes_one_large_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::builder().queued_bytes(1000).open(dir.path()).unwrap();
    let a = room("a");
    let large = |expected| Append { entry: Bytes::from(vec![1; 3_000_000]), ..entry(&a, expected) };
    let (first, second) = (store.append(large(0)), store.append(entry(&a, 1)));
    let error = second.await.unwrap_err();
    assert!(matches!(error, AppendError::Busy { limit: 1000, unit: "bytes", version: 2, .. }), "{error:?}");
    first.await.unwrap();
}

#[tokio::test]
async fn a_dropped_store_keeps_what_was_queued() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let calls: Vec<_> = (0..200).map(|at| store.append(entry(&room("a"), at))).collect();
    drop(store);
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(open(dir.path()).load(room("a")).await.unwrap().unwrap().tail, entries("a", 1..=200));
}

#[test]
fn no_runtime_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn RoomStore> = Arc::new(open(&dir.path().join("deep/er")));
    futures_util::FutureExt::now_or_never(store.load(room("a")));
    drop(store.append(entry(&room("a"), 0)));
    drop(store.compact(room("a"), EPOCH, snapshot("a", 1)));
    drop(store);
    assert!(dir.path().join("deep/er/rooms.redb").exists());
}

#[tokio::test]
async fn one_opener_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = RedbStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("already open"), "{error}");
    store.close().await.unwrap();
    open(dir.path());
}

#[tokio::test]
async fn a_crash_while_the_file_was_made_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rooms.redb.new"), [0; 5000]).unwrap();
    fill(&open(dir.path()), &room("a"), 0, 1).await;
}

#[test]
fn a_foreign_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rooms.redb"), "what is this").unwrap();
    let error = RedbStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error:?}");
}
