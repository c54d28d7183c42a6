//! The limits of a connection and of a room, and the checks that need no state.

use std::time::Duration;

/// The limits of a server. What exceeds one of them is refused with a [`Code`](crate::core::Code), except for `window`,
/// `queue`, `clients_per_room`, `in_flight`, `presence_interval` and `heartbeat`: these refuse nothing by themselves, and
/// say below what happens.
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
    /// The most updates in one change. Default 512.
    pub updates: usize,
    /// The most rooms one connection joins. Default 64.
    pub rooms_per_connection: usize,
    /// The most unanswered changes of a client in one room; as many answers are kept for it. Default 128.
    pub window: usize,
    /// The most frames queued for one connection; beyond that it is sent one delta later. Default 256.
    pub queue: usize,
    /// The most absent clients whose sequence numbers a room remembers; beyond it the one whose last accepted change is
    /// oldest is forgotten. Default 10,000.
    pub clients_per_room: usize,
    /// The largest state of an untyped room, in bytes of JSON. Default 4 MiB.
    pub state: usize,
    /// The most changes of one room on their way to the store; while there are as many, connections that want to write
    /// wait. Default 1,024.
    pub in_flight: usize,
    /// The longest presence of a session: its user and its data together, in bytes of JSON. Default 4 KiB.
    pub presence: usize,
    /// The most sessions that take part in the presence of one room. Default 1,000.
    pub present: usize,
    /// The time for which changes of presence in a room are gathered into one message. Default 50 ms.
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
            updates: 512,
            rooms_per_connection: 64,
            window: 128,
            queue: 256,
            clients_per_room: 10_000,
            state: 4 << 20,
            in_flight: 1024,
            presence: 4 << 10,
            present: 1000,
            presence_interval: Duration::from_millis(50),
            relays: 0,
            relay: 64 << 10,
            heartbeat: Duration::from_secs(30),
        }
    }
}

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
