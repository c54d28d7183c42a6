//! What an app's streams return, and when.

use futures_util::{FutureExt as _, StreamExt as _};
use shared_state::proto::replica::Origin;
use shared_state_tests::soon;

use crate::common::rig::{Document, Rig, joined, quick, until};

#[tokio::test]
async fn watch_begins_with_what_is_and_skips_to_the_latest() {
    let rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    at_a.set_title("first").unwrap();
    let mut titles = at_a.watch(Document::TITLE);
    assert_eq!(titles.next().await.as_deref(), Some("first"));
    at_a.set_size(3).unwrap();
    assert!(titles.next().now_or_never().is_none(), "another field is no news");
    for n in 0..10 {
        at_a.set_title(format!("burst {n}")).unwrap();
    }
    assert_eq!(titles.next().await.as_deref(), Some("burst 9"));
    assert!(titles.next().now_or_never().is_none());
    until(&at_b, Document::TITLE, "burst 9".into()).await;
    at_b.set_title("from afar").unwrap();
    assert_eq!(soon("the value", titles.next()).await.as_deref(), Some("from afar"));
}

#[tokio::test]
async fn g9_events_say_how_many_were_missed() {
    let client = quick(Rig::nowhere()).event_buffer(4).connect();
    let document = client.room("document-1").state(Document::default());
    let mut events = document.events();
    for n in 0..10 {
        document.write_all(vec![Document::LOG.set(vec![n]), Document::BALANCE.set(1)]).unwrap();
    }
    assert_eq!(events.next().await.unwrap().origin, Origin::Lagged(6));
    let rest: Vec<_> = events.by_ref().take(4).collect().await;
    assert!(rest.iter().all(|event| event.origin == Origin::Local));
    assert_eq!(rest[0].updates[0], Document::LOG.set(vec![6]));
}

#[tokio::test]
async fn a_revision_rises_with_each_visible_change() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let document = joined(&client).await;
    let before = document.revision();
    let receipt = document.set_title("new").unwrap();
    let after = document.revision();
    assert!(after > before);
    assert_eq!(soon("the change", document.changed(before)).await, after);
    soon("the answer", receipt).await.unwrap();
    assert_eq!(document.revision(), after, "an answer changes nothing that can be seen");
    assert!(document.changed(after).now_or_never().is_none());
    client.close().await;
    assert_eq!(soon("the end", document.changed(after)).await, after);
    assert!(!document.live().await);
}

#[tokio::test]
async fn streams_end_with_the_client() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let document = joined(&client).await;
    let (mut titles, mut events) = (document.watch(Document::TITLE), document.events());
    let (mut messages, mut statuses) = (client.on("state:ack"), client.statuses());
    titles.next().await;
    client.close().await;
    assert_eq!(soon("the end", titles.next()).await, None);
    assert!(soon("the end", events.next()).await.is_none());
    assert_eq!(soon("the end", messages.next()).await, None);
    while soon("the end", statuses.next()).await.is_some() {}
    // As a loop over all of them does, which polls ended streams again.
    assert_eq!(titles.next().now_or_never(), Some(None));
    assert!(events.next().now_or_never().is_some_and(|event| event.is_none()));
    assert_eq!(messages.next().now_or_never(), Some(None));
    assert_eq!(statuses.next().now_or_never(), Some(None));
    assert_eq!(document.watch(Document::TITLE).collect::<Vec<_>>().await, [""]);
}

#[tokio::test]
async fn messages_of_a_type_come_as_they_are() {
    let rig = Rig::start().await;
    let client = quick(rig.address).compact_frames(false).connect();
    let mut acks = client.on("state:ack");
    let document = joined(&client).await;
    document.set_title("x").unwrap();
    let ack = soon("the message", acks.next()).await.unwrap().unwrap();
    assert_eq!((&*ack.kind, ack.room.as_deref()), ("state:ack", Some("document-1")));
    assert_eq!(ack.read::<serde_json::Value>().unwrap(), serde_json::json!({"seq": 1, "version": 1}));
}
