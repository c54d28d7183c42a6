//! Before the upgrade: connections that say nothing, half of it, or too much.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::Cases;
use crate::raw::{TEXT, frame, request, v1};
use crate::target::{Target, hello, hold, join};

/// How many connections a host opens at once, where many are the attack.
const MANY: usize = 300;

pub(super) fn cases() -> Cases {
    let mut cases = Cases::new("handshakes");
    cases.add("300 silent connections", |target| async move { hold(many(&target, b"").await).await });
    cases.add("300 half requests", |target| async move {
        hold(many(&target, b"GET /ws HTTP/1.1\r\nHost: local").await).await
    });
    cases.add("100 requests, a byte at a time", |target| async move {
        target
            .crowd(100, |target| async move {
                let mut raw = target.tcp().await?;
                for byte in request(&v1()).as_bytes() {
                    raw.writer.bytes(&[*byte]).await?;
                    sleep(Duration::from_millis(10)).await;
                }
                raw.reader.status().await.map(drop)
            })
            .await
    });
    // What the request has besides, or instead.
    for (name, text) in [
        ("a header of 380 kB", request(&format!("Cookie: {}\r\n", "a".repeat(380_000)))),
        ("10,000 headers", request(&(0..10_000).map(|at| format!("X-{at}: a\r\n")).collect::<String>())),
        ("a subprotocol of 20 kB", request(&format!("Sec-WebSocket-Protocol: {}\r\n", "a,".repeat(10_000)))),
        ("a path of 30 kB", request(&v1()).replace("/ws", &format!("/{}", "a".repeat(30_000)))),
        ("an old version", request(&v1()).replace(": 13", ": 8")),
        ("no key", request(&v1()).replace("Sec-WebSocket-Key", "X-Key")),
        ("a page of another site", request("Origin: https://evil.example\r\n")),
        ("an unknown subprotocol", request("Sec-WebSocket-Protocol: chat\r\n")),
        ("another method", request(&v1()).replace("GET", "POST")),
        ("not HTTP", "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03\r\n\r\n".to_owned()),
        (
            "a body without an end",
            format!(
                "POST /ws HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n{}",
                "a".repeat(200_000)
            ),
        ),
    ] {
        cases.crowd(name, 4, text, |target, text| async move {
            let mut raw = target.tcp().await?;
            // The server may answer before it has read everything.
            let _ = raw.writer.bytes(text.as_bytes()).await;
            raw.reader.status().await.map(drop)
        });
    }
    cases.add("requests of one connection, unread", |target| async move {
        let raw = target.tcp().await?;
        raw.flood_unread(|_| b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n".to_vec()).await
    });
    cases.add("connections that end at once", |target| async move {
        target.crowd(20, |target| async move { target.tcp().await.map(drop) }).await
    });
    cases.add("handshakes that end at once", |target| async move {
        target.crowd(20, |target| async move { target.silent().await.map(drop) }).await
    });
    cases.add("handshakes of one host", |target| async move {
        target.crowd(20, |target| async move { target.open_from(target.host(), &v1()).await.map(drop) }).await
    });
    cases.add("1,100 connections of one host", |target| async move {
        let lines = v1();
        let opened = (0..1100).map(|_| target.open_from(target.host(), &lines));
        hold(join_all(opened).await).await
    });
    cases.add("1,500 connections of many hosts", |target| async move {
        hold(join_all((0..1500).map(|_| target.client())).await).await
    });
    cases.add("frames with the request", |target| async move {
        let mut bytes = request(&v1()).into_bytes();
        bytes.extend(frame(TEXT, hello(&target.new_id())));
        let joined = frame(TEXT, join(&target.same_room("board"), "{}"));
        (0..500).for_each(|_| bytes.extend_from_slice(&joined));
        let mut raw = target.tcp().await?;
        raw.writer.bytes(&bytes).await?;
        raw.reader.status().await?;
        raw.reader.expect("welcome").await.map(drop)
    });
    cases
}

/// Connections that have sent this and no more.
async fn many(target: &Target, bytes: &[u8]) -> Vec<std::io::Result<crate::raw::Raw>> {
    let open = (0..MANY).map(|_| async {
        let mut raw = target.tcp().await?;
        raw.writer.bytes(bytes).await?;
        Ok(raw)
    });
    join_all(open).await
}
