//! Authentication and authorization, in both dialects.

use std::future::ready;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_state::SharedState;
use shared_state::server::{Action, Handshake, Server, ServerBuilder};
use shared_state_tests::{soon, start};

use crate::common::client::{Client, connect_with};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
    #[shared(counter)]
    views: i64,
    #[shared(nested)]
    layout: Layout,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
}

#[derive(Clone, Copy, PartialEq)]
enum User {
    Editor,
    Reader,
}

fn builder() -> ServerBuilder {
    Server::builder()
        .rooms("document-*", Document::default)
        .authenticate(|handshake: Handshake| {
            ready(match handshake.bearer().or(handshake.query("token")) {
                Some("editor") => Ok(User::Editor),
                Some("reader") => Ok(User::Reader),
                Some(_) => Err("the token is not known"),
                None => Err("a token is needed"),
            })
        })
        .authorize(|user: &User, room: &str, action: Action<'_>| match action {
            Action::Join if room.ends_with("secret") && *user == User::Reader => Err("readers stay outside"),
            Action::Presence if room == "document-quiet" => Err("nobody is seen here"),
            Action::Write(path) if *user == User::Reader && path != "views" => {
                Err("readers may only be counted")
            }
            _ => Ok(()),
        })
}

#[tokio::test]
async fn whoever_is_not_known_is_told_so_and_let_out() {
    let (_server, address) = start(builder()).await;
    for (token, message) in [(None, "a token is needed"), (Some("nonsense"), "the token is not known")] {
        let mut client = connect_with(address, token).await;
        client.send(json!({"type": "hello", "payload": {"client": "nobody-nobody-nobody"}})).await;
        let error = client.expect_error("unauthorized").await;
        assert_eq!(error["payload"]["message"], message);
        assert_eq!(client.closed().await, (1008, "unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn a_user_does_what_they_may_and_nothing_else() {
    let (_server, address) = start(builder()).await;
    let mut editor = connect_with(address, Some("editor")).await;
    let mut reader = connect_with(address, Some("reader")).await;
    for (client, name) in [(&mut editor, "editor"), (&mut reader, "reader")] {
        client.send(json!({"type": "hello", "payload": {"client": format!("{name:-<16}")}})).await;
        client.expect("welcome").await;
        client.join("document-1").await;
    }
    reader.send(json!({"type": "room:join", "room": "document-secret", "payload": {}})).await;
    reader.expect_error("forbidden").await;
    editor.join("document-secret").await;

    let rows = [
        (json!([{"key": "title", "value": "x"}]), "title"),
        (
            json!([{"key": "views", "op": "add", "value": 1}, {"key": "layout/columns", "value": 2}]),
            "layout/columns",
        ),
        (json!([{"key": "layout", "value": {"columns": 2}}]), "layout"),
    ];
    for (seq, (updates, field)) in (1..).zip(rows) {
        let payload = json!({"seq": seq, "base": 0, "updates": updates});
        reader.send(json!({"type": "state:change", "room": "document-1", "payload": payload})).await;
        assert_eq!(reader.expect_error("forbidden").await["payload"]["field"], field);
    }
    let payload = json!({"seq": 4, "base": 0, "updates": [{"key": "views", "op": "add", "value": 1}]});
    reader.send(json!({"type": "state:change", "room": "document-1", "payload": payload})).await;
    assert_eq!(reader.expect("state:ack").await["version"], 1);
    assert_eq!(editor.expect("state:change").await["version"], 1);
    editor.set("document-1", 1, 1, "title", json!("y")).await;
    assert_eq!(editor.expect("state:ack").await["version"], 2);
}

#[tokio::test]
async fn nobody_is_present_where_they_may_not_be_or_as_somebody_else() {
    let id = |user: &User| if *user == User::Reader { "reader" } else { "editor" }.to_owned();
    let (server, address) = start(builder().user_id(id)).await;
    let mut reader = connect_with(address, Some("reader")).await;
    reader.send(json!({"type": "hello", "payload": {"client": "reader-reader-reader"}})).await;
    reader.expect("welcome").await;
    for (room, user, code) in [
        ("document-secret", "reader", "forbidden"),
        ("document-quiet", "reader", "forbidden"),
        ("document-1", "editor", "other_user"),
    ] {
        let payload = json!({"user": {"id": user}});
        reader.send(json!({"type": "presence:set", "room": room, "payload": payload})).await;
        reader.expect_error(code).await;
        let mut hook = Client::hook_at(address, "/ws?token=reader").await;
        let payload = json!({"user": {"id": user}, "x": 1, "y": 1, "timestamp": 1});
        hook.send(json!({"type": "cursor:move", "room": room, "payload": payload})).await;
        hook.expect_error(code).await;
        assert!(server.present(room).is_empty());
    }
    let payload = json!({"user": {"id": "reader"}});
    reader.send(json!({"type": "presence:set", "room": "document-1", "payload": payload})).await;
    assert_eq!(reader.expect("presence:sync").await["peers"][0]["user"]["id"], "reader");
}

#[tokio::test]
async fn the_hooks_dialect_is_no_way_round() {
    let (_server, address) = start(builder()).await;
    let mut hook = Client::hook_at(address, "/ws?token=reader").await;
    hook.send(json!({"type": "state:sync:request", "room": "document-secret", "payload": {}})).await;
    hook.expect_error("forbidden").await;
    let update = json!({"key": "title", "value": "x"});
    hook.send(json!({"type": "state:update", "room": "document-1", "payload": update})).await;
    hook.expect_error("forbidden").await;
    // What the page shows is corrected.
    assert_eq!(hook.expect("state:merge").await, json!({"data": {"title": ""}}));
    let update = json!({"key": "views", "value": 3});
    hook.send(json!({"type": "state:update", "room": "document-1", "payload": update})).await;
    hook.send(json!({"type": "state:sync:request", "room": "document-1", "payload": {}})).await;
    assert_eq!(hook.expect("state:sync").await["data"]["views"], 3);
    let mut nobody = Client::hook_at(address, "/ws").await;
    nobody.expect_error("unauthorized").await;
}

/// A server whose tokens say how many milliseconds they are valid, from the handshake.
fn for_a_time() -> ServerBuilder {
    Server::builder()
        .rooms("document-*", Document::default)
        .authenticate(|handshake: Handshake| {
            let token = handshake.bearer().or(handshake.query("token")).unwrap_or_default().to_owned();
            ready(match token.parse() {
                Ok(left) => Ok(SystemTime::now() + Duration::from_millis(left)),
                Err(_) if token == "past" => Ok(SystemTime::UNIX_EPOCH),
                Err(_) => Err("expected a number"),
            })
        })
        .valid_until(|until: &SystemTime| Some(*until))
}

#[tokio::test]
async fn who_has_expired_is_told_so_and_let_out_in_both_dialects() {
    let (_server, address) = start(for_a_time()).await;
    let mut typed = connect_with(address, Some("2000")).await;
    typed.send(json!({"type": "hello", "payload": {"client": "expires-expires-"}})).await;
    typed.expect("welcome").await;
    typed.join("document-1").await;
    let mut hook = Client::hook_at(address, "/ws?token=2000").await;
    hook.send(json!({"type": "state:sync:request", "room": "document-1", "payload": {}})).await;
    hook.expect("state:sync").await;
    let mut silent = connect_with(address, Some("2000")).await;
    silent.send(json!({"type": "hello", "payload": {"client": "silent-silent-silent"}})).await;
    let left = silent.expect("welcome").await["expires"].as_u64().unwrap();
    assert!((1000..=2000).contains(&left), "{left} ms");
    for client in [&mut typed, &mut hook, &mut silent] {
        client.expect_error("expired").await;
        assert_eq!(client.closed().await, (1008, "expired".to_owned()));
    }
    // Other clients stay connected.
    let mut other = connect_with(address, Some("3600000")).await;
    other.send(json!({"type": "hello", "payload": {"client": "another-another-"}})).await;
    other.expect("welcome").await;
    other.ping().await;
}

#[tokio::test]
async fn who_is_busy_expires_all_the_same() {
    let (_server, address) = start(for_a_time()).await;
    let mut client = connect_with(address, Some("1000")).await;
    client.send(json!({"type": "hello", "payload": {"client": "busy-busy-busy-busy"}})).await;
    client.expect("welcome").await;
    client.join("document-1").await;
    let end = async {
        for seq in 1.. {
            client.set("document-1", seq, 0, "title", json!("x")).await;
            let answer = client.next().await;
            if answer["type"] != "state:ack" {
                assert_eq!(answer["payload"]["code"], "expired", "{answer}");
                break;
            }
        }
    };
    soon("the end", end).await;
    assert_eq!(client.closed().await, (1008, "expired".to_owned()));
}

#[tokio::test]
async fn who_has_expired_already_is_not_let_in() {
    let (_server, address) = start(for_a_time()).await;
    let mut typed = connect_with(address, Some("past")).await;
    typed.send(json!({"type": "hello", "payload": {"client": "late-late-late-late"}})).await;
    for mut client in [typed, Client::hook_at(address, "/ws?token=past").await] {
        let error = client.expect_error("unauthorized").await;
        assert_eq!(error["payload"]["message"], "what identifies the user has expired");
        assert_eq!(client.closed().await, (1008, "unauthorized".to_owned()));
    }
}

/// A server whose tokens contain a name, a level, and the milliseconds for which they are valid.
fn in_place() -> ServerBuilder {
    struct Known {
        name: String,
        level: String,
        until: SystemTime,
    }
    Server::builder()
        .rooms("document-*", Document::default)
        .authenticate(|handshake: Handshake| {
            let token = handshake.bearer().unwrap_or_default().to_owned();
            let mut parts = token.split(' ').map(str::to_owned);
            let mut next = || parts.next().ok_or("expected a name, a level and a number");
            let known = next().and_then(|name| Ok((name, next()?, next()?)));
            ready(known.and_then(|(name, level, left)| {
                let left = left.parse().map_err(|_| "expected a number")?;
                Ok(Known { name, level, until: SystemTime::now() + Duration::from_millis(left) })
            }))
        })
        .user_id(|known: &Known| known.name.clone())
        .valid_until(|known: &Known| Some(known.until))
        .authorize(|known: &Known, _: &str, action: Action<'_>| match (action, known.level.as_str()) {
            (Action::Join, "outside") => Err("you stay outside"),
            (Action::Presence, "unseen") => Err("nobody sees you"),
            (Action::Write("title"), "reader") => Err("readers do not write"),
            _ => Ok(()),
        })
}

async fn greeted(address: std::net::SocketAddr, name: &str, token: &str) -> Client {
    let mut client = Client::silent(address).await;
    let payload = json!({"client": format!("{name:-<16}"), "token": token});
    client.send(json!({"type": "hello", "payload": payload})).await;
    client.expect("welcome").await;
    client
}

async fn say_token(client: &mut Client, token: &str) {
    client.send(json!({"type": "hello:token", "payload": {"token": token}})).await;
}

#[tokio::test]
async fn a_newer_token_is_taken_in_place_and_rights_are_asked_again() {
    let (_server, address) = start(in_place()).await;
    let mut ann = greeted(address, "ann", "ann reader 1500").await;
    let state = ann.join("document-1").await;
    assert_eq!(state["rights"], json!({"refused": ["title"]}));
    ann.set("document-1", 1, 0, "title", json!("x")).await;
    ann.expect_error("forbidden").await;
    say_token(&mut ann, "ann editor 3600000").await;
    assert_eq!(ann.expect("room:rights").await, json!({}));
    let left = ann.expect("welcome:token").await["expires"].as_u64().unwrap();
    assert!((3_500_000..=3_600_000).contains(&left), "{left} ms");
    ann.set("document-1", 2, 0, "title", json!("x")).await;
    assert_eq!(ann.expect("state:ack").await["version"], 1);
    // A client that came later with as short a token has expired, and this one has not.
    let mut late = greeted(address, "late", "ann reader 1500").await;
    late.expect_error("expired").await;
    ann.ping().await;

    // A user who may no longer be present leaves the presence, and stays in the room.
    ann.send(json!({"type": "presence:set", "room": "document-1", "payload": {"user": {"id": "ann"}}})).await;
    ann.expect("presence:sync").await;
    say_token(&mut ann, "ann unseen 3600000").await;
    assert_eq!(
        ann.expect("presence:reject").await,
        json!({"code": "forbidden", "message": "nobody sees you"})
    );
    ann.expect("welcome:token").await;
    ann.set("document-1", 3, 1, "title", json!("y")).await;
    assert_eq!(ann.expect("state:ack").await["version"], 2);

    // A user who may no longer enter the room leaves the room, and stays connected.
    say_token(&mut ann, "ann outside 3600000").await;
    assert_eq!(ann.expect_error("forbidden").await["room"], "document-1");
    ann.expect("welcome:token").await;
    ann.set("document-1", 4, 2, "title", json!("z")).await;
    ann.expect_error("not_joined").await;
    // A shorter validity is applied too.
    say_token(&mut ann, "ann editor 300").await;
    ann.expect("welcome:token").await;
    ann.expect_error("expired").await;
    assert_eq!(ann.closed().await, (1008, "expired".to_owned()));
}

#[tokio::test]
async fn a_newer_token_that_is_not_good_or_anothers_ends_the_connection() {
    let (_server, address) = start(in_place()).await;
    for (token, code, message) in [
        ("ann", "unauthorized", "expected a name, a level and a number"),
        ("ann editor 0", "unauthorized", "what identifies the user has expired"),
        (
            "bob editor 3600000",
            "other_user",
            "a connection belongs to one user; another user must open another one",
        ),
    ] {
        let mut ann = greeted(address, "ann", "ann editor 3600000").await;
        ann.join("document-1").await;
        say_token(&mut ann, token).await;
        assert_eq!(ann.expect_error(code).await["payload"]["message"], message);
        assert_eq!(ann.closed().await, (1008, code.to_owned()));
    }
    // A message without a token is an invalid message like any other.
    let mut ann = greeted(address, "ann", "ann editor 3600000").await;
    ann.send(json!({"type": "hello:token", "payload": {}})).await;
    ann.expect_error("bad_message").await;
    let mut early = Client::silent(address).await;
    say_token(&mut early, "ann editor 3600000").await;
    early.expect_error("hello_expected").await;
}
