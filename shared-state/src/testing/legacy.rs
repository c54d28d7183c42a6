//! A client of the original `useSharedState` hook, made after its source, to test servers against legacy
//! clients.

use std::collections::VecDeque;

use serde_json::{Map, Value, json};

/// The state of the hook in one room, without I/O. It knows only the server's messages.
///
/// It shows what it sets at once, and counts its writes itself. It accepts an update only if the update's
/// version is greater than its own, and a `state:sync` always. It keeps its state and its version over a
/// reconnect. What it writes without a connection is never sent.
#[derive(Clone, Debug)]
pub struct LegacyClient {
    room: String,
    state: Map<String, Value>,
    version: u64,
    online: bool,
    outgoing: VecDeque<String>,
}

impl LegacyClient {
    /// A client with the initial state of its page.
    #[must_use]
    pub fn new(room: &str, initial: Map<String, Value>) -> Self {
        Self { room: room.to_owned(), state: initial, version: 0, online: false, outgoing: VecDeque::new() }
    }

    /// The state that the page shows.
    #[must_use]
    pub const fn state(&self) -> &Map<String, Value> {
        &self.state
    }

    /// The client's own version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Whether it has a connection.
    #[must_use]
    pub const fn is_online(&self) -> bool {
        self.online
    }

    /// The connection is ready: it requests the state.
    pub fn connected(&mut self) {
        self.online = true;
        self.send("state:sync:request", &json!({}));
    }

    /// The connection is lost, and with it the unsent frames.
    pub fn disconnected(&mut self) {
        self.online = false;
        self.outgoing.clear();
    }

    /// The page sets one field.
    pub fn set(&mut self, key: &str, value: Value) {
        self.version += 1;
        self.send("state:update", &json!({"key": key, "value": value, "version": self.version}));
        self.state.insert(key.to_owned(), value);
    }

    /// The page sets several fields.
    pub fn merge(&mut self, data: Map<String, Value>) {
        self.version += 1;
        self.send("state:merge", &json!({"data": data, "version": self.version}));
        self.state.extend(data);
    }

    /// Processes a frame. Frames that are not about state are ignored.
    ///
    /// # Errors
    /// The frame would break a page.
    pub fn receive(&mut self, frame: &str) -> Result<(), String> {
        let mut frame: Value = serde_json::from_str(frame).map_err(|error| error.to_string())?;
        let mut payload = frame["payload"].take();
        let kind = frame["type"].as_str().unwrap_or_default();
        if !matches!(kind, "state:update" | "state:merge" | "state:sync") {
            return Ok(());
        }
        let version = payload["version"].as_u64().ok_or_else(|| format!("`{kind}` without a version"))?;
        if version > (1 << 53) - 1 {
            return Err(format!("version {version} is more than JavaScript can count to"));
        }
        if kind != "state:sync" && version <= self.version {
            return Ok(());
        }
        self.version = version;
        match (kind, payload["data"].take()) {
            ("state:update", _) => {
                let key = payload["key"].as_str().ok_or("`state:update` without a key")?.to_owned();
                self.state.insert(key, payload["value"].take());
            }
            ("state:merge", Value::Object(data)) => self.state.extend(data),
            ("state:sync", Value::Object(data)) => self.state = data,
            _ => return Err(format!("`{kind}` without data")),
        }
        Ok(())
    }

    /// The next frame to send.
    pub fn poll_frame(&mut self) -> Option<String> {
        self.outgoing.pop_front()
    }

    fn send(&mut self, kind: &str, payload: &Value) {
        if self.online {
            let frame = json!({"type": kind, "room": self.room, "payload": payload, "timestamp": 1});
            self.outgoing.push_back(frame.to_string());
        }
    }
}
