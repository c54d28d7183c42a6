//! Presence as bare clients of both dialects see it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use shared_state::proto::Limits;
use shared_state::server::{Server, ServerBuilder};
use shared_state_tests::start;

use crate::common::client::Client;

fn untyped() -> ServerBuilder {
    Server::builder().untyped_rooms(true)
}

async fn set(client: &mut Client, payload: Value) {
    client.send(json!({"type": "presence:set", "room": "a", "payload": payload})).await;
}

/// Reads presence messages until exactly these users are present, each with this data; no other user may ever
/// appear.
async fn until(client: &mut Client, expected: Value) {
    let mut peers: BTreeMap<String, (Value, Value)> = BTreeMap::new();
    loop {
        let frame = client.next().await;
        let payload = &frame["payload"];
        let entries = match frame["type"].as_str().unwrap() {
            "presence:sync" => {
                peers.clear();
                payload["peers"].as_array()
            }
            "presence:changes" => payload["joined"].as_array(),
            other => panic!("{other}"),
        };
        for id in payload["left"].as_array().into_iter().flatten() {
            peers.remove(id.as_str().unwrap());
        }
        for peer in entries.into_iter().flatten() {
            let id = peer["id"].as_str().unwrap().to_owned();
            peers.insert(id, (peer["user"].clone(), peer["data"].clone()));
        }
        for (id, data) in payload["updated"].as_object().into_iter().flatten() {
            peers.get_mut(id).unwrap().1 = data.clone();
        }
        let found: serde_json::Map<_, _> = peers
            .values()
            .map(|(user, data)| (user["id"].as_str().unwrap().to_owned(), data.clone()))
            .collect();
        if Value::Object(found) == expected {
            return;
        }
    }
}

