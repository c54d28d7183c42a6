//! G10, G15: what the server certainly refuses is refused before it shows, every refusal is the answer to the right
//! request, and what cannot come any more ends what waits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::client::{BroadcastError, Client as SharedClient, Handle};
use shared_state::presence::{PresenceError, User};
use shared_state::proto::{Code, Limits};
use shared_state::server::{Action, Server};
use shared_state::{SharedState, WriteError};
use shared_state_tests::{soon, start};
use tokio_tungstenite::tungstenite::Message;

use crate::common::client::Client;
use crate::common::relay::relay_without;
use crate::common::rig::quick;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Notes {
    any: Value,
    title: String,
    #[shared(map)]
    files: BTreeMap<String, u32>,
    #[shared(list(key = id))]
    todos: Vec<Todo>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Todo {
    id: u32,
    done: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct At {
    x: u32,
}

/// Arrays in arrays, so many deep.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!([]), |inner, _| json!([inner]))
}

fn code_of<T: std::fmt::Debug>(refused: Result<T, WriteError>) -> Code {
    match refused {
        Err(WriteError::Rejected(reject)) => reject.code,
        other => panic!("expected a refusal with a code, found {other:?}"),
    }
}

async fn joined(client: &SharedClient, room: &str) -> Handle<Notes> {
    let notes = client.room(room).state(Notes::default());
    assert!(soon("the room's state", notes.live()).await);
    notes
}

async fn server() -> (Server, std::net::SocketAddr) {
    let server = Server::builder().rooms("notes*", Notes::default).channel::<Value>("chat");
    start(server).await
}

#[tokio::test]
async fn g10_a_refusal_is_the_answer_to_the_change_that_was_refused() {
    let (_server, address) = server().await;
    for brief in [true, false] {
        let mut client = Client::new(address, if brief { "brief" } else { "full" }).await;
        let room = if brief { "notes-1" } else { "notes-2" };
        client.send(json!({"type": "room:join", "room": room, "payload": {"brief": brief}})).await;
        client.expect("state:sync").await;
        client.set(room, 1, 0, "any", nested(70)).await;
        for seq in 2..=3 {
            client.set(room, seq, 0, "title", json!(seq.to_string())).await;
        }
        // The number can be read, the rest cannot.
        client.send(json!({"type": "state:change", "room": room, "payload": {"seq": 4}})).await;
        client.set(room, 5, 0, "title", json!("last")).await;
        let mut answers = Vec::new();
        while answers.len() < 5 {
            answers.push(match client.next_message().await.unwrap() {
                Message::Binary(ack) => (u64::from(ack[ack.len() - 1]), "ok".to_owned()),
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    let payload = &frame["payload"];
                    let seq = payload["seq"].as_u64().unwrap_or_else(|| panic!("{frame}"));
                    (seq, payload["code"].as_str().unwrap_or("ok").to_owned())
                }
                other => panic!("{other:?}"),
            });
        }
        let expected = [(1, "too_deep"), (2, "ok"), (3, "ok"), (4, "bad_message"), (5, "ok")]
            .map(|(seq, code)| (seq, code.to_owned()));
        assert_eq!(answers, expected, "brief: {brief}");
        // Sent again, a refused change is refused again.
        let again = json!({"seq": 4, "again": true});
        client.send(json!({"type": "state:change", "room": room, "payload": again})).await;
        assert_eq!(client.expect("state:reject").await["code"], "bad_message");
    }
}

#[tokio::test]
async fn g10_what_is_too_deep_is_refused_and_the_writes_after_it_are_answered() {
    let (_server, address) = server().await;
    let (a, b) = (quick(address).connect(), quick(address).connect());
    let seen = joined(&b, "notes-1").await;
    // Before the server has told its limits.
    let notes = a.room("notes-1").state(Notes::default());
    let deep = notes.set_any(nested(70)).unwrap();
    let others: Vec<_> = (0..3).map(|n| notes.files().put(format!("file-{n}"), n).unwrap()).collect();
    assert_eq!(soon("the refusal", deep).await.unwrap_err().code(), Code::TooDeep);
    for other in others {
        soon("the answer", other).await.unwrap();
    }
    assert_eq!((notes.any(), notes.pending()), (Value::Null, 0));
    // After it.
    assert_eq!(code_of(notes.set_any(nested(70))), Code::TooDeep);
    assert_eq!(notes.any(), Value::Null);
    let last = soon("the answer", notes.set_title("last").unwrap()).await.unwrap();
    soon("the change", async {
        while seen.version() < last {
            seen.changed(seen.revision()).await;
        }
    })
    .await;
    assert_eq!(seen.state(), notes.state());

    // As deep as the server takes.
    let most = (0..80).rev().find(|depth| notes.set_any(nested(*depth)).is_ok()).unwrap();
    soon("the answer", notes.flush()).await.unwrap();
    assert_eq!(notes.any(), nested(most));
    assert!(soon("the answer", notes.set_title("after").unwrap()).await.is_ok());
}

