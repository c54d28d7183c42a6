//! `authorize` is asked about every path that a change changes, however the change is written.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::server::{Action, Handshake, PathChange, Server, ServerBuilder};
use shared_state_tests::start;

use crate::common::client::{Client, connect_with};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    #[serde(alias = "kaarten")]
    cards: Vec<Card>,
    #[shared(list(key = id, nested))]
    done: Vec<Card>,
    #[shared(map(nested))]
    named: BTreeMap<String, Card>,
    #[shared(nested)]
    first: Card,
    #[shared(nested)]
    second: Option<Card>,
    #[shared(counter)]
    stars: i64,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u32,
    title: String,
    #[shared(map)]
    votes: BTreeMap<String, i64>,
}

fn card(id: u32, vote: i64) -> Card {
    Card { id, title: "t".to_owned(), votes: BTreeMap::from([("bob".to_owned(), vote)]) }
}

fn initial() -> Board {
    Board {
        cards: vec![card(7, 1), card(8, 1)],
        done: vec![card(9, 1)],
        named: BTreeMap::from([("x".to_owned(), card(1, 1))]),
        first: card(2, 1),
        second: Some(card(3, 1)),
        stars: 0,
    }
}

/// Votes are their voters' only.
fn may(user: &str, path: &str) -> Result<(), &'static str> {
    let segments: Vec<_> = path.split('/').collect();
    match segments.iter().position(|segment| *segment == "votes") {
        Some(at) if segments.get(at + 1).is_some_and(|voter| *voter != user) => Err("another's vote"),
        _ => Ok(()),
    }
}

fn known(handshake: &Handshake) -> Result<String, Infallible> {
    Ok(handshake.bearer().or(handshake.query("token")).unwrap_or_default().to_owned())
}

fn builder() -> ServerBuilder {
    Server::builder()
        .rooms("board", initial)
        .untyped_rooms(true)
        .authenticate(|handshake: Handshake| ready(known(&handshake)))
        .authorize(|user: &String, _: &str, action: Action<'_>| match action {
            Action::Write(path) => may(user, path),
            _ => Ok(()),
        })
}

async fn come(address: SocketAddr, user: &str) -> Client {
    let mut client = connect_with(address, Some(user)).await;
    client.send(json!({"type": "hello", "payload": {"client": format!("{user:-<22}")}})).await;
    client.expect("welcome").await;
    client
}

async fn change(client: &mut Client, room: &str, seq: usize, updates: Value) {
    let payload = json!({"seq": seq, "base": 0, "updates": updates});
    client.send(json!({"type": "state:change", "room": room, "payload": payload})).await;
}

fn forged(id: u32) -> Value {
    json!({"id": id, "title": "t", "votes": {"bob": -1}})
}

fn honest(id: u32) -> Value {
    json!({"id": id, "title": "other", "votes": {"bob": 1, "mallory": 1}})
}

