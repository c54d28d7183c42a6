//! The original hook's dialect: what a client speaks that asks for no subprotocol.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::protocol::presence::HookPresence;
use crate::protocol::{Envelope, Violation};

/// What the type of a channel's message begins with; the rest is the channel's name.
const BROADCAST: &str = "broadcast:";

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
pub enum HookMessage<'a> {
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
    /// About the client's presence in a room, or its cursor.
    Presence(HookPresence<'a>),
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl<'a> HookMessage<'a> {
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
                Self::Presence(HookPresence::read(envelope)?)
            }
            _ => return Err(envelope.unknown()),
        })
    }
}
