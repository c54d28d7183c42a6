//! A damaged file: only the affected room fails to load, with an error that says where.

use std::path::Path;

use redb::{Database, ReadableTable, Table, TableDefinition};
use shared_state::store::{AppendError, ListError, LoadError, OpenError, RedbStore, RoomStore};

use super::{EPOCH, entries, entry, fill, room, snapshot};

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const ROOMS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("rooms");
const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");
const LOG: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("log");

type Log<'txn> = Table<'txn, (&'static str, u64), &'static [u8]>;
type ByRoom<'txn> = Table<'txn, &'static str, &'static [u8]>;

/// A store with the rooms `a`, `bad` and `c`, each with a snapshot at version 3 and entries up to 8.
async fn store(path: &Path) {
    let store = RedbStore::open(path).unwrap();
    for name in ["a", "bad", "c"] {
        fill(&store, &room(name), 0, 8).await;
        store.compact(room(name), EPOCH, snapshot(name, 3)).await.unwrap();
    }
    store.close().await.unwrap();
}

/// Changes the tables of the closed store.
fn tamper(path: &Path, with: impl FnOnce(&mut ByRoom<'_>, &mut ByRoom<'_>, &mut Log<'_>)) {
    let db = Database::open(path.join("rooms.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    with(
        &mut txn.open_table(ROOMS).unwrap(),
        &mut txn.open_table(SNAPSHOTS).unwrap(),
        &mut txn.open_table(LOG).unwrap(),
    );
    txn.commit().unwrap();
}

fn flip(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

/// Opens the damaged store: `bad` fails with the returned error, the other rooms are intact.
async fn load_bad(path: &Path) -> LoadError {
    let store = RedbStore::open(path).unwrap();
    for name in ["a", "c"] {
        let loaded = store.load(room(name)).await.unwrap().unwrap();
        assert_eq!((loaded.snapshot, loaded.tail), (Some(snapshot(name, 3)), entries(name, 4..=8)));
        fill(&store, &room(name), 8, 9).await;
    }
    let error = store.load(room("bad")).await.unwrap_err();
    // Deleting the room repairs the store.
    store.delete(room("bad")).await.unwrap();
    assert_eq!(store.load(room("bad")).await.unwrap(), None);
    fill(&store, &room("bad"), 0, 1).await;
    assert_eq!(store.load(room("bad")).await.unwrap().unwrap().tail, entries("bad", [1]));
    error
}

#[track_caller]
fn assert_corrupt(error: &LoadError, at: u64) {
    let LoadError::Corrupt { room, version, .. } = error else { panic!("{error:?}") };
    assert_eq!((&**room, *version), ("bad", at));
    assert!(error.to_string().starts_with(&format!("room `bad` is corrupt at version {at}: ")), "{error}");
}

#[track_caller]
fn assert_hole(error: &LoadError, at: u64) {
    let LoadError::Hole { room, version } = error else { panic!("{error:?}") };
    assert_eq!((&**room, *version), ("bad", at));
}

#[tokio::test]
async fn any_flipped_byte_of_an_entry_is_found() {
    let len = {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        let mut len = 0;
        tamper(dir.path(), |_, _, log| len = log.get(("bad", 6)).unwrap().unwrap().value().len());
        len
    };
    for at in 0..len {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        tamper(dir.path(), |_, _, log| {
            let bytes = flip(log.get(("bad", 6)).unwrap().unwrap().value(), at);
            log.insert(("bad", 6), &bytes[..]).unwrap();
        });
        assert_corrupt(&load_bad(dir.path()).await, 6);
    }
}

#[tokio::test]
async fn a_shortened_record_is_found() {
    for len in [0, 3, 4, 8] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        tamper(dir.path(), |_, _, log| {
            let bytes = log.get(("bad", 5)).unwrap().unwrap().value()[..len].to_vec();
            log.insert(("bad", 5), &bytes[..]).unwrap();
        });
        assert_corrupt(&load_bad(dir.path()).await, 5);
    }
}

#[tokio::test]
async fn a_record_of_another_room_or_version_is_found() {
    for from in [("a", 6), ("bad", 7)] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        tamper(dir.path(), |_, _, log| {
            let bytes = log.get(from).unwrap().unwrap().value().to_vec();
            log.insert(("bad", 6), &bytes[..]).unwrap();
        });
        assert_corrupt(&load_bad(dir.path()).await, 6);
    }
}

#[tokio::test]
async fn a_damaged_or_missing_snapshot_is_found() {
    for missing in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        tamper(dir.path(), |_, snapshots, _| {
            let bytes = flip(snapshots.get("bad").unwrap().unwrap().value(), 7);
            if missing {
                snapshots.remove("bad").unwrap();
            } else {
                snapshots.insert("bad", &bytes[..]).unwrap();
            }
        });
        assert_corrupt(&load_bad(dir.path()).await, 3);
    }
}

#[tokio::test]
async fn a_hole_is_found_wherever_it_is() {
    for missing in 4..=8 {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        tamper(dir.path(), |_, _, log| drop(log.remove(("bad", missing)).unwrap()));
        assert_hole(&load_bad(dir.path()).await, missing);
    }
}

#[tokio::test]
async fn an_entry_too_many_is_found() {
    for extra in [2, 9] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        tamper(dir.path(), |_, _, log| drop(log.insert(("bad", extra), &[0; 9][..]).unwrap()));
        assert_corrupt(&load_bad(dir.path()).await, extra);
    }
}

#[tokio::test]
async fn a_damaged_or_missing_row_is_found_and_the_room_is_not_begun_anew() {
    for missing in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        tamper(dir.path(), |rooms, _, _| {
            let bytes = flip(rooms.get("bad").unwrap().unwrap().value(), 13);
            if missing {
                rooms.remove("bad").unwrap();
            } else {
                rooms.insert("bad", &bytes[..]).unwrap();
            }
        });
        {
            let store = RedbStore::open(dir.path()).unwrap();
            for expected in [0, 8] {
                let error = store.append(entry(&room("bad"), expected)).await.unwrap_err();
                assert!(matches!(error, AppendError::Storage { .. }), "{error:?}");
            }
            match store.list().await {
                Err(ListError::Corrupt { room, .. }) => assert_eq!((&*room, missing), ("bad", false)),
                list => assert_eq!((list.unwrap().len(), missing), (2, true)),
            }
        }
        assert_corrupt(&load_bad(dir.path()).await, 0);
    }
}

#[tokio::test]
async fn an_unknown_format_is_refused() {
    for (found, format) in [(2, Some(2)), (0, None)] {
        let dir = tempfile::tempdir().unwrap();
        store(dir.path()).await;
        {
            let db = Database::open(dir.path().join("rooms.redb")).unwrap();
            let txn = db.begin_write().unwrap();
            match format {
                Some(format) => drop(txn.open_table(META).unwrap().insert("format", format).unwrap()),
                None => drop(txn.delete_table(META).unwrap()),
            }
            txn.commit().unwrap();
        }
        let error = RedbStore::open(dir.path()).unwrap_err();
        assert!(
            error.to_string().contains(&format!("has format {found}, this version reads format 1")),
            "{error}"
        );
        assert!(matches!(error, OpenError::Format { .. }), "{error:?}");
    }
}
