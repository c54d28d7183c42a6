//! G10: a store that is busy makes writers wait. No room is reset, whoever keeps the store busy.

use futures_util::FutureExt as _;
use shared_state::server::Server;
use shared_state::store::RedbStore;
use shared_state_tests::soon;
use tokio::net::TcpListener;

use crate::common::rig::{Document, live, quick};

#[tokio::test(flavor = "multi_thread")]
async fn g10_a_busy_store_makes_writers_wait_and_resets_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let store = RedbStore::builder().queued_calls(3).queued_bytes(2_000).open(dir.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().store(store).rooms("document*", Document::default).build();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });

    let (heavy, light) = (quick(address).connect(), quick(address).connect());
    let mut states = heavy.on("state:sync");
    let rooms: Vec<_> =
        (0..12).map(|n| heavy.room(format!("document-{n}")).state(Document::default())).collect();
    for room in &rooms {
        live(room).await;
        assert!(states.next().await.is_some());
    }
    let innocent = light.room("document-innocent").state(Document::default());
    live(&innocent).await;
    let mut receipts = Vec::new();
    for n in 1..=100 {
        for room in &rooms {
            receipts.push((
                n,
                room.write_all(vec![Document::TITLE.set("x".repeat(500)), Document::LOG.set(vec![n])]),
            ));
        }
        let written = innocent.set_title(n.to_string()).unwrap();
        if n % 10 == 0 {
            soon("the innocent's answer", written).await.unwrap();
        }
    }
    for (n, receipt) in receipts {
        assert_eq!(soon("the answer", receipt.unwrap()).await, Ok(u64::from(n)));
    }
    // A room that was reset would have been joined again.
    assert!(states.next().now_or_never().is_none());
    assert!(heavy.close().await.is_empty() && light.close().await.is_empty());
    soon("the end of the server", server.shutdown()).await.unwrap();
    soon("the end of the listener", serving).await.unwrap();
}
