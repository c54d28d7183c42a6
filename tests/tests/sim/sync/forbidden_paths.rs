//! No sequence of writes changes a path that the rule forbids, in whatever way the writes are written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::proto::authority::{
    Authority, Dialect, Outbox, Permissions, RoomState, SessionId, Submitted, Typed, Untyped,
};
use shared_state::proto::{ChangeRequest, Frame, JoinRequest, Limits};
use shared_state_tests::seeds;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[serde(alias = "old")]
    #[shared(list(key = id, nested))]
    cards: Vec<Card>,
    #[shared(list(key = id, nested))]
    done: Vec<Card>,
    #[shared(map(nested))]
    named: BTreeMap<String, Card>,
    #[shared(nested)]
    first: Card,
    #[shared(nested)]
    second: Option<Card>,
    title: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u8,
    title: String,
    #[shared(map)]
    votes: BTreeMap<String, u8>,
    #[shared(counter)]
    stars: u8,
}

struct Nobody;

impl Outbox for Nobody {
    fn push(&mut self, _frame: &Frame) -> bool {
        true
    }
}

/// Forbids paths that begin or end like this, and what is inside them.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Name(&'static str),
    Path(&'static str),
}

impl Rule {
    const ALL: [Self; 9] = [
        Self::Name("bob"),
        Self::Name("title"),
        Self::Name("votes"),
        Self::Name("1"),
        Self::Name("stars"),
        Self::Path("done"),
        Self::Path("cards/2"),
        Self::Path("named/x/votes"),
        Self::Path("second"),
    ];

