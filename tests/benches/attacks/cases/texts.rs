//! Edits of texts: made to cost much, and no Yjs at all.

use std::sync::Arc;

use data_encoding::BASE64_NOPAD;

use super::Cases;
use crate::raw::{TEXT, frame};
use crate::target::{change, list, op, set};

type Id = (u64, u64);

fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn numbers(numbers: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    numbers.iter().for_each(|one| number(&mut out, *one));
    out
}

fn edit(bytes: &[u8]) -> String {
    op("body", "edit", &format!("\"{}\"", BASE64_NOPAD.encode(bytes)))
}

/// Insertions of one character each under one client id, each with its neighbours.
fn inserts(client: u64, structs: impl ExactSizeIterator<Item = (Option<Id>, Option<Id>)>) -> Vec<u8> {
    let mut out = numbers(&[1, structs.len() as u64, client, 0]);
    for (origin, right) in structs {
        out.push(4 | u8::from(origin.is_some()) << 7 | u8::from(right.is_some()) << 6);
        for (client, clock) in origin.iter().chain(&right) {
            out.extend(numbers(&[*client, *clock]));
        }
        if origin.is_none() && right.is_none() {
            out.extend_from_slice(b"\x01\x04text");
        }
        out.extend_from_slice(b"\x01x");
    }
    out.push(0);
    out
}

/// An insertion of this text, at the front of an empty document.
fn insertion(client: u64, text: &[u8]) -> Vec<u8> {
    let mut out = numbers(&[1, 1, client, 0]);
    out.extend_from_slice(b"\x04\x01\x04text");
    number(&mut out, text.len() as u64);
    out.extend_from_slice(text);
    out.push(0);
    out
}

/// Deletions of single units of what a client has inserted, every other one.
fn deletions(client: u64, count: u64) -> Vec<u8> {
    let mut out = numbers(&[0, 1, client, count]);
    (0..count).for_each(|at| out.extend(numbers(&[2 * at, 1])));
    out
}

