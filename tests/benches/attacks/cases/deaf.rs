//! Readers who read nothing, or hardly anything, of rooms in which much happens.

use std::time::Duration;

use tokio::time::sleep;

use super::Cases;
use crate::raw::{Event, Raw, TEXT, frame};
use crate::target::{change, hold, join, set};

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("deaf readers");
    // Rooms in which one writes values of this length, and readers who are in all of them.
    for (name, rooms, readers, length) in [
        ("one in 4 rooms with values of 900 kB", 4, 1, 900_000),
        ("50 in 4 rooms with values of 900 kB", 4, 50, 900_000),
        ("50 in 4 rooms with values of 60 kB", 4, 50, 60_000),
        ("200 in a room with values of 10 kB", 1, 200, 10_000),
        ("200 in a room with short values", 1, 200, 1),
        ("20 in 60 rooms with values of 30 kB", 60, 20, 30_000),
    ] {
        cases.add(name, move |target| async move {
            let value = set("title", &format!("\"{}\"", "a".repeat(length)));
            let names: Vec<_> = (0..rooms).map(|_| target.new_room("board")).collect();
            let mut deaf = Vec::new();
            for _ in 0..readers {
                let mut raw = target.client().await?;
                for room in &names {
                    raw.writer.text(&join(room, "{}")).await?;
                }
                deaf.push(raw);
            }
            let writers =
                names.iter().map(|room| {
                    let (target, value) = (&target, &value);
                    async move {
                        target.member(room).await?.flood(|seq| frame(TEXT, change(room, seq, value))).await
                    }
                });
            let (_, written) = tokio::join!(hold(deaf), futures_util::future::try_join_all(writers));
            written.map(drop)
        });
    }
    cases.add("50 who read a message in 50 ms", |target| async move {
        let room = target.same_room("board");
        let slow = target.members(&room, 50).await?;
        let reading = futures_util::future::join_all(slow.into_iter().map(|raw| async move {
            // Without its writing half, the connection would end.
            let Raw { mut reader, writer: _writer } = raw;
            while !matches!(reader.next().await, Event::Ended) {
                sleep(Duration::from_millis(50)).await;
            }
        }));
        let value = set("title", &format!("\"{}\"", "a".repeat(20_000)));
        let raw = target.member(&room).await?;
        let (_, written) = tokio::join!(reading, raw.flood(|seq| frame(TEXT, change(&room, seq, &value))));
        written
    });
    for (name, length) in
        [("50 authors who read no answers", 1), ("50 authors of 100 kB who read no answers", 100_000)]
    {
        cases.add(name, move |target| async move {
            let room = target.same_room("board");
            let value = set("title", &format!("\"{}\"", "a".repeat(length)));
            target
                .crowd(50, |target| {
                    let (room, value) = (&room, &value);
                    async move {
                        target
                            .member(room)
                            .await?
                            .flood_unread(|seq| frame(TEXT, change(room, seq, value)))
                            .await
                    }
                })
                .await
        });
    }
    cases
}
