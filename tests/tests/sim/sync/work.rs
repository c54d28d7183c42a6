//! G9: what a change may cost the server. The inputs are the kinds that cost it minutes: many operations on one value.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::proto::authority::{Authority, Dialect, RoomState, SessionId, Submitted, Typed, Untyped};
use shared_state::proto::{ChangeRequest, Declaration, JoinRequest, Limits};
use shared_state::schema::FieldSchema;
use shared_state::{List, SharedState};
use shared_state_tests::Tube;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    #[shared(list(key = id))]
    plain: Vec<Card>,
    #[shared(list(key = id))]
    long: List<Card>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u32,
}

struct Room {
    authority: Authority<Tube>,
    ann: SessionId,
    sent: Tube,
    seq: u64,
    /// The length of the longest refusal.
    longest: usize,
}

impl Room {
    fn new(state: Box<dyn RoomState>, limits: Limits, declare: &[(&str, &str, &str)]) -> Self {
        let mut authority = Authority::new("room".into(), 7, state, Arc::new(limits));
        let declared = declare.iter().map(|(path, policy, shape)| {
            let (policy, shape) = ((*policy).to_owned(), (*shape).to_owned());
            let field = FieldSchema { policy, shape, ..FieldSchema::default() };
            ((*path).to_owned(), Declaration::new(field, None))
        });
        let request = JoinRequest { declare: declared.collect(), ..JoinRequest::default() };
        let sent = Tube::default();
        let ann = authority.join("ann".into(), Dialect::V1, &request, sent.clone()).expect("it fits");
        Self { authority, ann, sent, seq: 0, longest: 0 }
    }

    /// Submits a change; returns the code of its refusal.
    fn change(&mut self, updates: &Value, reads: &[&str]) -> Result<(), String> {
        self.seq += 1;
        let updates = serde_json::value::to_raw_value(updates).expect("JSON");
        let reads = reads.iter().map(|path| (*path).into()).collect();
        let (seq, base) = (self.seq, self.authority.head());
        let change = ChangeRequest { seq, base, again: false, updates: &updates, reads: Some(reads) };
        match self.authority.submit(self.ann, &change) {
            Submitted::Accepted(entry) => {
                self.authority.committed(entry.version);
                Ok(())
            }
            Submitted::Answered => {
                let frame = std::iter::from_fn(|| self.sent.pop()).last().expect("a refusal");
                self.longest = self.longest.max(frame.len());
                let frame: Value = serde_json::from_str(frame.as_str()).expect("JSON");
                assert_eq!(frame["payload"]["seq"], seq, "{frame}");
                Err(frame["payload"]["code"].as_str().unwrap_or_default().to_owned())
            }
        }
    }

    fn data(&self) -> Value {
        let mut data = String::new();
        self.authority.state().write_data(&mut data);
        serde_json::from_str(&data).expect("JSON")
    }
}

fn inserts(list: &str, ids: std::ops::Range<u32>) -> Value {
    ids.map(|id| json!({"key": list, "op": "insert", "value": {"item": {"id": id}}})).collect()
}

#[test]
fn g9_a_change_that_takes_too_much_work_is_refused_and_leaves_nothing() {
    let mut limits = Limits::default();
    limits.work = 100_000;
    let mut room = Room::new(Box::new(Typed::new(Board::default())), limits, &[]);
    assert_eq!(room.change(&inserts("plain", 0..100), &[]), Ok(()));
    let before = room.data();
    // Each insertion compares its key with those of all items.
    assert_eq!(room.change(&inserts("plain", 100..1_000), &[]), Err("too_costly".to_owned()));
    assert_eq!((room.data(), room.authority.head()), (before, 1));
    // The limit is for one change, and a `List` finds its items at once.
    for from in 1..5 {
        assert_eq!(room.change(&inserts("plain", from * 100..from * 100 + 50), &[]), Ok(()));
    }
    assert_eq!(room.change(&inserts("long", 0..5_000), &[]), Ok(()));
    assert_eq!(room.data()["long"].as_array().map(Vec::len), Some(5_000));
}

#[test]
fn g9_a_typed_state_grows_to_its_limit_and_can_always_be_made_smaller() {
    let mut limits = Limits::default();
    limits.state = 20_000;
    let mut room = Room::new(Box::new(Typed::new(Board::default())), limits.clone(), &[]);
    let size = |room: &Room| room.data().to_string().len();
    let mut next = 0;
    let mut fill = |room: &mut Room| loop {
        let before = room.data();
        match room.change(&inserts("long", next..next + 10), &[]) {
            Ok(()) => next += 10,
            Err(code) => {
                assert_eq!((&*code, room.data()), ("state_too_large", before));
                break (19_700..=20_400).contains(&size(room));
            }
        }
    };
    assert!(fill(&mut room), "{}", size(&room));
    let title = |length: usize| json!([{"key": "title", "value": "x".repeat(length)}]);
    assert_eq!(room.change(&title(1_000), &[]), Err("state_too_large".to_owned()));
    let remove = |ids: std::ops::Range<u32>| -> Value {
        ids.map(|id| json!({"key": format!("long/{id}"), "op": "delete", "value": null})).collect()
    };
    assert_eq!(room.change(&remove(0..500), &[]), Ok(()));
    assert_eq!(room.change(&title(1_000), &[]), Ok(()));
    assert!(fill(&mut room), "{}", size(&room));
    // The program may write more. Clients can only make that smaller.
    room.authority.submit_server(&title(30_000).to_string()).expect("it fits the type");
    room.authority.committed(room.authority.head());
    assert_eq!(room.change(&inserts("plain", 0..1), &[]), Err("state_too_large".to_owned()));
    assert_eq!(room.change(&title(29_000), &[]), Ok(()));
    assert_eq!(room.change(&title(0), &[]), Ok(()));
    assert!(fill(&mut room), "{}", size(&room));
    // A room that is opened again knows how large it is.
    let (version, snapshot) = room.authority.snapshot();
    let state = Box::new(Typed::new(Board::default()));
    let limits = Arc::new(limits);
    let loaded = Authority::load("room".into(), 7, state, limits, Some((version, &snapshot)), []);
    room.authority = loaded.expect("a sound snapshot");
    let joined = room.authority.join("ann".into(), Dialect::V1, &JoinRequest::default(), room.sent.clone());
    room.ann = joined.expect("it fits");
    assert_eq!(room.change(&title(1_000), &[]), Err("state_too_large".to_owned()));
}

