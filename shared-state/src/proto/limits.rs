//! The limits of a connection and of a room, and the checks that need no state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::{Code, Reject, SharedState, WireUpdate, transfer};

/// The limits of a server. What exceeds one of them is refused with a [`Code`](crate::core::Code), except for
/// `bytes_per_address`, `window`, `queue`, `queue_bytes`, `queued_bytes`, `clients_per_room`, `in_flight`,
/// `in_flight_bytes`, `presence_interval` and `heartbeat`: these refuse nothing by themselves, and say below what happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The longest frame, in bytes. Default 1 MiB.
    pub frame: usize,
    /// How deep arrays and objects may nest in a frame. Default 64.
    pub depth: usize,
    /// The longest path of an update, in bytes. Default 256.
    pub key: usize,
    /// The longest room name, in bytes. Default 128.
    pub room_name: usize,
    /// The most updates in one change. Default 65,536, which is more than a frame of the default length can hold.
    pub updates: usize,
    /// The most work that the server does to decide one change, in steps of about 10 ns; a change that would take more is
    /// refused with `too_costly`. Steps are the items that a list in a `Vec` compares and shifts for each operation. The
    /// other policies take steps that are bounded by the length of the frame, or by a limit of their own. Default
    /// 100,000,000.
    pub work: u64,
    /// The most rooms one connection joins. Default 64.
    pub rooms_per_connection: usize,
    /// How many connections an address may have at once; beyond that a new one is answered with 429. An IPv6 host is its
    /// `/64`. Without the clients' addresses ([`ServerBuilder::client_address`]) nothing is limited by address. Default
    /// 1,000.
    ///
    /// [`ServerBuilder::client_address`]: crate::server::ServerBuilder::client_address
    pub connections_per_address: usize,
    /// How many connections an address may begin in a second, and ten times that at once; beyond that they are answered with
    /// 429. Default 100.
    pub handshakes_per_address: u32,
    /// How many rooms that are not in memory an address may join in a second, and ten times that at once; beyond that the
    /// join is refused with [`Code::TooOften`], and a client tries again later. Default 100.
    pub rooms_opened_per_address: u32,
    /// How many bytes an address may send in a second, and ten times that at once, messages and what surrounds them; beyond
    /// that its connections are not read for as long as it takes. Default 32 MiB.
    pub bytes_per_address: usize,
    /// The most unanswered changes of a client in one room; as many answers are kept for it. Default 128.
    pub window: usize,
    /// The most frames queued for one connection; beyond that it is sent one delta later. Default 256.
    pub queue: usize,
    /// The most bytes of the frames queued for one connection; beyond that it is sent one delta later. A longer frame, as
    /// a room's state, is queued alone. Default 1 MiB.
    pub queue_bytes: usize,
    /// The most bytes of the frames queued for all connections; beyond that a connection that has frames queued is sent one
    /// delta later. A frame counts for each connection that it is queued for. Default 256 MiB.
    pub queued_bytes: usize,
    /// The most absent clients whose sequence numbers a room remembers; beyond it the one whose last accepted change is
    /// oldest is forgotten. Default 10,000.
    pub clients_per_room: usize,
    /// The largest state of a room, in bytes of JSON as it is sent; a typed room may have 1/64 more. A client's change that
    /// makes it larger is refused; the server's program may write more. A client takes messages up to 64 MiB by default. Default 4 MiB.
    pub state: usize,
    /// The most changes of one room on their way to the store; while there are as many, connections that want to write
    /// wait. Default 1,024.
    pub in_flight: usize,
    /// The most bytes of the changes of all rooms together that are on their way to the store; beyond that connections that
    /// write are not read. An eighth of it is for changes of at most 16 KiB, which do not wait for longer ones. A change
    /// that is longer than the rest goes alone. Default 64 MiB.
    pub in_flight_bytes: usize,
    /// The longest presence of a session: its user and its data together, in bytes of JSON. Default 4 KiB.
    pub presence: usize,
    /// The most sessions that take part in the presence of one room. Default 1,000.
    pub present: usize,
    /// The time for which changes of presence in a room are gathered into one message. Where that comes to more than
    /// 64 MiB for all sessions in a second, they are gathered for longer, up to a second. Default 50 ms.
    pub presence_interval: Duration,
    /// The most messages of an app's own that are relayed for a legacy client, in a second and at once. Default 0: none
    /// are relayed.
    pub relays: u32,
    /// The longest payload of such a message, in bytes of JSON. Default 64 KiB.
    pub relay: usize,
    /// How long a connection may be silent before it is sent a ping, and again until it is closed. A client that takes no
    /// bytes for twice as long is disconnected. Default 30 s.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 1 << 20,
            depth: 64,
            key: 256,
            room_name: 128,
            updates: 65_536,
            work: 100_000_000,
            rooms_per_connection: 64,
            connections_per_address: 1000,
            handshakes_per_address: 100,
            rooms_opened_per_address: 100,
            bytes_per_address: 32 << 20,
            window: 128,
            queue: 256,
            queue_bytes: 1 << 20,
            queued_bytes: 256 << 20,
            clients_per_room: 10_000,
            state: 4 << 20,
            in_flight: 1024,
            in_flight_bytes: 64 << 20,
            presence: 4 << 10,
            present: 1000,
            presence_interval: Duration::from_millis(50),
            relays: 0,
            relay: 64 << 10,
            heartbeat: Duration::from_secs(30),
        }
    }
}

