//! A bare client: a WebSocket and JSON literals.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use shared_state::proto::JSON;
use shared_state_tests::soon;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The version that a legacy client counts.
    counted: u64,
}

pub async fn connect(address: SocketAddr, protocol: Option<&str>) -> Result<Client, Error> {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    if let Some(protocol) = protocol {
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    tokio_tungstenite::connect_async(request).await.map(|(socket, _)| Client { socket, counted: 0 })
}

/// Connects with a token, and sends nothing.
pub async fn connect_with(address: SocketAddr, token: Option<&str>) -> Client {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", JSON.parse().unwrap());
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let (socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    Client { socket, counted: 0 }
}

impl Client {
    /// Connects as a legacy client, at this path and query.
    pub async fn hook_at(address: SocketAddr, path: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}{path}")).await.unwrap();
        Self { socket, counted: 0 }
    }

    /// Connects and sends nothing.
    pub async fn silent(address: SocketAddr) -> Self {
        connect(address, Some(JSON)).await.unwrap()
    }

    /// Connects as a legacy client.
    pub async fn hook(address: SocketAddr) -> Self {
        connect(address, None).await.unwrap()
    }

    /// Connects and sends `hello`; `name` is padded to a client id.
    pub async fn new(address: SocketAddr, name: &str) -> Self {
        let mut client = Self::silent(address).await;
        client.send(json!({"type": "hello", "payload": {"client": format!("{name:-<16}")}})).await;
        client.expect("welcome").await;
        client
    }

    /// Sends a frame; a legacy client's write is given the version that it counts.
    pub async fn send(&mut self, mut frame: Value) {
        if frame["type"] == "state:update" || frame["type"] == "state:merge" {
            self.counted += 1;
            frame["payload"]["version"] = json!(self.counted);
        }
        self.send_raw(Message::text(frame.to_string())).await;
    }

    /// Sends a frame that may be so wrong that the server stops reading.
    pub async fn send_raw(&mut self, frame: Message) {
        let _ = soon("sending", self.socket.send(frame)).await;
    }

    pub async fn join(&mut self, room: &str) -> Value {
        self.send(json!({"type": "room:join", "room": room, "payload": {}})).await;
        self.expect("state:sync").await
    }

    pub async fn set(&mut self, room: &str, seq: u64, base: u64, key: &str, value: Value) {
        let payload = json!({"seq": seq, "base": base, "updates": [{"key": key, "value": value}]});
        self.send(json!({"type": "state:change", "room": room, "payload": payload})).await;
    }

    pub async fn next_message(&mut self) -> Option<Message> {
        loop {
            match soon("a frame", self.socket.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Receives the next frame.
    pub async fn next(&mut self) -> Value {
        match self.next_message().await {
            Some(Message::Text(text)) => {
                let mut frame = serde_json::from_str(&text).unwrap();
                self.count(&mut frame);
                frame
            }
            other => panic!("expected a text frame, found {other:?}"),
        }
    }

    /// Removes the version from a frame of the legacy protocol; it must be one that a legacy client accepts.
    fn count(&mut self, frame: &mut Value) {
        let is_sync = frame["type"] == "state:sync" && frame["payload"].get("epoch").is_none();
        if is_sync || frame["type"] == "state:update" || frame["type"] == "state:merge" {
            let payload = frame["payload"].as_object_mut().unwrap();
            let version = payload.remove("version").and_then(|version| version.as_u64()).unwrap();
            assert!(is_sync || version > self.counted, "{version} is not above {}", self.counted);
            self.counted = version;
        }
    }

    /// Receives the next frame, which must have this type, and returns its payload.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let mut frame = self.next().await;
        assert_eq!(frame["type"], kind, "{frame}");
        frame["payload"].take()
    }

    /// Receives the next frame, which must be an error with this code, about a room or about the connection.
    pub async fn expect_error(&mut self, code: &str) -> Value {
        let frame = self.next().await;
        let kind = frame["type"].as_str().unwrap_or_default();
        assert!(matches!(kind, "error" | "room:error" | "state:reject" | "presence:reject"), "{frame}");
        assert_eq!(frame["payload"]["code"], code, "{frame}");
        frame
    }

    /// Like [`expect_error`](Self::expect_error), but skips messages about presence before it.
    pub async fn expect_error_among_presence(&mut self, code: &str) {
        loop {
            let frame = self.next().await;
            let kind = frame["type"].as_str().unwrap_or_default();
            if kind.starts_with("presence:") || kind == "cursor:move" {
                continue;
            }
            assert_eq!(frame["payload"]["code"], code, "{frame}");
            return;
        }
    }

    /// Checks that the connection is open; skips what arrives before the answer.
    pub async fn ping_among_others(&mut self) {
        self.send(json!({"type": "ping", "payload": {}})).await;
        while self.next().await["type"] != "pong" {}
    }

    /// The close code and reason with which the server ends the connection; nothing may arrive before.
    pub async fn closed(&mut self) -> (u16, String) {
        match self.next_message().await {
            Some(Message::Close(Some(close))) => {
                let end = (close.code.into(), close.reason.to_string());
                while self.next_message().await.is_some() {}
                end
            }
            other => panic!("expected the end, found {other:?}"),
        }
    }

    /// Checks that the connection is open and that nothing arrives before the answer.
    pub async fn ping(&mut self) {
        self.send(json!({"type": "ping", "payload": {}})).await;
        self.expect("pong").await;
    }
}
