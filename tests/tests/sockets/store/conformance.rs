//! What every store must do.

use std::sync::Arc;

use bytes::Bytes;
use shared_state::store::{
    Append, AppendError, CompactError, Head, ListError, LoadError, MemoryStore, RoomInfo, RoomStore,
    StoredRoom,
};

use super::{EPOCH, entries, entry, fill, room, snapshot, text};

/// Runs each test over each store.
macro_rules! every_store {
    ($($name:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $name() {
                super::$name(std::sync::Arc::new(super::MemoryStore::new())).await;
            })*
        }
        mod redb {
            $(#[tokio::test] async fn $name() {
                let dir = tempfile::tempdir().unwrap();
                super::$name(std::sync::Arc::new(shared_state::store::RedbStore::open(dir.path()).unwrap())).await;
            })*
        }
    };
}

every_store! {
    what_was_appended_is_loaded
    an_absent_room_is_none
    an_append_at_the_wrong_version_or_epoch_conflicts
    a_conflict_leaves_the_other_rooms_of_its_group_alone
    pipelined_appends_all_arrive
    what_is_queued_behind_a_failed_append_fails
    appends_are_ordered_by_call_not_by_poll
    a_dropped_future_undoes_nothing
    a_snapshot_replaces_the_entries_up_to_it
    compaction_in_the_middle_of_a_pipeline
    a_compaction_that_cannot_be_is_refused
    an_older_snapshot_changes_nothing
    rooms_are_listed_by_name_with_epoch_and_version
    a_deleted_room_is_gone_and_may_begin_anew
    concurrent_rooms_do_not_mix
    names_and_entries_may_be_empty_or_odd
    a_closed_store_refuses_and_keeps_what_was_queued
    a_single_node_has_nobody_to_follow
}

async fn what_was_appended_is_loaded(store: Arc<dyn RoomStore>) {
    let a = room("a");
    store.append(entry(&a, 0)).await.unwrap();
    store.append(entry(&a, 1)).await.unwrap();
    let loaded = store.load(a.clone()).await.unwrap().unwrap();
    assert_eq!(loaded, StoredRoom { epoch: EPOCH, snapshot: None, tail: entries("a", 1..=2) });
    assert_eq!(loaded.version(), 2);
}

async fn an_absent_room_is_none(store: Arc<dyn RoomStore>) {
    fill(&*store, &room("a"), 0, 1).await;
    fill(&*store, &room("abc"), 0, 1).await;
    assert_eq!(store.load(room("ab")).await.unwrap(), None);
}

