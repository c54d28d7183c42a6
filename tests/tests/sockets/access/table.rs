//! Which action is refused to whom with which code, for every action, role and dialect.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use serde_json::{Value, json};
use shared_state::proto::Limits;
use shared_state::server::{
    Action, ChannelKind, Handshake, PasswordHash, RoomSettings, Server, ServerBuilder,
};
use shared_state_tests::start;

use crate::common::client::{Client, connect_with};

fn builder() -> ServerBuilder {
    let hash = PasswordHash::of("open sesame").unwrap();
    let mut limits = Limits::default();
    limits.relays = 10;
    Server::builder()
        .untyped_rooms(true)
        .channels(ChannelKind::any("*"))
        .limits(limits)
        .authenticate(|request: Handshake| {
            let token = request.bearer().or(request.query("token"));
            ready(Ok::<_, Infallible>(token.unwrap_or_default().to_owned()))
        })
        .user_id(|user: &String| user.clone())
        .authorize(|user: &String, _, action| {
            let may = match (&**user, action) {
                ("stranger", _) => false,
                ("editor" | "first", _) => true,
                (_, Action::Write(path)) => path == "likes",
                (_, Action::Channel(channel) | Action::Send(channel)) => channel == "chat",
                (_, Action::Relay(kind)) => kind == "wave",
                _ => true,
            };
            if may { Ok(()) } else { Err("no") }
        })
        .room_settings(move |room| {
            let settings = RoomSettings::new();
            ready(Ok::<_, Infallible>(match &*room {
                "secret" => settings.password(hash.clone()),
                "full" => settings.max_users(1),
                "closed" => settings.closed("over"),
                _ => settings,
            }))
        })
}

