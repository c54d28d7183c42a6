//! Reads and writes over a working network.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use shared_state::WriteError;
use shared_state::proto::Code;
use shared_state::proto::replica::Origin;
use shared_state_tests::soon;

use crate::common::proxy::Proxy;
use crate::common::rig::{Document, DocumentPatch, Loose, Rig, joined, live, quick, until};

#[tokio::test]
async fn two_clients_see_each_others_edits() {
    let rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    let receipt = at_a.set_title("by a").unwrap();
    assert_eq!(at_a.title(), "by a", "a write shows at once");
    assert_eq!(soon("the answer", receipt).await, Ok(1));
    until(&at_b, Document::TITLE, "by a".into()).await;
    assert_eq!(at_b.version(), 1);
    at_b.set(Document::TITLE, "by b".into()).unwrap();
    until(&at_a, Document::TITLE, "by b".into()).await;
    assert_eq!(at_a.epoch(), at_b.epoch());
    assert_ne!(a.id(), b.id());
}

#[tokio::test]
async fn g4_a_rejected_change_is_rolled_back_with_its_reason() {
    let rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let loose = a.room("document-1").state(Loose::default());
    live(&loose).await;
    let strict = joined(&b).await;
    assert!(matches!(strict.set_size(25), Err(WriteError::Invalid(invalid)) if invalid.field == "size"));

    let mut events = loose.events();
    let receipt = loose.set_size(25).unwrap();
    assert_eq!(loose.size(), 25);
    let rejected = soon("the answer", receipt).await.unwrap_err();
    assert_eq!(rejected.code(), Code::Invalid);
    assert_eq!(rejected.field(), Some("size"));
    assert!(rejected.message().contains("24"), "{rejected}");
    assert_eq!((loose.size(), loose.pending()), (0, 0));
    let origins = [events.next().await.unwrap().origin, events.next().await.unwrap().origin];
    assert_eq!(origins, [Origin::Local, Origin::RolledBack]);
    assert_eq!(soon("the next answer", loose.set_size(24).unwrap()).await, Ok(1));
    until(&strict, Document::SIZE, 24).await;
}

#[tokio::test]
async fn undo_takes_back_own_changes_and_leaves_the_others() {
    let rig = Rig::start().await;
    let a = quick(rig.address).undo(100, Duration::ZERO).connect();
    let b = quick(rig.address).connect();
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    assert!(at_a.undo().unwrap().is_none() && !at_a.can_undo());
    at_a.add_views(5).unwrap();
    at_a.group(|| {
        at_a.set_title("a").unwrap();
        at_a.add_views(2).unwrap();
    });
    until(&at_b, Document::VIEWS, 7).await;
    soon("the answer", at_b.add_views(1).unwrap()).await.unwrap();
    until(&at_a, Document::VIEWS, 8).await;
    let undone = at_a.undo().unwrap().expect("a group to undo");
    assert_eq!((at_a.title(), at_a.views(), at_a.can_redo()), (String::new(), 6, true));
    soon("the answer", undone).await.unwrap();
    until(&at_b, Document::VIEWS, 6).await;
    soon("the answer", at_a.redo().unwrap().expect("a group to redo")).await.unwrap();
    until(&at_b, Document::TITLE, "a".into()).await;
    assert_eq!(at_b.views(), 8);
}

#[tokio::test]
async fn g5_a_merge_is_one_event_at_the_other_side() {
    let rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    let mut events = at_b.events();
    let patch = DocumentPatch { title: Some("merged".into()), size: Some(7), ..DocumentPatch::default() };
    soon("the answer", at_a.merge(patch).unwrap()).await.unwrap();
    let event = soon("the event", events.next()).await.unwrap();
    assert_eq!((event.origin, event.version), (Origin::Remote, Some(1)));
    assert_eq!(event.from, a.id());
    let expected = [Document::TITLE.set("merged".into()), Document::SIZE.set(7)];
    assert_eq!(event.updates, expected);
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test]
async fn update_writes_what_is_different_and_nothing_else() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let document = joined(&client).await;
    document.set_title("kept").unwrap();
    let mut events = document.events();
    let receipt = document.update(|document| {
        document.size += 1;
        document.log.push(1);
    });
    assert_eq!(soon("the answer", receipt.unwrap()).await, Ok(2));
    let event = events.next().await.unwrap();
    assert_eq!(event.updates, [Document::SIZE.set(1), Document::LOG.set(vec![1])]);
    let unchanged = soon("the answer", document.update(|_| {}).unwrap()).await;
    assert_eq!(unchanged, Ok(2), "an empty change has the version that there is");
    soon("the answer", document.add_views(2).unwrap()).await.unwrap();
    soon("the answer", document.add(Document::VIEWS, 3).unwrap()).await.unwrap();
    assert_eq!(document.get(Document::VIEWS), 5);
    assert_eq!(document.read(|document| document.title.len()), 4);
}