#[tokio::test]
async fn g10_a_path_that_is_too_long_is_refused_before_it_shows() {
    let (_server, address) = server().await;
    let client = quick(address).connect();
    // Each `/` of the key has two bytes in a path.
    let early = client.room("notes-1").state(Notes::default());
    let receipt = early.files().put("/".repeat(128), 1).unwrap();
    assert_eq!(soon("the refusal", receipt).await.unwrap_err().code(), Code::BadKey);
    assert_eq!(code_of(early.files().put("/".repeat(128), 1)), Code::BadKey);
    assert!(early.files().is_empty());
    soon("the answer", early.files().put("/".repeat(100), 1).unwrap()).await.unwrap();
}

#[tokio::test]
async fn g10_presence_and_messages_that_are_too_deep_are_refused_to_their_sender() {
    let (_server, address) = server().await;
    let client = quick(address).connect();
    let room = client.room("notes-1");
    let presence = room.presence(User::new("ann"), json!(1));
    assert!(soon("the others", presence.live()).await);
    let refused = presence.set(nested(70)).unwrap_err();
    assert!(matches!(refused, PresenceError::Rejected(reject) if reject.code == Code::TooDeep));
    assert_eq!(*presence.me(), json!(1));

    let chat = room.channel::<Value>("chat");
    assert!(soon("the channel", chat.live()).await);
    assert_eq!(code_of(chat.send(&nested(70))), Code::TooDeep);
    assert!(
        matches!(chat.broadcast(&nested(70)), Err(BroadcastError::Rejected(reject)) if reject.code == Code::TooDeep)
    );
    soon("the answer", chat.send(&json!("short")).unwrap()).await.unwrap();

    // Before the limits are known.
    let early = quick(address).connect();
    let chat = early.room("notes-1").channel::<Value>("chat");
    let (deep, short) = (chat.send(&nested(70)).unwrap(), chat.send(&json!("short")).unwrap());
    assert_eq!(soon("the refusal", deep).await.unwrap_err().code(), Code::TooDeep);
    soon("the answer", short).await.unwrap();
    let presence = early.room("notes-1").presence(User::new("eve"), nested(70));
    assert_eq!(soon("the refusal", presence.errors().next()).await.unwrap().code, Code::TooDeep);
}

#[tokio::test]
async fn g10_the_server_refuses_to_its_sender_what_a_client_has_not_checked_in_a_channel() {
    let (_server, address) = server().await;
    let mut client = Client::new(address, "ann").await;
    client.send(json!({"type": "room:join", "room": "notes-1", "channel": "chat", "payload": {}})).await;
    assert_eq!(client.expect("state:sync").await["data"]["messages"]["longest"], 65_536);
    let message = |seq: u64, value: Value| {
        let update = json!({"key": "messages", "op": "send", "value": value});
        json!({"type": "state:change", "room": "notes-1", "channel": "chat",
            "payload": {"seq": seq, "base": 0, "updates": [update]}})
    };
    client.send(message(1, nested(70))).await;
    let refused = client.expect("state:reject").await;
    assert_eq!((&refused["seq"], &refused["code"]), (&json!(1), &json!("too_deep")));
    client.send(message(2, json!("x".repeat(70_000)))).await;
    let refused = client.expect("state:reject").await;
    assert_eq!((&refused["seq"], &refused["code"]), (&json!(2), &json!("message_too_large")));
    let deep = json!({"type": "channel:broadcast", "room": "notes-1", "channel": "chat",
        "payload": {"value": nested(70)}});
    client.send(deep).await;
    assert_eq!(client.expect("channel:reject").await["code"], "too_deep");
    client.send(message(3, json!("short"))).await;
    assert_eq!(client.expect("state:ack").await["seq"], 3);
}

