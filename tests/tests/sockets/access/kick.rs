//! Kicks and bans from a room, in both dialects.

use std::time::Duration;

use serde_json::{Value, json};
use shared_state::server::{ChannelKind, Server, ServerBuilder};
use shared_state_tests::start;

use crate::common::client::Client;

const HOUR: Duration = Duration::from_secs(3600);

fn builder() -> ServerBuilder {
    Server::builder().untyped_rooms(true).channels(ChannelKind::any("chat"))
}

/// Sends a message about room `a`.
async fn say(client: &mut Client, kind: &str, payload: Value) {
    client.send(json!({"type": kind, "room": "a", "payload": payload})).await;
}

async fn appear(client: &mut Client, user: &str) {
    say(client, "presence:set", json!({"user": {"id": user}, "data": null})).await;
    client.expect("presence:sync").await;
}

/// Joins the room, its presence and its channel.
async fn enter(client: &mut Client, user: &str) {
    client.join("a").await;
    client.send(json!({"type": "room:join", "room": "a", "channel": "chat", "payload": {}})).await;
    client.expect("state:sync").await;
    appear(client, user).await;
}

/// The types and codes of the next messages, without those about the presence of others.
async fn told(client: &mut Client, frames: usize) -> Vec<(String, String)> {
    let mut told = Vec::new();
    while told.len() < frames {
        let frame = client.next().await;
        let kind = frame["type"].as_str().unwrap().to_owned();
        if kind != "presence:changes" {
            let channel = frame["channel"].as_str().unwrap_or_default();
            told.push((format!("{kind}{channel}"), frame["payload"]["code"].as_str().unwrap().to_owned()));
        }
    }
    told.sort();
    told
}

#[tokio::test]
async fn whoever_is_kicked_is_out_of_the_room_its_channels_and_its_presence() {
    let (server, address) = start(builder()).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    enter(&mut ann, "ann").await;
    ann.join("b").await;
    enter(&mut bob, "bob").await;
    while server.present("a").len() < 2 {
        tokio::task::yield_now().await;
    }
    let rooms: Vec<_> = server.rooms().into_iter().map(|room| (room.name, room.sessions)).collect();
    assert_eq!(rooms, [("a".into(), 2), ("b".into(), 1)]);
    assert_eq!(server.kick("a", "eve", "nobody is called that"), 0);
    assert_eq!(server.kick("a", "bob", "spam"), 1);
    let kicked = |kind: &str| (kind.to_owned(), "kicked".to_owned());
    let expected = [kicked("presence:reject"), kicked("room:error"), kicked("room:errorchat")];
    assert_eq!(told(&mut bob, 3).await, expected);
    assert_eq!(server.present("a").len(), 1);
    bob.set("a", 1, 0, "n", json!(1)).await;
    bob.expect_error_among_presence("not_joined").await;

    // The others notice only that a user has left, and everything outside the room is unchanged.
    assert_eq!(server.kick("b", "ann", "of another room"), 0, "nobody is present there");
    ann.ping_among_others().await;
    ann.set("a", 1, 0, "n", json!(1)).await;
    while ann.next().await["type"] != "state:ack" {}

    // A kick is not a ban.
    assert_eq!(bob.join("a").await["data"], json!({"n": 1}));
}

#[tokio::test]
async fn whoever_is_banned_is_not_let_in_until_the_ban_is_lifted() {
    let (server, address) = start(builder()).await;
    let mut bob = Client::new(address, "bob").await;
    enter(&mut bob, "bob").await;
    assert_eq!(server.ban("a", "bob", HOUR, "spam"), 1);
    let banned = |kind: &str| (kind.to_owned(), "banned".to_owned());
    let expected = [banned("presence:reject"), banned("room:error"), banned("room:errorchat")];
    assert_eq!(told(&mut bob, 3).await, expected);

    for again in 0..2 {
        say(&mut bob, "room:join", json!({})).await;
        assert_eq!(bob.expect_error("banned").await["payload"]["message"], "spam");
        bob.send(json!({"type": "room:join", "room": "a", "channel": "chat", "payload": {}})).await;
        bob.expect_error("banned").await;
        say(&mut bob, "presence:set", json!({"user": {"id": "bob"}, "data": null})).await;
        bob.expect_error("banned").await;
        bob.join("b").await;
        // A new connection does not help.
        if again == 0 {
            bob = Client::new(address, "bob").await;
        }
    }
    Client::new(address, "ann").await.join("a").await;
    assert!(server.lift_ban("a", "bob") && !server.lift_ban("a", "bob"));
    bob.join("a").await;
}

#[tokio::test]
async fn a_client_of_the_original_hook_is_kicked_and_banned_as_well() {
    let (server, address) = start(builder()).await;
    let mut hook = Client::hook(address).await;
    let user = json!({"id": "h", "name": "H"});
    say(&mut hook, "state:sync:request", json!({})).await;
    hook.ping().await;
    say(&mut hook, "presence:join", json!({"user": user, "room": "a"})).await;
    while server.present("a").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.kick("a", "h", "spam"), 1);
    hook.expect_error_among_presence("kicked").await;
    assert!(server.present("a").is_empty());
    // A legacy client has no join message: any message about the room joins it.
    say(&mut hook, "state:update", json!({"key": "n", "value": 1, "version": 1})).await;
    say(&mut hook, "presence:join", json!({"user": user, "room": "a"})).await;
    while server.present("a").is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.ban("a", "h", HOUR, "spam"), 1);
    hook.expect_error_among_presence("banned").await;
    say(&mut hook, "state:update", json!({"key": "n", "value": 2, "version": 2})).await;
    hook.expect_error_among_presence("banned").await;
    let sync = Client::new(address, "ann").await.join("a").await;
    assert_eq!(sync["data"], json!({"n": 1}));
}