    fn forbids(self, path: &str) -> bool {
        match self {
            Self::Name(name) => path.split('/').any(|segment| segment == name),
            Self::Path(of) => {
                path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

impl Permissions for Rule {
    fn write(&self, path: &str) -> Result<(), String> {
        if self.forbids(path) { Err(format!("`{path}` is forbidden")) } else { Ok(()) }
    }
}

/// The values of a state by their paths; the items of the lists are found by their ids.
fn paths(value: &Value, path: &str, out: &mut BTreeMap<String, Value>) {
    if !path.is_empty() && !matches!(value, Value::Object(_)) {
        out.insert(path.to_owned(), value.clone());
    }
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| paths(member, &join(name), out));
        }
        Value::Array(items) if matches!(path, "cards" | "done") => {
            // The order of the items is the list's.
            let ids: Vec<_> = items.iter().map(|item| item["id"].clone()).collect();
            out.insert(path.to_owned(), Value::Array(ids));
            items.iter().for_each(|item| paths(item, &join(&item["id"].to_string()), out));
        }
        _ => {}
    }
}

fn flat(state: &dyn RoomState) -> BTreeMap<String, Value> {
    let (mut data, mut out) = (String::new(), BTreeMap::new());
    state.write_data(&mut data);
    paths(&serde_json::from_str(&data).expect("a state writes JSON"), "", &mut out);
    out
}

fn card(random: &mut fastrand::Rng, id: u8) -> Value {
    let mut votes = serde_json::Map::new();
    for voter in ["ann", "bob"] {
        if random.bool() {
            votes.insert(voter.to_owned(), json!(random.u8(..3)));
        }
    }
    let title = ["a", "b"][random.usize(..2)];
    json!({"id": id, "title": title, "votes": votes, "stars": random.u8(..3)})
}

fn cards(random: &mut fastrand::Rng) -> Value {
    let ids: Vec<_> = (0..4).filter(|_| random.bool()).collect();
    ids.into_iter().map(|id| card(random, id)).collect()
}

fn named(random: &mut fastrand::Rng) -> Value {
    let names: Vec<_> = ["x", "y"].into_iter().filter(|_| random.bool()).collect();
    Value::Object(names.into_iter().map(|name| (name.to_owned(), card(random, 1))).collect())
}

/// The updates of one change.
fn updates(random: &mut fastrand::Rng) -> Vec<Value> {
    let list = ["cards", "done"][random.usize(..2)];
    let id = random.u8(..4);
    let place = match random.u8(..3) {
        0 => json!({}),
        1 => json!({"after": null}),
        _ => json!({"after": random.u8(..4).to_string()}),
    };
    let inserted = |item: Value| {
        let mut value = place.clone();
        value["item"] = item;
        value
    };
    let other = if list == "cards" { "done" } else { "cards" };
    let inside = match random.u8(..6) {
        0 => format!("{list}/{id}"),
        1 => "named/x".to_owned(),
        2 => "first".to_owned(),
        3 => "second".to_owned(),
        4 => format!("{list}/0{id}"),
        _ => format!("{}/{id}", if list == "cards" { "old" } else { "done" }),
    };
    let one = |update: Value| vec![update];
    match random.u8(..16) {
        0 => one(json!({"key": list, "value": cards(random)})),
        1 => one(json!({"key": "old", "value": cards(random)})),
        2 => one(json!({"key": list, "op": "insert", "value": inserted(card(random, id))})),
        3 => one(json!({"key": format!("{list}/{id}"), "op": "delete", "value": null})),
        4 => one(json!({"key": format!("{list}/{id}"), "op": "move", "value": place})),
        5 => {
            let mut value = place;
            value["to"] = json!(other);
            one(json!({"key": format!("{list}/{id}"), "op": "transfer", "value": value}))
        }
        6 => vec![
            json!({"key": format!("{list}/{id}"), "op": "take", "value": {"to": other}}),
            json!({"key": other, "op": "insert", "value": inserted(card(random, id))}),
        ],
        7 => one(json!({"key": "named", "value": named(random)})),
        8 => one(json!({"key": "named/x", "value": card(random, 1)})),
        9 => one(json!({"key": "named/x", "op": "delete", "value": null})),
        10 => one(json!({"key": (["first", "second"][random.usize(..2)]), "value": card(random, 1)})),
        11 => one(json!({"key": "second", "value": null})),
        12 => one(json!({"key": format!("{inside}/votes"), "value": {"ann": random.u8(..3)}})),
        13 => one(json!({"key": format!("{inside}/votes/bob"), "value": random.u8(..3)})),
        14 => one(json!({"key": format!("{inside}/stars"), "op": "add", "value": 1})),
        _ => one(json!({"key": inside, "value": card(random, id)})),
    }
}

fn run(seed: u64, state: Box<dyn RoomState>, declare: Value) {
    let mut random = fastrand::Rng::with_seed(seed);
    let rule = Rule::ALL[random.usize(..Rule::ALL.len())];
    let mut room = Authority::new("room".into(), 7, state, Arc::new(Limits::default()));
    let request = JoinRequest {
        declare: serde_json::from_value(declare).expect("declarations"),
        ..JoinRequest::default()
    };
    let join = |room: &mut Authority<Nobody>, name: &str, dialect, may: Option<Rule>| -> SessionId {
        let may = may.map(|rule| Arc::new(rule) as Arc<dyn Permissions>);
        room.join_with(name.into(), dialect, &request, may, Nobody).expect("a room to join")
    };
    let free = join(&mut room, "free", Dialect::V1, None);
    let bound = join(&mut room, "bound", Dialect::V1, Some(rule));
    let page = join(&mut room, "page", Dialect::Legacy, Some(rule));
    let (mut accepted, mut refused) = (0, 0);
    for seq in 1..=400 {
        let mut all = updates(&mut random);
        if random.u8(..4) == 0 {
            all.extend(updates(&mut random));
        }
        let text = Value::Array(all).to_string();
        let before = flat(room.state());
        let who = random.u8(..6);
        let submitted = if who == 5 {
            room.submit_legacy(page, &text, None)
        } else {
            let updates = serde_json::from_str(&text).expect("JSON");
            let change = ChangeRequest { seq, base: room.head(), again: false, updates, reads: None };
            room.submit(if who == 0 { free } else { bound }, &change)
        };
        match submitted {
            Submitted::Accepted(entry) => {
                accepted += 1;
                room.committed(entry.version);
            }
            Submitted::Answered => refused += 1,
        }
        if who == 0 {
            continue;
        }
        let after = flat(room.state());
        let all: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for path in all.into_iter().filter(|path| before.get(*path) != after.get(*path)) {
            assert!(!rule.forbids(path), "{rule:?}: `{path}` was changed by {text}");
        }
    }
    assert!(accepted > 20 && refused > 20, "{accepted} accepted, {refused} refused");
}

#[test]
fn g16_no_sequence_of_writes_changes_a_forbidden_path_of_a_typed_room() {
    seeds::run(200, |seed| run(seed, Box::new(Typed::new(Board::default())), json!({})));
}

#[test]
fn g16_no_sequence_of_writes_changes_a_forbidden_path_of_an_untyped_room() {
    let shape = "{id: u8, stars: u8, title: string, votes: map<string, u8>}";
    let list = json!({"policy": "list(id, nested)", "shape": format!("[{shape}]"), "initial": []});
    let declare = json!({
        "cards": list, "done": list,
        "named": {"policy": "map(nested)", "shape": format!("map<string, {shape}>"), "initial": {}},
        "first": {"policy": "lww", "shape": shape, "initial": {}},
    });
    seeds::run(200, |seed| run(seed, Box::new(Untyped::new()), declare.clone()));
}
