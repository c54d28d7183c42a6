//! The program's hooks for a room: they amend, refuse, panic and are slow.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_state::SharedState;
use shared_state::server::{Participant, ProposedChange, RoomHooks, Server, ServerBuilder, State, Verdict};
use shared_state_tests::{soon, start};
use tokio::sync::{mpsc, watch};

use crate::common::client::Client;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Game {
    word: String,
    #[shared(set)]
    log: BTreeSet<String>,
    #[shared(counter)]
    points: i64,
    #[shared(read_only)]
    moves: u32,
    #[shared(validate(range(max = 100)))]
    level: u8,
}

/// Hooks that do what the written word says.
struct Rules {
    events: mpsc::UnboundedSender<String>,
    /// What a slow `on_change` waits for: a message, or the end of the channel.
    release: Mutex<std::sync::mpsc::Receiver<()>>,
    /// What a slow `on_join` waits for.
    door: watch::Receiver<bool>,
    tick: Option<Duration>,
}

/// The test's side of the hooks.
struct Observer {
    events: mpsc::UnboundedReceiver<String>,
    release: std::sync::mpsc::Sender<()>,
    door: watch::Sender<bool>,
}

impl Observer {
    async fn next(&mut self) -> String {
        soon("a call of the rules", self.events.recv()).await.unwrap()
    }
}

fn rules(tick: Option<Duration>) -> (Rules, Observer) {
    let (events, events_receiver) = mpsc::unbounded_channel();
    let (release, release_receiver) = std::sync::mpsc::channel();
    let (door, door_receiver) = watch::channel(false);
    let rules = Rules { events, release: Mutex::new(release_receiver), door: door_receiver, tick };
    (rules, Observer { events: events_receiver, release, door })
}

impl Rules {
    fn note(&self, event: String) {
        let _ = self.events.send(event);
    }
}

impl RoomHooks<Game> for Rules {
    async fn on_create(&self, room: &str, initial: Game) -> Result<Game, String> {
        match room {
            "game-none" => Err("there is no such game".to_owned()),
            "game-broken" => panic!("creating panics"),
            _ => Ok(Game { log: BTreeSet::from([format!("this is {room}")]), ..initial }),
        }
    }

    async fn on_join(&self, room: State<Game>, visitor: &Participant) -> Result<(), String> {
        tokio::task::yield_now().await;
        match room.get(Game::WORD).as_str() {
            "nobody" => return Err("nobody is let in".to_owned()),
            "panic" => panic!("joining panics"),
            "slow" => {
                self.note("join waits".to_owned());
                let _ = self.door.clone().wait_for(|open| *open).await;
            }
            _ => {}
        }
        assert!(visitor.user::<()>().is_some());
        self.note("join".to_owned());
        Ok(())
    }

    fn on_change(&self, change: &ProposedChange<'_, Game>) -> Result<Verdict<Game>, String> {
        assert_eq!(change.author.name().len(), 32);
        assert!(!change.updates.is_empty());
        match change.after.word.as_str() {
            _ if change.before.word == change.after.word => Ok(Verdict::Accept),
            "count" => Ok(Verdict::amended(change, |game| {
                game.moves += 1;
                game.log.insert(format!("move {}", game.moves));
                game.points += 5;
            })),
            "other" => Ok(Verdict::Replace(vec![Game::WORD.set("instead".to_owned())])),
            "nothing" => Ok(Verdict::Replace(Vec::new())),
            "wrong" => Ok(Verdict::amended(change, |game| game.level = 101)),
            "refuse" => Err(format!("{} is not a word", change.after.word)),
            "crash" => panic!("changing panics"),
            "wait" => {
                self.note("change waits".to_owned());
                let _ = self.release.lock().unwrap().recv();
                Ok(Verdict::Accept)
            }
            _ => Ok(Verdict::Accept),
        }
    }

    async fn on_leave(&self, room: State<Game>, _: &Participant) {
        tokio::task::yield_now().await;
        self.note(format!("leave at {}", room.version()));
        if room.get(Game::WORD) == "hush" {
            panic!("leaving panics");
        }
    }

