//! Typed rooms: validated changes, rules about writers, and the server as a writer.

use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_state::Author;
use shared_state::Backend as _;
use shared_state::server::{OpenRoomError, Server, ServerBuilder};
use shared_state::{SharedState, WriteError};
use shared_state_tests::{soon, start};

use crate::common::client::Client;
use crate::common::observed::{Mode, observed};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
    #[shared(validate(range(min = 12, max = 24)))]
    size: u8,
    #[shared(counter)]
    views: i64,
    #[shared(read_only)]
    edited: u64,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Other {
    x: u8,
}

fn document() -> Document {
    Document { size: 16, ..Document::default() }
}

fn builder() -> ServerBuilder {
    Server::builder().rooms("document-*", document).rooms("other", Other::default)
}

#[tokio::test]
async fn g8_a_typed_room_refuses_what_its_type_and_its_rules_refuse() {
    let (_server, address) = start(builder()).await;
    let mut ann = Client::new(address, "ann").await;
    let sync = ann.join("document-1").await;
    assert_eq!(sync["data"], json!({"title": "", "size": 16, "views": 0, "edited": 0}));
    let rows = [
        ("nothing", json!(1), "unknown_field"),
        ("title", json!(1), "wrong_type"),
        ("size", json!(11), "invalid"),
        ("edited", json!(1), "read_only"),
    ];
    for (seq, (key, value, code)) in (1..).zip(rows) {
        ann.set("document-1", seq, 0, key, value).await;
        assert_eq!(ann.expect_error(code).await["payload"]["field"], key);
    }
    ann.send(json!({"type": "room:join", "room": "x", "payload": {}})).await;
    ann.expect_error("unknown_room").await;
}

#[tokio::test]
async fn the_hook_in_a_typed_room_is_sent_whole_fields() {
    let (_server, address) = start(builder()).await;
    let mut hook = Client::hook(address).await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("document-1").await;
    hook.send(json!({"type": "state:sync:request", "room": "document-1", "payload": {}})).await;
    let sync = hook.expect("state:sync").await;
    assert_eq!(sync["data"]["size"], 16);
    let add = json!({"seq": 1, "base": 0, "updates": [{"key": "views", "op": "add", "value": 5}]});
    ann.send(json!({"type": "state:change", "room": "document-1", "payload": add})).await;
    ann.expect("state:ack").await;
    assert_eq!(hook.expect("state:update").await, json!({"key": "views", "value": 5}));
    let update = json!({"key": "size", "value": 99});
    hook.send(json!({"type": "state:update", "room": "document-1", "payload": update})).await;
    hook.expect_error("invalid").await;
}

