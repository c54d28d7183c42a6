//! The legacy protocol's rooms: their users, together with clients of the v1 protocol.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use serde_json::{Value, json};
use shared_state::server::{ChannelKind, Handshake, RoomSettings, Server, ServerBuilder};
use shared_state_tests::start;

use crate::common::client::Client;

fn builder() -> ServerBuilder {
    Server::builder().untyped_rooms(true).channels(ChannelKind::any("chat")).room_settings(|_| {
        ready(Ok::<_, Infallible>(RoomSettings::new().metadata(json!({"title": "Lobby"}))))
    })
}

async fn enter(hook: &mut Client, user: &Value) {
    hook.send(json!({"type": "room:join", "payload": {"roomId": "a", "user": user}, "timestamp": 1})).await;
}

/// A legacy client that has joined the room, and the users that it was sent.
async fn entered(address: SocketAddr, user: &Value) -> (Client, Vec<Value>) {
    let mut hook = Client::hook(address).await;
    enter(&mut hook, user).await;
    let joined = hook.expect("room:joined").await;
    assert_eq!((&joined["id"], &joined["metadata"]), (&json!("a"), &json!({"title": "Lobby"})));
    assert!(joined["createdAt"].as_u64().unwrap() > 1_500_000_000_000);
    let users = joined["users"].as_array().unwrap().iter();
    (hook, users.map(|user| user["id"].clone()).collect())
}

