//! The original hook's dialect: what a client speaks that asks for no subprotocol.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::proto::presence::LegacyPresence;
use crate::proto::{Envelope, Secret, Violation};

/// What the type of a channel's message begins with; the rest is the channel's name.
const BROADCAST: &str = "broadcast:";

/// What a message of the app's own cannot begin with.
const RESERVED: &[&str] = &["state:", "room:", "presence:", "cursor:", "channel:", BROADCAST];

/// What a message of the app's own cannot be.
const TAKEN: &[&str] = &["hello", "welcome", "rights", "error", "ping", "pong"];

/// Whether a message of this type is the app's own affair.
fn is_own(kind: &str) -> bool {
    !TAKEN.contains(&kind) && !RESERVED.iter().any(|reserved| kind.starts_with(reserved))
}

#[derive(Deserialize)]
struct WireUpdate<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireMerge<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    version: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRoomJoin<'a> {
    #[serde(borrow)]
    room_id: Cow<'a, str>,
    #[serde(borrow)]
    user: &'a RawValue,
    #[serde(default)]
    password: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRoomLeave<'a> {
    #[serde(borrow)]
    room_id: Cow<'a, str>,
    #[serde(borrow, default)]
    user: Option<&'a RawValue>,
}

/// The largest version that a JavaScript client can count to.
pub const MAX_VERSION: u64 = (1 << 53) - 1;

/// What a write says of its client's version; `None` where that is nothing an honest client says.
fn claim(version: Option<&RawValue>) -> Option<u64> {
    let version = version?.get().parse().ok()?;
    (1..=MAX_VERSION).contains(&version).then_some(version)
}

/// A message from a client of the hook's dialect. The room's versions are the server's; those of a write say what its
/// client has taken of what it was sent.
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
        /// The version that the client gives its state by this.
        version: Option<u64>,
    },
    /// Sets several fields at once.
    Merge {
        /// A JSON object of fields.
        data: &'a RawValue,
        /// The version that the client gives its state by this.
        version: Option<u64>,
    },
    /// A message for a channel.
    Broadcast {
        /// The channel.
        channel: Cow<'a, str>,
        /// Its content.
        value: &'a RawValue,
    },
    /// StructInfo the client's presence in a room, or its cursor.
    Presence(LegacyPresence<'a>),
    /// Is among the room's users from now on.
    RoomJoin {
        /// The room.
        room: Cow<'a, str>,
        /// Who it is; has a member `id`.
        user: &'a RawValue,
        /// The room's password.
        password: Option<Secret>,
    },
    /// Is no longer among them.
    RoomLeave {
        /// The room.
        room: Cow<'a, str>,
        /// Who it is.
        user: Option<&'a RawValue>,
    },
    /// A message of the app's own, for the other clients of this dialect in the room.
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
    /// The type is unknown or the payload is not of its form.
    pub fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        Ok(match &*envelope.kind {
            "state:sync:request" => Self::SyncRequest,
            "state:update" => {
                let WireUpdate { key, value, version } = envelope.content()?;
                Self::Update { key, value, version: claim(version) }
            }
            "state:merge" => {
                let WireMerge { data, version } = envelope.content()?;
                Self::Merge { data, version: claim(version) }
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
                let WireRoomJoin { room_id, user, password } = envelope.content()?;
                Self::RoomJoin { room: room_id, user, password }
            }
            "room:leave" => {
                let WireRoomLeave { room_id, user } = envelope.content()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_protocols_have_is_no_affair_of_the_apps_own() {
        for kind in ["game:move", "rooms", "state", "hello:there", "\u{1f}"] {
            assert!(is_own(kind), "{kind}");
        }
        for kind in ["state:dance", "room:user:joined", "cursor:", "broadcast:x", "hello", "ping"] {
            assert!(!is_own(kind), "{kind}");
        }
    }
}