#[tokio::test]
async fn rules_see_the_state_before_and_after_and_the_author() {
    let allowed = |old: &Document, new: &Document, author: &Author| {
        if old.title != new.title && !old.title.is_empty() {
            return Err(format!("`{}` may not rename {}", author.name(), old.title));
        }
        if new.title == "panic" {
            panic!("a rule that panics");
        }
        Ok(())
    };
    let (server, address) = start(Server::builder().rooms_with("document-*", document, allowed)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("document-1").await;
    bob.join("document-2").await;
    ann.set("document-1", 1, 0, "title", json!("x")).await;
    ann.expect("state:ack").await;
    ann.set("document-1", 2, 0, "title", json!("y")).await;
    let error = ann.expect_error("invalid").await;
    assert!(error["payload"]["message"].as_str().unwrap().contains("may not rename x"), "{error}");
    // The rules do not apply to the server's program.
    let handle = server.room::<Document>("document-1").await.unwrap();
    handle.set_title("y".to_owned()).unwrap().await.unwrap();
    assert_eq!(ann.expect("state:change").await["version"], 2);

    // A panic refuses this change only.
    let mut eve = Client::new(address, "eve").await;
    eve.join("document-3").await;
    eve.set("document-3", 1, 0, "title", json!("panic")).await;
    eve.expect_error("rules_failed").await;
    eve.set("document-3", 2, 0, "title", json!("x")).await;
    assert_eq!(eve.expect("state:ack").await["version"], 1);
    bob.set("document-2", 1, 0, "title", json!("x")).await;
    bob.expect("state:ack").await;
}

#[tokio::test]
async fn the_servers_program_reads_writes_and_watches() {
    let (server, address) = start(builder()).await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("document-1").await;
    let handle = server.room::<Document>("document-1").await.unwrap();
    let mut titles = handle.watch(Document::TITLE);
    assert_eq!(soon("a value", titles.next()).await.unwrap(), "");
    let mut versions = handle.changes();

    assert_eq!(handle.set(Document::EDITED, 7).unwrap().await, Ok(1));
    assert_eq!(soon("a version", versions.next()).await, Some(1));
    let change = ann.expect("state:change").await;
    assert_eq!(
        (&change["from"], &change["updates"]),
        (&json!("server"), &json!([{"key": "edited", "value": 7}]))
    );
    assert_eq!(handle.add(Document::VIEWS, 3).unwrap().await, Ok(2));
    assert_eq!(ann.expect("state:change").await["updates"][0]["op"], "add");
    let both = |document: &mut Document| {
        document.title = "x".to_owned();
        document.size = 20;
    };
    assert_eq!(handle.update(both).unwrap().await, Ok(3));
    assert_eq!(ann.expect("state:change").await["updates"].as_array().unwrap().len(), 2);
    assert_eq!(soon("a value", titles.next()).await.unwrap(), "x");
    assert_eq!(handle.update(|_| ()).unwrap().await, Ok(3), "nothing was changed");
    let patch = DocumentPatch { title: Some("y".to_owned()), size: Some(3), ..DocumentPatch::default() };
    let Err(WriteError::Invalid(invalid)) = handle.merge(patch) else { panic!("expected a refusal") };
    assert_eq!(invalid.field, "size");
    assert_eq!((handle.get(Document::TITLE), handle.version()), ("x".to_owned(), 3));
    assert_eq!(handle.read(|document| document.views), 3);

    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| handle.update(|_| panic!("oh"))));
    assert!(caught.is_err());
    assert_eq!(handle.set(Document::EDITED, 8).unwrap().await, Ok(4), "the room goes on");

    match server.room::<Document>("other").await {
        Err(error @ OpenRoomError::WrongType { .. }) => {
            let text = error.to_string();
            assert!(text.contains("::Other") && text.contains("::Document"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(server.room::<Document>("x").await, Err(OpenRoomError::Unknown { .. })));
}

#[tokio::test]
async fn the_servers_writes_are_refused_when_the_store_does_not_follow_and_lost_when_it_fails() {
    let (store, mut observer) = observed();
    let mut limits = shared_state::proto::Limits::default();
    limits.in_flight = 2;
    let (server, _) = start(builder().store(store).limits(limits)).await;
    let handle = server.room::<Document>("document-1").await.unwrap();
    observer.mode.send_replace(Mode::Hold);
    let receipts = [handle.add_views(1).unwrap(), handle.add_views(1).unwrap()];
    assert_eq!(handle.add_views(1).unwrap_err(), WriteError::QueueFull { limit: 2, unit: "changes" });
    assert_eq!(handle.views(), 2);
    observer.mode.send_replace(Mode::Fail);
    let [first, second] = receipts;
    assert_eq!((first.await, second.await), (Ok(1), Ok(2)));
    let lost = handle.add_views(1).unwrap();
    observer.mode.send_replace(Mode::Pass);
    let lost = soon("an answer", lost).await.unwrap_err();
    assert_eq!(&*lost.room, "document-1");
    assert_eq!(handle.add_views(1).unwrap_err(), WriteError::Closed);
    let handle = server.room::<Document>("document-1").await.unwrap();
    assert_eq!((handle.views(), handle.version()), (2, 2));
    for event in ["load document-1", "append document-1 1"] {
        assert_eq!(observer.next().await, event);
    }
}

#[tokio::test]
async fn a_room_that_the_servers_program_holds_stays_in_memory() {
    let (store, mut observer) = observed();
    let (server, _) = start(builder().store(store).idle(std::time::Duration::from_millis(1))).await;
    let held = server.room::<Document>("document-held").await.unwrap();
    held.add_views(1).unwrap().await.unwrap();
    let left = server.room::<Document>("document-left").await.unwrap();
    left.add_views(1).unwrap().await.unwrap();
    drop(left);
    for event in [
        "load document-held",
        "append document-held 1",
        "load document-left",
        "append document-left 1",
        "compact document-left 1",
    ] {
        assert_eq!(observer.next().await, event);
    }
    assert_eq!(held.add_views(1).unwrap().await, Ok(2));
    drop(held);
    for event in ["append document-held 2", "compact document-held 2"] {
        assert_eq!(observer.next().await, event);
    }
}
