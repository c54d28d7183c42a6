//! Roles that fields require: who writes what, and who is sent what, in both dialects.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::server::{Handshake, Roles, Server};
use shared_state_tests::{seeds, start};

use tokio_tungstenite::tungstenite::Message;

use crate::common::client::{Client, connect_with};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    free: String,
    #[shared(write = "editor")]
    #[serde(alias = "name")]
    title: String,
    #[shared(read = "dealer")]
    secret: String,
    #[shared(read = "dealer", write = "editor")]
    note: String,
    #[shared(nested)]
    layout: Layout,
    #[shared(list(key = id, nested))]
    items: Vec<Item>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
    #[shared(write = "editor")]
    locked: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Item {
    id: String,
    text: String,
    #[shared(write = "editor")]
    pinned: bool,
}

/// A user's token is the list of their roles, joined by commas.
fn roles_of(user: &str) -> Roles {
    user.split(',').collect()
}

#[tokio::test]
async fn every_action_needs_its_roles_in_both_dialects() {
    let item = |id: &str| json!({"id": id, "text": "", "pinned": false});
    let rows: [(Value, &[&str], &str, &[&str]); 14] = [
        (json!([{"key": "free", "value": "x"}]), &[], "free", &[]),
        (json!([{"key": "title", "value": "x"}]), &[], "title", &["editor"]),
        (json!([{"key": "name", "value": "y"}]), &[], "name", &["editor"]),
        (json!([{"key": "free", "value": "x"}, {"key": "title", "value": "z"}]), &[], "title", &["editor"]),
        (json!([{"key": "secret", "value": "x"}]), &[], "secret", &["dealer"]),
        (json!([{"key": "note", "value": "x"}]), &[], "note", &["dealer", "editor"]),
        (json!([{"key": "free", "value": "x"}]), &["secret"], "secret", &["dealer"]),
        (json!([{"key": "layout/columns", "value": 2}]), &[], "layout/columns", &[]),
        (json!([{"key": "layout/locked", "value": true}]), &[], "layout/locked", &["editor"]),
        (json!([{"key": "layout", "value": {"columns": 2, "locked": true}}]), &[], "layout", &["editor"]),
        (
            json!([{"key": "items", "op": "insert", "value": {"item": item("new"), "after": null}}]),
            &[],
            "items",
            &["editor"],
        ),
        (json!([{"key": "items/a/text", "value": "x"}]), &[], "items/a/text", &[]),
        (json!([{"key": "items/a/pinned", "value": true}]), &[], "items/a/pinned", &["editor"]),
        (json!([{"key": "items", "value": []}]), &[], "items", &["editor"]),
    ];
    let initial =
        || Document { items: vec![Item { id: "a".into(), ..Item::default() }], ..Document::default() };
    let builder =
        Server::builder().rooms("document-*", initial).roles(|user: &String, _: &str| roles_of(user));
    let known = |handshake: Handshake| {
        let user = handshake.bearer().or(handshake.query("token")).unwrap_or_default();
        ready(Ok::<_, String>(user.to_owned()))
    };
    let (_server, address) = start(builder.authenticate(known)).await;
    for (user, held) in [
        ("", &[][..]),
        ("editor", &["editor"]),
        ("dealer", &["dealer"]),
        ("editor,dealer", &["editor", "dealer"]),
    ] {
        for (at, (updates, reads, field, needed)) in rows.iter().enumerate() {
            let may = needed.iter().all(|role| held.contains(role));
            let room = format!("document-{user}-{at}");
            let mut client = connect_with(address, Some(user)).await;
            client.send(json!({"type": "hello", "payload": {"client": format!("{at:-<16}")}})).await;
            client.expect("welcome").await;
            client.join(&room).await;
            let mut payload = json!({"seq": 1, "base": 0, "updates": updates});
            if !reads.is_empty() {
                payload["reads"] = json!(reads);
            }
            client.send(json!({"type": "state:change", "room": room, "payload": payload})).await;
            if may {
                assert_eq!(client.expect("state:ack").await["version"], 1, "{user}: {updates}");
            } else {
                let refused = client.expect_error("forbidden").await;
                assert_eq!(refused["payload"]["field"], *field, "{user}: {updates}");
            }

            // The updates that a legacy client can express, which are sets of whole fields.
            let plain = updates.as_array().unwrap();
            if plain
                .iter()
                .any(|update| update["key"].as_str().unwrap().contains('/') || !update["op"].is_null())
                || !reads.is_empty()
            {
                continue;
            }
            let room = format!("document-hook-{user}-{at}");
            let mut hook = Client::hook_at(address, &format!("/ws?token={user}")).await;
            let data: Value = plain
                .iter()
                .map(|update| (update["key"].as_str().unwrap().to_owned(), update["value"].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into();
            let payload = json!({"data": data, "version": 1});
            hook.send(json!({"type": "state:merge", "room": room, "payload": payload})).await;
            if may {
                hook.ping().await;
            } else {
                hook.expect_error("forbidden").await;
                // Before that, the page is corrected.
                hook.ping_among_others().await;
            }
            let written = client.join(&room).await["version"].as_u64().unwrap();
            assert_eq!(written > 0, may, "hook {user}: {updates}");
        }
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Game {
    turn: String,
    #[shared(read = "seat-1")]
    first: String,
    #[shared(read = "seat-2")]
    second: String,
    #[shared(nested, read = "seat-3")]
    third: Hand,
    #[shared(nested)]
    table: Table,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Hand {
    cards: String,
    seen: String,
}

/// Hidden as a whole, because of what it contains.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Table {
    open: String,
    #[shared(read = "dealer")]
    next: String,
}

const ROLES: [&str; 4] = ["seat-1", "seat-2", "seat-3", "dealer"];
/// The paths that are written, and the role that may read each.
const PLACES: [(&str, Option<&str>); 7] = [
    ("turn", None),
    ("first", Some("seat-1")),
    ("second", Some("seat-2")),
    ("third/cards", Some("seat-3")),
    ("third/seen", Some("seat-3")),
    ("table/open", Some("dealer")),
    ("table/next", Some("dealer")),
];

/// Pseudo-random numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

struct Player {
    name: &'static str,
    client: Client,
    is_hook: bool,
    /// The version that a legacy client counts.
    counted: u64,
    seq: u64,
    state: Value,
    /// The headers of compact frames.
    subjects: BTreeMap<u64, String>,
    /// The position to resume from.
    resume: Value,
    /// What it could read when it left, if it is away.
    left_with: Option<BTreeSet<&'static str>>,
}

impl Player {
    /// The next frame, which must be about this version and contain only what these roles may read.
    async fn follow(
        &mut self,
        version: u64,
        held: &BTreeSet<&str>,
        secrets: &BTreeMap<String, Option<&str>>,
    ) {
        if self.is_hook {
            return self.catch_up(held, secrets).await;
        }
        let message = self.client.next_message().await.unwrap();
        let text = self.check(&message, held, secrets);
        self.resume["version"] = json!(version);
        if let Message::Binary(bytes) = message {
            let key = &self.subjects[&u64::from(bytes[1])];
            *self.state.pointer_mut(&format!("/{key}")).unwrap() =
                serde_json::from_slice(&bytes[2..]).unwrap();
            return;
        }
        let frame: Value = serde_json::from_str(&text).unwrap();
        let payload = &frame["payload"];
        assert_eq!(payload["version"], version, "{}: {text}", self.name);
        match frame["type"].as_str().unwrap() {
            "state:sync" => {
                self.state = payload["data"].clone();
                self.resume["epoch"] = payload["epoch"].clone();
                self.resume["audience"] = payload["audience"].clone();
                let hidden =
                    PLACES.into_iter().filter(|(_, role)| role.is_some_and(|role| !held.contains(role)));
                let mut hidden: Vec<_> = hidden.map(|(place, _)| place.split('/').next().unwrap()).collect();
                hidden.dedup();
                let told = payload["rights"].get("hidden").cloned().unwrap_or(json!([]));
                assert_eq!(told, json!(hidden), "{}: {text}", self.name);
            }
            "state:change" | "state:delta" => {
                for update in payload["updates"].as_array().unwrap() {
                    let at = format!("/{}", update["key"].as_str().unwrap());
                    *self.state.pointer_mut(&at).unwrap() = update["value"].clone();
                    if let Some(number) = payload["brief"].as_u64() {
                        self.subjects.insert(number, at[1..].to_owned());
                    }
                }
            }
            other => panic!("{other}: {text}"),
        }
    }

    /// Ends its connection.
    async fn leave(&mut self, held: BTreeSet<&'static str>) {
        self.left_with = Some(held);
        self.client.send_raw(Message::Close(None)).await;
        while self.client.next_message().await.is_some() {}
    }

    /// Reconnects; returns whether it was sent the delta it missed, and not the full state.
    async fn come_back(
        &mut self,
        address: SocketAddr,
        version: u64,
        held: &BTreeSet<&'static str>,
        secrets: &BTreeMap<String, Option<&str>>,
    ) -> bool {
        let same = self.left_with.take().as_ref() == Some(held);
        self.client = greeted(address, self.name).await;
        self.resume["acked"] = json!(self.seq);
        let payload = json!({"brief": self.name == "ann", "resume": self.resume});
        self.client.send(json!({"type": "room:join", "room": "game", "payload": payload})).await;
        let before = self.state.clone();
        self.state = Value::Null;
        if same {
            self.state = before;
        }
        // A delta cannot be applied where the full state is due, because there is no state then.
        self.follow(version, held, secrets).await;
        same
    }

    /// Processes everything that a legacy client was sent so far; it accepts what is newer than its own
    /// version.
    async fn catch_up(&mut self, held: &BTreeSet<&str>, secrets: &BTreeMap<String, Option<&str>>) {
        self.client.send(json!({"type": "ping", "payload": {}})).await;
        loop {
            let message = self.client.next_message().await.unwrap();
            let text = self.check(&message, held, secrets);
            let frame: Value = serde_json::from_str(&text).unwrap();
            let payload = &frame["payload"];
            let told = payload["version"].as_u64().unwrap_or(0);
            let newer = told > self.counted;
            match frame["type"].as_str().unwrap() {
                "pong" => return,
                "state:sync" => self.state = payload["data"].clone(),
                "state:update" if newer => {
                    self.state[payload["key"].as_str().unwrap()] = payload["value"].clone();
                }
                "state:merge" if newer => {
                    for (key, value) in payload["data"].as_object().unwrap() {
                        self.state[key] = value.clone();
                    }
                }
                "state:update" | "state:merge" => continue,
                other => panic!("{other}: {text}"),
            }
            self.counted = told;
        }
    }

    /// The text of a message, checked to contain nothing that these roles may not read.
    fn check(
        &self,
        message: &Message,
        held: &BTreeSet<&str>,
        secrets: &BTreeMap<String, Option<&str>>,
    ) -> String {
        let text = String::from_utf8_lossy(&message.clone().into_data()).into_owned();
        for (secret, role) in secrets {
            let may = role.is_none_or(|role| held.contains(role));
            assert!(may || !text.contains(secret.as_str()), "{} may not read {role:?}: {text}", self.name);
        }
        text
    }

    async fn write(&mut self, place: &str, value: &str) {
        self.counted += u64::from(self.is_hook);
        let version = self.counted;
        let update = match place.split_once('/') {
            Some((field, part)) if self.is_hook => {
                let mut whole = self.state[field].clone();
                whole[part] = json!(value);
                json!({"key": field, "value": whole, "version": version})
            }
            _ => json!({"key": place, "value": value, "version": version}),
        };
        if self.is_hook {
            self.state[update["key"].as_str().unwrap()] = update["value"].clone();
            self.client.send(json!({"type": "state:update", "room": "game", "payload": update})).await;
            return;
        }
        self.seq += 1;
        self.client.set("game", self.seq, 0, place, json!(value)).await;
    }
}

/// A connection of the v1 protocol after its hello.
async fn greeted(address: SocketAddr, name: &str) -> Client {
    let mut client = connect_with(address, Some(name)).await;
    client.send(json!({"type": "hello", "payload": {"client": format!("{name:-<16}")}})).await;
    client.expect("welcome").await;
    client
}

/// Three players and a watcher, at least one of each dialect, with random moves, changes of roles, and
/// connections that end. Returns how often a client resumed with a delta, and how often with the full state.
async fn play(seed: u64) -> (u32, u32) {
    let mut dice = Dice(seed);
    let held: Arc<Mutex<BTreeMap<String, BTreeSet<&'static str>>>> = Arc::default();
    let names = ["ann", "bob", "cleo", "watcher"];
    let hooks = [false, seed % 2 == 1, true, seed % 3 == 1];
    {
        let mut held = held.lock().unwrap();
        for (name, role) in names.into_iter().zip(ROLES).take(3) {
            held.insert(name.to_owned(), [role].into());
        }
    }
    let roles = {
        let held = held.clone();
        move |user: &String, _: &str| held.lock().unwrap().get(user).into_iter().flatten().copied().collect()
    };
    let builder = Server::builder()
        .rooms("game", Game::default)
        .authenticate(|handshake: Handshake| {
            ready(handshake.bearer().or(handshake.query("token")).map(str::to_owned).ok_or("who is it?"))
        })
        .roles(roles);
    let (server, address) = start(builder).await;
    let of = |name: &str| held.lock().unwrap().get(name).cloned().unwrap_or_default();

    let mut secrets = BTreeMap::new();
    let mut players = Vec::new();
    for (name, is_hook) in names.into_iter().zip(hooks) {
        let mut client = match is_hook {
            true => Client::hook_at(address, &format!("/ws?token={name}")).await,
            false => greeted(address, name).await,
        };
        if is_hook {
            client.send(json!({"type": "state:sync:request", "room": "game", "payload": {}})).await;
        } else {
            client
                .send(json!({"type": "room:join", "room": "game", "payload": {"brief": name == "ann"}}))
                .await;
        }
        let mut player = Player {
            name,
            client,
            is_hook,
            counted: 0,
            seq: 0,
            state: Value::Null,
            subjects: BTreeMap::new(),
            resume: json!({}),
            left_with: None,
        };
        player.follow(0, &of(name), &secrets).await;
        players.push(player);
    }

    let (mut version, mut same, mut other) = (0, 0, 0);
    for step in 0..160 {
        let at = dice.roll(players.len());
        let name = players[at].name;
        if !players[at].is_hook && players[at].left_with.is_none() && dice.roll(6) == 0 {
            players[at].leave(of(name)).await;
            continue;
        }
        if players[at].left_with.is_some() && dice.roll(2) == 0 {
            match players[at].come_back(address, version, &of(name), &secrets).await {
                true => same += 1,
                false => other += 1,
            }
            continue;
        }
        if dice.roll(if players[at].left_with.is_some() { 2 } else { 4 }) == 0 {
            let role = ROLES[dice.roll(ROLES.len())];
            {
                let mut held = held.lock().unwrap();
                let roles = held.entry(name.to_owned()).or_default();
                if !roles.remove(role) {
                    roles.insert(role);
                }
            }
            server.permissions_changed("game");
            if players[at].left_with.is_some() {
                continue;
            }
            players[at].follow(version, &of(name), &secrets).await;
            continue;
        }
        if players[at].left_with.is_some() {
            continue;
        }
        let (place, role) = PLACES[dice.roll(PLACES.len())];
        let value = format!("secret-{step}-of-{seed}.");
        secrets.insert(value.clone(), role);
        if role.is_some_and(|role| !of(name).contains(role)) {
            if !players[at].is_hook {
                players[at].write(place, &value).await;
                players[at].client.expect_error("forbidden").await;
            }
            continue;
        }
        players[at].write(place, &value).await;
        version += 1;
        // When the v1 clients, which are sent every version, have received it, the legacy clients have been
        // sent it.
        let here = players.iter_mut().enumerate().filter(|(_, player)| player.left_with.is_none());
        let mut order: Vec<_> = here.collect();
        order.sort_by_key(|(_, player)| player.is_hook);
        for (index, player) in order {
            if index != at || player.is_hook {
                player.follow(version, &of(player.name), &secrets).await;
            } else {
                match player.client.next_message().await.unwrap() {
                    Message::Binary(next) => assert_eq!((next.len(), next[1]), (3, 0)),
                    Message::Text(answer) => assert!(answer.contains(&format!("\"version\":{version}"))),
                    other => panic!("{other:?}"),
                }
                *player.state.pointer_mut(&format!("/{place}")).unwrap() = json!(value);
                player.resume["version"] = json!(version);
            }
        }
    }
    for player in players.iter_mut().filter(|player| player.left_with.is_some()) {
        player.come_back(address, version, &of(player.name), &secrets).await;
    }

    let head = serde_json::to_value(server.room::<Game>("game").await.unwrap().state()).unwrap();
    for player in &players {
        let held = of(player.name);
        for (place, role) in PLACES {
            let shown = player.state.pointer(&format!("/{place}"));
            match role.is_none_or(|role| held.contains(role)) {
                true => assert_eq!(shown, head.pointer(&format!("/{place}")), "{}: {place}", player.name),
                false => assert_eq!(shown, None, "{}: {place}", player.name),
            }
        }
    }
    (same, other)
}

#[tokio::test]
async fn g12_nobody_is_sent_what_they_may_not_read() {
    let (mut same, mut other) = (0, 0);
    for seed in seeds::range(12) {
        let _replay = seeds::Replay::of(seed);
        let returned = play(seed).await;
        (same, other) = (same + returned.0, other + returned.1);
    }
    assert!(same > 20 && other > 20, "{same} returned to what they had, {other} to something else");
}