async fn an_append_at_the_wrong_version_or_epoch_conflicts(store: Arc<dyn RoomStore>) {
    let a = room("a");
    let error = store.append(entry(&a, 3)).await.unwrap_err();
    assert!(matches!(&error, AppendError::Conflict { actual: None, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "room `a` was expected at version 3 of epoch 00000000000000e1, it is absent"
    );
    fill(&*store, &a, 0, 2).await;
    for expected in [0, 1, 3] {
        let error = store.append(entry(&a, expected)).await.unwrap_err();
        let AppendError::Conflict { actual, .. } = error else { panic!("{error:?}") };
        assert_eq!(actual, Some(Head { epoch: EPOCH, version: 2 }));
    }
    let error = store.append(Append { epoch: 7, ..entry(&a, 2) }).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "room `a` was expected at version 2 of epoch 0000000000000007, \
         it is at version 2 of epoch 00000000000000e1"
    );
    assert_eq!(store.load(a).await.unwrap().unwrap().tail, entries("a", 1..=2));
}

async fn a_conflict_leaves_the_other_rooms_of_its_group_alone(store: Arc<dyn RoomStore>) {
    let (a, b) = (room("a"), room("b"));
    let calls = [store.append(entry(&a, 0)), store.append(entry(&b, 5)), store.append(entry(&a, 1))];
    let [first, bad, second] = calls;
    first.await.unwrap();
    bad.await.unwrap_err();
    second.await.unwrap();
    assert_eq!(store.load(a).await.unwrap().unwrap().version(), 2);
    assert_eq!(store.load(b).await.unwrap(), None);
}

async fn pipelined_appends_all_arrive(store: Arc<dyn RoomStore>) {
    let a = room("a");
    fill(&*store, &a, 0, 500).await;
    assert_eq!(store.load(a).await.unwrap().unwrap().tail, entries("a", 1..=500));
}

async fn what_is_queued_behind_a_failed_append_fails(store: Arc<dyn RoomStore>) {
    let a = room("a");
    fill(&*store, &a, 0, 3).await;
    let calls: Vec<_> = (4..8).map(|expected| store.append(entry(&a, expected))).collect();
    for call in calls {
        let error = call.await.unwrap_err();
        let AppendError::Conflict { actual, .. } = error else { panic!("{error:?}") };
        assert_eq!(actual.unwrap().version, 3);
    }
    fill(&*store, &a, 3, 4).await;
}

async fn appends_are_ordered_by_call_not_by_poll(store: Arc<dyn RoomStore>) {
    let a = room("a");
    let mut calls: Vec<_> = (0..20).map(|expected| store.append(entry(&a, expected))).collect();
    while let Some(last) = calls.pop() {
        last.await.unwrap();
    }
}

async fn a_dropped_future_undoes_nothing(store: Arc<dyn RoomStore>) {
    let a = room("a");
    drop(store.append(entry(&a, 0)));
    drop(store.append(entry(&a, 1)));
    assert_eq!(store.load(a).await.unwrap().unwrap().version(), 2);
}

async fn a_snapshot_replaces_the_entries_up_to_it(store: Arc<dyn RoomStore>) {
    let (a, aa) = (room("a"), room("aa"));
    fill(&*store, &a, 0, 10).await;
    fill(&*store, &aa, 0, 10).await;
    store.compact(a.clone(), EPOCH, snapshot("a", 7)).await.unwrap();
    let loaded = store.load(a.clone()).await.unwrap().unwrap();
    let expected = StoredRoom { epoch: EPOCH, snapshot: Some(snapshot("a", 7)), tail: entries("a", 8..=10) };
    assert_eq!(loaded, expected);
    store.compact(a.clone(), EPOCH, snapshot("a", 10)).await.unwrap();
    let loaded = store.load(a.clone()).await.unwrap().unwrap();
    assert_eq!((loaded.version(), loaded.tail), (10, vec![]));
    fill(&*store, &a, 10, 12).await;
    assert_eq!(store.load(a).await.unwrap().unwrap().tail, entries("a", 11..=12));
    assert_eq!(store.load(aa).await.unwrap().unwrap().tail.len(), 10);
}

async fn compaction_in_the_middle_of_a_pipeline(store: Arc<dyn RoomStore>) {
    let a = room("a");
    let before: Vec<_> = (0..5).map(|expected| store.append(entry(&a, expected))).collect();
    let compacted = store.compact(a.clone(), EPOCH, snapshot("a", 4));
    let after: Vec<_> = (5..8).map(|expected| store.append(entry(&a, expected))).collect();
    let loaded = store.load(a);
    for call in before.into_iter().chain(after) {
        call.await.unwrap();
    }
    compacted.await.unwrap();
    let loaded = loaded.await.unwrap().unwrap();
    assert_eq!((loaded.snapshot, loaded.tail), (Some(snapshot("a", 4)), entries("a", 5..=8)));
}

async fn a_compaction_that_cannot_be_is_refused(store: Arc<dyn RoomStore>) {
    let a = room("a");
    let error = store.compact(a.clone(), EPOCH, snapshot("a", 0)).await.unwrap_err();
    assert!(matches!(error, CompactError::Conflict { actual: None, .. }), "{error:?}");
    fill(&*store, &a, 0, 3).await;
    for (epoch, version) in [(EPOCH, 4), (7, 3)] {
        let error = store.compact(a.clone(), epoch, snapshot("a", version)).await.unwrap_err();
        let CompactError::Conflict { taken, actual, .. } = error else { panic!("{error:?}") };
        assert_eq!(taken, Head { epoch, version });
        assert_eq!(actual, Some(Head { epoch: EPOCH, version: 3 }));
    }
    let loaded = store.load(a).await.unwrap().unwrap();
    assert_eq!((loaded.snapshot, loaded.tail.len()), (None, 3));
}

async fn an_older_snapshot_changes_nothing(store: Arc<dyn RoomStore>) {
    let a = room("a");
    fill(&*store, &a, 0, 5).await;
    store.compact(a.clone(), EPOCH, snapshot("a", 3)).await.unwrap();
    let before = store.load(a.clone()).await.unwrap();
    store.compact(a.clone(), EPOCH, snapshot("other", 3)).await.unwrap();
    store.compact(a.clone(), EPOCH, snapshot("a", 1)).await.unwrap();
    assert_eq!(store.load(a).await.unwrap(), before);
}

async fn rooms_are_listed_by_name_with_epoch_and_version(store: Arc<dyn RoomStore>) {
    assert_eq!(store.list().await.unwrap(), []);
    for (name, version) in [("c", 3), ("a", 1), ("b", 2)] {
        fill(&*store, &room(name), 0, version).await;
    }
    store.compact(room("b"), EPOCH, snapshot("b", 2)).await.unwrap();
    let info = |name, version| RoomInfo { room: room(name), epoch: EPOCH, version };
    assert_eq!(store.list().await.unwrap(), [info("a", 1), info("b", 2), info("c", 3)]);
}

async fn a_deleted_room_is_gone_and_may_begin_anew(store: Arc<dyn RoomStore>) {
    let (a, aa) = (room("a"), room("aa"));
    fill(&*store, &a, 0, 3).await;
    fill(&*store, &aa, 0, 3).await;
    store.compact(a.clone(), EPOCH, snapshot("a", 2)).await.unwrap();
    let deleted = store.delete(a.clone());
    let late = store.append(entry(&a, 3));
    deleted.await.unwrap();
    let error = late.await.unwrap_err();
    assert!(matches!(error, AppendError::Conflict { actual: None, .. }), "{error:?}");
    assert_eq!(store.load(a.clone()).await.unwrap(), None);
    assert_eq!(store.list().await.unwrap().len(), 1);
    store.delete(a.clone()).await.unwrap();
    store.append(Append { epoch: 9, ..entry(&a, 0) }).await.unwrap();
    let loaded = store.load(a).await.unwrap().unwrap();
    assert_eq!((loaded.epoch, loaded.snapshot, loaded.tail), (9, None, entries("a", [1])));
    assert_eq!(store.load(aa).await.unwrap().unwrap().version(), 3);
}

async fn concurrent_rooms_do_not_mix(store: Arc<dyn RoomStore>) {
    let writers: Vec<_> = (0..16)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { fill(&*store, &room(&format!("room {n}")), 0, 50).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for n in 0..16 {
        let name = format!("room {n}");
        assert_eq!(store.load(room(&name)).await.unwrap().unwrap().tail, entries(&name, 1..=50));
    }
}

async fn names_and_entries_may_be_empty_or_odd(store: Arc<dyn RoomStore>) {
    for name in ["", "\0", "a\0b", "ß/../☃", &"x".repeat(4000)] {
        let name = room(name);
        store.append(Append { entry: Bytes::new(), ..entry(&name, 0) }).await.unwrap();
        store.append(Append { entry: Bytes::from(vec![0xFF; 100_000]), ..entry(&name, 1) }).await.unwrap();
        let tail = store.load(name).await.unwrap().unwrap().tail;
        assert_eq!(tail.iter().map(|entry| entry.bytes.len()).collect::<Vec<_>>(), [0, 100_000]);
    }
}

async fn a_closed_store_refuses_and_keeps_what_was_queued(store: Arc<dyn RoomStore>) {
    let a = room("a");
    let queued = store.append(entry(&a, 0));
    let loaded = store.load(a.clone());
    let closed = store.close();
    let error = store.append(entry(&a, 1)).await.unwrap_err();
    assert!(matches!(error, AppendError::Closed { version: 2, .. }), "{error:?}");
    closed.await.unwrap();
    queued.await.unwrap();
    assert_eq!(loaded.await.unwrap().unwrap().tail[0].bytes, text("a", 1));
    store.close().await.unwrap();
    assert!(matches!(store.load(a).await, Err(LoadError::Closed { .. })));
    assert!(matches!(store.list().await, Err(ListError::Closed)));
}

async fn a_single_node_has_nobody_to_follow(store: Arc<dyn RoomStore>) {
    fill(&*store, &room("a"), 0, 1).await;
    assert!(store.subscribe(room("a"), 0).is_none());
}
