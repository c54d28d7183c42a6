//! What one frame costs a room, of inputs that are made to cost much: a text edit against its size, whether it
//! is accepted or refused. The frame is read, and the change is applied by the real authority to a room with a
//! rule over changes, so that each change also costs a clone of the state.
//!
//! Prints a table: the input, its size, the bytes of the frame, the answer, and the milliseconds of the frame
//! and of a keystroke after it.

#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Instant;

use data_encoding::BASE64_NOPAD;
use serde::{Deserialize, Serialize};
use shared_state::proto::authority::{Authority, Dialect, Outbox, SessionId, Submitted, Typed};
use shared_state::proto::{ClientMessage, Envelope, Frame, JoinRequest, Limits};
use shared_state::{Author, SharedState, Text};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(validate_change = Page::check)]
struct Page {
    #[shared(text)]
    body: Text,
    #[shared(validate(length(max = 3)))]
    title: String,
}

impl Page {
    fn check(before: &Self, after: &Self, _author: &Author) -> Result<(), &'static str> {
        match after.body.chars_len().abs_diff(before.body.chars_len()) > 10_000_000 {
            true => Err("too much at once"),
            false => Ok(()),
        }
    }
}

/// A connection that reads nothing.
struct Deaf;

impl Outbox for Deaf {
    fn push(&mut self, _: &Frame) -> bool {
        true
    }
}

struct Room {
    authority: Authority<Deaf>,
    session: SessionId,
    seq: u64,
}

impl Room {
    fn new(body: &str) -> Self {
        let state = Typed::new(Page { body: body.into(), title: String::new() });
        let limits = Arc::new(Limits::default());
        let mut authority = Authority::new("room".into(), 7, Box::new(state), limits);
        let joined = authority.join("somebody--------".into(), Dialect::V1, &JoinRequest::default(), Deaf);
        Self { session: joined.expect("joins"), authority, seq: 0 }
    }

    /// The bytes of the frame, whether it is accepted, and the milliseconds that it takes.
    fn change(&mut self, updates: &str) -> (usize, bool, f64) {
        self.seq += 1;
        let seq = self.seq;
        let frame = format!(
            r#"{{"type":"state:change","room":"room","payload":{{"seq":{seq},"base":0,"updates":[{updates}]}}}}"#
        );
        let start = Instant::now();
        let envelope = Envelope::read(&frame).expect("an envelope");
        let Ok(ClientMessage::Change(change)) = ClientMessage::read(&envelope) else { panic!("a change") };
        let accepted = match self.authority.submit(self.session, &change) {
            Submitted::Accepted(append) => {
                self.authority.committed(append.version);
                true
            }
            Submitted::Answered => false,
        };
        (frame.len(), accepted, start.elapsed().as_secs_f64() * 1e3)
    }

