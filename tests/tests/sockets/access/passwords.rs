//! Rooms with a password, in both dialects.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::time::Instant;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use shared_state::proto::JSON;
use shared_state::server::{ChannelKind, PasswordHash, RoomSettings, Server, ServerBuilder};
use shared_state_tests::{soon, start};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

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
    let ways = ["state", "channel", "presence"];
    for (number, way) in ways.iter().enumerate() {
        // A server of its own, because the wrong passwords of an address count for all of its connections.
        let (_server, address) = start(builder()).await;
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
            let code = guesser.next().await["payload"]["code"].take();
            assert!(code == "too_often" || code == "wrong_password", "{code}");
        }
    }
}

/// A client whose address is 127.0.0.`last`.
async fn from(last: u8, address: SocketAddr, name: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    let stream = socket.connect(address).await.unwrap();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", JSON.parse().unwrap());
    let (mut client, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let hello = json!({"type": "hello", "payload": {"client": format!("{name:-<22}")}});
    client.send(Message::text(hello.to_string())).await.unwrap();
    assert_eq!(frame(&mut client).await["type"], "welcome");
    client
}

async fn frame(client: &mut WebSocketStream<TcpStream>) -> Value {
    let message = soon("a frame", client.next()).await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

async fn guess(client: &mut WebSocketStream<TcpStream>, password: &str) {
    let join = json!({"type": "room:join", "room": "cave", "payload": {"password": password}});
    client.send(Message::text(join.to_string())).await.unwrap();
}

/// A hash that is parsed, so that the server must find out slowly whether a password is right.
fn parsed() -> ServerBuilder {
    let hash = PasswordHash::of("open sesame").unwrap().to_string();
    Server::builder().untyped_rooms(true).room_settings(move |_| {
        ready(PasswordHash::parse(&hash).map(|hash| RoomSettings::new().password(hash)))
    })
}

#[tokio::test]
async fn g9_connecting_again_gives_no_new_guesses() {
    for builder in [builder(), parsed()] {
        let (_server, address) = start(builder).await;
        let began = Instant::now();
        let mut checked = 0;
        for number in 0..40 {
            let mut eve = Client::new(address, &format!("eve-{number}")).await;
            ask(&mut eve, "state", Some("guess")).await;
            let code = eve.next().await["payload"]["code"].take();
            checked += u64::from(code == "wrong_password");
            assert!(code == "too_often" || code == "wrong_password", "{code}");
        }
        let regained = began.elapsed().as_secs() / 2 + 1;
        assert!((5..=5 + regained).contains(&checked), "{checked} guesses were checked");
        // Somebody at another address is not affected.
        let mut ann = from(2, address, "ann").await;
        guess(&mut ann, "open sesame").await;
        assert_eq!(frame(&mut ann).await["type"], "state:sync");
        // The password is known now, so whoever knows it comes in from anywhere.
        let mut bob = Client::new(address, "bob").await;
        come_in(&mut bob, "state", Some("open sesame")).await;
    }
}

#[tokio::test]
async fn guesses_of_clients_that_have_gone_hold_nobody_up() {
    let (_server, address) = start(parsed()).await;
    let mut eve = from(2, address, "eve").await;
    let began = Instant::now();
    guess(&mut eve, "guess").await;
    assert_eq!(frame(&mut eve).await["payload"]["code"], "wrong_password");
    let one = began.elapsed();
    for last in 3..203 {
        let mut eve = from(last, address, &format!("eve-{last}")).await;
        for _ in 0..5 {
            guess(&mut eve, "guess").await;
        }
        drop(eve);
    }
    let mut ann = from(1, address, "ann").await;
    let began = Instant::now();
    guess(&mut ann, "open sesame").await;
    assert_eq!(frame(&mut ann).await["type"], "state:sync");
    let waited = began.elapsed();
    assert!(waited < one * 100, "1,000 guesses, one takes {one:?}, and {waited:?} were waited");
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
