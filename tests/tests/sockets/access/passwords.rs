//! Rooms with a password, in both dialects.

use std::convert::Infallible;
use std::future::ready;

use serde_json::{Value, json};
use shared_state::server::{ChannelKind, PasswordHash, RoomSettings, Server, ServerBuilder};
use shared_state_tests::{soon, start};

use crate::common::client::Client;

fn builder() -> ServerBuilder {
    let hash = PasswordHash::of("open sesame").unwrap();
    Server::builder().untyped_rooms(true).channels(ChannelKind::any("chat")).room_settings(move |room| {
        let settings = RoomSettings::new();
        let settings = if *room == *"open" { settings } else { settings.password(hash.clone()) };
        ready(Ok::<_, Infallible>(settings))
    })
}

/// Asks to join the state, a channel or the presence.
async fn ask(client: &mut Client, way: &str, password: Option<&str>) {
    let password = password.map_or(json!({}), |password| json!({"password": password}));
    let with = |mut payload: Value| {
        payload.as_object_mut().unwrap().extend(password.as_object().unwrap().clone());
        payload
    };
    client
        .send(match way {
            "state" => json!({"type": "room:join", "room": "cave", "payload": with(json!({}))}),
            "channel" => {
                json!({"type": "room:join", "room": "cave", "channel": "chat", "payload": with(json!({}))})
            }
            _ => {
                json!({"type": "presence:set", "room": "cave", "payload": with(json!({"user": "ann"}))})
            }
        })
        .await;
}

async fn come_in(client: &mut Client, way: &str, password: Option<&str>) {
    ask(client, way, password).await;
    client.expect(if way == "presence" { "presence:sync" } else { "state:sync" }).await;
}

#[tokio::test]
async fn a_password_is_asked_for_once_for_state_channels_and_presence() {
    let (_server, address) = start(builder()).await;
    let ways = ["state", "channel", "presence"];
    for (number, way) in ways.iter().enumerate() {
        let mut ann = Client::new(address, &format!("ann-{way}")).await;
        for password in [None, Some("open"), Some("")] {
            ask(&mut ann, way, password).await;
            let error = ann.expect_error("wrong_password").await;
            let expected = if *way == "presence" { "presence:reject" } else { "room:error" };
            assert_eq!(error["type"], expected);
        }
        come_in(&mut ann, way, Some("open sesame")).await;
        for other in [ways[(number + 1) % 3], ways[(number + 2) % 3]] {
            come_in(&mut ann, other, None).await;
        }
        // The membership ends when the client has left all of them.
        ann.send(json!({"type": "room:leave", "room": "cave", "payload": {}})).await;
        ann.send(json!({"type": "room:leave", "room": "cave", "channel": "chat", "payload": {}})).await;
        come_in(&mut ann, "state", None).await;
        ann.send(json!({"type": "room:leave", "room": "cave", "payload": {}})).await;
        ann.send(json!({"type": "presence:leave", "room": "cave", "payload": {}})).await;
        ask(&mut ann, "state", None).await;
        ann.expect_error("wrong_password").await;
        ann.join("open").await;
    }
}

#[tokio::test]
async fn wrong_passwords_are_bounded_and_cost_others_nothing() {
    let (_server, address) = start(builder()).await;
    let mut eve = Client::new(address, "eve").await;
    for _ in 0..5 {
        ask(&mut eve, "state", Some("guess")).await;
        eve.expect_error("wrong_password").await;
    }
    ask(&mut eve, "presence", Some("guess")).await;
    eve.expect_error("too_often").await;
    // The connection and the room still work.
    eve.join("open").await;
    let mut ann = Client::new(address, "ann").await;
    come_in(&mut ann, "state", Some("open sesame")).await;

    // While many clients guess at one room, those who know the password of another room can join it.
    let mut guessers = Vec::new();
    for guesser in 0..8 {
        let mut eve = Client::new(address, &format!("eve-{guesser}")).await;
        for _ in 0..5 {
            ask(&mut eve, "state", Some("guess")).await;
        }
        guessers.push(eve);
    }
    let mut bob = Client::new(address, "bob").await;
    bob.send(json!({"type": "room:join", "room": "grotto", "payload": {"password": "open sesame"}})).await;
    soon("the other room", bob.expect("state:sync")).await;
    for mut guesser in guessers {
        for _ in 0..5 {
            guesser.expect_error("wrong_password").await;
        }
    }
}

#[tokio::test]
async fn the_hooks_dialect_is_no_way_round_a_password() {
    let (server, address) = start(builder()).await;
    let mut ann = Client::new(address, "ann").await;
    come_in(&mut ann, "state", Some("open sesame")).await;
    let mut hook = Client::hook(address).await;
    let user = json!({"id": "h"});
    for (kind, payload) in [
        ("state:sync:request", json!({})),
        ("state:update", json!({"key": "n", "value": 1, "version": 1})),
        ("presence:join", json!({"user": user, "room": "cave"})),
        ("cursor:move", json!({"user": user, "x": 1, "y": 1, "timestamp": 1})),
        ("broadcast:chat", json!("hello")),
    ] {
        hook.send(json!({"type": kind, "room": "cave", "payload": payload})).await;
        let error = hook.expect_error("wrong_password").await;
        assert_eq!(error["type"], "room:error");
    }
    assert!(server.present("cave").is_empty());
    ann.ping().await;
}
