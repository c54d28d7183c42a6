//! A room's snapshot and log entries as they are read from a store that was damaged: a line with the snapshot, which may
//! be empty, and a line for each entry.

#![no_main]

use libfuzzer_sys::fuzz_target;
use shared_state_fuzz::{data, load};

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let snapshot = lines.next().filter(|snapshot| !snapshot.is_empty()).map(|snapshot| (10, snapshot));
    let first = if snapshot.is_some() { 11 } else { 1 };
    let tail = (first..).zip(lines);
    let Ok(mut room) = load(snapshot, tail) else { return };
    let (version, snapshot) = room.snapshot();
    let again = load(Some((version, &snapshot)), []).expect("what a room has written can be read");
    assert_eq!((again.head(), data(&again)), (version, data(&room)));
});
