//! The authority alone: what a room keeps over a restart.

#![allow(missing_docs)]

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::authority::{Append, Authority, Outbox, Typed};
use shared_state::protocol::{Frame, Limits};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
    theme: String,
    #[shared(counter)]
    views: i64,
}

struct Nobody;

impl Outbox for Nobody {
    fn push(&mut self, _frame: &Frame) -> bool {
        true
    }
}

type Room = Authority<Nobody>;

fn new(initial: Page) -> Room {
    Authority::new("room".into(), 7, Box::new(Typed::new(initial)), Arc::new(Limits::default()))
}

fn load(initial: Page, snapshot: Option<(u64, &[u8])>, tail: &[Append]) -> Room {
    let state = Box::new(Typed::new(initial));
    let tail = tail.iter().map(|append| (append.version, &append.entry[..]));
    Authority::load("room".into(), 7, state, Arc::new(Limits::default()), snapshot, tail)
        .expect("a sound room")
}

fn page(room: &Room) -> Page {
    room.state().as_any().downcast_ref::<Typed<Page>>().expect("a page").get().clone()
}

fn delta(room: &Room, since: u64) -> String {
    let mut delta = String::new();
    room.state().write_delta(since, &mut delta);
    delta
}

fn history(initial: Page) -> (Room, Vec<Append>) {
    let mut room = new(initial);
    let changes = [
        r#"[{"key":"title","value":"a"}]"#,
        r#"[{"key":"views","op":"add","value":2}]"#,
        r#"[{"key":"title","value":"b"},{"key":"views","op":"add","value":3}]"#,
    ];
    let appends = changes.iter().map(|change| room.submit_server(change).expect("a sound change")).collect();
    room.committed(3);
    (room, appends)
}

#[test]
fn g1_a_room_keeps_the_state_it_began_with_when_the_program_begins_otherwise() {
    let light = Page { theme: "light".into(), views: 10, ..Page::default() };
    let dark = Page { theme: "dark".into(), views: 0, ..Page::default() };
    let (room, log) = history(light);
    let loaded = load(dark, None, &log);
    assert_eq!(page(&loaded), page(&room));
    assert_eq!(page(&loaded), Page { title: "b".into(), theme: "light".into(), views: 15 });
}

#[test]
fn g2_a_room_is_the_same_from_its_log_and_from_a_snapshot_with_the_rest_of_the_log() {
    let (mut room, log) = history(Page::default());
    let from_log = load(Page::default(), None, &log);
    let mut two = load(Page::default(), None, &log[..2]);
    let (version, snapshot) = two.snapshot();
    assert_eq!(version, 2);
    let from_both = load(Page::default(), Some((version, &snapshot)), &log[2..]);
    let (version, snapshot) = room.snapshot();
    let from_snapshot = load(Page::default(), Some((version, &snapshot)), &[]);
    for loaded in [&from_log, &from_both, &from_snapshot] {
        assert_eq!((page(loaded), loaded.head(), loaded.durable()), (page(&room), 3, 3));
        for since in 0..=3 {
            assert_eq!(delta(loaded, since), delta(&room, since), "since {since}");
        }
    }
    assert_eq!(delta(&room, 2), r#"[{"key":"title","value":"b"},{"key":"views","value":5}]"#);
    assert_eq!(delta(&room, 3), "[]");
}

#[test]
fn a_log_with_a_hole_or_a_wrong_entry_is_refused_with_room_and_version() {
    let (_, log) = history(Page::default());
    let open = |tail: &[(u64, &[u8])]| {
        let state = Box::new(Typed::new(Page::default()));
        let limits = Arc::new(Limits::default());
        Room::load("room".into(), 7, state, limits, None, tail.iter().copied()).err().map(|e| e.to_string())
    };
    let error = open(&[(1, &log[0].entry[..]), (3, &log[2].entry[..])]).expect("a hole");
    assert!(
        error.contains("`room`") && error.contains("version 3") && error.contains("version 2 next"),
        "{error}"
    );
    for wrong in [&b"rubbish"[..], br#"{"u":5}"#, br#"{"u":[{"key":"views","value":"x"}]}"#] {
        let error = open(&[(1, &log[0].entry[..]), (2, wrong)]).expect("a wrong entry");
        assert!(error.contains("`room`") && error.contains("version 2"), "{error}");
    }
}
