//! An app's own messages, relayed between legacy clients.

use serde_json::{Value, json};
use shared_state::proto::Limits;
use shared_state::server::{Action, Server, ServerBuilder};
use shared_state_tests::start;

use crate::common::client::Client;

fn builder(relays: u32) -> ServerBuilder {
    let mut limits = Limits::default();
    (limits.relays, limits.relay) = (relays, 100);
    Server::builder().untyped_rooms(true).limits(limits).authorize(|_: &(), room, action| match action {
        Action::Join if room == "closed" => Err("nobody comes here"),
        Action::Relay("forbidden:word") => Err("not that"),
        _ => Ok(()),
    })
}

async fn say(client: &mut Client, kind: &str, room: &str, payload: Value) {
    client.send(json!({"type": kind, "room": room, "payload": payload, "from": "somebody else"})).await;
}

#[tokio::test]
async fn what_the_app_says_reaches_the_other_pages_with_its_true_sender() {
    let (_server, address) = start(builder(10)).await;
    let (mut ann, mut bob) = (Client::hook(address).await, Client::hook(address).await);
    let mut elsewhere = Client::hook(address).await;
    let mut carol = Client::new(address, "carol").await;
    carol.join("a").await;
    for (hook, room) in [(&mut ann, "a"), (&mut bob, "a"), (&mut elsewhere, "b")] {
        say(hook, "state:sync:request", room, json!({})).await;
        hook.ping().await;
    }
    say(&mut ann, "game:move", "a", json!({"to": "e4"})).await;
    let heard = bob.next().await;
    assert_eq!((&heard["type"], &heard["room"]), (&json!("game:move"), &json!("a")));
    assert_eq!(heard["payload"], json!({"to": "e4"}));
    let sender = heard["from"].clone();
    assert_eq!(sender.as_str().unwrap().len(), 32);
    assert!(heard["timestamp"].as_u64().unwrap() > 1_500_000_000_000);
    // The sender's id is the author of its changes, and nobody else has it.
    say(&mut bob, "game:move", "a", Value::Null).await;
    assert_ne!(ann.next().await["from"], sender);
    say(&mut ann, "state:update", "a", json!({"key": "n", "value": 1})).await;
    assert_eq!(carol.expect("state:change").await["from"], sender);
    elsewhere.ping().await;
}

#[tokio::test]
async fn g10_what_is_reserved_forbidden_too_large_or_too_often_is_refused() {
    let (_server, address) = start(builder(10)).await;
    let (mut ann, mut bob) = (Client::hook(address).await, Client::hook(address).await);
    say(&mut bob, "state:sync:request", "a", json!({})).await;
    bob.ping().await;
    for (kind, room, payload, code) in [
        ("state:dance", "a", json!(1), "unknown_message"),
        ("room:user:joined", "a", json!({"id": "eve"}), "unknown_message"),
        ("presence:sync", "a", json!(1), "unknown_message"),
        ("cursor:click", "a", json!(1), "unknown_message"),
        ("channel:broadcast", "a", json!(1), "unknown_message"),
        ("welcome", "a", json!(1), "unknown_message"),
        ("error", "a", json!(1), "unknown_message"),
        ("forbidden:word", "a", json!(1), "forbidden"),
        ("game:move", "closed", json!(1), "forbidden"),
        ("game:move", "", json!(1), "bad_room"),
        ("game:move", "a", json!("x".repeat(99)), "message_too_large"),
    ] {
        say(&mut ann, kind, room, payload).await;
        ann.expect_error(code).await;
    }
    ann.send(json!({"type": "game:move", "payload": 1})).await;
    ann.expect_error("unknown_message").await;
    // Forbidden messages count as well.
    for number in 0..8 {
        say(&mut ann, "game:move", "a", json!(number)).await;
    }
    say(&mut ann, "game:move", "a", json!("one too many")).await;
    ann.expect_error("too_often").await;
    for number in 0..8 {
        assert_eq!(bob.next().await["payload"], json!(number));
    }
    bob.ping().await;

    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let mut ann = Client::hook(address).await;
    say(&mut ann, "game:move", "a", json!(1)).await;
    ann.expect_error("unknown_message").await;
}
