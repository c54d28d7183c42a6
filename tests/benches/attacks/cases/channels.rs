//! Channels: many, long messages, and those who do not read them.

use std::io::Result;

use super::Cases;
use crate::raw::{Raw, TEXT, frame};
use crate::target::{Target, hold};

fn in_channel(kind: &str, room: &str, channel: &str, payload: &str) -> String {
    format!(r#"{{"type":"{kind}","room":"{room}","channel":"{channel}","payload":{payload}}}"#)
}

fn send(room: &str, channel: &str, seq: u64, value: &str) -> String {
    let update = format!(r#"{{"key":"messages","op":"send","value":{value}}}"#);
    in_channel("state:change", room, channel, &format!(r#"{{"seq":{seq},"base":0,"updates":[{update}]}}"#))
}

async fn member(target: &Target, room: &str, channel: &str) -> Result<Raw> {
    let mut raw = target.client().await?;
    raw.writer.text(&in_channel("room:join", room, channel, "{}")).await?;
    raw.reader.expect("state:sync").await?;
    Ok(raw)
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("channels");
    let long = |length: usize| format!("\"{}\"", "a".repeat(length));
    for (name, channel) in
        [("600 channels with a megabyte each", "chat"), ("600 durable channels with a megabyte each", "kept")]
    {
        let message = long(60_000);
        cases.crowd(name, 10, message, move |target, message| async move {
            let (room, channel) = (target.same_room("free"), target.new_room(channel));
            let mut raw = member(&target, &room, &channel).await?;
            for seq in 1..=17 {
                raw.writer.text(&send(&room, &channel, seq, &message)).await?;
            }
            raw.send(&send(&room, &channel, 18, "1")).await
        });
    }
    // Sent into one channel as fast as it is taken, with others who read or do not.
    for (name, channel, length, deaf) in [
        ("short messages", "chat-1", 1, 0),
        ("short messages, durable", "kept-1", 1, 0),
        ("messages of 60 kB", "chat-1", 60_000, 0),
        ("messages of 60 kB, durable", "kept-1", 60_000, 0),
        ("messages of 60 kB to 50 deaf readers", "chat-1", 60_000, 50),
        ("messages that are too long", "chat-1", 900_000, 0),
    ] {
        let message = long(length);
        cases.add(name, move |target| {
            let message = message.clone();
            async move {
                let room = target.same_room("free");
                let mut others = Vec::new();
                for _ in 0..deaf {
                    others.push(member(&target, &room, channel).await?);
                }
                let flooded = target.crowd(4, |target| {
                    let (room, message) = (&room, &message);
                    async move {
                        member(&target, room, channel)
                            .await?
                            .flood(|seq| frame(TEXT, send(room, channel, seq, message)))
                            .await
                    }
                });
                let (_, flooded) = tokio::join!(hold(others), flooded);
                flooded
            }
        });
    }
    for (name, length, deaf) in [
        ("broadcasts", 1, 0),
        ("broadcasts to 100 deaf readers", 1, 100),
        ("broadcasts of 60 kB to 100 deaf readers", 60_000, 100),
        ("broadcasts that are too long", 900_000, 0),
    ] {
        let payload = format!(r#"{{"value":{}}}"#, long(length));
        cases.add(name, move |target| {
            let payload = payload.clone();
            async move {
                let room = target.same_room("free");
                let mut others = Vec::new();
                for _ in 0..deaf {
                    others.push(member(&target, &room, "chat-1").await?);
                }
                let broadcast = frame(TEXT, in_channel("channel:broadcast", &room, "chat-1", &payload));
                let flooded = target.crowd(4, |target| {
                    let (room, broadcast) = (&room, &broadcast);
                    async move { member(&target, room, "chat-1").await?.flood(|_| broadcast.clone()).await }
                });
                let (_, flooded) = tokio::join!(hold(others), flooded);
                flooded
            }
        });
    }
    cases.add("the whole history, again and again, unread", |target| async move {
        let room = target.same_room("free");
        let mut raw = member(&target, &room, "chat-1").await?;
        for seq in 1..=17 {
            raw.writer.text(&send(&room, "chat-1", seq, &format!("\"{}\"", "a".repeat(60_000)))).await?;
        }
        raw.send(&send(&room, "chat-1", 18, "1")).await?;
        let join = frame(TEXT, in_channel("room:join", &room, "chat-1", "{}")).repeat(20);
        target
            .crowd(20, |target| {
                let join = &join;
                async move { target.client().await?.flood_unread(|_| join.clone()).await }
            })
            .await
    });
    // Frames that are answered, in a channel or in none.
    for (name, kind, channel, payload) in [
        ("an unknown channel", "room:join", "nowhere", "{}".to_owned()),
        ("a channel of 900 kB", "room:join", "LONG", "{}".to_owned()),
        ("an operation that channels do not have", "state:change", "chat-1", r#"{"seq":1,"base":0,"updates":[{"key":"messages","op":"append","value":{"seq":9,"from":"server","at":1,"value":1}}]}"#.to_owned()),
        ("1,000 messages in a change", "state:change", "chat-1", format!(r#"{{"seq":1,"base":0,"updates":[{}]}}"#, crate::target::list(1000, |_| crate::target::op("messages", "send", "1")))),
        ("presence in a channel", "presence:set", "chat-1", r#"{"user":1}"#.to_owned()),
    ] {
        cases.add(name, move |target| {
            let channel = if channel == "LONG" { "a".repeat(900_000) } else { channel.to_owned() };
            let text = in_channel(kind, &target.same_room("free"), &channel, &payload);
            async move {
                let mut raw = member(&target, &target.same_room("free"), "chat-1").await?;
                loop {
                    raw.send(&text).await?;
                }
            }
        });
    }
    cases
}