    async fn on_empty(&self, room: State<Game>) {
        self.note(format!("empty at {}", room.version()));
    }

    async fn on_tick(&self, room: State<Game>) {
        let _ = room.update(|game| game.moves += 1);
        self.note("tick".to_owned());
    }

    fn tick(&self) -> Option<Duration> {
        self.tick
    }
}

fn builder(rules: Rules) -> ServerBuilder {
    Server::builder().rooms_with("game-*", Game::default, rules)
}

async fn word(client: &mut Client, seq: u64, word: &str) {
    client.set("game-1", seq, 0, "word", json!(word)).await;
}

#[tokio::test]
async fn a_change_is_amended_in_its_own_version_and_its_author_is_told() {
    let (rules, _observer) = rules(None);
    let (server, address) = start(builder(rules).idle(Duration::from_millis(1))).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.join("game-1").await["data"]["log"], json!(["this is game-1"]));
    }
    word(&mut ann, 1, "count").await;
    let ack = ann.expect("state:ack").await;
    let change = bob.expect("state:change").await;
    assert_eq!((&ack["version"], &change["version"]), (&json!(1), &json!(1)));
    assert_eq!(ack["updates"], change["updates"]);
    let updates = ack["updates"].as_array().unwrap();
    assert_eq!(updates.len(), 4, "{ack}");
    assert_eq!(updates[0], json!({"key": "word", "value": "count"}));

    word(&mut ann, 2, "other").await;
    let instead = json!([{"key": "word", "value": "instead"}]);
    assert_eq!(ann.expect("state:ack").await["updates"], instead);
    assert_eq!(bob.expect("state:change").await["updates"], instead);

    // A repeated change is answered again, and not applied again.
    word(&mut ann, 1, "count").await;
    assert_eq!(ann.expect("state:ack").await["version"], 1);

    // The log contains the change as it was amended.
    for mut client in [ann, bob] {
        client.send(json!({"type": "room:leave", "room": "game-1", "payload": {}})).await;
        client.ping().await;
    }
    soon("the room's end", async {
        while server.open_rooms() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let sync = Client::new(address, "eve").await.join("game-1").await;
    assert_eq!(sync["version"], 2);
    let expected =
        json!({"word": "instead", "log": ["move 1", "this is game-1"], "points": 5, "moves": 1, "level": 0});
    assert_eq!(sync["data"], expected);
}

#[tokio::test]
async fn what_is_refused_panics_or_is_amended_wrongly_changes_nothing_and_the_room_goes_on() {
    let (rules, _observer) = rules(None);
    let (_server, address) = start(builder(rules)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("game-1").await;
    bob.join("game-1").await;
    let rows = [
        ("refuse", "invalid", "refuse is not a word"),
        ("crash", "rules_failed", "the server's `on_change` hook failed"),
        ("nothing", "invalid", "nothing is left of the change"),
        ("wrong", "rules_failed", "100"),
    ];
    for (seq, (said, code, message)) in (1..).zip(rows) {
        word(&mut ann, seq, said).await;
        let error = ann.expect_error(code).await;
        assert!(error["payload"]["message"].as_str().unwrap().contains(message), "{error}");
    }
    bob.ping().await;
    word(&mut bob, 1, "fine").await;
    assert_eq!(bob.expect("state:ack").await["version"], 1);
    assert_eq!(ann.expect("state:change").await["updates"], json!([{"key": "word", "value": "fine"}]));
    let sync = Client::new(address, "eve").await.join("game-1").await;
    let expected = json!({"word": "fine", "log": ["this is game-1"], "points": 0, "moves": 0, "level": 0});
    assert_eq!(sync["data"], expected);
}

#[tokio::test]
async fn rules_say_who_comes_and_hear_who_goes() {
    let (rules, mut observer) = rules(None);
    let (_server, address) = start(builder(rules)).await;
    let mut ann = Client::new(address, "ann").await;
    let join = |room: &str| json!({"type": "room:join", "room": room, "payload": {}});
    for (room, code) in [("game-none", "forbidden"), ("game-broken", "rules_failed")] {
        ann.send(join(room)).await;
        ann.expect_error(code).await;
    }
    ann.join("game-1").await;
    assert_eq!(observer.next().await, "join");
    let mut bob = Client::new(address, "bob").await;
    for (seq, (said, code)) in (1..).zip([("nobody", "forbidden"), ("panic", "rules_failed")]) {
        word(&mut ann, seq, said).await;
        ann.expect("state:ack").await;
        bob.send(join("game-1")).await;
        bob.expect_error(code).await;
    }
    // A client that was not let in gets nothing.
    word(&mut ann, 3, "hush").await;
    ann.expect("state:ack").await;
    bob.ping().await;

    bob.join("game-1").await;
    assert_eq!(observer.next().await, "join");
    drop(bob);
    assert_eq!(observer.next().await, "leave at 3");
    // That hook has panicked, and nobody was affected.
    word(&mut ann, 4, "x").await;
    ann.expect("state:ack").await;
    ann.send(json!({"type": "room:leave", "room": "game-1", "payload": {}})).await;
    assert_eq!(observer.next().await, "leave at 4");
    assert_eq!(observer.next().await, "empty at 4");
}

#[tokio::test]
async fn a_slow_join_keeps_nobody_else_waiting() {
    let (rules, mut observer) = rules(None);
    let (_server, address) = start(builder(rules)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("game-1").await;
    assert_eq!(observer.next().await, "join");
    word(&mut ann, 1, "slow").await;
    ann.expect("state:ack").await;
    bob.send(json!({"type": "room:join", "room": "game-1", "payload": {}})).await;
    assert_eq!(observer.next().await, "join waits");
    word(&mut ann, 2, "x").await;
    ann.expect("state:ack").await;
    Client::new(address, "eve").await.join("game-1").await;
    observer.door.send_replace(true);
    assert_eq!(bob.expect("state:sync").await["data"]["word"], "x");
}

/// There is one thread for all connections, so a waiting hook must not block it.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn slow_rules_keep_their_own_room_waiting_and_no_other() {
    let (rules, mut observer) = rules(None);
    let (_server, address) = start(builder(rules)).await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("game-1").await;
    let mut others = Vec::new();
    for name in 0..20 {
        let mut other = Client::new(address, &name.to_string()).await;
        other.join("game-1").await;
        others.push(other);
    }
    word(&mut ann, 1, "wait").await;
    while observer.next().await != "change waits" {}

    // All of them need the room now, to change it or to leave.
    for (number, other) in others.iter_mut().enumerate() {
        match number % 4 {
            0 => other.send(json!({"type": "room:leave", "room": "game-1", "payload": {}})).await,
            _ => other.set("game-1", 1, 0, "points", json!(number)).await,
        }
    }
    let mut eve = Client::new(address, "eve").await;
    eve.join("game-2").await;
    for seq in 1..=50 {
        eve.set("game-2", seq, 0, "level", json!(seq)).await;
        eve.expect("state:ack").await;
    }

    observer.release.send(()).unwrap();
    assert_eq!(ann.expect("state:ack").await["version"], 1);
    for (number, other) in others.iter_mut().enumerate() {
        if number % 4 > 0 {
            while other.next().await["type"] != "state:ack" {}
        }
    }
    let sync = Client::new(address, "zoe").await.join("game-1").await;
    assert_eq!((&sync["version"], &sync["data"]["word"]), (&json!(16), &json!("wait")));
}

#[tokio::test]
async fn rooms_tick_while_somebody_is_there() {
    let (rules, mut observer) = rules(Some(Duration::from_millis(1)));
    let (server, address) = start(builder(rules).idle(Duration::from_millis(1))).await;
    for _ in 0..2 {
        let mut ann = Client::new(address, "ann").await;
        ann.join("game-1").await;
        for _ in 0..3 {
            while observer.next().await != "tick" {}
        }
        drop(ann);
        while !observer.next().await.starts_with("empty") {}
        soon("the room's end", async {
            while server.open_rooms() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}