#[tokio::test]
async fn a_transcript_of_two_sessions() {
    let (server, address) = start(untyped()).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    set(&mut ann, json!({"user": {"id": "ann"}, "data": {"x": 1}})).await;
    let sync = ann.expect("presence:sync").await;
    let id = sync["peers"][0]["id"].clone();
    assert_eq!(sync, json!({"peers": [{"id": id, "user": {"id": "ann"}, "data": {"x": 1}}]}));

    set(&mut bob, json!({"user": {"id": "bob"}, "data": null, "away": true})).await;
    let sync = bob.expect("presence:sync").await;
    assert_eq!(sync["peers"].as_array().unwrap().len(), 2);
    let joined = ann.expect("presence:changes").await["joined"][0].clone();
    assert_eq!(
        (&joined["user"], &joined["data"], &joined["away"]),
        (&json!({"id": "bob"}), &Value::Null, &json!(true))
    );

    set(&mut ann, json!({"data": {"x": 2}})).await;
    assert_eq!(bob.expect("presence:changes").await, json!({"updated": {id.as_str().unwrap(): {"x": 2}}}));
    ann.expect("presence:changes").await;
    let present = server.present("a");
    assert_eq!(present.iter().map(|one| &*one.data).collect::<Vec<_>>().len(), 2);
    assert!(present.iter().any(|one| &*one.user == r#"{"id":"ann"}"# && &*one.data == r#"{"x":2}"#));

    ann.send(json!({"type": "presence:leave", "room": "a", "payload": {}})).await;
    assert_eq!(bob.expect("presence:changes").await, json!({"left": [id]}));
    ann.ping().await;
}

#[tokio::test]
async fn nobody_learns_of_a_hidden_session_until_it_shows_itself() {
    let (server, address) = start(untyped()).await;
    let mut ann = Client::new(address, "ann").await;
    let mut eve = Client::new(address, "eve").await;
    let mut hook = Client::hook(address).await;
    set(&mut eve, json!({"user": {"id": "eve"}, "data": 1, "hidden": true})).await;
    assert_eq!(eve.expect("presence:sync").await, json!({"peers": []}));
    set(&mut ann, json!({"user": {"id": "ann"}, "data": 1})).await;
    until(&mut ann, json!({"ann": 1})).await;
    hook.send(json!({"type": "presence:join", "room": "a", "payload": {"user": {"id": "hal"}, "room": "a"}}))
        .await;
    for (kind, id) in [("presence:join", "ann"), ("presence:update", "ann"), ("presence:join", "hal")] {
        assert_eq!(hook.expect(kind).await["user"]["id"], id);
    }
    set(&mut eve, json!({"data": 2})).await;
    eve.ping_among_others().await;
    assert_eq!(server.present("a").iter().filter(|one| one.hidden).count(), 1);
    set(&mut eve, json!({"hidden": false})).await;
    // Nothing was sent in between.
    let frame = ann.next().await;
    assert_eq!(frame["payload"]["joined"][0]["user"]["id"], "hal");
    let frame = ann.next().await;
    assert_eq!(frame["payload"]["joined"][0]["data"], 2);
    set(&mut eve, json!({"hidden": true})).await;
    assert!(ann.expect("presence:changes").await["left"].is_array());
}

#[tokio::test]
async fn both_dialects_see_each_other() {
    let (_server, address) = start(untyped()).await;
    let mut ann = Client::new(address, "ann").await;
    let mut hook = Client::hook(address).await;
    let hal = json!({"id": "hal", "name": "Hal"});
    set(&mut ann, json!({"user": {"id": "ann"}, "data": {"x": 1, "y": 2}})).await;
    until(&mut ann, json!({"ann": {"x": 1, "y": 2}})).await;
    hook.send(json!({"type": "presence:join", "room": "a", "payload": {"user": hal, "room": "a"}})).await;
    assert_eq!(hook.expect("presence:join").await, json!({"user": {"id": "ann"}, "room": "a"}));
    assert_eq!(hook.expect("presence:update").await["data"], json!({"x": 1, "y": 2}));
    let cursor = hook.expect("cursor:move").await;
    assert_eq!((&cursor["user"]["id"], &cursor["x"], &cursor["y"]), (&json!("ann"), &json!(1), &json!(2)));
    // The page's own messages, which it ignores.
    hook.expect("presence:join").await;
    hook.expect("presence:update").await;

    let update = json!({"user": hal, "data": {"typing": true}, "lastSeen": 1});
    hook.send(json!({"type": "presence:update", "room": "a", "payload": update})).await;
    let cursor = json!({"user": hal, "x": 5, "y": 6.5, "timestamp": 1});
    hook.send(json!({"type": "cursor:move", "room": "a", "payload": cursor})).await;
    let peer = loop {
        let changes = ann.expect("presence:changes").await;
        let one = changes["updated"].as_object().and_then(|updated| updated.values().next().cloned());
        match one {
            Some(data) if data.get("x").is_some() => break data,
            _ => {}
        }
    };
    assert_eq!(peer, json!({"typing": true, "x": 5.0, "y": 6.5}));

    // A page can end only its own presence.
    hook.send(json!({"type": "presence:leave", "room": "a", "payload": "ann"})).await;
    hook.expect_error_among_presence("other_user").await;
    let forged = json!({"user": {"id": "ann"}, "data": 1, "lastSeen": 1});
    hook.send(json!({"type": "presence:update", "room": "a", "payload": forged})).await;
    hook.expect_error_among_presence("other_user").await;

    drop(ann);
    loop {
        let frame = hook.next().await;
        if frame["type"] == "presence:leave" {
            assert_eq!(frame["payload"], "ann");
            break;
        }
    }
    let mut bob = Client::new(address, "bob").await;
    set(&mut bob, json!({"user": {"id": "bob"}, "data": null})).await;
    until(&mut bob, json!({"hal": {"typing": true, "x": 5.0, "y": 6.5}, "bob": null})).await;
    hook.send(json!({"type": "presence:leave", "room": "a", "payload": "hal"})).await;
    until_gone(&mut bob).await;
}

async fn until_gone(client: &mut Client) {
    loop {
        if client.expect("presence:changes").await["left"].is_array() {
            return;
        }
    }
}

#[tokio::test]
async fn a_client_that_crashed_or_fell_silent_is_gone_for_the_others() {
    let mut limits = Limits::default();
    limits.heartbeat = Duration::from_millis(200);
    let (_server, address) = start(untyped().limits(limits)).await;
    let mut bob = Client::new(address, "bob").await;
    let mut ann = Client::new(address, "ann").await;
    let mut silent = Client::new(address, "silent").await;
    set(&mut bob, json!({"user": {"id": "bob"}, "data": 1})).await;
    set(&mut ann, json!({"user": {"id": "ann"}, "data": 1})).await;
    set(&mut silent, json!({"user": {"id": "silent"}, "data": 1})).await;
    let mut peers = 0;
    until_answering(&mut bob, &mut peers, 3).await;
    drop(ann);
    until_answering(&mut bob, &mut peers, 2).await;
    // This client neither reads nor answers.
    until_answering(&mut bob, &mut peers, 1).await;
    drop(silent);
}

/// Answers the server's pings until this many users are present.
async fn until_answering(client: &mut Client, peers: &mut usize, count: usize) {
    client.send(json!({"type": "presence:set", "room": "a", "payload": {"data": 1}})).await;
    loop {
        let frame = client.next().await;
        match frame["type"].as_str().unwrap() {
            "ping" => client.send(json!({"type": "pong"})).await,
            "presence:sync" => *peers = frame["payload"]["peers"].as_array().unwrap().len(),
            "presence:changes" => {
                *peers += frame["payload"]["joined"].as_array().map_or(0, Vec::len);
                *peers -= frame["payload"]["left"].as_array().map_or(0, Vec::len);
            }
            other => panic!("{other}"),
        }
        if *peers == count {
            return;
        }
    }
}

#[tokio::test]
async fn g9_a_room_takes_so_many_sessions_and_a_connection_so_many_rooms() {
    let mut limits = Limits::default();
    (limits.present, limits.rooms_per_connection) = (1, 1);
    let (_server, address) = start(untyped().limits(limits)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    set(&mut ann, json!({"user": "ann"})).await;
    ann.expect("presence:sync").await;
    set(&mut bob, json!({"user": "bob"})).await;
    bob.expect_error("too_many_present").await;
    let set_b = json!({"type": "presence:set", "room": "b", "payload": {"user": "ann"}});
    ann.send(set_b).await;
    ann.expect_error("too_many_rooms").await;
    // A newer connection of a client that is present takes its place.
    let mut again = Client::new(address, "ann").await;
    set(&mut again, json!({"user": "ann", "data": 2})).await;
    assert_eq!(again.expect("presence:sync").await["peers"].as_array().unwrap().len(), 1);
    drop(again);
}
