//! Changes: much work in one frame, and numbers that nobody counts to.

use std::sync::Arc;

use futures_util::future::join_all;

use super::Cases;
use crate::raw::{Raw, TEXT, frame};
use crate::target::{Target, change, hold, join, list, message, op, set};

/// How a list, a map and a set are declared in an untyped room.
const DECLARED: &str = r#"{"declare":{
    "cards":{"policy":"list(id, nested)","shape":"[{id: u32, title: string}]","initial":[]},
    "names":{"policy":"map","shape":"map<string, u32>","initial":{}},
    "tags":{"policy":"set","shape":"[u32]","initial":[]}}}"#;

fn insert(list: &str, id: usize) -> String {
    op(list, "insert", &format!(r#"{{"item":{{"id":{id},"title":"","votes":{{}}}}}}"#))
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("changes");
    let inserts = || list(10_000, |at| insert("cards", at));
    let reversed = list(15_000, |at| format!(r#"{{"id":{},"title":"","votes":{{}}}}"#, 15_000 - at));
    let moves = |count: usize| {
        list(count, |at| op(&format!("cards/{at}"), "move", &format!(r#"{{"after":"{}"}}"#, count - 1 - at)))
    };
    // A room, its preparation and the change that costs much, in a room of its own each time.
    for (name, pattern, changes) in [
        ("typed: 10,000 inserts into a list", "board", vec![inserts()]),
        ("typed: 10,000 moves in a list", "board", vec![inserts(), moves(10_000)]),
        (
            "typed: 10,000 moves to the front and back",
            "board",
            vec![
                list(2, |at| insert("cards", at)),
                list(20_000, |at| op(&format!("cards/{}", at % 2), "move", r#"{"after":null}"#)),
            ],
        ),
        (
            "typed: 10,000 transfers to another list",
            "board",
            vec![inserts(), list(10_000, |at| op(&format!("cards/{at}"), "transfer", r#"{"to":"done"}"#))],
        ),
        (
            "typed: an item transferred in circles",
            "board",
            vec![
                insert("cards", 1),
                list(10_000, |at| {
                    op(
                        if at % 2 == 0 { "cards/1" } else { "done/1" },
                        "transfer",
                        if at % 2 == 0 { r#"{"to":"done"}"# } else { r#"{"to":"cards"}"# },
                    )
                }),
            ],
        ),
        (
            "typed: transfers of missing items",
            "board",
            vec![list(10_000, |at| op(&format!("cards/{at}"), "transfer", r#"{"to":"done"}"#))],
        ),
        (
            "typed: a transfer into itself",
            "board",
            vec![
                insert("cards", 1),
                list(10_000, |_| op("cards/1", "transfer", r#"{"to":"cards/1/votes"}"#)),
            ],
        ),
        (
            "typed: 10,000 takes without inserts",
            "board",
            vec![inserts(), list(10_000, |at| op(&format!("cards/{at}"), "take", r#"{"to":"done"}"#))],
        ),
        (
            "typed: 10,000 removals, then places after them",
            "board",
            vec![
                inserts(),
                list(10_000, |at| op(&format!("cards/{at}"), "delete", "null")),
                list(8_000, |at| {
                    op(
                        "cards",
                        "insert",
                        &format!(
                            r#"{{"item":{{"id":{},"title":"","votes":{{}}}},"after":"{}"}}"#,
                            20_000 + at,
                            at
                        ),
                    )
                }),
            ],
        ),
        (
            "typed: edits of items that have moved",
            "board",
            vec![
                list(1000, |at| insert("cards", at)),
                list(1000, |at| op(&format!("cards/{at}"), "transfer", r#"{"to":"done"}"#)),
                list(15_000, |at| set(&format!("cards/{}/title", at % 1000), "\"x\"")),
            ],
        ),
        (
            "typed: a list of 15,000 set in the other order",
            "board",
            vec![inserts(), set("cards", &format!("[{reversed}]"))],
        ),
        (
            "typed: 25,000 entries of a map",
            "board",
            vec![list(25_000, |at| set(&format!("names/a{at}"), "1"))],
        ),
        (
            "typed: 25,000 entries inside an item",
            "board",
            vec![insert("cards", 1), list(20_000, |at| set(&format!("cards/1/votes/a{at}"), "true"))],
        ),
        (
            "typed: 20,000 removals of missing entries",
            "board",
            vec![list(20_000, |at| op(&format!("names/a{at}"), "delete", "null"))],
        ),
        (
            "typed: 20,000 members of a set",
            "board",
            vec![list(20_000, |at| op("tags", "insert", &at.to_string()))],
        ),
        ("typed: 20,000 additions", "board", vec![list(20_000, |_| op("views", "add", "1"))]),
        (
            "typed: additions at the bound",
            "board",
            vec![set("views", &i64::MAX.to_string()), list(20_000, |_| op("views", "add", "1"))],
        ),
        (
            "typed: 511 changes and one that is refused",
            "board",
            vec![format!(
                "{},{}",
                list(511, |at| set("title", &format!("\"{}{at}\"", "a".repeat(1500)))),
                set("level", "5000")
            )],
        ),
        ("typed: unknown operations", "board", vec![list(20_000, |_| op("title", "frobnicate", "1"))]),
        ("typed: unknown fields", "board", vec![list(20_000, |at| set(&format!("field{at}"), "1"))]),
        (
            "typed: items of other types",
            "board",
            vec![list(10_000, |at| op("cards", "insert", &format!(r#"{{"item":[{at}]}}"#)))],
        ),
        (
            "typed: nested fields of other types",
            "board",
            vec![list(20_000, |_| set("layout/columns", "\"x\""))],
        ),
        (
            "typed: a title of 900 kB, five times",
            "board",
            vec![set("title", &format!("\"{}\"", "a".repeat(900_000))); 5],
        ),
        (
            "typed: entries of 300 kB until the room is full",
            "board",
            (0..5).map(|at| list(3, |key| insert_long("cards", at * 3 + key))).collect(),
        ),
        ("untyped: 30,000 new fields", "free", vec![list(30_000, |at| set(&format!("f{at}"), "1"))]),
        ("untyped: 45,000 sets of one field", "free", vec![list(45_000, |_| set("f", "1"))]),
        ("untyped: 30,000 bad keys", "free", vec![list(30_000, |at| set(&format!("a/{at}"), "1"))]),
        ("untyped: keys of 256 bytes", "free", vec![list(3500, |at| set(&format!("{at:0256}"), "1"))]),
        (
            "untyped: values of 900 kB until the room is full",
            "free",
            (0..6).map(|at| set(&format!("f{at}"), &format!("\"{}\"", "a".repeat(900_000)))).collect(),
        ),
        ("declared: 10,000 inserts into a list", "free", vec![inserts()]),
        ("declared: 10,000 moves in a list", "free", vec![inserts(), moves(10_000)]),
        (
            "declared: 300 entries into a map of 20,000",
            "free",
            vec![
                list(20_000, |at| set(&format!("names/a{at}"), "1")),
                list(300, |at| set(&format!("names/b{at}"), "1")),
            ],
        ),
        (
            "declared: 20,000 members of a set",
            "free",
            vec![list(20_000, |at| op("tags", "insert", &at.to_string()))],
        ),
        (
            "declared: 20,000 members out of a set",
            "free",
            vec![
                list(20_000, |at| op("tags", "insert", &at.to_string())),
                list(20_000, |at| op("tags", "remove", &at.to_string())),
            ],
        ),
        (
            "declared: entries deep inside nothing",
            "free",
            vec![list(10_000, |at| set(&format!("cards/{at}/title/a/b/c"), "1"))],
        ),
    ] {
        let changes = Arc::new(changes);
        cases.add(name, move |target| {
            let changes = changes.clone();
            async move {
                let room = target.new_room(pattern);
                let mut raw = target.client().await?;
                raw.writer.text(&join(&room, if pattern == "free" { DECLARED } else { "{}" })).await?;
                raw.reader.expect("state:sync").await?;
                for (at, updates) in changes.iter().enumerate() {
                    raw.send(&change(&room, at as u64 + 1, updates)).await?;
                }
                Ok(())
            }
        });
    }
    // What a change says besides its updates, in one room.
    let title = set("title", "\"x\"");
    let with = move |seq: &str, base: &str, more: &str| {
        format!(r#"{{"seq":{seq},"base":{base}{more},"updates":[{title}]}}"#)
    };
    let long_reads = list(3800, |at| format!("\"cards/{at}/{}\"", "a".repeat(230)));
    let short_reads = list(60_000, |at| format!("\"cards/{at}\""));
    for (name, payloads) in [
        ("seq 2^64 - 1, then 1", vec![with(&u64::MAX.to_string(), "0", ""), with("1", "0", "")]),
        ("seq 2^53 - 1, then 1", vec![with("9007199254740991", "0", ""), with("1", "0", "")]),
        ("seq 2^70", vec![with("1180591620717411303424", "0", "")]),
        (
            "seq -1, 0, 1.5, a string",
            ["-1", "0", "1.5", "\"1\""].iter().map(|seq| with(seq, "0", "")).collect(),
        ),
        ("a base of 2^64 - 1", vec![with("1", &u64::MAX.to_string(), "")]),
        ("no updates", vec![r#"{"seq":1,"base":0,"updates":[]}"#.to_owned()]),
        ("60,000 reads", vec![with("1", "0", &format!(r#","reads":[{short_reads}]"#))]),
        (
            "long reads that are refused, 100 times",
            (1..=100)
                .map(|seq: u32| with(&seq.to_string(), "0", &format!(r#","reads":[{long_reads}]"#)))
                .collect(),
        ),
        (
            "refused changes with long paths, 200 times",
            (1..=200)
                .map(|seq: u32| {
                    format!(r#"{{"seq":{seq},"base":0,"updates":[{}]}}"#, set(&"b".repeat(100_000), "1"))
                })
                .collect(),
        ),
    ] {
        let payloads = Arc::new(payloads);
        cases.add(name, move |target| {
            let payloads = payloads.clone();
            async move {
                let room = target.same_room("board");
                let mut raw = target.member(&room).await?;
                for payload in payloads.iter() {
                    raw.send(&message("state:change", &room, payload)).await?;
                }
                Ok(())
            }
        });
    }
    cases.add("one change, again and again", |target| async move {
        let (room, mut raw) = member(&target, "board").await?;
        let again = format!(r#"{{"seq":1,"base":0,"again":true,"updates":[{}]}}"#, set("title", "\"x\""));
        let again = message("state:change", &room, &again);
        raw.send(&again).await?;
        let again = frame(TEXT, again).repeat(100);
        raw.flood(|_| again.clone()).await
    });
    // Many changes, of one connection and of many, to one room and to rooms of their own.
    for (name, pattern, connections, is_shared) in [
        ("small writes of one connection", "board", 1, true),
        ("small writes of 50 connections to one room", "board", 50, true),
        ("small writes of 50 connections to rooms of their own", "board", 50, false),
        ("small writes of 50 connections to untyped rooms of their own", "free", 50, false),
    ] {
        cases.add(name, move |target| async move {
            target
                .crowd(connections, |target| async move {
                    let room = if is_shared { target.same_room(pattern) } else { target.new_room(pattern) };
                    let raw = target.member(&room).await?;
                    raw.flood(|seq| frame(TEXT, change(&room, seq, &set("title", &format!("\"{seq}\"")))))
                        .await
                })
                .await
        });
    }
    for (name, length, connections) in [
        ("writes of 10 kB of 20 connections", 10_000, 20),
        ("writes of 900 kB of 20 connections", 900_000, 20),
    ] {
        cases.add(name, move |target| async move {
            let value = set("title", &format!("\"{}\"", "a".repeat(length)));
            target
                .crowd(connections, |target| {
                    let value = &value;
                    async move {
                        let room = target.new_room("board");
                        target.member(&room).await?.flood(|seq| frame(TEXT, change(&room, seq, value))).await
                    }
                })
                .await
        });
    }
    cases.add("refused writes of 20 connections", |target| async move {
        target
            .crowd(20, |target| async move {
                let room = target.same_room("board");
                let raw = target.member(&room).await?;
                raw.flood(|seq| frame(TEXT, change(&room, seq, &set("level", "5000")))).await
            })
            .await
    });
    cases.add("small writes in a room of 300 others", |target| async move {
        let room = target.same_room("board");
        let others = target.members(&room, 300).await?;
        let reading = join_all(others.into_iter().map(Raw::listen));
        let raw = target.member(&room).await?;
        let (_, written) =
            tokio::join!(reading, raw.flood(|seq| frame(TEXT, change(&room, seq, &set("title", "\"x\"")))));
        written
    });
    cases.add("writes each under a client id of its own", |target| async move {
        let room = target.same_room("board");
        target
            .crowd(20, |target| {
                let room = &room;
                async move { target.member(room).await?.send(&change(room, 1, &op("views", "add", "1"))).await }
            })
            .await
    });
    cases.add("a full window of unread answers", |target| async move {
        let (room, raw) = member(&target, "board").await?;
        let mut raw = raw;
        for seq in 1..=100_000 {
            raw.writer.text(&change(&room, seq, &op("views", "add", "1"))).await?;
        }
        hold(raw).await
    });
    cases
}

async fn member(target: &Target, pattern: &str) -> std::io::Result<(String, Raw)> {
    let room = target.new_room(pattern);
    let raw = target.member(&room).await?;
    Ok((room, raw))
}

fn insert_long(list: &str, id: usize) -> String {
    op(list, "insert", &format!(r#"{{"item":{{"id":{id},"title":"{}","votes":{{}}}}}}"#, "a".repeat(300_000)))
}
