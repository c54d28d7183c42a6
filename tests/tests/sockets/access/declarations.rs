//! Declaring fields needs the right to write them, is counted by user, and is forgotten if nobody writes them.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared_state::SharedState;
use shared_state::server::{Action, Handshake, Server, ServerBuilder};
use shared_state_tests::start;

use crate::common::client::{Client, connect_with};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Note {
    title: String,
}

/// Readers write nothing, and nobody but the owner writes what is `owned`.
fn builder() -> ServerBuilder {
    Server::builder()
        .rooms("note", Note::default)
        .untyped_rooms(true)
        .authenticate(|handshake: Handshake| {
            ready(Ok::<_, Infallible>(handshake.bearer().unwrap_or_default().to_owned()))
        })
        .user_id(|user: &String| user.clone())
        .authorize(|user: &String, _: &str, action: Action<'_>| match action {
            Action::Write(_) if user == "reader" => Err("readers write nothing"),
            Action::Write(path) if user != "owner" && path.contains("owned") => Err("it is owned"),
            _ => Ok(()),
        })
}

async fn come(address: SocketAddr, user: &str, number: usize) -> Client {
    let mut client = connect_with(address, Some(user)).await;
    let id = format!("{user}-{number}-------------------");
    client.send(json!({"type": "hello", "payload": {"client": id}})).await;
    client.expect("welcome").await;
    client
}

async fn ask(client: &mut Client, room: &str, fields: Value) {
    let payload = json!({"schema": "0000000000000001", "declare": fields});
    client.send(json!({"type": "room:join", "room": room, "payload": payload})).await;
}

/// The fields of the room that are declared and not its own, by name.
async fn declared(client: &mut Client, room: &str, fields: Value) -> (Vec<String>, Value) {
    ask(client, room, fields).await;
    let sync = client.expect("state:sync").await;
    let kept = sync["schema"]["kept"].as_object().cloned().unwrap_or_default();
    (kept.keys().cloned().collect(), sync["data"].clone())
}

fn fields(prefix: &str, count: usize) -> Value {
    let field = json!({"policy": "counter", "shape": "i64", "initial": 5});
    Value::Object(
        (0..count).map(|number| (format!("{prefix}{number:03}"), field.clone())).collect::<Map<_, _>>(),
    )
}

#[tokio::test]
async fn who_may_not_write_a_field_does_not_declare_it() {
    let (_server, address) = start(builder()).await;
    let text = "x".repeat(200_000);
    let big = json!({"policy": "lww", "shape": "string", "initial": text});
    let inner =
        json!({"policy": "map(nested)", "shape": "map<string, {owned: u8}>", "initial": {"x": {"owned": 1}}});
    for room in ["note", "any"] {
        let mut reader = come(address, "reader", 1).await;
        let (kept, data) =
            declared(&mut reader, room, json!({"big": big, "n": {"policy": "counter", "shape": "u8"}})).await;
        assert!(kept.is_empty() && data.get("big").is_none(), "{kept:?}");
        let mut eve = come(address, "eve", 1).await;
        let (kept, data) = declared(
            &mut eve,
            room,
            json!({"owned": big, "inner": inner, "own": {"policy": "lww", "shape": "u8", "initial": 1}}),
        )
        .await;
        assert_eq!(kept, ["own"], "what is inside an initial value counts");
        assert!(data.get("owned").is_none() && data.get("inner").is_none());
        let mut owner = come(address, "owner", 1).await;
        let (kept, data) = declared(&mut owner, room, json!({"inner": inner})).await;
        assert_eq!(kept, ["inner", "own"]);
        assert!(!data.to_string().contains("xxx"));
        // Without the declaration there is no operation.
        reader.send(json!({"type": "state:change", "room": room, "payload": {"seq": 1, "base": 0, "updates": [{"key": "n", "op": "add", "value": 1}]}})).await;
        reader.expect_error("forbidden").await;
    }
}

#[tokio::test]
async fn g9_one_user_does_not_take_all_names() {
    let (_server, address) = start(builder()).await;
    for room in ["note", "any"] {
        let mut mallory = come(address, "mallory", 1).await;
        ask(&mut mallory, room, fields("m", 256)).await;
        mallory.expect_error("incompatible_schema").await;
        assert_eq!(declared(&mut mallory, room, fields("m", 128)).await.0.len(), 128);
        // Another client of the same user has no more of them.
        let mut second = come(address, "mallory", 2).await;
        ask(&mut second, room, fields("n", 1)).await;
        second.expect_error("incompatible_schema").await;
        let mut eve = come(address, "eve", 1).await;
        assert_eq!(declared(&mut eve, room, fields("e", 128)).await.0.len(), 256);
        // The room is full, and an honest client's fields take the place of those of whoever has the most.
        let mut ann = come(address, "ann", 1).await;
        let (kept, _) = declared(&mut ann, room, fields("a", 60)).await;
        assert_eq!((kept.len(), kept.iter().filter(|name| name.starts_with('a')).count()), (256, 60));
        let updates = json!([{"key": "a059", "op": "add", "value": 2}]);
        ann.send(json!({"type": "state:change", "room": room, "payload": {"seq": 1, "base": 0, "updates": updates}})).await;
        ann.expect("state:ack").await;
        let mut bob = come(address, "bob", 1).await;
        let (kept, data) = declared(&mut bob, room, fields("a", 60)).await;
        assert_eq!((kept.len(), &data["a059"]), (256, &json!(7)));
    }
}

#[tokio::test]
async fn what_nobody_wrote_is_forgotten_with_the_last_who_declared_it() {
    let (_server, address) = start(builder()).await;
    for room in ["note", "any"] {
        let (mut ann, mut bob) = (come(address, "ann", 1).await, come(address, "bob", 1).await);
        declared(&mut ann, room, fields("x", 2)).await;
        declared(&mut bob, room, fields("x", 1)).await;
        let updates = json!([{"key": "x000", "op": "add", "value": 2}]);
        bob.send(json!({"type": "state:change", "room": room, "payload": {"seq": 1, "base": 0, "updates": updates}})).await;
        bob.expect("state:ack").await;
        bob.send(json!({"type": "room:leave", "room": room, "payload": {}})).await;
        ann.expect("state:change").await;
        ann.send(json!({"type": "room:leave", "room": room, "payload": {}})).await;
        ann.ping().await;
        bob.ping().await;
        // `x001` may be another field now, and `x000`, which was written, may not.
        let other = |name: &str| json!({name: {"policy": "lww", "shape": "string", "initial": "later"}});
        ask(&mut ann, room, other("x000")).await;
        ann.expect_error("incompatible_schema").await;
        let (kept, _) = declared(&mut ann, room, other("x001")).await;
        assert_eq!(kept, ["x000", "x001"]);
    }
}
