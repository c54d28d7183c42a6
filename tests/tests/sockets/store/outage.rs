//! A server whose store's file disappears and comes back, with clients that go on writing.

use std::sync::Arc;

use shared_state::server::Server;
use shared_state::store::{LoadError, RedbStore, RoomStore};
use shared_state_tests::{Load, accepted, client, live, soon, start, until};

/// Waits until the store has this availability.
async fn available(store: &RedbStore, wanted: bool) {
    soon("the store's availability", async {
        while store.is_available() != wanted {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_g3_what_clients_write_while_the_stores_file_is_gone_is_accepted_once_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (file, away) = (dir.path().join("rooms.redb"), dir.path().join("away"));
    let store = Arc::new(RedbStore::open(dir.path()).unwrap());
    let (server, address) = start(Server::builder().store(store.clone()).rooms("doc-*", Load::default)).await;
    let (writer, reader) = (client(address), client(address));
    let (writes, reads) =
        (writer.room("doc-1").state(Load::default()), reader.room("doc-1").state(Load::default()));
    live(&writes).await;
    live(&reads).await;
    for number in 1..=10 {
        accepted(Ok(Load::write(&writes, 0, number))).await;
    }

    std::fs::rename(&file, &away).unwrap();
    // Nothing of this is acknowledged while the file is gone.
    let receipts: Vec<_> = (11..=60).map(|number| Load::write(&writes, 0, number)).collect();
    available(&store, false).await;
    assert!(!file.exists());
    std::fs::rename(&away, &file).unwrap();
    available(&store, true).await;

    let mut before = 10;
    for receipt in receipts {
        let version = soon("an answer", receipt).await.expect("no change is refused");
        assert!(version > before, "{version} after {before}");
        before = version;
    }
    assert_eq!(before, 60, "each change has made one version");
    until(&reads, "the reader's state", |state| state.version() == 60).await;
    assert_eq!(reads.state(), writes.state());
    soon("the end of the server", server.shutdown()).await.unwrap();
    drop((server, writer, reader));
    assert!(matches!(store.load("doc-1".into()).await, Err(LoadError::Closed { .. })));
    let stored = RedbStore::open(dir.path()).unwrap().load("doc-1".into()).await.unwrap().unwrap();
    assert_eq!(stored.version(), 60);
}