/// The limits of a server on what a client sends. The server tells them in its `welcome`, and both sides check them with
/// the functions here: the client before a write is shown, the server because a client may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClientLimits {
    /// The longest frame, in bytes.
    pub frame: usize,
    /// How deep arrays and objects may nest in a frame.
    pub depth: usize,
    /// The longest path of an update, in bytes.
    pub key: usize,
    /// The most updates in one change.
    pub updates: usize,
    /// The most work to decide one change, in the steps of [`Limits::work`].
    pub work: u64,
    /// The longest presence of a session: its user and its data together, in bytes of JSON.
    pub presence: usize,
}

impl Default for ClientLimits {
    /// No limits, which is what a client assumes before the server's `welcome`.
    fn default() -> Self {
        Self {
            frame: usize::MAX,
            depth: usize::MAX,
            key: usize::MAX,
            updates: usize::MAX,
            work: u64::MAX,
            presence: usize::MAX,
        }
    }
}

impl From<&Limits> for ClientLimits {
    fn from(limits: &Limits) -> Self {
        let Limits { frame, depth, key, updates, work, presence, .. } = *limits;
        Self { frame, depth, key, updates, work, presence }
    }
}

impl ClientLimits {
    /// Checks the length of a frame.
    ///
    /// # Errors
    /// It is longer than the limit.
    pub fn check_frame(&self, bytes: usize) -> Result<(), Reject> {
        if bytes <= self.frame {
            return Ok(());
        }
        let message = format!("a frame has at most {} bytes, found {bytes}", self.frame);
        Err(Reject::new(Code::FrameTooLarge, message))
    }

    /// Checks the number of updates in a change.
    ///
    /// # Errors
    /// There are none, or more than the limit.
    pub fn check_updates(&self, updates: usize) -> Result<(), Reject> {
        if (1..=self.updates).contains(&updates) {
            return Ok(());
        }
        let message = format!("a change has 1 to {} updates, found {updates}", self.updates);
        Err(Reject::new(Code::BadChange, message))
    }

    /// Checks the path of an update.
    ///
    /// # Errors
    /// It is longer than the limit.
    pub fn check_key(&self, key: &str) -> Result<(), Reject> {
        if key.len() <= self.key {
            return Ok(());
        }
        let message = format!("a key has at most {} bytes, found {}", self.key, key.len());
        Err(Reject::new(Code::BadKey, message))
    }

    /// Checks the path of an update, and that of an item which it inserts into a list: an item whose path is too long
    /// could neither be changed nor removed. `update` is the decoded `wire`.
    ///
    /// # Errors
    /// It is longer than the limit.
    pub(crate) fn check_paths<S: SharedState>(
        &self,
        wire: &WireUpdate<'_>,
        update: &S::Update,
    ) -> Result<(), Reject> {
        self.check_key(&wire.key)?;
        if wire.op.as_deref() != Some("insert") {
            return Ok(());
        }
        transfer::path_inserted::<S>(wire, update).map_or(Ok(()), |path| self.check_key(&path))
    }

    /// Checks how deep JSON text nests that has `around` levels around it in its frame.
    ///
    /// # Errors
    /// It nests deeper than the limit.
    pub fn check_depth(&self, json: &str, around: usize) -> Result<(), Reject> {
        if self.depth == usize::MAX || check_depth(json, self.depth.saturating_sub(around)) {
            return Ok(());
        }
        let message = format!("arrays and objects in a frame may be {} deep", self.depth);
        Err(Reject::new(Code::TooDeep, message))
    }

    /// Checks what a session shows in a room's presence, both JSON text.
    ///
    /// # Errors
    /// It is too long or nests too deep.
    pub fn check_presence(&self, user: &str, data: &str) -> Result<(), Reject> {
        for json in [user, data] {
            self.check_depth(json, AROUND_PRESENCE)?;
        }
        check_presence_size(user, data, self.presence)
    }
}

/// Checks the size of what a session shows in a room's presence, both JSON text.
///
/// # Errors
/// It is longer than `limit`, in bytes.
pub(crate) fn check_presence_size(user: &str, data: &str, limit: usize) -> Result<(), Reject> {
    let found = user.len() + data.len();
    if found <= limit {
        return Ok(());
    }
    let message = format!("`user` and `data` have at most {limit} bytes, found {found}");
    Err(Reject::new(Code::PresenceTooLarge, message))
}

/// The levels of nesting around the array of updates of a `state:change`: the frame and its payload.
pub const AROUND_UPDATES: usize = 2;

/// The levels of nesting around one update of a `state:change`: those and the array.
pub const AROUND_UPDATE: usize = 3;

/// The levels of nesting around the user and the data of a `presence:set`: the frame and its payload.
const AROUND_PRESENCE: usize = 2;

/// Whether a room may have this name: not empty, at most `limit` bytes, and no control characters.
#[must_use]
pub fn check_room_name(name: &str, limit: usize) -> bool {
    !name.is_empty() && name.len() <= limit && !name.chars().any(char::is_control)
}

/// Whether arrays and objects in a JSON text nest at most `limit` deep. One pass; the text need not be valid JSON.
#[must_use]
pub fn check_depth(text: &str, limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            bytes.next();
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_nesting_outside_strings() {
        assert!(check_depth("[[[]]]", 3));
        assert!(!check_depth("[[[[]]]]", 3));
        assert!(check_depth(r#"["[[[[[", "\"[[[[", {"a": []}]"#, 3));
        assert!(check_depth("]]]][", 1));
    }

    #[test]
    fn room_names() {
        assert!(check_room_name("document-123", 128));
        assert!(!check_room_name("", 128));
        assert!(!check_room_name(&"x".repeat(129), 128));
        assert!(!check_room_name("a\nb", 128));
    }
}