    fn told(&mut self, what: &str, size: usize, updates: &str) {
        let (bytes, accepted, time) = self.change(updates);
        let (_, _, key) = self.change(r#"{"key":"body","op":"splice","value":[{"at":1,"insert":"x"}]}"#);
        let answer = if accepted { "accepted" } else { "refused" };
        println!("{what:<46} {size:>8} {bytes:>9} {answer:>9} {time:>10.3} {key:>8.3}");
    }
}

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

type Id = (u64, u64);

/// Insertions of one character each under one client id, each with its neighbours, as an update.
fn inserts(client: u64, clock: u64, structs: &[(Option<Id>, Option<Id>)]) -> String {
    let mut out = vec![1];
    [structs.len() as u64, client, clock].into_iter().for_each(|n| number(&mut out, n));
    for (origin, right) in structs {
        out.push(4 | u8::from(origin.is_some()) << 7 | u8::from(right.is_some()) << 6);
        for (client, clock) in origin.iter().chain(right) {
            number(&mut out, *client);
            number(&mut out, *clock);
        }
        if origin.is_none() && right.is_none() {
            out.extend_from_slice(b"\x01\x04text");
        }
        out.extend_from_slice(b"\x01x");
    }
    out.push(0);
    edit(&out)
}

/// Deletions of single units of the initial text, every other one, as an update.
fn deletes(count: usize) -> String {
    let mut out = vec![0, 1, 0];
    number(&mut out, count as u64);
    for at in 0..count {
        number(&mut out, 2 * at as u64);
        out.push(1);
    }
    edit(&out)
}

fn edit(bytes: &[u8]) -> String {
    format!(r#"{{"key":"body","op":"edit","value":"{}"}}"#, BASE64_NOPAD.encode(bytes))
}

fn noise(length: usize, seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..length).map(|_| rng.lowercase()).collect()
}

fn main() {
    println!("{:<46} {:>8} {:>9} {:>9} {:>10} {:>8}", "input", "size", "bytes", "answer", "ms", "then, ms");
    for size in [1_000, 4_000, 16_000, 40_000] {
        let same = vec![(None, None); size];
        Room::new("text").told("insertions with the same neighbours", size, &inserts(20, 0, &same));
    }
    for size in [100, 1_000, 4_000, 16_000] {
        // Each before the one before it.
        let before = |client: u64| -> Vec<_> {
            (0..size)
                .map(|at: u64| (None, at.checked_sub(1).map(|at| (client, at)).or(Some((0, 0)))))
                .collect()
        };
        let mut room = Room::new("text");
        room.change(&inserts(20, 0, &before(20)));
        room.told("insertions among those of somebody else", size as usize, &inserts(30, 0, &before(30)));
    }
    for size in [1_000, 4_000, 16_000, 40_000] {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut any = || Some((0, rng.u64(..100_000)));
        let structs: Vec<_> = (0..size).map(|_| (any(), any())).collect();
        Room::new(&noise(100_000, 2)).told(
            "insertions with random neighbours",
            size,
            &inserts(20, 0, &structs),
        );
    }
    for size in [1_000, 16_000, 60_000, 180_000] {
        Room::new(&noise(400_000, 3)).told("deletions of single units", size, &deletes(size));
    }
    for size in [64, 511, 4_000, 8_000] {
        // Each at a place of its own, between neighbours that are side by side.
        let edits: Vec<_> =
            (0..size).map(|at| inserts(20, at, &[(Some((0, 2 * at)), Some((0, 2 * at + 1)))])).collect();
        let mut room = Room::new(&noise(100_000, 4));
        room.told("edits of one change", size as usize, &edits.join(","));
        let mut room = Room::new(&noise(100_000, 4));
        let refused = format!(r#"{},{{"key":"title","value":"too long"}}"#, edits.join(","));
        room.told("edits of one change, the last update refused", size as usize, &refused);
    }
    for size in [2_000, 20_000, 252_000, 1_000_000] {
        let set = |seed| format!(r#"{{"key":"body","value":"{}"}}"#, noise(size, seed));
        Room::new(&noise(size, 5)).told("a text set to another of its length", size, &set(6));
    }
    for size in [100, 400, 1_600, 4_000] {
        let sets: Vec<_> =
            (0..size).map(|seed| format!(r#"{{"key":"body","value":"{}"}}"#, noise(220, seed))).collect();
        Room::new("text").told("a short text set again and again", size as usize, &sets.join(","));
    }
    for size in [500, 4_000, 16_000] {
        let splices = vec![r#"{"at":9,"delete":1,"insert":"xy"}"#; size].join(",");
        let splices = format!(r#"{{"key":"body","op":"splice","value":[{splices}]}}"#);
        Room::new(&noise(100_000, 7)).told("splices", size, &splices);
    }
    for size in [10, 100, 300] {
        let mut room = Room::new("");
        for at in 0..size {
            let text = noise(500_000, at);
            room.change(&format!(r#"{{"key":"body","op":"splice","value":[{{"at":0,"insert":"{text}"}}]}}"#));
            room.change(r#"{"key":"body","op":"splice","value":[{"at":0,"delete":500000}]}"#);
        }
        room.told("500 kB inserted and deleted, so often", size as usize, r#"{"key":"title","value":"a"}"#);
        println!("    a snapshot of {} bytes", room.authority.snapshot().1.len());
    }
}