fn noise(length: usize, seed: u64) -> String {
    let mut rng = fastrand::Rng::with_seed(seed);
    format!("\"{}\"", (0..length).map(|_| rng.lowercase()).collect::<String>())
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("texts");
    let text = |length, seed| set("body", &noise(length, seed));
    let front = |count: usize| (0..count).map(|_| (None, None));
    // Changes of one connection in a room of its own.
    for (name, changes) in [
        ("8,000 insertions at one place", vec![edit(&inserts(20, front(8000)))]),
        (
            "8,000 insertions at one place, by two clients",
            vec![edit(&inserts(20, front(8000))), edit(&inserts(21, front(8000)))],
        ),
        ("100,000 insertions at one place", vec![edit(&inserts(20, front(100_000)))]),
        (
            "8,000 insertions, each before the last",
            vec![edit(&inserts(
                20,
                (0..8000_u32).map(u64::from).map(|at| (None, at.checked_sub(1).map(|last| (20, last)))),
            ))],
        ),
        (
            "insertions between units that are not neighbours",
            vec![
                text(8000, 1),
                edit(&inserts(
                    20,
                    (0..8000_u32).map(u64::from).map(|at| (Some((0, at)), Some((0, 7999 - at)))),
                )),
            ],
        ),
        ("8,000 deletions of single units", vec![text(20_000, 1), edit(&deletions(0, 8000))]),
        ("180,000 deletions of single units", vec![text(400_000, 1), edit(&deletions(0, 180_000))]),
        ("a text of 250 kB set to another", vec![text(250_000, 1), text(250_000, 2)]),
        ("a text of 900 kB set to another, five times", (1..=5).map(|seed| text(900_000, seed)).collect()),
        (
            "10,000 splices",
            vec![
                text(1000, 1),
                op(
                    "body",
                    "splice",
                    &format!("[{}]", list(10_000, |_| r#"{"at":500,"delete":1,"insert":"ab"}"#.to_owned())),
                ),
            ],
        ),
        ("2,000 splices, five times", {
            let splices = op(
                "body",
                "splice",
                &format!("[{}]", list(2000, |at| format!(r#"{{"at":{},"delete":1,"insert":"ab"}}"#, at / 2))),
            );
            [text(5000, 1)].into_iter().chain(vec![splices; 5]).collect()
        }),
        (
            "a splice beyond the end",
            vec![op("body", "splice", &format!(r#"[{{"at":{0},"delete":{0},"insert":"a"}}]"#, u64::MAX))],
        ),
        (
            "511 edits and one that is refused",
            vec![
                text(100_000, 1),
                format!(
                    "{},{}",
                    list(511, |at| edit(&insertion(100 + at as u64, b"x"))),
                    set("level", "5000")
                ),
            ],
        ),
        ("300 client ids in one change", vec![list(300, |at| edit(&insertion(1000 + at as u64, b"x")))]),
        ("no base64", vec![op("body", "edit", "\"!!!!\"")]),
        ("bytes at random", vec![edit(noise(500_000, 3).as_bytes())]),
        ("no bytes", vec![edit(&[])]),
        ("2^60 structs that are not there", vec![edit(&numbers(&[1, 1 << 60, 20, 0]))]),
        ("2^60 clients that are not there", vec![edit(&numbers(&[1 << 60]))]),
        ("2^60 deletions that are not there", vec![edit(&numbers(&[0, 1, 0, 1 << 60]))]),
        (
            "a string of 2^60 bytes that is not there",
            vec![edit(&[&numbers(&[1, 1, 20, 0])[..], b"\x04\x01\x04text", &numbers(&[1 << 60])].concat())],
        ),
        ("a number of 1 MB", vec![edit(&[0xff; 500_000])]),
        (
            "a clock of 2^53",
            vec![edit(&[&numbers(&[1, 1, 20, 1 << 53])[..], b"\x04\x01\x04text\x01x\0"].concat())],
        ),
        ("a client of 2^63", vec![edit(&insertion(1 << 63, b"x"))]),
        ("the client id of the server", vec![edit(&insertion(0, b"x"))]),
        ("a deletion of 2^62 units", vec![text(10, 1), edit(&numbers(&[0, 1, 0, 1, 0, 1 << 62]))]),
        ("deletions that overflow", vec![text(10, 1), edit(&numbers(&[0, 1, 0, 1, u64::MAX, u64::MAX]))]),
        ("no UTF-8", vec![edit(&insertion(20, b"\xff\xfe"))]),
        (
            "half of a surrogate pair",
            vec![op("body", "splice", r#"[{"at":0,"insert":"\ud83d"}]"#), text(3, 1)],
        ),
        (
            "an embedded object",
            vec![edit(&[&numbers(&[1, 1, 20, 0])[..], b"\x05\x01\x04text\x02{}\0"].concat())],
        ),
        (
            "a gap of 2^50 units",
            vec![edit(&[&numbers(&[1, 1, 20, 0])[..], b"\x0a", &numbers(&[1 << 50]), b"\0"].concat())],
        ),
    ] {
        let changes = Arc::new(changes);
        cases.add(name, move |target| {
            let changes = changes.clone();
            async move {
                let room = target.new_room("board");
                let mut raw = target.member(&room).await?;
                for (at, updates) in changes.iter().enumerate() {
                    raw.send(&change(&room, at as u64 + 1, updates)).await?;
                }
                Ok(())
            }
        });
    }
    cases.add("keystrokes of 20 connections in one text", |target| async move {
        let room = target.same_room("board");
        target
            .crowd(20, |target| {
                let room = &room;
                async move {
                    let stroke = op("body", "splice", r#"[{"at":0,"insert":"x"}]"#);
                    target.member(room).await?.flood(|seq| frame(TEXT, change(room, seq, &stroke))).await
                }
            })
            .await
    });
    cases.add("900 kB written and deleted, again and again", |target| async move {
        let room = target.new_room("board");
        let raw = target.member(&room).await?;
        let (full, empty) = (set("body", &noise(900_000, 1)), set("body", "\"\""));
        raw.flood(|seq| frame(TEXT, change(&room, seq, if seq % 2 == 1 { &full } else { &empty }))).await
    });
    cases.add("a text cut into ever more runs", |target| async move {
        let room = target.new_room("board");
        let mut raw = target.member(&room).await?;
        raw.send(&change(&room, 1, &set("body", &noise(200_000, 1)))).await?;
        raw.flood(|at| {
            let splices = list(2000, |part| {
                format!(r#"{{"at":{},"insert":"x"}}"#, (at as usize * 2000 + part) * 3 % 200_000)
            });
            frame(TEXT, change(&room, at + 1, &op("body", "splice", &format!("[{splices}]"))))
        })
        .await
    });
    cases
}
