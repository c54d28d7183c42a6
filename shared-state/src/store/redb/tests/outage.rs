//! While the file is being opened again.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;

use super::disk::{Disk, Fault, LONG, Plan};
use super::{EPOCH, answered, append, available, check};
use crate::store::redb::file::DirectoryLock;
use crate::store::redb::queue::{Job, Limits, Queue, Queued, Refused, Taken};
use crate::store::{
    AppendError, Cause, CloseError, CompactError, DeleteError, ListError, LoadError, OpenError, RedbStore,
    RoomStore, Snapshot,
};

/// A store that has failed, whose first attempt to open the file has failed, and whose next one is far off.
async fn failed(lock: Option<DirectoryLock>) -> (Disk, RedbStore) {
    let disk = Disk::formatted();
    let store = disk.open_with(LONG, lock).unwrap();
    answered(store.append(append("a", 0, 10))).await.unwrap();
    let calls = disk.fail_all();
    let error = answered(store.append(append("a", 1, 10))).await.unwrap_err();
    assert!(matches!(error, AppendError::Storage { version: 2, .. }), "{error:?}");
    // The first call was the commit's.
    answered(async {
        while disk.with(|disk| disk.calls) < calls + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    (disk, store)
}

#[tokio::test]
async fn g9_while_the_file_is_opened_again_each_call_is_answered_at_once_and_none_is_queued() {
    let (_disk, store) = failed(None).await;
    assert!(!store.is_available());
    // More than the queue takes.
    for _ in 0..100_000 {
        let error = store.append(append("a", 1, 1000)).now_or_never().expect("at once").unwrap_err();
        assert!(matches!(error, AppendError::Storage { .. }), "{error:?}");
    }
    let error = store.append(append("a", 1, 10)).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "the store's file failed and is being opened again");
    assert!(source.source().is_some(), "the first error is kept");
    let loaded = store.load("a".into()).now_or_never().expect("at once");
    assert!(matches!(loaded, Err(LoadError::Storage { .. })), "{loaded:?}");
    let listed = store.list().now_or_never().expect("at once");
    assert!(matches!(listed, Err(ListError::Storage { .. })), "{listed:?}");
    let deleted = store.delete("a".into()).now_or_never().expect("at once");
    assert!(matches!(deleted, Err(DeleteError::Storage { .. })), "{deleted:?}");
    let taken = Snapshot { version: 1, bytes: Bytes::new() };
    let compacted = store.compact("a".into(), EPOCH, taken).now_or_never().expect("at once");
    assert!(matches!(compacted, Err(CompactError::Storage { .. })), "{compacted:?}");
}

#[tokio::test]
async fn a_store_that_is_closed_while_its_file_is_opened_again_ends_at_once() {
    let (disk, store) = failed(None).await;
    let closed = answered(store.close()).await;
    assert!(matches!(closed, Err(CloseError::Storage { .. })), "{closed:?}");
    let error = store.append(append("a", 1, 10)).await.unwrap_err();
    assert!(matches!(error, AppendError::Closed { .. }), "{error:?}");
    drop(store);
    disk.repair();
    let stored = disk.open().load("a".into()).await.unwrap().unwrap();
    check(&stored);
    assert_eq!(stored.version(), 1);
}

#[tokio::test]
async fn calls_that_wait_when_the_file_fails_are_answered() {
    let queue = Queue::new(Limits { calls: 10, bytes: 10 });
    let (done, _outcome) = tokio::sync::oneshot::channel();
    queue.push(0, || Job::Delete { room: "a".into(), done }).unwrap();
    let cause = || Arc::new(std::io::Error::other("broken")) as Cause;
    queue.read_failed(0, cause());
    assert!(!queue.is_available());
    assert!(matches!(queue.take(&mut Vec::new()), Taken::Failed(_)), "before the calls that wait");
    assert!(!queue.is_available());
    let waiting = queue.suspend(cause());
    assert!(matches!(&waiting[..], [Queued { job: Job::Delete { .. }, .. }]));
    let (done, _outcome) = tokio::sync::oneshot::channel();
    let refused = queue.push(0, || Job::Delete { room: "a".into(), done });
    assert!(matches!(refused, Err(Refused::Failed(_))), "{refused:?}");
    queue.resume();
    assert!(queue.is_available());
    // A read of the file that was closed says nothing about the new one.
    queue.read_failed(0, cause());
    assert!(queue.is_available());
    queue.read_failed(1, cause());
    assert!(!queue.is_available());
}

#[tokio::test]
async fn a_failed_read_is_enough_for_the_file_to_be_opened_again() {
    let disk = Disk::formatted();
    let store = disk.open();
    for version in 0..50 {
        answered(store.append(append("a", version, 10_000))).await.unwrap();
    }
    // The room is larger than the cache.
    let at = disk.with(|disk| disk.calls);
    disk.fail(Plan { at, calls: 1, fault: Fault::Broken });
    let loaded = answered(store.load("a".into())).await;
    assert!(matches!(loaded, Err(LoadError::Storage { .. })), "{loaded:?}");
    available(&store).await;
    let stored = answered(store.load("a".into())).await.unwrap().unwrap();
    check(&stored);
    assert_eq!(stored.version(), 50);
}

#[tokio::test]
async fn while_the_file_is_opened_again_no_other_store_gets_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let (_disk, store) = failed(Some(DirectoryLock::take(dir.path()).unwrap())).await;
    let error = RedbStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    answered(store.close()).await.unwrap_err();
    RedbStore::open(dir.path()).unwrap();
}
