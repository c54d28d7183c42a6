//! A room's snapshot and log entries as they are read from a store that was damaged: a line with the snapshot, which may
//! be empty, and a line for each entry.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use shared_state::proto::Limits;
use shared_state::proto::authority::{Authority, Outbox, Typed};
use shared_state_fuzz::Board;

struct Nobody;

impl Outbox for Nobody {
    fn push(&mut self, _: &shared_state::proto::Frame) -> bool {
        true
    }
}

fn load(snapshot: Option<(u64, &[u8])>, tail: &[(u64, &[u8])]) -> Option<Authority<Nobody>> {
    let (state, limits) = (Box::new(Typed::new(Board::default())), Arc::new(Limits::default()));
    Authority::load("room".into(), 7, state, limits, snapshot, tail.iter().copied()).ok()
}

fn data(room: &Authority<Nobody>) -> String {
    let mut data = String::new();
    room.state().write_data(&mut data);
    data
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let snapshot = lines.next().filter(|snapshot| !snapshot.is_empty()).map(|snapshot| (10, snapshot));
    let first = if snapshot.is_some() { 11 } else { 1 };
    let tail: Vec<_> = (first..).zip(lines).collect();
    let Some(mut room) = load(snapshot, &tail) else { return };
    let (version, snapshot) = room.snapshot();
    let again = load(Some((version, &snapshot)), &[]).expect("what a room has written can be read");
    assert_eq!((again.head(), data(&again)), (version, data(&room)));
});
