//! The end of a client.

use std::time::Duration;

use futures_util::FutureExt as _;
use shared_state::WriteError;
use shared_state::client::{DisconnectReason, Status};
use shared_state::proto::Code;
use shared_state_tests::{is_offline, soon, status};

use crate::common::proxy::Proxy;
use crate::common::rig::{Document, Rig, joined, quick, until};

#[tokio::test]
async fn close_sends_on_what_is_kept_back() {
    let rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    let receipt = at_a.set_note("the last word").unwrap();
    let (unsent, again) = soon("the end", async { tokio::join!(a.close(), a.close()) }).await;
    assert!(unsent.is_empty() && again.is_empty(), "{unsent:?}");
    assert_eq!(receipt.await, Ok(1));
    assert_eq!(a.status(), Status::Disconnected { reason: DisconnectReason::Closed });
    assert_eq!(at_a.set_note("after that").map(drop), Err(WriteError::Closed));
    assert_eq!(at_a.note(), "the last word", "it can still be read");
    until(&at_b, Document::NOTE, "the last word".into()).await;
}

#[tokio::test]
async fn close_reports_what_is_left_when_the_server_is_away() {
    let client = quick(Rig::nowhere()).linger(Duration::from_millis(50)).connect();
    let one = client.room("document-1").state(Document::default());
    let two = client.room("document-2").state(Document::default());
    let quiet = client.room("document-3").state(Document::default());
    let receipts = [one.set_note("a"), two.set_title("b"), two.set_size(2)].map(Result::unwrap);
    let unsent = soon("the end", client.close()).await;
    assert_eq!(unsent.rooms, [("document-1".into(), 1), ("document-2".into(), 2)]);
    assert_eq!(unsent.changes(), 3);
    for receipt in receipts {
        assert_eq!(receipt.await.unwrap_err().code(), Code::Closed);
    }
    assert_eq!(quiet.pending(), 0);
}

#[tokio::test]
async fn close_waits_for_answers_on_their_way() {
    let rig = Rig::start().await;
    let proxy = Proxy::start(rig.address).await;
    let client = quick(proxy.address).connect();
    let document = joined(&client).await;
    proxy.hold();
    let receipt = document.set_title("slow").unwrap();
    let mut end = Box::pin(client.close());
    assert!((&mut end).now_or_never().is_none());
    proxy.release();
    assert!(soon("the end", end).await.is_empty());
    assert_eq!(receipt.await, Ok(1));
}

#[tokio::test]
async fn a_client_without_handles_ends_and_delivers() {
    let rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    let mut statuses = a.statuses();
    let receipt = at_a.set_note("the last word").unwrap();
    drop(a);
    assert!(statuses.next().now_or_never().is_some(), "a state is a handle as well");
    assert!(statuses.next().now_or_never().is_none(), "a state is a handle as well");
    drop(at_a);
    let end = Some(Status::Disconnected { reason: DisconnectReason::Closed });
    assert_eq!(soon("the end", statuses.next()).await, end);
    assert_eq!(receipt.await, Ok(1));
    until(&at_b, Document::NOTE, "the last word".into()).await;
}

#[test]
fn the_end_of_the_runtime_is_the_end_of_its_clients() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (client, receipt) = runtime.block_on(async {
        let client = quick(Rig::nowhere()).connect();
        let document = client.room("document-1").state(Document::default());
        let receipt = document.set_title("lost").unwrap();
        status(&client, "the failure", is_offline).await;
        (client, receipt)
    });
    drop(runtime);
    assert_eq!(receipt.wait().unwrap_err().code(), Code::Closed);
    assert_eq!(client.status(), Status::Disconnected { reason: DisconnectReason::Runtime });
    assert_eq!(client.close_blocking().changes(), 1);
}
