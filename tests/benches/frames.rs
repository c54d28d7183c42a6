//! What it costs the server to decide one frame of each kind, hostile ones among them: a table of the frame's size,
//! the time, and the ratio to the floor, which is reading the frame as a tree of JSON values in the same run.
//!
//! Each frame goes through the real reader and the real authority into a room with two other sessions, without sockets
//! and without a store. `cargo bench -p shared-state-tests --bench frames -- <part of a name>` runs some of them.

#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::proto::authority::{
    Authority, Dialect, Outbox, RoomState, SessionId, Submitted, Typed, Untyped,
};
use shared_state::proto::legacy::LegacyMessage;
use shared_state::proto::{ClientMessage, Declaration, Envelope, Frame, JoinRequest, Limits};
use shared_state::schema::FieldSchema;

/// The longest time that a frame within the limits may take.
const LIMIT: Duration = Duration::from_millis(20);

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    #[shared(counter)]
    views: i64,
    #[shared(list(key = id, nested))]
    cards: Vec<Card>,
    #[shared(list(key = id, nested))]
    done: Vec<Card>,
    #[shared(map)]
    names: BTreeMap<String, u32>,
    #[shared(set)]
    tags: BTreeSet<u32>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u32,
    title: String,
}

/// Takes every frame and drops it.
struct Sink;

impl Outbox for Sink {
    fn push(&mut self, _: &Frame) -> bool {
        true
    }
}

/// A room with a client, another one and one of the original hook.
struct Room {
    authority: Authority<Sink>,
    client: SessionId,
    hook: SessionId,
    seq: u64,
}

impl Room {
    fn new(state: Box<dyn RoomState>, declare: BTreeMap<String, Declaration>) -> Self {
        let limits = Arc::new(Limits::default());
        let mut authority = Authority::new("room".into(), 7, state, limits);
        let mut join = |name: &str, dialect, declare| {
            let request = JoinRequest { declare, ..JoinRequest::default() };
            authority.join(name.into(), dialect, &request, Sink).expect("the declarations fit")
        };
        let client = join("client", Dialect::V1, declare);
        join("other", Dialect::V1, BTreeMap::new());
        let hook = join("hook", Dialect::Legacy, BTreeMap::new());
        Self { authority, client, hook, seq: 0 }
    }

    fn typed(board: Board) -> Self {
        Self::new(Box::new(Typed::new(board)), BTreeMap::new())
    }

    fn untyped(declared: &[(&str, &str, &str)]) -> Self {
        let declared = declared.iter().map(|(path, policy, shape)| {
            let declaration = declaration(policy, shape);
            ((*path).to_owned(), declaration)
        });
        Self::new(Box::new(Untyped::new()), declared.collect())
    }