#[tokio::test]
async fn g14_a_group_of_thousands_of_writes_is_undone_and_redone_as_one() {
    let (_server, address) = server().await;
    let client = quick(address).undo(5, std::time::Duration::ZERO).connect();
    let notes = joined(&client, "notes-1").await;
    let others = joined(&quick(address).connect(), "notes-1").await;
    notes.group(|| {
        for id in 0..2_000 {
            notes.todos().push(Todo { id, done: false }).unwrap();
            notes.files().put(id.to_string(), id).unwrap();
        }
    });
    soon("the answers", notes.flush()).await.unwrap();
    soon("the answer", others.files().put("others".to_owned(), 1).unwrap()).await.unwrap();
    soon("the answer", notes.undo().unwrap().unwrap()).await.unwrap();
    assert_eq!((notes.todos().len(), notes.state().files.len()), (0, 1));
    soon("the answer", notes.redo().unwrap().unwrap()).await.unwrap();
    assert_eq!((notes.todos().len(), notes.state().files.len()), (2_000, 2_001));
    // A map that is cleared comes back.
    soon("the answer", notes.files().clear().unwrap()).await.unwrap();
    soon("the answer", notes.undo().unwrap().unwrap()).await.unwrap();
    assert_eq!(notes.state().files.len(), 2_001);
}

#[tokio::test]
async fn no_list_method_fails_because_the_list_has_grown() {
    let (_server, address) = server().await;
    // With more differences than a change has, the list is set as a whole.
    for (room, count) in [("notes-1", 3_000_u32), ("notes-2", 5_000)] {
        let client = quick(address).undo(5000, std::time::Duration::ZERO).connect();
        let notes = joined(&client, room).await;
        let todos: Vec<_> = (0..count).map(|id| Todo { id, done: false }).collect();
        soon("the answer", notes.set_todos(todos.clone()).unwrap()).await.unwrap();
        soon("the answer", notes.todos().sort_by(|a, b| b.id.cmp(&a.id)).unwrap()).await.unwrap();
        assert_eq!(notes.state().todos[0].id, count - 1);
        let all_done =
            notes.update(|notes| notes.todos.iter_mut().for_each(|todo| todo.done = true)).unwrap();
        soon("the answer", all_done).await.unwrap();
        assert!(notes.state().todos.iter().all(|todo| todo.done));
        soon("the answer", notes.todos().clear().unwrap()).await.unwrap();
        assert!(notes.todos().is_empty());
        soon("the answer", notes.undo().unwrap().unwrap()).await.unwrap();
        assert_eq!(notes.todos().len(), count as usize);
        let files = (0..count).map(|n| (n.to_string(), n)).collect();
        soon("the answer", notes.set_files(files).unwrap()).await.unwrap();
        soon("the answer", notes.files().clear().unwrap()).await.unwrap();
        assert!(notes.files().is_empty());
        client.close().await;
    }
}

