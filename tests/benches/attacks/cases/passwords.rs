//! Guesses at the passwords of rooms.

use super::Cases;
use crate::raw::{TEXT, frame};
use crate::target::{join, message};

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("passwords");
    cases.add("guesses of one connection", |target| async move {
        let room = target.same_room("vault");
        target
            .client()
            .await?
            .flood(|at| frame(TEXT, join(&room, &format!(r#"{{"password":"{at}"}}"#))))
            .await
    });
    for (name, hosts, goes) in [
        ("guesses of one host that connects again for each", 1, false),
        ("guesses of many hosts", 30, false),
        ("guesses of many hosts that do not wait", 30, true),
    ] {
        cases.add(name, move |target| async move {
            let room = target.same_room("vault");
            target
                .crowd(hosts, |target| {
                    let room = &room;
                    async move {
                        let host = if hosts == 1 { target.host() } else { target.hosts() };
                        let mut raw = target.client_from(host).await?;
                        let guess = join(room, &format!(r#"{{"password":"{}"}}"#, target.new_id()));
                        match goes {
                            true => raw.writer.text(&guess).await,
                            false => raw.send(&guess).await,
                        }
                    }
                })
                .await
        });
    }
    cases.add("guesses at many rooms", |target| async move {
        target
            .crowd(10, |target| async move {
                let room = target.new_room("vault");
                target.client().await?.send(&join(&room, r#"{"password":"guess"}"#)).await
            })
            .await
    });
    cases.add("guesses by presence", |target| async move {
        let room = target.same_room("vault");
        let guess = |at| format!(r#"{{"user":1,"password":"{at}"}}"#);
        target.client().await?.flood(|at| frame(TEXT, message("presence:set", &room, &guess(at)))).await
    });
    cases.add("guesses of a page", |target| async move {
        let room = target.same_room("vault");
        let guess = |at| format!(r#"{{"type":"room:join","payload":{{"roomId":"{room}","user":{{"id":"u"}},"password":"{at}"}}}}"#);
        target.hook().await?.flood(|at| frame(TEXT, guess(at))).await
    });
    cases.add("a password of 900 kB", |target| async move {
        let guess = join(&target.same_room("vault"), &format!(r#"{{"password":"{}"}}"#, "a".repeat(900_000)));
        target.client().await?.send(&guess).await
    });
    cases.add("writes to a room without its password", |target| async move {
        let room = target.same_room("vault");
        let write = frame(TEXT, crate::target::change(&room, 1, &crate::target::set("a", "1"))).repeat(20);
        target.client().await?.flood(|_| write.clone()).await
    });
    cases
}
