//! The legacy dialect: the messages of a client that asks for no subprotocol.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{Object, json_frame, nullable, object_frame, shared_frame};
use crate::proto::{Envelope, Frame, RoomDetails, Secret, Violation, split_address};

/// The prefix of the type of a channel's message; the rest is the channel's name.
const BROADCAST: &str = "broadcast:";

/// Prefixes that the type of an app's own message cannot have.
const RESERVED: &[&str] = &["state:", "room:", "presence:", "cursor:", "channel:", BROADCAST];

/// Types that an app's own message cannot have.
const TAKEN: &[&str] = &["hello", "welcome", "rights", "error", "ping", "pong"];

/// Whether a message of this type is one of the app's own.
fn is_own(kind: &str) -> bool {
    !TAKEN.contains(&kind) && !RESERVED.iter().any(|reserved| kind.starts_with(reserved))
}

/// `state:update`, as it is read.
#[derive(Deserialize)]
struct Update<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

/// `state:merge`, as it is read.
#[derive(Deserialize)]
struct Merge<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

/// `room:join`, as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoomJoin<'a> {
    #[serde(borrow)]
    room_id: Cow<'a, str>,
    #[serde(borrow)]
    user: &'a RawValue,
    #[serde(default)]
    password: Option<Secret>,
}

/// `room:leave`, as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoomLeave<'a> {
    #[serde(borrow)]
    room_id: Cow<'a, str>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
}

/// The largest version that a JavaScript client represents exactly.
pub const MAX_VERSION: u64 = (1 << 53) - 1;

/// The version of a write; `None` if it is missing, or not one that a legacy client counts to.
fn write_version(version: Option<&RawValue>) -> Option<u64> {
    let version = version?.get().parse().ok()?;
    (1..=MAX_VERSION).contains(&version).then_some(version)
}

/// A message from a legacy client. The version of a write is the client's own count, not the room's version; it shows
/// which of the server's frames the client had accepted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LegacyMessage<'a> {
    /// Asks for the state.
    SyncRequest,
    /// Sets one field.
    Update {
        /// The field.
        key: Cow<'a, str>,
        /// Its value.
        value: &'a RawValue,
        /// The client's version after this write.
        version: Option<u64>,
    },
    /// Sets several fields at once.
    Merge {
        /// A JSON object of fields.
        data: &'a RawValue,
        /// The client's version after this write.
        version: Option<u64>,
    },
    /// A message for a channel.
    Broadcast {
        /// The channel.
        channel: Cow<'a, str>,
        /// Its content.
        value: &'a RawValue,
    },
    /// About the client's presence in a room, or its cursor.
    Presence(LegacyPresence<'a>),
    /// Joins the room's users.
    RoomJoin {
        /// The room.
        room: Cow<'a, str>,
        /// The user; has a member `id`.
        user: &'a RawValue,
        /// The room's password.
        password: Option<Secret>,
    },
    /// Leaves the room's users.
    RoomLeave {
        /// The room.
        room: Cow<'a, str>,
        /// The user.
        user: Option<&'a RawValue>,
    },
    /// A message of the app's own, for the other legacy clients in the room.
    Relay {
        /// Its type.
        kind: Cow<'a, str>,
        /// Its content.
        value: &'a RawValue,
    },
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl<'a> LegacyMessage<'a> {
    /// Reads the message in an envelope.
    ///
    /// # Errors
    /// The type is unknown, or the payload does not have the form of its type.
    pub fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        Ok(match &*envelope.kind {
            "state:sync:request" => Self::SyncRequest,
            "state:update" => {
                let Update { key, value, version } = envelope.content()?;
                Self::Update { key, value, version: write_version(version) }
            }
            "state:merge" => {
                let Merge { data, version } = envelope.content()?;
                Self::Merge { data, version: write_version(version) }
            }
            kind if kind.starts_with(BROADCAST) => Self::Broadcast {
                channel: match &envelope.kind {
                    Cow::Borrowed(kind) => Cow::Borrowed(&kind[BROADCAST.len()..]),
                    Cow::Owned(kind) => Cow::Owned(kind[BROADCAST.len()..].to_owned()),
                },
                value: envelope.payload.unwrap_or(RawValue::NULL),
            },
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            kind if kind.starts_with("presence:") || kind == "cursor:move" => {
                Self::Presence(LegacyPresence::read(envelope)?)
            }
            "room:join" => {
                let RoomJoin { room_id, user, password } = envelope.content()?;
                Self::RoomJoin { room: room_id, user, password }
            }
            "room:leave" => {
                let RoomLeave { room_id, user } = envelope.content()?;
                Self::RoomLeave { room: room_id, user }
            }
            kind if envelope.room.is_some() && is_own(kind) => {
                let value = envelope.payload.unwrap_or(RawValue::NULL);
                Self::Relay { kind: envelope.kind.clone(), value }
            }
            _ => return Err(envelope.unknown()),
        })
    }
}

/// A legacy client's message about its presence in a room.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LegacyPresence<'a> {
    /// `presence:join`, `presence:update`: becomes present, or changes what the others are shown.
    Update {
        /// The user; has a member `id`.
        user: &'a RawValue,
        /// What the user does.
        data: Option<&'a RawValue>,
    },
    /// `presence:leave`: the payload is the user's id.
    Leave(&'a RawValue),
    /// `cursor:move`.
    Cursor {
        /// The user; has a member `id`.
        user: &'a RawValue,
        /// The distance from the left.
        x: f64,
        /// The distance from the top.
        y: f64,
    },
}

