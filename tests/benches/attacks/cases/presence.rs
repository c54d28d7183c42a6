//! Presence: crowds, long ones, and floods of them.

use futures_util::future::join_all;

use super::Cases;
use crate::raw::{TEXT, frame};
use crate::target::{hold, message};

fn set(room: &str, payload: &str) -> String {
    message("presence:set", room, payload)
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("presence");
    for (name, is_one_host) in [("1,000 sessions of one host", true), ("1,200 sessions of many hosts", false)]
    {
        cases.add(name, move |target| async move {
            let room = target.same_room("free");
            let sessions = (0..if is_one_host { 1000 } else { 1200 }).map(|_| async {
                let host = if is_one_host { target.host() } else { target.hosts() };
                let mut raw = target.client_from(host).await?;
                raw.writer.text(&set(&room, r#"{"user":{"name":"x"}}"#)).await?;
                raw.reader.listen().await;
                Ok::<_, std::io::Error>(raw)
            });
            hold(join_all(sessions).await).await
        });
    }
    // Set again and again by 50 sessions of one room, with others who do not read.
    let large = "a".repeat(3900);
    for (name, deaf, data) in [
        ("sets of a cursor by 50", 0, r#"{"x":1,"y":2}"#.to_owned()),
        ("sets of 3.9 kB by 50", 0, format!("\"{large}\"")),
        ("sets of 3.9 kB by 50, and 200 who do not read", 200, format!("\"{large}\"")),
    ] {
        cases.add(name, move |target| {
            let payload = format!(r#"{{"user":1,"data":{data}}}"#);
            async move {
                let room = target.same_room("free");
                let text = set(&room, &payload);
                let mut others = Vec::new();
                for _ in 0..deaf {
                    let mut raw = target.client().await?;
                    raw.writer.text(&text).await?;
                    others.push(raw);
                }
                let frames = frame(TEXT, text).repeat(10);
                let flooded = target.crowd(50, |target| {
                    let frames = &frames;
                    async move { target.client().await?.flood(|_| frames.clone()).await }
                });
                let (_, flooded) = tokio::join!(hold(others), flooded);
                flooded
            }
        });
    }
    cases.add("300 sessions who come and go", |target| async move {
        let room = target.same_room("free");
        let both =
            [frame(TEXT, set(&room, r#"{"user":1}"#)), frame(TEXT, message("presence:leave", &room, "{}"))]
                .concat();
        target
            .crowd(300, |target| {
                let both = &both;
                async move { target.client().await?.flood(|_| both.clone()).await }
            })
            .await
    });
    cases.add("one session in ever more rooms", |target| async move {
        target.client().await?.flood(|_| frame(TEXT, set(&target.new_room("free"), r#"{"user":1}"#))).await
    });
    cases.add("hidden and shown in turns", |target| async move {
        let room = target.same_room("free");
        target
            .client()
            .await?
            .flood(|at| frame(TEXT, set(&room, &format!(r#"{{"user":1,"hidden":{}}}"#, at % 2 == 0))))
            .await
    });
    for (name, payload) in [
        ("5 kB", format!(r#"{{"user":1,"data":"{}"}}"#, "a".repeat(5000))),
        ("900 kB", format!(r#"{{"user":1,"data":"{}"}}"#, "a".repeat(900_000))),
        ("no user", r#"{"data":1}"#.to_owned()),
        ("a user 60 deep", format!(r#"{{"user":{}{}}}"#, "[".repeat(60), "]".repeat(60))),
        ("a password of 900 kB", format!(r#"{{"user":1,"password":"{}"}}"#, "a".repeat(900_000))),
    ] {
        cases.add(name, move |target| {
            let text = set(&target.same_room("free"), &payload);
            async move {
                let mut raw = target.client().await?;
                loop {
                    raw.ask(&text).await?;
                }
            }
        });
    }
    cases
}
