//! A bare WebSocket client of the legacy protocol.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::soon;

/// A connection without a subprotocol.
pub struct Hook {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The version that the client counts.
    counted: u64,
}

impl Hook {
    /// Connects.
    ///
    /// # Panics
    /// If the connection cannot be opened.
    pub async fn connect(address: SocketAddr) -> Self {
        let connected = soon("a connection", connect_async(format!("ws://{address}/ws"))).await;
        let (socket, _) = connected.expect("the server takes connections");
        Self { socket, counted: 0 }
    }

    /// Sends a frame; a write is given the version that a legacy client counts.
    ///
    /// # Panics
    /// If the connection is closed.
    pub async fn send(&mut self, mut frame: Value) {
        if frame["type"] == "state:update" || frame["type"] == "state:merge" {
            self.counted += 1;
            frame["payload"]["version"] = json!(self.counted);
        }
        let sent = soon("sending", self.socket.send(Message::text(frame.to_string()))).await;
        sent.expect("the connection stands");
    }

    /// Receives the next frame.
    ///
    /// # Panics
    /// If the frame is not JSON text, or the connection is closed.
    pub async fn next(&mut self) -> Value {
        // One limit for the whole wait, because the server's pings arrive meanwhile.
        soon("a frame", async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return serde_json::from_str(&text).expect("a frame is JSON");
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("expected a frame, found {other:?}"),
                }
            }
        })
        .await
    }

    /// Receives the next frame, which must have this type and room, and returns its payload. A version in it
    /// must be one that a legacy client accepts, and is removed.
    ///
    /// # Panics
    /// If the frame is another one.
    pub async fn expect(&mut self, kind: &str, room: &str) -> Value {
        let mut frame = self.next().await;
        assert_eq!((&frame["type"], &frame["room"]), (&json!(kind), &json!(room)), "{frame}");
        if let Some(version) = frame["payload"].as_object_mut().and_then(|payload| payload.remove("version"))
        {
            let version = version.as_u64().expect("a version is a number");
            assert!(kind == "state:sync" || version > self.counted, "{version} after {}", self.counted);
            self.counted = version;
        }
        frame["payload"].take()
    }

    /// Checks that nothing has arrived, and that nothing arrives before the answer to a ping.
    ///
    /// # Panics
    /// If a frame arrives.
    pub async fn expect_silence(&mut self) {
        self.send(json!({"type": "ping", "payload": {}})).await;
        let frame = self.next().await;
        assert_eq!(frame["type"], "pong", "{frame}");
    }
}