/// `presence:join` or `presence:update`, as it is read.
#[derive(Deserialize)]
struct PresenceUpdate<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "nullable")]
    data: Option<&'a RawValue>,
}

/// `cursor:move`, as it is read.
#[derive(Deserialize)]
struct Cursor<'a> {
    #[serde(borrow)]
    user: &'a RawValue,
    x: f64,
    y: f64,
}

impl<'a> LegacyPresence<'a> {
    pub(crate) fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        Ok(match &*envelope.kind {
            "presence:join" | "presence:update" => {
                let PresenceUpdate { user, data } = envelope.content()?;
                Self::Update { user, data }
            }
            "presence:leave" => Self::Leave(envelope.content()?),
            "cursor:move" => {
                let Cursor { user, x, y } = envelope.content()?;
                Self::Cursor { user, x, y }
            }
            _ => return Err(envelope.unknown()),
        })
    }
}

/// `broadcast:<channel>`: `value` is JSON, `at` is in milliseconds since 1970.
#[must_use]
pub fn broadcast(channel: &str, from: &str, at: u64, value: &str) -> Frame {
    let (room, channel) = split_address(channel);
    relay(room, &format!("{BROADCAST}{}", channel.unwrap_or_default()), from, at, value)
}

/// A message of the app's own: `value` is JSON, `at` is in milliseconds since 1970.
#[must_use]
pub fn relay(room: &str, kind: &str, from: &str, at: u64, value: &str) -> Frame {
    let mut out = String::with_capacity(value.len() + kind.len() + room.len() + 96);
    Object::push(&mut out, |envelope| {
        envelope.member("type", kind).member("room", room).member("from", from).member("timestamp", &at);
        envelope.json("payload", value);
    });
    Frame::from(out)
}

/// `state:update`: `value` is JSON.
#[must_use]
pub fn update(room: &str, key: &str, value: &str, version: u64) -> Frame {
    object_frame("state:update", Some(room), value.len() + 64, |payload| {
        payload.member("key", key).json("value", value).member("version", &version);
    })
}

/// `state:merge`: `data` is a JSON object. If it is long, the frame shares it.
#[must_use]
pub fn merge(room: &str, data: &Arc<String>, version: u64) -> Frame {
    fields("state:merge", room, data, version)
}

/// `state:sync`: `data` is a JSON object. If it is long, the frame shares it.
#[must_use]
pub fn sync(room: &str, data: &Arc<String>, version: u64) -> Frame {
    fields("state:sync", room, data, version)
}

fn fields(kind: &str, room: &str, data: &Arc<String>, version: u64) -> Frame {
    shared_frame(kind, room, 64, data, |payload| {
        let at = payload.space("data");
        payload.member("version", &version);
        at
    })
}

/// `room:joined`: `users` are JSON.
#[must_use]
pub fn joined(room: &str, users: &[String], details: &RoomDetails) -> Frame {
    let users_size = users.iter().map(|user| user.len() + 1).sum::<usize>();
    let size = users_size + details.metadata.as_deref().map_or(0, str::len) + room.len() + 64;
    object_frame("room:joined", Some(room), size, |payload| {
        payload.member("id", room).array("users", users.iter().map(String::as_str));
        details.write(payload);
    })
}

/// `room:user:joined`: `user` is JSON.
#[must_use]
pub fn user_joined(room: &str, user: &str) -> Frame {
    json_frame("room:user:joined", Some(room), user)
}

/// `room:user:left`: `id` is the user's id as JSON.
#[must_use]
pub fn user_left(room: &str, id: &str) -> Frame {
    json_frame("room:user:left", Some(room), id)
}

/// `presence:join`: `user` is JSON.
#[must_use]
pub fn presence_join(room: &str, user: &str) -> Frame {
    object_frame("presence:join", Some(room), user.len() + room.len() + 32, |payload| {
        payload.json("user", user).member("room", room);
    })
}

/// `presence:update`: `user` and `data` are JSON, `seen` is in milliseconds since 1970.
#[must_use]
pub fn presence_update(room: &str, user: &str, data: &str, seen: u128) -> Frame {
    object_frame("presence:update", Some(room), user.len() + data.len() + 48, |payload| {
        payload.json("user", user).json("data", data).member("lastSeen", &seen);
    })
}

/// `presence:leave`: `id` is the user's id as JSON.
#[must_use]
pub fn presence_leave(room: &str, id: &str) -> Frame {
    json_frame("presence:leave", Some(room), id)
}

/// `cursor:move`: `user` is JSON, `x` and `y` are JSON numbers, `seen` is in milliseconds since 1970.
#[must_use]
pub fn cursor(room: &str, user: &str, (x, y): (&str, &str), seen: u128) -> Frame {
    object_frame("cursor:move", Some(room), user.len() + 64, |payload| {
        payload.json("user", user).json("x", x).json("y", y).member("timestamp", &seen);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_apps_own_message_cannot_have_a_type_of_the_protocols() {
        for kind in ["game:move", "rooms", "state", "hello:there", "\u{1f}"] {
            assert!(is_own(kind), "{kind}");
        }
        for kind in ["state:dance", "room:user:joined", "cursor:", "broadcast:x", "hello", "ping"] {
            assert!(!is_own(kind), "{kind}");
        }
    }
}