#[tokio::test]
async fn who_comes_and_goes_is_told_in_both_dialects() {
    let (server, address) = start(builder()).await;
    let (ann, bob) = (json!({"id": "ann", "name": "Ann"}), json!({"id": 7}));
    let (mut ann_page, users) = entered(address, &ann).await;
    assert_eq!(users, [json!("ann")]);
    let (bob_page, users) = entered(address, &bob).await;
    assert_eq!(users, [json!("ann"), json!(7)]);
    assert_eq!(ann_page.expect("room:user:joined").await, bob);

    let mut carol = Client::new(address, "carol").await;
    carol.send(json!({"type": "presence:set", "room": "a", "payload": {"user": "carol"}})).await;
    let peers = carol.expect("presence:sync").await["peers"].take();
    let mut seen: Vec<_> = peers.as_array().unwrap().iter().map(|peer| peer["user"].to_string()).collect();
    seen.sort();
    assert_eq!(seen, ["\"carol\"", r#"{"id":"ann","name":"Ann"}"#, r#"{"id":7}"#]);
    assert_eq!(ann_page.expect("room:user:joined").await["id"], "carol");

    // A second tab of a user is not a new user, and closing it removes no user.
    let (tab, users) = entered(address, &ann).await;
    assert_eq!(users.len(), 3);
    assert_eq!(carol.expect("presence:changes").await["joined"][0]["user"], ann);
    drop(tab);
    assert_eq!(carol.expect("presence:changes").await["left"].as_array().unwrap().len(), 1);
    // The connection ends without a message, as after a crash.
    drop(bob_page);
    assert_eq!(ann_page.expect("room:user:left").await, json!(7));
    assert_eq!(carol.expect("presence:changes").await["left"].as_array().unwrap().len(), 1);
    carol.send(json!({"type": "presence:leave", "room": "a", "payload": {}})).await;
    assert_eq!(ann_page.expect("room:user:left").await, json!("carol"));

    let leave = json!({"type": "room:leave", "payload": {"roomId": "a", "user": ann}});
    ann_page.send(leave.clone()).await;
    ann_page.send(leave).await;
    ann_page.ping().await;
    assert!(server.present("a").is_empty());
    // The user can join again.
    enter(&mut ann_page, &ann).await;
    assert_eq!(ann_page.expect("room:joined").await["users"], json!([ann]));
}

#[tokio::test]
async fn a_page_hears_what_it_has_asked_for() {
    let (_server, address) = start(builder()).await;
    let (ann, bob) = (json!({"id": "ann"}), json!({"id": "bob"}));
    let (mut ann_page, _) = entered(address, &ann).await;
    let mut bob_page = Client::hook(address).await;
    let presence = |user: &Value, kind: &str, data: Value| json!({"type": kind, "room": "a", "payload": {"user": user, "room": "a", "data": data}});
    bob_page.send(presence(&bob, "presence:join", Value::Null)).await;
    // The legacy protocol has messages for rooms and for presence; each page gets the kind it has used.
    assert_eq!(ann_page.expect("room:user:joined").await, bob);
    for user in ["ann", "bob"] {
        assert_eq!(bob_page.expect("presence:join").await["user"]["id"], user);
        assert_eq!(bob_page.expect("presence:update").await["user"]["id"], user);
    }
    // A page that starts to show presence is sent who is present.
    ann_page.send(presence(&ann, "presence:update", json!({"typing": true}))).await;
    for user in ["ann", "bob"] {
        assert_eq!(ann_page.expect("presence:join").await["user"]["id"], user);
        assert_eq!(ann_page.expect("presence:update").await["user"]["id"], user);
    }
    assert_eq!(bob_page.expect("presence:update").await["data"], json!({"typing": true}));
    let cursor = json!({"user": ann, "x": 1, "y": 2, "timestamp": 1});
    ann_page.send(json!({"type": "cursor:move", "room": "a", "payload": cursor})).await;
    assert_eq!(bob_page.expect("cursor:move").await["x"], 1.0);
    // Without cursor and data, the user is still in the room.
    while ann_page.next().await["type"] != "cursor:move" {}
    ann_page.send(json!({"type": "presence:leave", "room": "a", "payload": "ann"})).await;
    assert_eq!(bob_page.expect("presence:leave").await, "ann");
    assert_eq!(bob_page.expect("presence:join").await["user"], ann);
    assert_eq!(bob_page.expect("presence:update").await["data"], Value::Null);
    bob_page.send(json!({"type": "presence:leave", "room": "a", "payload": "bob"})).await;
    assert_eq!(ann_page.expect("room:user:left").await, "bob");

    // A client in the room gets its channels.
    let mut carol = Client::new(address, "carol").await;
    carol.send(json!({"type": "room:join", "room": "a", "channel": "chat", "payload": {}})).await;
    carol.expect("state:sync").await;
    let update = json!([{"key": "messages", "op": "send", "value": "hello"}]);
    let payload = json!({"seq": 1, "base": 0, "updates": update});
    carol.send(json!({"type": "state:change", "room": "a", "channel": "chat", "payload": payload})).await;
    assert_eq!(ann_page.expect("broadcast:chat").await, "hello");
    ann_page.send(json!({"type": "room:leave", "payload": {"roomId": "a", "user": ann}})).await;
    ann_page.ping().await;
    let payload = json!({"seq": 2, "base": 1, "updates": update});
    carol.send(json!({"type": "state:change", "room": "a", "channel": "chat", "payload": payload})).await;
    carol.expect("state:ack").await;
    carol.expect("state:ack").await;
    ann_page.ping().await;
}

#[tokio::test]
async fn nobody_joins_as_somebody_else_or_where_there_is_no_room() {
    let builder = builder()
        .authenticate(|request: Handshake| {
            ready(Ok::<_, Infallible>(request.query("token").unwrap_or_default().to_owned()))
        })
        .user_id(|user: &String| user.clone());
    let (server, address) = start(builder).await;
    let mut hook = Client::hook_at(address, "/ws?token=ann").await;
    enter(&mut hook, &json!({"id": "bob"})).await;
    let error = hook.expect_error("other_user").await;
    assert_eq!((&error["type"], &error["room"]), (&json!("room:error"), &json!("a")));
    enter(&mut hook, &json!({"id": "ann"})).await;
    hook.expect("room:joined").await;
    enter(&mut hook, &json!({"id": "bob"})).await;
    hook.expect_error("other_user").await;
    hook.send(json!({"type": "room:leave", "payload": {"roomId": "a", "user": {"id": "bob"}}})).await;
    hook.expect_error("other_user").await;
    assert_eq!(server.present("a").len(), 1);
    hook.send(json!({"type": "room:join", "payload": {"roomId": "", "user": {"id": "ann"}}})).await;
    hook.expect_error("bad_room").await;
    hook.send(json!({"type": "room:join", "payload": {"user": {"id": "ann"}}})).await;
    hook.expect_error("bad_message").await;
    let (_server, address) = start(Server::builder()).await;
    let mut hook = Client::hook(address).await;
    enter(&mut hook, &json!({"id": "ann"})).await;
    hook.expect_error("unknown_room").await;
}

#[tokio::test]
async fn a_right_room_join_lets_the_hook_into_a_room_with_a_password() {
    let hash = shared_state::server::PasswordHash::of("open sesame").unwrap();
    let builder = Server::builder()
        .untyped_rooms(true)
        .room_settings(move |_| ready(Ok::<_, Infallible>(RoomSettings::new().password(hash.clone()))));
    let (_server, address) = start(builder).await;
    let mut hook = Client::hook(address).await;
    let update = json!({"type": "state:update", "room": "a", "payload": {"key": "n", "value": 1}});
    hook.send(update.clone()).await;
    hook.expect_error("wrong_password").await;
    let join = |password: Value| json!({"type": "room:join", "payload": {"roomId": "a", "user": {"id": "h"}, "password": password}});
    for wrong in [json!("open"), Value::Null] {
        hook.send(join(wrong)).await;
        hook.expect_error("wrong_password").await;
    }
    hook.send(join(json!("open sesame"))).await;
    assert_eq!(hook.expect("room:joined").await["users"], json!([{"id": "h"}]));
    hook.send(update).await;
    hook.send(json!({"type": "state:sync:request", "room": "a", "payload": {}})).await;
    assert_eq!(hook.expect("state:merge").await["data"], json!({"n": 1}));
}

/// Skips frames about presence and messages of channels until one that `is_it` accepts.
async fn among_others(page: &mut Client, is_it: impl Fn(&Value) -> bool) -> Value {
    loop {
        let frame = page.next().await;
        if is_it(&frame) {
            return frame;
        }
        let kind = frame["type"].as_str().unwrap();
        let other = ["presence:", "cursor:", "broadcast:"].iter().any(|prefix| kind.starts_with(prefix));
        assert!(other, "{frame}");
    }
}

#[tokio::test]
async fn a_page_that_only_watches_sees_cursors_presence_and_channels() {
    let (server, address) = start(builder()).await;
    let cursor = |user: &str, x: u32| {
        let payload = json!({"user": {"id": user}, "x": x, "y": 1, "timestamp": 1});
        json!({"type": "cursor:move", "room": "a", "payload": payload})
    };
    let is_at = |user: &'static str, x: f64| {
        move |frame: &Value| {
            frame["type"] == "cursor:move"
                && frame["payload"]["user"]["id"] == user
                && frame["payload"]["x"] == x
        }
    };
    let sync = json!({"type": "state:sync:request", "room": "a", "payload": {}});
    let (mut watcher, mut late, mut mover) =
        (Client::hook(address).await, Client::hook(address).await, Client::hook(address).await);
    watcher.send(sync.clone()).await;
    mover.send(cursor("ann", 7)).await;
    among_others(&mut watcher, is_at("ann", 7.0)).await;
    late.send(sync).await;
    among_others(&mut late, is_at("ann", 7.0)).await;
    // Those who only watch are not shown.
    assert_eq!(server.present("a").len(), 1);

    // A message of a channel reaches it too.
    mover.send(json!({"type": "broadcast:chat", "room": "a", "payload": {"text": "hi"}})).await;
    let message = among_others(&mut watcher, |frame| frame["type"] == "broadcast:chat").await;
    assert_eq!(message["payload"], json!({"text": "hi"}));

    // A user that is refused does not end the watching, nor does showing one and leaving again.
    let long = json!({"user": {"id": "bob", "name": "b".repeat(5000)}, "x": 1, "y": 1, "timestamp": 1});
    watcher.send(json!({"type": "cursor:move", "room": "a", "payload": long})).await;
    among_others(&mut watcher, |frame| frame["payload"]["code"] == "presence_too_large").await;
    mover.send(cursor("ann", 9)).await;
    among_others(&mut watcher, is_at("ann", 9.0)).await;
    watcher.send(cursor("bob", 1)).await;
    among_others(&mut late, is_at("bob", 1.0)).await;
    watcher.send(json!({"type": "presence:leave", "room": "a", "payload": "bob"})).await;
    among_others(&mut late, |frame| frame["type"] == "presence:leave" && frame["payload"] == "bob").await;
    mover.send(cursor("ann", 8)).await;
    among_others(&mut watcher, is_at("ann", 8.0)).await;
}
