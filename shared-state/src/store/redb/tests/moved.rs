//! A file that is deleted, moved or replaced while the store has it open.

use std::path::Path;

use super::disk::SHORT;
use super::{answered, append, available, check};
use crate::store::redb::RedbBuilder;
use crate::store::redb::file::Location;
use crate::store::{AppendError, OpenError, RedbStore, RoomStore};

fn open(dir: &Path) -> RedbStore {
    RedbBuilder { pauses: SHORT, ..RedbBuilder::default() }.open(dir).unwrap()
}

/// Appends versions `from + 1` to `to` of room `a`.
async fn fill(store: &RedbStore, from: u64, to: u64) {
    for version in from..to {
        answered(store.append(append("a", version, 10))).await.unwrap();
    }
}

/// The append that finds that the file is not at its path is refused, and the store is not available.
async fn notice(store: &RedbStore, version: u64) {
    let error = answered(store.append(append("a", version, 10))).await.unwrap_err();
    assert!(matches!(error, AppendError::Storage { .. }), "{error:?}");
    assert!(!store.is_available());
}

#[tokio::test]
async fn g2_a_file_that_was_moved_away_and_back_has_all_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (file, away) = (dir.path().join("rooms.redb"), dir.path().join("away"));
    let store = open(dir.path());
    fill(&store, 0, 3).await;
    std::fs::rename(&file, &away).unwrap();
    notice(&store, 3).await;
    for _ in 0..100 {
        let error = answered(store.append(append("a", 3, 10))).await.unwrap_err();
        assert!(matches!(error, AppendError::Storage { .. }), "{error:?}");
    }
    assert!(!file.exists(), "no file is made in its place");
    std::fs::rename(&away, &file).unwrap();
    available(&store).await;
    let stored = answered(store.load("a".into())).await.unwrap().unwrap();
    check(&stored);
    // The append that found it was committed to the file before it was refused.
    assert_eq!(stored.version(), 4);
    fill(&store, 4, 6).await;
    store.close().await.unwrap();
    drop(store);
    assert_eq!(open(dir.path()).load("a".into()).await.unwrap().unwrap().version(), 6);
}

#[tokio::test]
async fn a_file_that_was_replaced_by_a_copy_is_noticed_and_the_copy_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let (file, copy) = (dir.path().join("rooms.redb"), dir.path().join("copy"));
    let store = open(dir.path());
    fill(&store, 0, 3).await;
    std::fs::copy(&file, &copy).unwrap();
    fill(&store, 3, 5).await;
    std::fs::rename(&copy, &file).unwrap();
    let error = answered(store.append(append("a", 5, 10))).await.unwrap_err();
    assert!(matches!(error, AppendError::Storage { .. }), "{error:?}");
    available(&store).await;
    let stored = answered(store.load("a".into())).await.unwrap().unwrap();
    check(&stored);
    assert_eq!(stored.version(), 3);
    fill(&store, 3, 4).await;
}

#[tokio::test]
async fn a_directory_that_was_replaced_is_locked_again() {
    let root = tempfile::tempdir().unwrap();
    let (dir, away) = (root.path().join("store"), root.path().join("away"));
    let store = open(&dir);
    fill(&store, 0, 1).await;
    std::fs::rename(&dir, &away).unwrap();
    notice(&store, 1).await;
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(away.join("rooms.redb"), root.path().join("copy")).unwrap();
    std::fs::rename(root.path().join("copy"), dir.join("rooms.redb")).unwrap();
    available(&store).await;
    let error = RedbStore::open(&dir).unwrap_err();
    assert!(matches!(&error, OpenError::Locked { path } if *path == dir), "{error:?}");
    drop(store);
    fill(&open(&dir), 2, 3).await;
}

#[tokio::test]
async fn only_the_stores_own_file_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rooms.redb");
    let location = Location::new(dir.path(), 1 << 20);
    assert!(location.create().unwrap());
    let key = location.open().unwrap().key;
    assert_eq!(location.open_again(key).unwrap().key, key);

    std::fs::write(&file, "").unwrap();
    let refused = location.open_again(key).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Format { found: 0, .. }), "{refused:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0, "nothing is made of an empty file");
    std::fs::write(&file, "what is this").unwrap();
    let refused = location.open_again(key).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused:?}");
    std::fs::remove_file(&file).unwrap();
    let refused = location.open_again(key).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Directory { .. }), "{refused:?}");
    assert!(!file.exists());

    // Another store's file, which has names made with another key; and one that has no key.
    assert!(location.create().unwrap());
    let refused = location.open_again(key).map(|_| ()).unwrap_err();
    assert!(matches!(refused, OpenError::Database { .. }), "{refused:?}");
    let other = location.open().unwrap().key;
    assert_ne!(other, key);
    let refused = location.open_again(key).map(|_| ()).unwrap_err();
    assert!(format!("{refused:?}").contains("OtherStore"), "{refused:?}");
    assert_eq!(location.open_again(other).unwrap().key, other);
}
