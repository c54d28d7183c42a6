//! Frames: what RFC 6455 forbids, what it allows without end, and what is announced and never sent.

use std::time::Duration;

use tokio::time::sleep;

use super::Cases;
use crate::raw::{BEGIN, BINARY, CLOSE, LAST, MIDDLE, PING, PONG, TEXT, frame, header, unmasked};
use crate::target::{hello, hold};

/// The longest frame that the server takes.
const LONGEST: usize = 1 << 20;

/// A text that no message is.
const NOTHING: &str = r#"{"type":"nothing","payload":{}}"#;

fn joined(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("framing");
    // A message begins, and this follows without end.
    for (name, then) in [
        ("empty fragments without end", frame(MIDDLE, "").repeat(2000)),
        ("fragments of a byte without end", frame(MIDDLE, " ").repeat(2000)),
        ("empty fragments and pings without end", joined(&[frame(MIDDLE, ""), frame(PING, "")]).repeat(1000)),
        ("fragments of 64 kB without end", frame(MIDDLE, " ".repeat(64 << 10))),
    ] {
        cases.crowd(name, 4, then, |target, then| async move {
            let raw = target.silent().await?;
            raw.flood(|number| if number == 1 { frame(BEGIN, "") } else { (*then).clone() }).await
        });
    }
    cases.add("200 unfinished messages of 1 MB, kept alive by pings", |target| async move {
        let begin = frame(BEGIN, " ".repeat(LONGEST - 1));
        target
            .crowd(200, |target| {
                let begin = &begin;
                async move {
                    let mut raw = target.silent().await?;
                    raw.writer.bytes(begin).await?;
                    loop {
                        raw.writer.bytes(&frame(PING, "")).await?;
                        sleep(Duration::from_millis(50)).await;
                    }
                }
            })
            .await
    });
    cases.add("200 frames of 1 MB announced and not sent", |target| async move {
        target
            .crowd(200, |target| async move {
                let mut raw = target.silent().await?;
                raw.writer.bytes(&header(TEXT, LONGEST as u64)).await?;
                hold(raw).await
            })
            .await
    });
    // The same frame again and again, read and unread.
    for (name, bytes) in [
        ("pings", frame(PING, "").repeat(1000)),
        ("pings of 125 bytes", frame(PING, [b'a'; 125]).repeat(500)),
        ("pongs nobody asked for", frame(PONG, "").repeat(1000)),
        ("messages of no type", frame(TEXT, NOTHING).repeat(100)),
        ("JSON pings", frame(TEXT, r#"{"type":"ping","payload":{}}"#).repeat(100)),
        (
            "messages with 1,000 pings inside",
            joined(&[frame(BEGIN, ""), frame(PING, "").repeat(1000), frame(LAST, NOTHING)]),
        ),
    ] {
        let unread: &'static str = format!("{name}, unread").leak();
        let again = bytes.clone();
        cases.add(name, move |target| {
            let bytes = bytes.clone();
            async move { target.client().await?.flood(|_| bytes.clone()).await }
        });
        cases.add(unread, move |target| {
            let bytes = again.clone();
            async move {
                target
                    .crowd(20, |target| {
                        let bytes = &bytes;
                        async move { target.client().await?.flood_unread(|_| bytes.clone()).await }
                    })
                    .await
            }
        });
    }
    // What ends a connection.
    for (name, bytes) in [
        ("no mask", joined(&[unmasked(TEXT, 2), b"{}".to_vec()])),
        ("a reserved bit", frame(TEXT | 0x40, "{}")),
        ("a reserved opcode", frame(0x83, "{}")),
        ("a reserved control opcode", frame(0x8b, "")),
        ("a length of 2^63 - 1, not sent", header(TEXT, i64::MAX as u64)),
        ("a length of 2^64 - 1, not sent", header(TEXT, u64::MAX)),
        ("a frame that is a byte too long", frame(TEXT, " ".repeat(LONGEST + 1))),
        (
            "fragments that are a byte too long",
            joined(&[frame(BEGIN, " ".repeat(LONGEST)), frame(LAST, " ")]),
        ),
        ("a control frame of 126 bytes", frame(PING, [b'a'; 126])),
        ("a control frame in fragments", frame(PING & !0x80, "a")),
        (
            "a length in more bytes than it needs",
            joined(&[vec![TEXT, 0xff], 2_u64.to_be_bytes().to_vec(), vec![0; 4], b"{}".to_vec()]),
        ),
        ("no UTF-8", frame(TEXT, b"{\"type\":\"\xff\xfe\"}")),
        ("no UTF-8 across fragments", joined(&[frame(BEGIN, b"\xe2\x82"), frame(LAST, b"\x28")])),
        ("a surrogate in UTF-8", frame(TEXT, b"\"\xed\xa0\x80\"")),
        ("an end without a beginning", frame(LAST, "{}")),
        ("a beginning within a message", joined(&[frame(BEGIN, "{"), frame(TEXT, "{}")])),
        ("a binary frame", frame(BINARY, [0; 1000])),
        ("a close of one byte", frame(CLOSE, [3])),
        ("a close with a code that is none", frame(CLOSE, [0xff, 0xff])),
        ("a close with no UTF-8", frame(CLOSE, b"\x03\xe8\xff")),
        (
            "a close and frames after it",
            joined(&[frame(CLOSE, b"\x03\xe8"), frame(TEXT, NOTHING).repeat(1000)]),
        ),
    ] {
        cases.crowd(name, 4, bytes, |target, bytes| async move {
            let mut raw = target.client().await?;
            // Whatever ends the connection is read to its end.
            let _ = raw.send_bytes(&bytes).await;
            Ok(())
        });
    }
    cases.add("100 frames, a byte at a time", |target| async move {
        target
            .crowd(100, |target| async move {
                let mut raw = target.silent().await?;
                for byte in frame(TEXT, hello(&target.new_id())) {
                    raw.writer.bytes(&[byte]).await?;
                    sleep(Duration::from_millis(5)).await;
                }
                Ok(())
            })
            .await
    });
    cases.add("connections that end within a frame of 1 MB", |target| async move {
        let half = joined(&[header(TEXT, LONGEST as u64), vec![b' '; LONGEST / 2]]);
        target
            .crowd(8, |target| {
                let half = &half;
                async move { target.silent().await?.writer.bytes(half).await }
            })
            .await
    });
    cases
}