#[tokio::test]
async fn what_a_rule_forbids_is_not_written_around() {
    let (server, address) = start(builder()).await;
    let mut mallory = come(address, "mallory").await;
    mallory.join("board").await;
    let set = |key: &str, value: Value| json!([{"key": key, "value": value}]);
    let delete = |key: &str| json!({"key": key, "op": "delete", "value": null});
    let none = json!({"id": 7, "title": "t", "votes": {}});
    let take = |to: &str| json!({"key": "cards/7", "op": "take", "value": {"to": to}});
    let rows = [
        set("cards/7/votes/bob", json!(-1)),
        set("cards/07/votes/bob", json!(-1)),
        json!([delete("cards/7/votes/bob")]),
        set("cards/7/votes", json!({"bob": -1})),
        set("cards/7/votes", json!({})),
        set("cards/7", forged(7)),
        set("cards/7", none.clone()),
        set("cards", json!([forged(7), honest(8)])),
        set("cards", json!([])),
        set("kaarten/7", forged(7)),
        set("kaarten", json!([forged(7)])),
        json!([delete("cards/7")]),
        json!([delete("cards/7"), {"key": "cards", "op": "insert", "value": {"item": none}}]),
        json!([{"key": "cards", "op": "insert", "value": {"item": forged(10)}}]),
        json!([{"key": "cards/7", "op": "transfer", "value": {"to": "done"}}]),
        json!([take("done"), {"key": "done", "op": "insert", "value": {"item": forged(7)}}]),
        set("named/x", forged(1)),
        set("named/y", forged(1)),
        set("named", json!({})),
        json!([delete("named/x")]),
        set("first", forged(2)),
        set("first/votes", json!({"bob": 2})),
        set("second", Value::Null),
        set("second", forged(3)),
        json!([{"key": "first/title", "value": "x"}, {"key": "cards/7/votes/bob", "value": 5}]),
    ];
    for (index, updates) in rows.iter().enumerate() {
        change(&mut mallory, "board", index + 1, updates.clone()).await;
        let refused = mallory.expect_error("forbidden").await;
        assert!(refused["payload"]["field"].as_str().unwrap().ends_with("/bob"), "{updates}: {refused}");
    }
    // A page that writes whole fields.
    let mut hook = Client::hook_at(address, "/ws?token=mallory").await;
    hook.send(json!({"type": "state:sync:request", "room": "board", "payload": {}})).await;
    hook.expect("state:sync").await;
    for (key, value) in [("cards", json!([forged(7)])), ("named", json!({})), ("second", Value::Null)] {
        let update = json!({"key": key, "value": value});
        hook.send(json!({"type": "state:update", "room": "board", "payload": update})).await;
        hook.expect_error("forbidden").await;
        hook.expect("state:merge").await;
    }
    let room = server.room::<Board>("board").await.unwrap();
    assert_eq!((room.version(), room.state()), (0, initial()));

    // Everything else is as it was: her own vote, and wholes in which another's vote stays.
    let rows = [
        set("cards/7", honest(7)),
        set("cards", json!([honest(7), honest(8)])),
        set("cards/7/votes/mallory", json!(2)),
        json!([{"key": "cards/7", "op": "move", "value": {}}]),
        json!([{"key": "cards", "op": "insert", "value": {"item": {"id": 11, "title": "", "votes": {"mallory": 1}}}}]),
        json!([delete("cards/11")]),
        set("named/x", honest(1)),
        set("first", honest(2)),
        set("second", honest(3)),
    ];
    for (index, updates) in rows.iter().enumerate() {
        change(&mut mallory, "board", 100 + index, updates.clone()).await;
        let ack = mallory.expect("state:ack").await;
        assert_eq!(ack["version"], index + 1, "{updates}");
    }
}

