//! The settings of a room: how many users it admits, its details, and when it closes.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use shared_state::server::{ChannelKind, Handshake, RoomSettings, Server, ServerBuilder};
use shared_state::store::RoomStore as _;
use shared_state_tests::{soon, start};

use crate::common::client::{Client, connect_with};
use crate::common::kept::Kept;

/// Settings that a test can change.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Option<Result<RoomSettings, &'static str>>>>);

impl Said {
    fn say(&self, settings: Result<RoomSettings, &'static str>) {
        *self.0.lock().unwrap() = Some(settings);
    }

    fn builder(&self) -> ServerBuilder {
        let said = self.clone();
        let server = Server::builder().untyped_rooms(true).channels(ChannelKind::any("chat"));
        server.room_settings(move |_| {
            let said = said.0.lock().unwrap().clone();
            ready(said.unwrap_or_else(|| Ok(RoomSettings::new())))
        })
    }
}

async fn ask(client: &mut Client, kind: &str, payload: Value) {
    client.send(json!({"type": kind, "room": "a", "payload": payload})).await;
}

#[tokio::test]
async fn a_room_takes_so_many_users_and_three_tabs_are_one() {
    let said = Said::default();
    said.say(Ok(RoomSettings::new().max_users(2)));
    let builder = said
        .builder()
        .authenticate(|handshake: Handshake| {
            ready(Ok::<_, String>(
                handshake.bearer().or(handshake.query("token")).unwrap_or_default().to_owned(),
            ))
        })
        .user_id(|user: &String| user.clone());
    let (server, address) = start(builder).await;
    let mut tabs = Vec::new();
    for (tab, user) in ["ann", "ann", "ann", "bob"].into_iter().enumerate() {
        let mut client = connect_with(address, Some(user)).await;
        client.send(json!({"type": "hello", "payload": {"client": format!("tab-{tab}-0123456789")}})).await;
        client.expect("welcome").await;
        tabs.push(client);
    }
    // Whatever they have joined, they count.
    tabs[0].join("a").await;
    ask(&mut tabs[1], "presence:set", json!({"user": "ann"})).await;
    tabs[1].expect("presence:sync").await;
    tabs[2].send(json!({"type": "room:join", "room": "a", "channel": "chat", "payload": {}})).await;
    tabs[2].expect("state:sync").await;
    tabs[3].join("a").await;
    assert_eq!(server.rooms()[0].users, 2);

    let mut eve = connect_with(address, Some("eve")).await;
    eve.send(json!({"type": "hello", "payload": {"client": "eve-eve-eve-eve-"}})).await;
    eve.expect("welcome").await;
    ask(&mut eve, "room:join", json!({})).await;
    assert_eq!(eve.expect_error("room_full").await["type"], "room:error");
    ask(&mut eve, "presence:set", json!({"user": "eve"})).await;
    assert_eq!(eve.expect_error("room_full").await["type"], "presence:reject");
    let mut hook = Client::hook_at(address, "/ws?token=eve").await;
    ask(&mut hook, "state:sync:request", json!({})).await;
    hook.expect_error("room_full").await;

    // A second tab of a user is admitted, and another user once one has left.
    let mut hook = Client::hook_at(address, "/ws?token=bob").await;
    ask(&mut hook, "state:sync:request", json!({})).await;
    hook.ping_among_others().await;
    drop((tabs.pop(), hook));
    soon("bob's leaving", async {
        while server.rooms()[0].users > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    eve.join("a").await;
}

#[tokio::test]
async fn those_who_want_to_know_are_told_what_is_said_of_the_room() {
    let said = Said::default();
    said.say(Ok(RoomSettings::new().metadata(json!({"title": "one"}))));
    let (server, address) = start(said.builder()).await;
    let mut ann = Client::new(address, "ann").await;
    ask(&mut ann, "room:join", json!({"info": true})).await;
    let info = ann.expect("room:info").await;
    assert_eq!((&info["metadata"], &info["password"]), (&json!({"title": "one"}), &json!(false)));
    assert!(info["createdAt"].as_u64().unwrap() > 1_500_000_000_000);
    ann.expect("state:sync").await;
    let mut bob = Client::new(address, "bob").await;
    bob.join("a").await;
    let live = server.rooms().remove(0);
    assert_eq!(live.metadata.as_deref(), Some(r#"{"title":"one"}"#));
    assert_eq!((live.sessions, live.users, live.password), (2, 2, false));

    said.say(Ok(RoomSettings::new().metadata(json!({"title": "two"}))));
    server.settings_changed("a").await.unwrap();
    let again = ann.expect("room:info").await;
    assert_eq!((&again["metadata"], &again["createdAt"]), (&json!({"title": "two"}), &info["createdAt"]));
    bob.ping().await;
}

#[tokio::test]
async fn a_failure_to_say_it_is_told_and_not_remembered() {
    let said = Said::default();
    said.say(Err("no database"));
    let (server, address) = start(said.builder()).await;
    let mut ann = Client::new(address, "ann").await;
    ask(&mut ann, "room:join", json!({})).await;
    let error = ann.expect_error("unavailable").await;
    assert!(error["payload"]["message"].as_str().unwrap().ends_with("no database"), "{error}");
    ask(&mut ann, "presence:set", json!({"user": "ann"})).await;
    ann.expect_error("unavailable").await;
    said.say(Ok(RoomSettings::new()));
    ann.join("a").await;
    // The last settings hold until there are valid new ones.
    said.say(Err("no database"));
    assert!(server.settings_changed("a").await.is_err());
    ann.ping().await;

    let panics = Server::builder().untyped_rooms(true).room_settings(|room| async move {
        assert!(*room != *"a", "a panic on purpose");
        Ok::<_, String>(RoomSettings::new())
    });
    let (_server, address) = start(panics).await;
    let mut ann = Client::new(address, "ann").await;
    ask(&mut ann, "room:join", json!({})).await;
    ann.expect_error("unavailable").await;
    ann.join("b").await;
}

/// Joins the room's state, channel and presence.
async fn enter(client: &mut Client) -> Value {
    let sync = client.join("a").await;
    client.send(json!({"type": "room:join", "room": "a", "channel": "chat", "payload": {}})).await;
    client.expect("state:sync").await;
    ask(client, "presence:set", json!({"user": "ann"})).await;
    client.expect("presence:sync").await;
    sync
}

#[tokio::test]
async fn a_closed_room_puts_everybody_out_and_opens_anew_or_not() {
    let said = Said::default();
    let (server, address) = start(said.builder()).await;
    let mut ann = Client::new(address, "ann").await;
    enter(&mut ann).await;
    ann.join("b").await;
    ann.set("a", 1, 0, "n", json!(1)).await;
    ann.expect("state:ack").await;
    let mut hook = Client::hook(address).await;
    ask(&mut hook, "state:sync:request", json!({})).await;
    hook.expect("state:merge").await;

    assert_eq!(soon("the end of the room", server.close_room("a", "over for today")).await, 2);
    let mut told = Vec::new();
    for _ in 0..3 {
        let error = ann.expect_error("room_closed").await;
        assert_eq!(error["payload"]["message"], "over for today");
        told.push(format!("{}{}", error["type"].as_str().unwrap(), error["channel"].as_str().unwrap_or("")));
    }
    told.sort();
    assert_eq!(told, ["presence:reject", "room:error", "room:errorchat"]);
    hook.expect_error("room_closed").await;
    hook.ping_among_others().await;
    let names: Vec<_> = server.rooms().into_iter().map(|room| room.name).collect();
    assert_eq!((names, server.open_rooms()), (vec![Arc::from("b")], 1));
    assert!(server.present("a").is_empty());
    ann.set("a", 2, 1, "n", json!(2)).await;
    ann.expect_error("not_joined").await;
    ann.ping().await;

    // The room was closed only for the moment.
    assert_eq!(enter(&mut ann).await["data"], json!({"n": 1}));
    said.say(Ok(RoomSettings::new().closed("for ever")));
    soon("the settings", server.settings_changed("a")).await.unwrap();
    for _ in 0..3 {
        ann.expect_error("room_closed").await;
    }
    for kind in ["room:join", "presence:set"] {
        ask(&mut ann, kind, json!({"user": "ann"})).await;
        assert_eq!(ann.expect_error("room_closed").await["payload"]["message"], "for ever");
    }
    ask(&mut hook, "state:sync:request", json!({})).await;
    hook.expect_error("room_closed").await;
}

#[tokio::test]
async fn g2_what_is_on_its_way_when_a_room_is_closed_is_durable_or_unanswered() {
    let said = Said::default();
    let (server, address) = start(said.builder()).await;
    let mut writers = Vec::new();
    for writer in 0..4 {
        let mut client = Client::new(address, &format!("writer-{writer}")).await;
        client.join("a").await;
        writers.push(tokio::spawn(async move {
            let (mut sent, mut acknowledged) = (0, 0);
            loop {
                sent += 1;
                client.set("a", sent, 0, &format!("n{writer}"), json!(sent)).await;
                loop {
                    let answer = client.next().await;
                    match answer["type"].as_str() {
                        Some("state:change") => continue,
                        Some("state:ack") => acknowledged = sent,
                        _ => {
                            assert_eq!(answer["payload"]["code"], "room_closed", "{answer}");
                            return acknowledged;
                        }
                    }
                    break;
                }
            }
        }));
    }
    soon("some changes", async {
        while server.rooms().is_empty() || server.rooms()[0].sessions < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(soon("the end of the room", server.close_room("a", "enough")).await, 4);
    let mut ann = Client::new(address, "ann").await;
    let sync = ann.join("a").await;
    for (writer, task) in writers.into_iter().enumerate() {
        let acknowledged = soon("a writer's end", task).await.unwrap();
        let found = sync["data"][format!("n{writer}")].as_u64().unwrap_or_default();
        assert!(found >= acknowledged, "{found} is below {acknowledged}");
    }
}

#[tokio::test]
async fn a_temporary_room_is_never_stored_and_ends_with_its_last_guest() {
    let said = Said::default();
    said.say(Ok(RoomSettings::new().temporary(true)));
    let store = Kept::default();
    let idle = Duration::from_millis(20);
    let (server, address) = start(said.builder().store(store.clone()).idle(idle)).await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("a").await;
    ann.set("a", 1, 0, "n", json!(1)).await;
    ann.expect("state:ack").await;
    // Presence keeps the room open, although nobody has joined the state.
    ask(&mut ann, "presence:set", json!({"user": "ann"})).await;
    ann.expect("presence:sync").await;
    ask(&mut ann, "room:leave", json!({})).await;
    // A room that was left later is closed earlier.
    ann.join("b").await;
    ann.send(json!({"type": "room:leave", "room": "b", "payload": {}})).await;
    soon("the end of the other room", async {
        while server.rooms().iter().any(|room| *room.name == *"b") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(ann.join("a").await["data"], json!({"n": 1}));
    ask(&mut ann, "room:leave", json!({})).await;
    ask(&mut ann, "presence:leave", json!({})).await;
    soon("the end of the room", async {
        while server.open_rooms() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(ann.join("a").await["data"], json!({}));
    assert!(store.0.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn when_a_rooms_history_began_is_kept_with_it() {
    let (store, said) = (Kept::default(), Said::default());
    let mut created = Vec::new();
    for restart in 0..3 {
        let (server, address) = start(said.builder().store(store.clone())).await;
        let mut ann = Client::new(address, "ann").await;
        ann.join("a").await;
        created.push(server.rooms()[0].created_at.unwrap());
        // Read from the entry the first time, then from the snapshot.
        ann.set("a", restart + 1, restart, "n", json!(restart)).await;
        ann.expect("state:ack").await;
        drop(ann);
        server.shutdown().await.unwrap();
        while SystemTime::now() <= created[0] + Duration::from_millis(1) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!((created[0], created[0]), (created[1], created[2]));
}