#[test]
fn g9_thousands_of_operations_on_a_value_that_the_server_does_not_know_are_one_reading_of_it() {
    let declared = [
        ("cards", "list(id)", "[{id: u32}]"),
        ("tags", "set", "[u32]"),
        ("more/names", "map", "map<string, u32>"),
    ];
    let mut room = Room::new(Box::new(Untyped::new()), Limits::default(), &declared);
    // By the rules of each policy, item by item.
    let (mut cards, mut tags, mut names) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut rng = fastrand::Rng::with_seed(7);
    for _ in 0..4 {
        let mut updates = Vec::new();
        for _ in 0..3_000 {
            let id = rng.u32(..5_000);
            match rng.u8(..6) {
                0 if cards.contains(&id) => {
                    updates.push(json!({"key": format!("cards/{id}"), "op": "delete", "value": null}));
                    cards.retain(|card| *card != id);
                }
                0 | 1 if !cards.contains(&id) => {
                    let after = cards.get(rng.usize(..cards.len() + 1)).copied();
                    let at = after
                        .map_or(0, |after| cards.iter().position(|card| *card == after).unwrap_or(0) + 1);
                    let after = after.map(|after| after.to_string());
                    updates.push(json!({"key": "cards", "op": "insert", "value": {"after": after, "item": {"id": id}}}));
                    cards.insert(at, id);
                }
                2 if cards.contains(&id) => {
                    updates
                        .push(json!({"key": format!("cards/{id}"), "op": "move", "value": {"after": null}}));
                    cards.retain(|card| *card != id);
                    cards.insert(0, id);
                }
                3 => {
                    updates.push(json!({"key": "tags", "op": "insert", "value": id}));
                    tags.retain(|tag| *tag != id);
                    tags.push(id);
                }
                4 => {
                    updates.push(json!({"key": "tags", "op": "remove", "value": id}));
                    tags.retain(|tag| *tag != id);
                }
                _ => {
                    updates.push(json!({"key": format!("more/names/n{id}"), "value": id}));
                    names.insert(format!("n{id}"), id);
                }
            }
        }
        assert_eq!(room.change(&Value::Array(updates), &[]), Ok(()));
        let cards: Vec<_> = cards.iter().map(|id| json!({"id": id})).collect();
        assert_eq!(room.data(), json!({"cards": cards, "tags": tags, "more": {"names": names}}));
    }
}

#[test]
fn g9_a_part_of_a_value_that_is_too_long_to_be_read_for_it_is_not_changed() {
    let mut room = Room::new(Box::new(Untyped::new()), Limits::default(), &[("tags", "set", "[string]")]);
    let long: Vec<_> = (0..12).map(|tag| format!("{tag}{}", "x".repeat(100_000))).collect();
    let set = json!([{"key": "tags", "value": long}]);
    assert_eq!(room.change(&set, &[]), Ok(()));
    let insert = json!([{"key": "tags", "op": "insert", "value": "a"}]);
    assert_eq!(room.change(&insert, &[]), Err("state_too_large".to_owned()));
    assert_eq!(room.data(), json!({"tags": long}));
    assert_eq!(room.change(&json!([{"key": "tags", "value": ["b"]}]), &[]), Ok(()));
    assert_eq!(room.change(&insert, &[]), Ok(()));
}

#[test]
fn g9_what_is_remembered_of_a_refusal_is_short_whatever_it_quotes() {
    let mut room = Room::new(Box::new(Typed::new(Board::default())), Limits::default(), &[]);
    let path = format!("plain/{}", "x".repeat(200_000));
    let set = json!([{"key": "title", "value": "a"}]);
    assert_eq!(room.change(&set, &[&path]), Err("bad_key".to_owned()));
    assert_eq!(room.change(&json!([{"key": path, "value": 1}]), &[]), Err("bad_key".to_owned()));
    let many = vec!["title"; 65_537];
    assert_eq!(room.change(&set, &many), Err("bad_change".to_owned()));
    assert!((1..1_000).contains(&room.longest), "{}", room.longest);
}

#[test]
fn a_number_of_a_client_at_the_end_of_its_range_is_counted_no_further() {
    let mut room = Room::new(Box::new(Typed::new(Board::default())), Limits::default(), &[]);
    let epoch = room.authority.epoch();
    let resume =
        shared_state::proto::Resume { epoch, version: 0, acked: u64::MAX, schema: None, audience: None };
    let request = JoinRequest { resume: Some(resume), brief: true, ..JoinRequest::default() };
    room.ann = room.authority.join("bob".into(), Dialect::V1, &request, room.sent.clone()).expect("it fits");
    assert_eq!(room.change(&json!([{"key": "title", "value": "a"}]), &[]), Ok(()));
    assert_eq!(room.data()["title"], "a");
}
