//! Whole messages that are not what they should be: no JSON, too deep, too long, of other types.

use super::Cases;
use crate::raw::{TEXT, frame};
use crate::target::{hello, list, message};

const ROOM: &str = "board-envelopes";

/// Nearly as much as a frame may have.
const LONG: usize = 1_000_000;

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("envelopes");
    let change = |updates: &str| {
        message("state:change", ROOM, &format!(r#"{{"seq":1,"base":0,"updates":{updates}}}"#))
    };
    for (name, text) in [
        ("not JSON", "{\"type\":".to_owned()),
        ("JSON that is no object", "[]".to_owned()),
        ("1 MB of spaces", " ".repeat(LONG)),
        ("an empty text", String::new()),
        ("arrays 500,000 deep", "[".repeat(LONG / 2)),
        ("objects 150,000 deep", r#"{"a":"#.repeat(150_000)),
        (
            "a payload 100,000 deep",
            message("room:join", ROOM, &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ),
        (
            "a change 100,000 deep",
            change(&format!(
                "[{{\"key\":\"title\",\"value\":{}{}}}]",
                "[".repeat(100_000),
                "]".repeat(100_000)
            )),
        ),
        (
            "a presence 1,000 deep",
            message("presence:set", ROOM, &format!("{{\"user\":{}{}}}", "[".repeat(1000), "]".repeat(1000))),
        ),
        ("a key of 1 MB", change(&format!("[{{\"key\":\"{}\",\"value\":1}}]", "a".repeat(LONG)))),
        (
            "a path of 400,000 parts",
            change(&format!("[{{\"key\":\"{}\",\"value\":1}}]", "a/".repeat(400_000))),
        ),
        ("a number of 1 MB", change(&format!("[{{\"key\":\"level\",\"value\":{}}}]", "9".repeat(LONG)))),
        ("a fraction of 1 MB", change(&format!("[{{\"key\":\"level\",\"value\":0.{}}}]", "1".repeat(LONG)))),
        ("an exponent of 1 MB", change(&format!("[{{\"key\":\"level\",\"value\":1e{}}}]", "9".repeat(LONG)))),
        (
            "70,000 payloads",
            format!(r#"{{"type":"ping",{}}}"#, list(70_000, |_| r#""payload":{}"#.to_owned())),
        ),
        (
            "60,000 unknown members",
            format!(r#"{{"type":"ping",{},"payload":{{}}}}"#, list(60_000, |at| format!(r#""a{at}":1"#))),
        ),
        (
            "a string of 160,000 escapes",
            change(&format!("[{{\"key\":\"title\",\"value\":\"{}\"}}]", "\\u0041".repeat(160_000))),
        ),
        (
            "a string of 160,000 null characters",
            change(&format!("[{{\"key\":\"title\",\"value\":\"{}\"}}]", "\\u0000".repeat(160_000))),
        ),
        ("half of a surrogate pair", change(r#"[{"key":"title","value":"\ud800"}]"#)),
        ("a type of 1 MB", message(&"a".repeat(LONG), ROOM, "{}")),
        ("a type of new lines", message(&"\\n".repeat(1000), ROOM, "{}")),
        ("members of other types", r#"{"type":1,"room":[],"channel":{},"payload":"x"}"#.to_owned()),
        ("a room that is a number", r#"{"type":"room:join","room":1,"payload":{}}"#.to_owned()),
        ("a room of 900 kB", message("room:join", &"a".repeat(900_000), "{}")),
        ("a room of control characters", message("room:join", "\\u0000\\u001b", "{}")),
        ("a payload of null", message("room:join", ROOM, "null")),
        (
            "a join with members of other types",
            message("room:join", ROOM, r#"{"resume":1,"declare":[],"brief":"no"}"#),
        ),
        ("updates that are an object", change("{}")),
        (
            "80,000 updates that are empty objects",
            change(&format!("[{}]", list(80_000, |_| "{}".to_owned()))),
        ),
        ("a second hello", hello("a-second-client-id-of-32-bytes--")),
        ("a token of 1 MB", message("hello:token", ROOM, &format!(r#"{{"token":"{}"}}"#, "a".repeat(LONG)))),
    ] {
        cases.crowd(name, 2, text, |target, text| async move {
            let mut raw = target.member(ROOM).await?;
            // As long as the connection lasts.
            loop {
                raw.send(&text).await?;
            }
        });
    }
    cases.add("messages before hello", |target| async move {
        let text = message("room:join", ROOM, "{}");
        target
            .crowd(4, |target| {
                let text = &text;
                async move { target.silent().await?.send(text).await }
            })
            .await
    });
    for (name, id) in [
        ("an empty client id", String::new()),
        ("a client id of 900 kB", "a".repeat(900_000)),
        ("a client id of spaces", " ".repeat(32)),
    ] {
        cases.add(name, move |target| {
            let hello = hello(&id);
            async move {
                target
                    .crowd(4, |target| {
                        let hello = &hello;
                        async move { target.silent().await?.send(hello).await }
                    })
                    .await
            }
        });
    }
    cases.add("unknown messages, as fast as they are taken", |target| async move {
        let unknown = frame(TEXT, message("nothing", ROOM, "{}")).repeat(100);
        target
            .crowd(4, |target| {
                let unknown = &unknown;
                async move { target.client().await?.flood(|_| unknown.clone()).await }
            })
            .await
    });
    cases
}