/// The messages of each dialect for an action; empty: the dialect cannot express it.
struct Row {
    action: &'static str,
    v1: Vec<Value>,
    hook: Vec<Value>,
    /// The code for an editor, a reader and a stranger; empty: the action is allowed.
    codes: [&'static str; 3],
}

fn frame(kind: &str, room: &str, payload: Value) -> Value {
    json!({"type": kind, "room": room, "payload": payload})
}

fn in_channel(kind: &str, channel: &str, payload: Value) -> Value {
    json!({"type": kind, "room": "open", "channel": channel, "payload": payload})
}

fn rows(me: &str) -> Vec<Row> {
    let join = |room, payload| vec![frame("room:join", room, payload)];
    let hook_join = |room: &str, more: Value| {
        let mut payload = json!({"roomId": room, "user": {"id": me}});
        payload.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vec![json!({"type": "room:join", "payload": payload})]
    };
    let sync = |room| vec![frame("state:sync:request", room, json!({}))];
    let write = |key: &str| {
        let change = json!({"seq": 1, "base": 0, "updates": [{"key": key, "value": 1}]});
        let v1 = vec![frame("room:join", "open", json!({})), frame("state:change", "open", change)];
        (v1, vec![frame("state:update", "open", json!({"key": key, "value": 1, "version": 1}))])
    };
    let send = |channel: &str| {
        let updates = json!([{"key": "messages", "op": "send", "value": "hello"}]);
        let change = json!({"seq": 1, "base": 0, "updates": updates});
        let v1 =
            vec![in_channel("room:join", channel, json!({})), in_channel("state:change", channel, change)];
        (v1, vec![frame(&format!("broadcast:{channel}"), "open", json!("hello"))])
    };
    let present = |id: &str, room: &str| {
        let user = json!({"id": id});
        let v1 = vec![frame("presence:set", room, json!({"user": user}))];
        (v1, vec![frame("presence:join", room, json!({"user": user, "room": room}))])
    };
    let cursor = |id: &str| {
        let payload = json!({"user": {"id": id}, "x": 1, "y": 1, "timestamp": 1});
        vec![frame("cursor:move", "open", payload)]
    };
    let row = |action, (v1, hook), codes| Row { action, v1, hook, codes };
    let (forbidden, wrong) = ("forbidden", "wrong_password");
    vec![
        row("join", (join("open", json!({})), sync("open")), ["", "", forbidden]),
        row("write a title", write("title"), ["", forbidden, forbidden]),
        row("write likes", write("likes"), ["", "", forbidden]),
        row("say something", send("chat"), ["", "", forbidden]),
        row("say something without the right", send("staff"), ["", forbidden, forbidden]),
        row("be present", present(me, "open"), ["", "", forbidden]),
        row("be present as another", present("first", "open"), ["other_user", "other_user", forbidden]),
        row("point", (vec![], cursor(me)), ["", "", forbidden]),
        row("point as another", (vec![], cursor("first")), ["other_user", "other_user", forbidden]),
        row("be a user of the room", (vec![], hook_join("open", json!({}))), ["", "", forbidden]),
        row(
            "be another user of the room",
            (
                vec![],
                vec![json!({"type": "room:join", "payload": {"roomId": "open", "user": {"id": "first"}}})],
            ),
            ["other_user", "other_user", forbidden],
        ),
        row("have a wave relayed", (vec![], vec![frame("wave", "open", json!(1))]), ["", "", forbidden]),
        row(
            "have an order relayed",
            (vec![], vec![frame("order", "open", json!(1))]),
            ["", forbidden, forbidden],
        ),
        row(
            "come in with the password",
            (
                join("secret", json!({"password": "open sesame"})),
                hook_join("secret", json!({"password": "open sesame"})),
            ),
            ["", "", forbidden],
        ),
        row(
            "come in with another password",
            (join("secret", json!({"password": "x"})), hook_join("secret", json!({"password": "x"}))),
            [wrong, wrong, forbidden],
        ),
        row(
            "come in without a password",
            (join("secret", json!({})), sync("secret")),
            [wrong, wrong, forbidden],
        ),
        row("be present without a password", present(me, "secret"), [wrong, wrong, forbidden]),
        row(
            "come into a full room",
            (join("full", json!({})), hook_join("full", json!({}))),
            ["room_full", "room_full", forbidden],
        ),
        row("be present in a full room", present(me, "full"), ["room_full", "room_full", forbidden]),
        row(
            "come into a closed room",
            (join("closed", json!({})), sync("closed")),
            ["room_closed", "room_closed", forbidden],
        ),
        row("be present in a closed room", present(me, "closed"), ["room_closed", "room_closed", forbidden]),
    ]
}

/// The first code that a client receives for these messages.
async fn told(client: &mut Client, frames: &[Value]) -> String {
    for frame in frames {
        client.send(frame.clone()).await;
    }
    client.send(json!({"type": "ping", "payload": {}})).await;
    let mut first = String::new();
    loop {
        let frame = client.next().await;
        if frame["type"] == "pong" {
            return first;
        }
        if let (Some(code), true) = (frame["payload"]["code"].as_str(), first.is_empty()) {
            first = code.to_owned();
        }
    }
}

async fn v1(address: SocketAddr, token: &str, secret: &str) -> Client {
    let mut client = connect_with(address, Some(token)).await;
    client.send(json!({"type": "hello", "payload": {"client": format!("{secret:-<20}")}})).await;
    client.expect("welcome").await;
    client
}

#[tokio::test]
async fn every_action_is_done_or_refused_by_its_code_in_both_dialects() {
    let (_server, address) = start(builder()).await;
    let mut first = v1(address, "first", "first").await;
    for room in ["open", "full"] {
        first.join(room).await;
    }
    for (number, role) in ["editor", "reader", "stranger"].into_iter().enumerate() {
        for (at, row) in rows(role).into_iter().enumerate() {
            let expected = row.codes[number];
            if !row.v1.is_empty() {
                let mut client = v1(address, role, &format!("{role}-{at}")).await;
                assert_eq!(told(&mut client, &row.v1).await, expected, "a {role} wants to {}", row.action);
            }
            let mut hook = Client::hook_at(address, &format!("/ws?token={role}")).await;
            let found = told(&mut hook, &row.hook).await;
            assert_eq!(found, expected, "a hook that is a {role} wants to {}", row.action);
        }
    }
}

#[tokio::test]
async fn nobody_speaks_in_the_name_of_another() {
    let (_server, address) = start(builder()).await;
    let mut witness = v1(address, "first", "witness").await;
    witness.join("open").await;
    witness.send(in_channel("room:join", "chat", json!({}))).await;
    witness.expect("state:sync").await;
    let mut page = Client::hook_at(address, "/ws?token=first").await;
    page.send(frame("state:sync:request", "open", json!({}))).await;
    page.ping().await;

    let mut names = Vec::new();
    let forged = |mut frame: Value| {
        frame["from"] = json!("server");
        frame
    };
    let mut hook = Client::hook_at(address, "/ws?token=editor").await;
    for said in [
        frame("state:update", "open", json!({"key": "n", "value": 1})),
        frame("broadcast:chat", "open", json!("hello")),
        frame("wave", "open", json!(1)),
    ] {
        hook.send(forged(said)).await;
    }
    names.push(witness.expect("state:change").await["from"].clone());
    names.push(witness.expect("state:change").await["from"].clone());
    assert_eq!(page.next().await["type"], "state:update");
    for _ in 0..2 {
        names.push(page.next().await["from"].clone());
    }
    assert!(names.iter().all(|name| *name == names[0] && *name != json!("server")), "{names:?}");

    let mut editor = v1(address, "editor", "editor").await;
    editor.join("open").await;
    let change = json!({"seq": 1, "base": 1, "updates": [{"key": "n", "value": 2}], "from": "server"});
    editor.send(forged(frame("state:change", "open", change))).await;
    let name = witness.expect("state:change").await["from"].clone();
    assert!(name.as_str().is_some_and(|name| name.len() == 32) && name != names[0], "{name}");
}