#[tokio::test]
async fn nor_in_a_room_whose_type_is_declared_by_its_clients() {
    let (_server, address) = start(builder()).await;
    let fields = json!({
        "cards": {"policy": "list(id, nested)", "shape": "[{id: u32, votes: map<string, i64>}]", "initial": []},
        "named": {"policy": "map(nested)", "shape": "map<string, {votes: map<string, i64>}>", "initial": {}},
    });
    let mut bob = come(address, "bob").await;
    let join = json!({"type": "room:join", "room": "any", "payload": {"schema": "0000000000000001", "declare": fields}});
    bob.send(join.clone()).await;
    bob.expect("state:sync").await;
    let item = json!({"id": 7, "votes": {"bob": 1}});
    change(
        &mut bob,
        "any",
        1,
        json!([
            {"key": "cards", "op": "insert", "value": {"item": item}},
            {"key": "named/x", "value": {"votes": {"bob": 1}}},
            {"key": "plain", "value": {"votes": {"bob": 1}}},
        ]),
    )
    .await;
    bob.expect("state:ack").await;
    let mut mallory = come(address, "mallory").await;
    mallory.send(join).await;
    mallory.expect("state:sync").await;
    let forged = json!({"id": 7, "votes": {"bob": -1}});
    let rows = [
        json!([{"key": "cards/7/votes/bob", "value": -1}]),
        json!([{"key": "cards/7", "value": forged}]),
        json!([{"key": "cards", "value": [forged]}]),
        json!([{"key": "cards", "value": []}]),
        json!([{"key": "cards/7", "op": "delete", "value": null}]),
        json!([{"key": "cards", "op": "insert", "value": {"item": {"id": 8, "votes": {"bob": 1}}}}]),
        json!([{"key": "named/x", "value": {"votes": {}}}]),
        json!([{"key": "named", "value": {}}]),
        json!([{"key": "plain", "value": {"votes": {"bob": 2}}}]),
        json!([{"key": "plain", "value": 1}]),
    ];
    for (index, updates) in rows.iter().enumerate() {
        change(&mut mallory, "any", index + 1, updates.clone()).await;
        let refused = mallory.expect_error("forbidden").await;
        assert!(refused["payload"]["field"].as_str().unwrap().ends_with("/bob"), "{updates}: {refused}");
    }
    let mut hook = Client::hook_at(address, "/ws?token=mallory").await;
    let merge = json!({"data": {"cards": [forged]}});
    hook.send(json!({"type": "state:merge", "room": "any", "payload": merge})).await;
    hook.expect_error("forbidden").await;
    let own = json!([{"key": "cards/7", "value": {"id": 7, "votes": {"bob": 1, "mallory": 1}}}]);
    change(&mut mallory, "any", 100, own).await;
    assert_eq!(mallory.expect("state:ack").await["version"], 2);
}

#[tokio::test]
async fn a_rule_has_the_old_and_the_new_value_at_hand() {
    // A vote may be raised by whoever it is of, and taken away with its card by anybody.
    let builder = Server::builder()
        .rooms("board", initial)
        .authenticate(|handshake: Handshake| ready(known(&handshake)))
        .authorize_change(|user: &String, _: &str, change: &PathChange<'_>| {
            if change.path() == "stars" {
                let rises =
                    change.after::<i64>() > change.before::<i64>() && change.after::<i64>() <= Some(3);
                return if rises { Ok(()) } else { Err("three stars at most") };
            }
            let segments = change.segments();
            let Some(at) = segments.iter().position(|segment| segment == "votes") else { return Ok(()) };
            match (segments.get(at + 1), change.before::<i64>(), change.after::<i64>()) {
                (None, ..) | (_, Some(_), None) => Ok(()),
                (Some(voter), old, Some(new)) if voter == user && new > old.unwrap_or(0) => Ok(()),
                _ => Err("votes are raised, by their voters"),
            }
        });
    let (_server, address) = start(builder).await;
    let mut bob = come(address, "bob").await;
    bob.join("board").await;
    let item = |vote: i64| json!({"id": 7, "title": "t", "votes": {"bob": vote}});
    for (seq, (updates, accepted)) in (1..).zip([
        (json!([{"key": "stars", "op": "add", "value": 2}]), true),
        (json!([{"key": "stars", "op": "add", "value": 2}]), false),
        (json!([{"key": "stars", "op": "sub", "value": 1}]), false),
        (json!([{"key": "cards/7", "value": item(0)}]), false),
        (json!([{"key": "cards/7/votes/bob", "value": 1}]), true),
        (json!([{"key": "cards/7", "value": item(2)}]), true),
        (json!([{"key": "cards/7/votes/ann", "value": 2}]), false),
        (json!([{"key": "cards/7", "op": "delete", "value": null}]), true),
        (json!([{"key": "cards", "op": "insert", "value": {"item": item(-1)}}]), false),
    ]) {
        change(&mut bob, "board", seq, updates.clone()).await;
        match accepted {
            true => drop(bob.expect("state:ack").await),
            false => drop(bob.expect_error("forbidden").await),
        }
    }
}
