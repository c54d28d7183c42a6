//! The legacy protocol in an untyped room.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_state::SharedState;
use shared_state::server::Server;
use shared_state_tests::start;
use tokio_tungstenite::tungstenite::Message;

use crate::common::client::Client;
use crate::common::observed::{Mode, observed};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(counter)]
    hits: i64,
    #[shared(nested)]
    page: Page,
    theme: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
}

#[tokio::test]
async fn a_transcript_of_two_hooks_and_a_v1_client() {
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let mut first = Client::hook(address).await;
    let mut second = Client::hook(address).await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("a").await;

    // Nobody has written yet, so the page keeps its initial state.
    first.send(json!({"type": "state:sync:request", "room": "a", "payload": {}, "timestamp": 1})).await;
    first.ping().await;
    let update = json!({"key": "title", "value": "x"});
    first.send(json!({"type": "state:update", "room": "a", "payload": update})).await;
    assert_eq!(ann.expect("state:change").await["updates"], json!([{"key": "title", "value": "x"}]));

    second.send(json!({"type": "state:sync:request", "room": "a", "payload": {}})).await;
    let merge = second.expect("state:merge").await;
    assert_eq!(merge, json!({"data": {"title": "x"}}));
    second.send(json!({"type": "state:merge", "room": "a", "payload": {"data": {"b": 2, "a": [1]}}})).await;
    assert_eq!(first.expect("state:merge").await, json!({"data": {"a": [1], "b": 2}}));
    assert_eq!(
        ann.expect("state:change").await["updates"],
        json!([{"key": "a", "value": [1]}, {"key": "b", "value": 2}])
    );
    ann.set("a", 1, 2, "title", json!("y")).await;
    ann.expect("state:ack").await;
    let update = json!({"key": "title", "value": "y"});
    assert_eq!(first.expect("state:update").await, update);
    assert_eq!(second.expect("state:update").await, update);
}

#[tokio::test]
async fn g2_a_hook_is_told_the_value_of_the_version_and_none_that_is_not_durable_yet() {
    let (store, mut observer) = observed();
    let (_server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut hook = Client::hook(address).await;
    hook.send(json!({"type": "state:sync:request", "room": "a", "payload": {}})).await;
    hook.ping().await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("a").await;
    assert_eq!(observer.next().await, "load a");
    observer.mode.send_replace(Mode::Hold);
    for seq in 1..=2 {
        ann.set("a", seq, 0, "n", json!(seq)).await;
        assert_eq!(observer.next().await, format!("append a {seq}"));
    }
    observer.mode.send_replace(Mode::Pass);
    for version in 1..=2 {
        let update = json!({"key": "n", "value": version});
        assert_eq!(hook.expect("state:update").await, update);
    }
}

#[tokio::test]
async fn g2_a_hook_is_told_of_a_counter_or_a_nested_field_only_what_is_durable() {
    let (store, mut observer) = observed();
    let server = Server::builder().rooms("a", Board::default).store(store);
    let (_server, address) = start(server).await;
    let mut hook = Client::hook(address).await;
    hook.send(json!({"type": "state:sync:request", "room": "a", "payload": {}})).await;
    assert_eq!(observer.next().await, "load a");
    let begin = json!({"data": {"hits": 0, "page": {"title": ""}, "theme": ""}});
    assert_eq!(hook.expect("state:sync").await, begin);
    let mut ann = Client::new(address, "ann").await;
    ann.join("a").await;
    observer.mode.send_replace(Mode::Hold);
    let updates = [
        json!({"key": "hits", "op": "add", "value": 1}),
        json!({"key": "page/title", "value": "x"}),
        json!({"key": "hits", "op": "add", "value": 1}),
    ];
    for (seq, update) in (1..).zip(updates) {
        let payload = json!({"seq": seq, "base": 0, "updates": [update]});
        ann.send(json!({"type": "state:change", "room": "a", "payload": payload})).await;
        assert_eq!(observer.next().await, format!("append a {seq}"));
    }
    // Only the first change is durable: later changes are not sent.
    observer.mode.send_replace(Mode::Until(1));
    assert_eq!(ann.expect("state:ack").await["version"], 1);
    hook.ping().await;
    observer.mode.send_replace(Mode::Pass);
    let merge = json!({"data": {"hits": 2, "page": {"title": "x"}}});
    assert_eq!(hook.expect("state:merge").await, merge);
    // From here on nothing is in flight, so changes are sent one by one.
    let payload = json!({"seq": 4, "base": 0, "updates": [{"key": "hits", "op": "add", "value": 5}]});
    ann.send(json!({"type": "state:change", "room": "a", "payload": payload})).await;
    assert_eq!(hook.expect("state:update").await, json!({"key": "hits", "value": 7}));
}

#[tokio::test]
async fn g10_nonsense_is_answered_and_forgiven() {
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let mut hook = Client::hook(address).await;
    hook.send_raw(Message::text("nonsense")).await;
    hook.expect_error("not_json").await;
    hook.send(json!({"type": "cursor:dance", "room": "a", "payload": {}})).await;
    hook.expect_error("unknown_message").await;
    hook.send(json!({"type": "state:merge", "room": "a", "payload": {"data": 1}})).await;
    hook.expect_error("bad_message").await;
    hook.send(json!({"type": "state:update", "payload": {"key": "a", "value": 1}})).await;
    hook.expect_error("bad_room").await;
    hook.send(json!({"type": "state:update", "room": "a", "payload": {"key": "a/b", "value": 1}})).await;
    hook.expect_error("bad_key").await;
    hook.send(json!({"type": "state:update", "room": "a", "payload": {"key": "__proto__", "value": 1}}))
        .await;
    hook.expect_error("bad_key").await;
    hook.send_raw(Message::binary(vec![1, 2])).await;
    hook.expect_error("binary_frame").await;
    assert_eq!(hook.closed().await, (1003, "binary_frame".to_owned()));
}