#[tokio::test]
async fn a_burst_of_debounced_writes_is_one_change() {
    let rig = Rig::start().await;
    let proxy = Proxy::start(rig.address).await;
    let client = quick(proxy.address).connect();
    let document = joined(&client).await;
    let receipts: Vec<_> = (0..50).map(|n| document.set_draft(format!("draft {n}")).unwrap()).collect();
    for receipt in receipts {
        assert_eq!(soon("the answer", receipt).await, Ok(1), "all were folded into one");
    }
    assert_eq!(proxy.changes(), 1);
    let server = rig.running.as_ref().unwrap().0.room::<Document>("document-1").await.unwrap();
    assert_eq!(server.draft(), "draft 49");
}

#[tokio::test]
async fn flush_sends_on_what_is_kept_back() {
    let rig = Rig::start().await;
    let proxy = Proxy::start(rig.address).await;
    let client = quick(proxy.address).connect();
    let document = joined(&client).await;
    let receipt = document.set_note("kept back").unwrap();
    // Another change is sent and answered, the delayed note is not.
    soon("the answer", document.set_title("at once").unwrap()).await.unwrap();
    assert_eq!((receipt.try_result(), document.pending()), (None, 1));
    assert_eq!(proxy.changes.load(Ordering::SeqCst), 1);
    soon("the flush", document.flush()).await.unwrap();
    assert_eq!((receipt.try_result(), document.pending()), (Some(Ok(2)), 0));
}

#[tokio::test]
async fn flush_reports_the_first_rejection() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let loose = client.room("document-1").state(Loose::default());
    live(&loose).await;
    loose.set_size(30).unwrap();
    loose.set_title("fine").unwrap();
    let rejected = soon("the flush", loose.flush()).await.unwrap_err();
    assert_eq!(rejected.field(), Some("size"));
    assert_eq!(loose.pending(), 0);
}

#[tokio::test]
async fn g9_a_full_queue_refuses_and_keeps_what_it_has() {
    let address = Rig::nowhere();
    let client = quick(address).max_queue(3, 1 << 20).connect();
    let document = client.room("document-1").state(Document::default());
    for n in 0..3 {
        document.write_all(vec![Document::LOG.set(vec![n]), Document::SIZE.set(1)]).unwrap();
    }
    let full = document.add_views(1).map(drop);
    assert_eq!(full, Err(WriteError::QueueFull { limit: 3, unit: "changes" }));
    assert_eq!(document.log(), [2]);
}

#[tokio::test]
async fn g10_a_change_that_is_longer_than_the_server_takes_is_refused_alone() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let mut statuses = client.statuses();
    let document = joined(&client).await;
    statuses.next().await;
    let refused = document.set_title("x".repeat(2 << 20)).unwrap_err();
    assert!(matches!(refused, WriteError::Rejected(reject) if reject.code == Code::FrameTooLarge));
    assert_eq!(document.title(), "", "it is refused before it shows");
    let next = document.set_size(1).unwrap();
    assert_eq!(soon("the next answer", next).await, Ok(1));

    // The limits are not known before the first connection: the change is refused when its turn comes.
    let early = quick(rig.address).connect();
    let other = early.room("document-1").state(Document::default());
    let long = other.set_title("x".repeat(2 << 20)).unwrap();
    let next = other.set_size(2).unwrap();
    let rejected = soon("the answer", long).await.unwrap_err();
    assert_eq!(rejected.code(), Code::FrameTooLarge);
    assert_eq!(soon("the next answer", next).await, Ok(2));
    assert_eq!(other.title(), "");
    assert!(statuses.next().now_or_never().is_none(), "the connection stands");
}
