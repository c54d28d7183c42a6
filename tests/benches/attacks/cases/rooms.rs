//! Joins: many rooms, many times, with much in the request, and as somebody else.

use futures_util::future::join_all;

use super::Cases;
use crate::raw::{TEXT, frame};
use crate::target::{Target, change, hold, join, list, message, set};

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("rooms");
    for (name, pattern) in [
        ("10,000 typed rooms of one connection", "board"),
        ("10,000 untyped rooms of one connection", "free"),
    ] {
        cases.add(name, move |target| async move {
            let raw = target.client_from(target.host()).await?;
            raw.flood(|_| {
                let room = target.new_room(pattern);
                [frame(TEXT, join(&room, "{}")), frame(TEXT, message("room:leave", &room, "{}"))].concat()
            })
            .await
        });
    }
    cases.add("rooms of many hosts, each written once", |target| async move {
        target
            .crowd(50, |target| async move {
                let mut raw = target.client().await?;
                for _ in 0..60 {
                    let room = target.new_room("free");
                    raw.writer.text(&join(&room, "{}")).await?;
                    raw.send(&change(&room, 1, &set("a", "1"))).await?;
                }
                Ok(())
            })
            .await
    });
    cases.add("more than 64 rooms", |target| async move {
        let raw = target.client().await?;
        raw.flood(|_| frame(TEXT, join(&target.new_room("board"), "{}"))).await
    });
    cases.add("one room joined and left", |target| async move {
        let room = target.same_room("board");
        let both = [frame(TEXT, join(&room, "{}")), frame(TEXT, message("room:leave", &room, "{}"))].concat();
        target
            .crowd(4, |target| {
                let both = &both;
                async move { target.client().await?.flood(|_| both.clone()).await }
            })
            .await
    });
    cases.add("one room joined again and again", |target| async move {
        let join = frame(TEXT, join(&target.same_room("board"), "{}"));
        target.client().await?.flood(|_| join.clone()).await
    });
    cases.add("rooms left that were never joined", |target| async move {
        let leave = frame(TEXT, message("room:leave", "board-nowhere", "{}")).repeat(50);
        target.client().await?.flood(|_| leave.clone()).await
    });
    cases.add("500 members of a room who come and go", |target| async move {
        let room = target.same_room("board");
        target
            .crowd(500, |target| {
                let room = &room;
                async move { target.member(room).await.map(drop) }
            })
            .await
    });
    // What a join says besides.
    let long = "a".repeat(900_000);
    let fields =
        list(10_000, |at| format!(r#""field{at}":{{"policy":"lww","shape":"string","initial":"{at}"}}"#));
    let deep = format!("{}u8{}", "[".repeat(200_000), "]".repeat(200_000));
    for (name, payload) in [
        (
            "a resume with an epoch of 900 kB",
            format!(r#"{{"resume":{{"epoch":"{long}","version":1,"acked":1}}}}"#),
        ),
        (
            "a resume with the greatest numbers",
            format!(r#"{{"resume":{{"epoch":"00f1e2d3c4b5a697","version":{0},"acked":{0}}}}}"#, u64::MAX),
        ),
        (
            "a resume with an audience of 900 kB",
            format!(
                r#"{{"resume":{{"epoch":"00f1e2d3c4b5a697","version":1,"acked":1,"audience":"{long}"}}}}"#
            ),
        ),
        ("a schema of 900 kB", format!(r#"{{"schema":"{long}"}}"#)),
        ("10,000 declared fields", format!(r#"{{"schema":"9c1a52d03f7be648","declare":{{{fields}}}}}"#)),
        (
            "a declaration with a shape of 900 kB",
            format!(r#"{{"declare":{{"a":{{"policy":"lww","shape":"{long}","initial":1}}}}}}"#),
        ),
        (
            "a declaration with a shape 200,000 deep",
            format!(r#"{{"declare":{{"a":{{"policy":"lww","shape":"{deep}","initial":1}}}}}}"#),
        ),
        (
            "a declaration with an initial value of 900 kB",
            format!(r#"{{"declare":{{"a":{{"policy":"lww","shape":"string","initial":"{long}"}}}}}}"#),
        ),
        ("a password where there is none, of 900 kB", format!(r#"{{"password":"{long}"}}"#)),
    ] {
        cases.add(name, move |target| {
            let payload = payload.clone();
            async move {
                for pattern in ["board", "free"] {
                    let mut raw = target.client().await?;
                    raw.send(&join(&target.same_room(pattern), &payload)).await?;
                }
                Ok(())
            }
        });
    }
    cases.add("fields declared by 200 users in one room", |target| async move {
        let room = target.same_room("free");
        target
            .crowd(200, |target| {
                let room = &room;
                async move {
                    let field = target.new_id();
                    let declare = list(20, |at| {
                        format!(
                            r#""{field}-{at}":{{"policy":"map","shape":"map<string, u32>","initial":{{}}}}"#
                        )
                    });
                    let mut raw = target.client().await?;
                    raw.send(&join(room, &format!(r#"{{"declare":{{{declare}}}}}"#))).await
                }
            })
            .await
    });
    for (name, count, length) in [
        ("200 unread joins of a state of 3 MB", 200, 500_000),
        ("1,000 unread joins of a state of 600 kB", 1000, 100_000),
    ] {
        cases.add(name, move |target| async move {
            let room = target.same_room("free");
            fill(&target, &room, length).await?;
            let joins = (0..count).map(|_| async {
                let mut raw = target.client().await?;
                raw.writer.text(&join(&room, "{}")).await?;
                Ok::<_, std::io::Error>(raw)
            });
            hold(join_all(joins).await).await
        });
    }
    cases.add("a state of 3 MB asked for again and again, unread", |target| async move {
        let room = target.same_room("free");
        fill(&target, &room, 500_000).await?;
        let join = frame(TEXT, join(&room, "{}")).repeat(20);
        target
            .crowd(10, |target| {
                let join = &join;
                async move { target.client().await?.flood_unread(|_| join.clone()).await }
            })
            .await
    });
    cases.add("a state of 3 MB asked for again and again, read", |target| async move {
        let room = target.same_room("free");
        fill(&target, &room, 500_000).await?;
        let join = frame(TEXT, join(&room, "{}"));
        target.client().await?.flood(|_| join.clone()).await
    });
    cases.add("one client id from many connections", |target| async move {
        let (id, room) = (target.new_id(), target.same_room("board"));
        target
            .crowd(20, |target| {
                let (id, room) = (&id, &room);
                async move { target.client_as(target.hosts(), id).await?.join(room).await }
            })
            .await
    });
    cases.add("the public ids of others as one's own", |target| async move {
        let room = target.same_room("board");
        let mut victim = target.client().await?;
        victim.join(&room).await?;
        let forged = frame(TEXT, format!(r#"{{"type":"state:change","room":"{room}","from":"server","payload":{{"seq":1,"base":0,"from":"server","client":"server","updates":[{}]}}}}"#, set("title", "1")));
        target.crowd(2, |target| {
            let (room, forged) = (&room, &forged);
            async move {
                let mut raw = target.client_as(target.hosts(), "9f86d081884c7d659a2feaa0c55ad015").await?;
                raw.join(room).await?;
                raw.send_bytes(forged).await
            }
        })
        .await
    });
    cases
}

/// Fills an untyped room with six values of this length, by several changes.
pub(super) async fn fill(target: &Target, room: &str, length: usize) -> std::io::Result<()> {
    let mut raw = target.member(room).await?;
    let value = format!("\"{}\"", "a".repeat(length));
    for at in 1..=6 {
        raw.send(&change(room, at, &set(&format!("value{at}"), &value))).await?;
    }
    Ok(())
}