#[tokio::test]
async fn what_cannot_come_any_more_ends_what_waits() {
    let builder = Server::builder().rooms("notes*", Notes::default).channel::<Value>("chat").authorize(
        |_: &(), room: &str, _: Action<'_>| {
            if room == "notes-closed" { Err("not for you") } else { Ok(()) }
        },
    );
    let (_server, address) = start(builder).await;
    let client = quick(address).connect();
    for (name, code) in [("nowhere", Code::UnknownRoom), ("notes-closed", Code::Forbidden)] {
        let notes = client.room(name).state(Notes::default());
        let receipt = notes.set_title("offline").unwrap();
        assert!(!soon("the end of the wait", notes.live()).await, "{name}");
        assert_eq!(soon("the refusal", receipt).await.unwrap_err().code(), code, "{name}");
        assert_eq!(notes.error().map(|violation| violation.code), Some(code));
        assert_eq!((code_of(notes.set_title("later")), notes.title()), (code, String::new()));
        let presence = client.room(name).presence(User::new("ann"), At::default());
        assert!(!soon("the end of the wait", presence.live()).await, "{name}");
        assert_eq!(presence.error().map(|violation| violation.code), Some(code));
    }
    let nothing = client.room("notes-1").channel::<Value>("nothing");
    let receipt = nothing.send(&json!(1)).unwrap();
    assert!(!soon("the end of the wait", nothing.live()).await);
    assert_eq!(soon("the refusal", receipt).await.unwrap_err().code(), Code::UnknownChannel);
    // The other rooms are not affected.
    let notes = joined(&client, "notes-1").await;
    soon("the answer", notes.set_title("here").unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_room_whose_name_is_too_long_for_the_server_ends_what_waits() {
    let mut limits = Limits::default();
    limits.room_name = 10;
    let builder = Server::builder().rooms("notes*", Notes::default).channel::<Value>("chat").limits(limits);
    let (_server, address) = start(builder).await;
    let client = quick(address).connect();
    let room = client.room("notes-12345");
    let notes = room.state(Notes::default());
    let receipt = notes.set_title("offline").unwrap();
    assert!(!soon("the end of the wait", notes.live()).await);
    assert_eq!(soon("the refusal", receipt).await.unwrap_err().code(), Code::BadRoom);
    assert_eq!(notes.error().map(|violation| violation.code), Some(Code::BadRoom));
    let chat = room.channel::<Value>("chat");
    let receipt = chat.send(&json!(1)).unwrap();
    assert!(!soon("the end of the wait", chat.live()).await);
    assert_eq!(soon("the refusal", receipt).await.unwrap_err().code(), Code::BadRoom);
    let presence = room.presence(User::new("ann"), At::default());
    assert!(!soon("the end of the wait", presence.live()).await);
    assert_eq!(presence.error().map(|violation| violation.code), Some(Code::BadRoom));
    // The other rooms are not affected, nor is a room whose channel has too long a name.
    let chat = client.room("notes-1").channel::<Value>("chat-123456");
    let receipt = chat.send(&json!(1)).unwrap();
    let notes = joined(&client, "notes-1").await;
    assert!(!soon("the end of the wait", chat.live()).await);
    assert_eq!(soon("the refusal", receipt).await.unwrap_err().code(), Code::BadChannel);
    soon("the answer", notes.set_title("here").unwrap()).await.unwrap();
}

#[tokio::test]
async fn g10_presence_that_does_not_fit_into_a_frame_is_refused_and_nothing_else_is() {
    let mut limits = Limits::default();
    limits.frame = 2000;
    let (_server, address) = start(Server::builder().rooms("notes*", Notes::default).limits(limits)).await;
    let long = || json!("x".repeat(2500));
    let client = quick(address).connect();
    let presence = client.room("notes-1").presence(User::new("ann"), json!(1));
    assert!(soon("the presence", presence.live()).await);
    match presence.set(long()) {
        Err(PresenceError::Rejected(reject)) => assert_eq!(reject.code, Code::FrameTooLarge),
        other => panic!("expected a refusal, found {other:?}"),
    }
    // The limits are not known yet when it is first shown.
    let early = client.room("notes-2").presence(User::new("ann"), long());
    let other = quick(address).connect();
    let unseen = other.room("notes-2").presence(User::new("ann"), long());
    for presence in [&early, &unseen] {
        assert!(!soon("the end of the wait", presence.live()).await);
        assert_eq!(presence.error().map(|violation| violation.code), Some(Code::FrameTooLarge));
    }
    for client in [&client, &other] {
        let notes = joined(client, "notes-3").await;
        soon("the answer", notes.set_title("here").unwrap()).await.unwrap();
    }
    unseen.set(json!(2)).unwrap();
    assert!(soon("the presence", unseen.live()).await);
}

#[tokio::test]
async fn a_room_too_many_is_joined_when_another_is_left() {
    let mut limits = Limits::default();
    limits.rooms_per_connection = 2;
    let (_server, address) = start(Server::builder().rooms("notes*", Notes::default).limits(limits)).await;
    let client = quick(address).connect();
    let first = joined(&client, "notes-1").await;
    let _second = joined(&client, "notes-2").await;
    let third = client.room("notes-3").state(Notes::default());
    assert_eq!(soon("the refusal", third.errors().next()).await.unwrap().code, Code::TooManyRooms);
    let receipt = third.set_title("waits").unwrap();
    drop(first);
    assert!(soon("the room's state", third.live()).await);
    soon("the answer", receipt).await.unwrap();
}

/// G10: a change that ends every connection that it is sent over is given up, and nothing else is.
#[tokio::test]
async fn g10_a_change_that_ends_each_connection_is_known_and_not_sent_for_ever() {
    let (_server, address) = server().await;
    let client = quick(relay_without(address, "poison").await).connect();
    let notes = joined(&client, "notes-1").await;
    let others = joined(&client, "notes-2").await;
    let before = notes.set_files([("before".to_owned(), 1)].into()).unwrap();
    let poison = notes.set_files([("poison".to_owned(), 1)].into()).unwrap();
    let after = notes.todos().push(Todo { id: 1, done: false }).unwrap();
    let beside = others.todos().push(Todo { id: 2, done: false }).unwrap();
    soon("the answer", before).await.unwrap();
    let refused = soon("the refusal", poison).await.unwrap_err();
    assert_eq!(refused.code(), Code::Refused);
    soon("the answer", after).await.unwrap();
    soon("the answer", beside).await.unwrap();
    assert_eq!((notes.todos().len(), others.todos().len()), (1, 1));
    assert_eq!(notes.state().files, BTreeMap::from([("before".to_owned(), 1)]));
    // The connection is as any other again.
    soon("the answer", notes.todos().push(Todo { id: 3, done: true }).unwrap()).await.unwrap();
}
