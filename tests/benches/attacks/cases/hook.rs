//! The messages of the original hook.

use futures_util::future::join_all;

use super::Cases;
use super::rooms::fill;
use crate::raw::{TEXT, frame};
use crate::target::{hold, list, message};

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("hook");
    let long = "a".repeat(900_000);
    let user = |id: &str| format!(r#"{{"id":"{id}","name":"x"}}"#);
    // One message, in a room that nobody has used; `ROOM` stands for its name.
    for (name, text) in [
        (
            "a merge of 80,000 fields",
            message(
                "state:merge",
                "ROOM",
                &format!(r#"{{"data":{{{}}},"version":1}}"#, list(80_000, |at| format!(r#""f{at}":1"#))),
            ),
        ),
        (
            "a merge of 60,000 fields",
            message(
                "state:merge",
                "ROOM",
                &format!(r#"{{"data":{{{}}},"version":1}}"#, list(60_000, |at| format!(r#""f{at}":1"#))),
            ),
        ),
        (
            "a merge of one field, 80,000 times",
            message(
                "state:merge",
                "ROOM",
                &format!(r#"{{"data":{{{}}},"version":1}}"#, list(80_000, |_| r#""f":1"#.to_owned())),
            ),
        ),
        ("a merge of no object", message("state:merge", "ROOM", r#"{"data":[1,2],"version":1}"#)),
        (
            "a key of 900 kB",
            message("state:update", "ROOM", &format!(r#"{{"key":"{long}","value":1,"version":1}}"#)),
        ),
        (
            "a value of 900 kB",
            message("state:update", "ROOM", &format!(r#"{{"key":"a","value":"{long}","version":1}}"#)),
        ),
        (
            "a version of 2^64 - 1",
            message("state:update", "ROOM", &format!(r#"{{"key":"a","value":1,"version":{}}}"#, u64::MAX)),
        ),
        (
            "a version of 2^53 - 1",
            message("state:update", "ROOM", r#"{"key":"a","value":1,"version":9007199254740991}"#),
        ),
        (
            "a value 100,000 deep",
            message(
                "state:update",
                "ROOM",
                &format!(
                    r#"{{"key":"a","value":{}{},"version":1}}"#,
                    "[".repeat(100_000),
                    "]".repeat(100_000)
                ),
            ),
        ),
        ("not JSON", "[".repeat(500_000)),
        ("__proto__", message("state:update", "ROOM", r#"{"key":"__proto__","value":{},"version":1}"#)),
        ("a broadcast of 900 kB", message("broadcast:chat-1", "ROOM", &format!("\"{long}\""))),
        ("a broadcast in a channel of 900 kB", message(&format!("broadcast:{long}"), "ROOM", "1")),
        (
            "a user of 900 kB",
            message("presence:join", "ROOM", &format!(r#"{{"user":{},"room":"ROOM"}}"#, user(&long))),
        ),
        ("another user's leaving", message("presence:leave", "ROOM", "\"somebody\"")),
        ("a message of its own of 900 kB", message("game:move", "ROOM", &format!("\"{long}\""))),
    ] {
        cases.add(name, move |target| {
            let text = text.clone();
            async move {
                let mut raw = target.hook().await?;
                loop {
                    raw.ask(&text.replace("ROOM", &target.new_room("free"))).await?;
                }
            }
        });
    }
    // The same message, as fast as it is taken, from a few pages that read it and as many that do not.
    for (name, text) in [
        ("requests for the state", message("state:sync:request", "ROOM", "{}")),
        ("updates", message("state:update", "ROOM", r#"{"key":"a","value":1,"version":1}"#)),
        ("messages of their own", message("game:move", "ROOM", r#"{"to":"e4"}"#)),
        ("broadcasts", message("broadcast:chat-1", "ROOM", r#"{"text":"x"}"#)),
        ("cursors", message("cursor:move", "ROOM", r#"{"user":{"id":"u"},"x":1,"y":2,"timestamp":1}"#)),
        ("presences", message("presence:update", "ROOM", r#"{"user":{"id":"u"},"data":{"a":1},"lastSeen":1}"#)),
        ("room:join", r#"{"type":"room:join","payload":{"roomId":"ROOM","user":{"id":"u"}}}"#.to_owned()),
        ("room:join and room:leave", r#"{"type":"room:join","payload":{"roomId":"ROOM","user":{"id":"u"}}}|{"type":"room:leave","payload":{"roomId":"ROOM","user":{"id":"u"}}}"#.to_owned()),
    ] {
        for is_read in [true, false] {
            let name: &'static str = format!("{name}{}", if is_read { ", read" } else { ", unread" }).leak();
            let text = text.clone();
            cases.add(name, move |target| {
                let text = text.replace("ROOM", &target.same_room("free"));
                let frames: Vec<u8> = text.split('|').flat_map(|text| frame(TEXT, text)).collect();
                let frames = frames.repeat(50);
                async move {
                    target
                        .crowd(10, |target| {
                            let frames = &frames;
                            async move {
                                let raw = target.hook().await?;
                                match is_read {
                                    true => raw.flood(|_| frames.clone()).await,
                                    false => raw.flood_unread(|_| frames.clone()).await,
                                }
                            }
                        })
                        .await
                }
            });
        }
    }
    cases.add("1,000 rooms of one page", |target| async move {
        let raw = target.hook().await?;
        raw.flood(|_| frame(TEXT, message("state:sync:request", &target.new_room("free"), "{}"))).await
    });
    cases.add("200 unread requests for a state of 3 MB", |target| async move {
        let room = target.same_room("free");
        fill(&target, &room, 500_000).await?;
        let requests = (0..200).map(|_| async {
            let mut raw = target.hook().await?;
            for _ in 0..5 {
                raw.writer.text(&message("state:sync:request", &room, "{}")).await?;
            }
            Ok::<_, std::io::Error>(raw)
        });
        hold(join_all(requests).await).await
    });
    cases
}
