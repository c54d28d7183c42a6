//! A legacy client among typed clients: a transcript of its messages.

#![allow(clippy::unwrap_used)]

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_state::SharedState;
use shared_state::client::{Events, Handle};
use shared_state::proto::replica::Origin;
use shared_state::server::Server;
use shared_state_tests::{Hook, accepted, client, live, next, start};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    #[shared(validate(length(max = 20)))]
    title: String,
    size: u8,
    tags: Vec<String>,
}

fn initial() -> Page {
    Page { title: "untitled".to_owned(), size: 14, tags: Vec::new() }
}

/// The next event must be another client's change, with this version and these updates.
async fn expect(events: &mut Events<Page>, version: u64, updates: &[PageUpdate]) {
    let event = next(events, "a change").await;
    assert_eq!((event.origin, event.version), (Origin::Remote, Some(version)), "{event:?}");
    assert!(event.from.is_some(), "{event:?}");
    assert_eq!(event.updates, updates);
}

/// A native client and a legacy client, both in the room, take turns: each sees what the other writes, the
/// legacy client with a version that it accepts. Starts at version 0 and ends at 4.
async fn take_turns(hook: &mut Hook, native: &Handle<Page>, room: &str) {
    let mut events = native.events();

    let update = json!({"key": "title", "value": "Hello"});
    hook.send(json!({"type": "state:update", "room": room, "payload": update, "timestamp": 1})).await;
    expect(&mut events, 1, &[Page::TITLE.set("Hello".into())]).await;

    let merge = json!({"data": {"size": 16, "tags": ["a", "b"]}});
    hook.send(json!({"type": "state:merge", "room": room, "payload": merge})).await;
    let tags = vec!["a".to_owned(), "b".to_owned()];
    expect(&mut events, 2, &[Page::SIZE.set(16), Page::TAGS.set(tags.clone())]).await;
    assert_eq!(native.state(), Page { title: "Hello".into(), size: 16, tags });

    assert_eq!(accepted(native.set_title("Hello, hook")).await, 3);
    let update = json!({"key": "title", "value": "Hello, hook"});
    assert_eq!(hook.expect("state:update", room).await, update);

    let patch = PagePatch { title: Some("Bye".into()), size: Some(18), ..Default::default() };
    assert_eq!(accepted(native.merge(patch)).await, 4);
    let merge = json!({"data": {"title": "Bye", "size": 18}});
    assert_eq!(hook.expect("state:merge", room).await, merge);
    hook.expect_silence().await;
}

#[tokio::test]
async fn a_hook_in_an_untyped_room() {
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let native = client(address);
    let native = native.room("lobby").state(initial());
    live(&native).await;
    let mut hook = Hook::connect(address).await;
    let request = json!({"type": "state:sync:request", "room": "lobby", "payload": {}});

    // Nobody has written yet: an answer would only erase the page's initial state.
    hook.send(request.clone()).await;
    hook.expect_silence().await;

    take_turns(&mut hook, &native, "lobby").await;

    let state = json!({"data": {"title": "Bye", "size": 18, "tags": ["a", "b"]}});
    hook.send(request.clone()).await;
    assert_eq!(hook.expect("state:merge", "lobby").await, state);
    let mut late = Hook::connect(address).await;
    late.send(request).await;
    assert_eq!(late.expect("state:merge", "lobby").await, state);
}

#[tokio::test]
async fn a_hook_in_a_typed_room() {
    let (_server, address) = start(Server::builder().rooms("page-*", initial)).await;
    let native = client(address);
    let native = native.room("page-1").state(initial());
    live(&native).await;
    let mut hook = Hook::connect(address).await;
    let mut other = Hook::connect(address).await;
    let request = json!({"type": "state:sync:request", "room": "page-1", "payload": {}});

    let state = json!({"data": {"title": "untitled", "size": 14, "tags": []}});
    hook.send(request.clone()).await;
    assert_eq!(hook.expect("state:sync", "page-1").await, state);

    take_turns(&mut hook, &native, "page-1").await;

    let state = json!({"data": {"title": "Bye", "size": 18, "tags": ["a", "b"]}});
    other.send(request).await;
    assert_eq!(other.expect("state:sync", "page-1").await, state);
}

#[tokio::test]
async fn g8_g10_a_hooks_refused_update_is_told_to_it_and_costs_the_others_nothing() {
    let (_server, address) = start(Server::builder().rooms("page-*", initial)).await;
    let native = client(address);
    let native = native.room("page-1").state(initial());
    live(&native).await;
    let mut events = native.events();
    let (mut hook, mut other) = (Hook::connect(address).await, Hook::connect(address).await);
    for hook in [&mut hook, &mut other] {
        hook.send(json!({"type": "state:sync:request", "room": "page-1", "payload": {}})).await;
        hook.expect("state:sync", "page-1").await;
    }

    for (payload, code) in [
        (json!({"title": "much longer than a title may be", "size": 1}), "invalid"),
        (json!({"title": "fine", "size": 256}), "wrong_type"),
        (json!({"title": "fine", "colour": "red"}), "unknown_field"),
    ] {
        let merge = json!({"data": payload});
        hook.send(json!({"type": "state:merge", "room": "page-1", "payload": merge})).await;
        let error = hook.expect("room:error", "page-1").await;
        assert_eq!(error["code"], code, "{error}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
        // What the page shows and the room lacks is corrected.
        match code {
            "unknown_field" => {
                let state = json!({"data": {"title": "untitled", "size": 14, "tags": []}});
                assert_eq!(hook.expect("state:sync", "page-1").await, state);
            }
            _ => {
                let merge = json!({"data": {"title": "untitled", "size": 14}});
                assert_eq!(hook.expect("state:merge", "page-1").await, merge);
            }
        }
    }
    hook.expect_silence().await;
    other.expect_silence().await;
    assert_eq!((native.state(), native.version()), (initial(), 0));

    // Everyone continues, and the refused changes have no version.
    let update = json!({"key": "title", "value": "fine"});
    hook.send(json!({"type": "state:update", "room": "page-1", "payload": update})).await;
    expect(&mut events, 1, &[Page::TITLE.set("fine".into())]).await;
    assert_eq!(other.expect("state:update", "page-1").await, update);
}