    /// Decides a frame; returns whether it was accepted.
    fn take(&mut self, frame: &str, is_legacy: bool) -> bool {
        let envelope = Envelope::read(frame).expect("an envelope");
        let submitted = if is_legacy {
            let Ok(LegacyMessage::Merge { data, version }) = LegacyMessage::read(&envelope) else {
                panic!("not a merge")
            };
            let data: BTreeMap<&str, &serde_json::value::RawValue> =
                serde_json::from_str(data.get()).expect("an object");
            let mut updates = String::from("[");
            for (key, value) in data {
                let comma = if updates.len() > 1 { "," } else { "" };
                let _ = write!(updates, r#"{comma}{{"key":"{key}","value":{value}}}"#);
            }
            updates.push(']');
            self.authority.submit_legacy(self.hook, &updates, version)
        } else {
            let Ok(ClientMessage::Change(change)) = ClientMessage::read(&envelope) else {
                panic!("not a change")
            };
            self.authority.submit(self.client, &change)
        };
        let Submitted::Accepted(entry) = submitted else { return false };
        self.authority.committed(entry.version);
        true
    }

    /// The frame of a change of these updates.
    fn frame(&mut self, updates: &str, reads: Option<&str>) -> String {
        self.seq += 1;
        let base = self.authority.head();
        let reads = reads.map_or(String::new(), |reads| format!(r#","reads":{reads}"#));
        let seq = self.seq;
        format!(
            r#"{{"type":"state:change","room":"room","payload":{{"seq":{seq},"base":{base},"updates":[{updates}]{reads}}}}}"#
        )
    }

    fn change(&mut self, updates: &str) {
        let frame = self.frame(updates, None);
        assert!(self.take(&frame, false), "the room is prepared: {}", &frame[..frame.len().min(200)]);
    }
}

/// A case: its name, the room, the frame, and whether it is one of the hook.
type Case = (&'static str, fn() -> (Room, String), bool);

/// `count` updates with commas between them.
fn declaration(policy: &str, shape: &str) -> Declaration {
    let field = FieldSchema { policy: policy.to_owned(), shape: shape.to_owned(), ..FieldSchema::default() };
    Declaration::new(field, None)
}

fn updates(count: usize, update: impl Fn(usize) -> String) -> String {
    (0..count).map(update).collect::<Vec<_>>().join(",")
}

fn set_entry(map: &'static str, prefix: &'static str) -> impl Fn(usize) -> String {
    move |at| format!(r#"{{"key":"{map}/{prefix}{at}","value":1}}"#)
}

fn insert(list: &'static str, from: usize) -> impl Fn(usize) -> String {
    move |at| {
        format!(r#"{{"key":"{list}","op":"insert","value":{{"item":{{"id":{},"title":""}}}}}}"#, from + at)
    }
}

/// The original hook's frame that sets `count` fields.
fn hook_merge(count: usize) -> String {
    let fields = (0..count).map(|at| format!(r#""f{at}":1"#)).collect::<Vec<_>>().join(",");
    format!(r#"{{"type":"state:merge","room":"room","payload":{{"data":{{{fields}}},"version":1}}}}"#)
}

fn cards(count: u32) -> Vec<Card> {
    (0..count).map(|id| Card { id, ..Card::default() }).collect()
}

const CARDS: (&str, &str, &str) = ("cards", "list(id, nested)", "[{id: u32, title: string}]");
const NAMES: (&str, &str, &str) = ("names", "map", "map<string, u32>");
const TAGS: (&str, &str, &str) = ("tags", "set", "[u32]");

const CASES: &[Case] = &[
    ("hook: state:merge of 80,000 fields", || (Room::untyped(&[]), hook_merge(80_000)), true),
    ("hook: state:merge of 40,000 fields", || (Room::untyped(&[]), hook_merge(40_000)), true),
    (
        "untyped: 30,000 new fields",
        || {
            let mut room = Room::untyped(&[]);
            let frame = room.frame(&updates(30_000, |at| format!(r#"{{"key":"f{at}","value":1}}"#)), None);
            (room, frame)
        },
        false,
    ),
    (
        "untyped: 300 puts into a map of 20,000",
        || {
            let mut room = Room::untyped(&[NAMES]);
            room.change(&updates(20_000, set_entry("names", "a")));
            let frame = room.frame(&updates(300, set_entry("names", "b")), None);
            (room, frame)
        },
        false,
    ),
    (
        "untyped: 30,000 puts into a map",
        || {
            let mut room = Room::untyped(&[NAMES]);
            let frame = room.frame(&updates(30_000, set_entry("names", "b")), None);
            (room, frame)
        },
        false,
    ),
    (
        "untyped: 12,000 inserts into a list",
        || {
            let mut room = Room::untyped(&[CARDS]);
            let frame = room.frame(&updates(12_000, insert("cards", 0)), None);
            (room, frame)
        },
        false,
    ),
    (
        "untyped: 12,000 moves in a list of 12,000",
        || {
            let mut room = Room::untyped(&[CARDS]);
            room.change(&updates(6_000, insert("cards", 0)));
            room.change(&updates(6_000, insert("cards", 6_000)));
            let moved = |at: usize| {
                format!(r#"{{"key":"cards/{at}","op":"move","value":{{"after":"{}"}}}}"#, 11_999 - at)
            };
            let frame = room.frame(&updates(12_000, moved), None);
            (room, frame)
        },
        false,
    ),
    (
        "untyped: 20,000 members into a set",
        || {
            let mut room = Room::untyped(&[TAGS]);
            let member = |at: usize| format!(r#"{{"key":"tags","op":"insert","value":{at}}}"#);
            let frame = room.frame(&updates(20_000, member), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 12,000 inserts into a list",
        || {
            let mut room = Room::typed(Board::default());
            let frame = room.frame(&updates(12_000, insert("cards", 0)), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 15,000 moves in a list of 15,000",
        || {
            let mut room = Room::typed(Board { cards: cards(15_000), ..Board::default() });
            let moved = |at: usize| {
                format!(r#"{{"key":"cards/{at}","op":"move","value":{{"after":"{}"}}}}"#, 14_999 - at)
            };
            let frame = room.frame(&updates(15_000, moved), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 15,000 moves to another list",
        || {
            let mut room = Room::typed(Board { cards: cards(15_000), ..Board::default() });
            let moved =
                |at: usize| format!(r#"{{"key":"cards/{at}","op":"transfer","value":{{"to":"done"}}}}"#);
            let frame = room.frame(&updates(15_000, moved), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 20,000 updates of items that have moved",
        || {
            let mut room = Room::typed(Board { cards: cards(1_000), ..Board::default() });
            let moved =
                |at: usize| format!(r#"{{"key":"cards/{at}","op":"transfer","value":{{"to":"done"}}}}"#);
            room.change(&updates(1_000, moved));
            let edit = |at: usize| format!(r#"{{"key":"cards/{}/title","value":"x"}}"#, at % 1_000);
            let frame = room.frame(&updates(20_000, edit), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: a list of 30,000 set as a whole",
        || {
            let mut room = Room::typed(Board { cards: cards(30_000), ..Board::default() });
            let items =
                (0..30_000).rev().map(|id| format!(r#"{{"id":{id},"title":""}}"#)).collect::<Vec<_>>();
            let frame = room.frame(&format!(r#"{{"key":"cards","value":[{}]}}"#, items.join(",")), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 25,000 puts into a map",
        || {
            let mut room = Room::typed(Board::default());
            let frame = room.frame(&updates(25_000, set_entry("names", "b")), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 20,000 members into a set",
        || {
            let mut room = Room::typed(Board::default());
            let member = |at: usize| format!(r#"{{"key":"tags","op":"insert","value":{at}}}"#);
            let frame = room.frame(&updates(20_000, member), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 22,000 additions to a counter",
        || {
            let mut room = Room::typed(Board::default());
            let frame =
                room.frame(&updates(22_000, |_| r#"{"key":"views","op":"add","value":1}"#.to_owned()), None);
            (room, frame)
        },
        false,
    ),
    (
        "typed: 60,000 reads, and a change that is refused",
        || {
            let mut room = Room::typed(Board { cards: cards(1_000), ..Board::default() });
            let reads = (0..60_000).map(|at| format!(r#""cards/{at}""#)).collect::<Vec<_>>().join(",");
            let frame = room.frame(r#"{"key":"title","value":1}"#, Some(&format!("[{reads}]")));
            (room, frame)
        },
        false,
    ),
    (
        "typed: an unknown field, put 300 times",
        || {
            let declaration = declaration("map", "map<string, u32>");
            let declared = BTreeMap::from([("more".to_owned(), declaration)]);
            let mut room = Room::new(Box::new(Typed::new(Board::default())), declared);
            room.change(&updates(20_000, set_entry("more", "a")));
            let frame = room.frame(&updates(300, set_entry("more", "b")), None);
            (room, frame)
        },
        false,
    ),
];

fn main() {
    let part = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    println!("{:<52} {:>9} {:>10} {:>10} {:>7}", "frame", "bytes", "time", "floor", "ratio");
    let mut worst = Duration::ZERO;
    for (name, case, is_legacy) in CASES.iter().filter(|(name, ..)| name.contains(&part)) {
        let mut times = Vec::new();
        let (mut floors, mut bytes, mut accepted) = (Vec::new(), 0, true);
        for _ in 0..3 {
            let (mut room, frame) = case();
            bytes = frame.len();
            let begun = Instant::now();
            let value: serde_json::Value = serde_json::from_str(&frame).expect("JSON");
            floors.push(begun.elapsed());
            drop(value);
            let begun = Instant::now();
            accepted &= room.take(&frame, *is_legacy);
            times.push(begun.elapsed());
            if times[0] > Duration::from_secs(2) {
                break;
            }
        }
        let (time, floor) = (times.iter().min().copied(), floors.iter().min().copied());
        let (time, floor) = (time.unwrap_or_default(), floor.unwrap_or_default());
        worst = worst.max(time);
        let ratio = time.as_secs_f64() / floor.as_secs_f64().max(1e-9);
        let note = if accepted { "" } else { "  refused" };
        let over = if time > LIMIT { "  OVER" } else { "" };
        println!("{name:<52} {bytes:>9} {time:>10.2?} {floor:>10.2?} {ratio:>7.1}{note}{over}");
    }
    println!("the longest took {worst:.2?}; the limit is {LIMIT:?}");
}
