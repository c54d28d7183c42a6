//! The envelope that every text frame has, in both dialects.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::core::Code;
use crate::proto::{Violation, channel_address};

/// `{"type", "payload", "room"?, "channel"?, "from"?, "timestamp"?}`; other members are ignored.
#[derive(Clone, Debug, Deserialize)]
pub struct Envelope<'a> {
    /// The message's type.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// Its content, not parsed yet.
    #[serde(borrow, default)]
    pub payload: Option<&'a RawValue>,
    /// The room that it is about.
    #[serde(borrow, default)]
    pub room: Option<Cow<'a, str>>,
    /// The channel of that room, if it is about a channel and not about the room's state.
    #[serde(borrow, default)]
    pub channel: Option<Cow<'a, str>>,
}

impl<'a> Envelope<'a> {
    /// Reads the envelope of a frame.
    ///
    /// # Errors
    /// The frame is not JSON, or not an object with a `type`.
    pub fn read(text: &'a str) -> Result<Self, Violation> {
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => {
                Violation::new(Code::BadMessage, format!("expected an object with a `type`: {error}"))
            }
            _ => Violation::new(Code::NotJson, format!("expected JSON text: {error}")),
        })
    }

    /// The address of the room or channel that it is about; see [`channel_address`].
    #[must_use]
    pub fn address(&self) -> Option<Cow<'a, str>> {
        match (&self.room, &self.channel) {
            (Some(room), Some(channel)) => Some(Cow::Owned(channel_address(room, channel))),
            (room, _) => room.clone(),
        }
    }

    /// Reads the payload; an absent one is an empty object.
    pub(crate) fn content<T: Deserialize<'a>>(&self) -> Result<T, Violation> {
        serde_json::from_str(self.payload.map_or("{}", RawValue::get)).map_err(|error| {
            Violation::new(Code::BadMessage, format!("`{}` has a wrong payload: {error}", self.kind))
        })
    }

    /// The error for a message of an unknown type.
    pub(crate) fn unknown(&self) -> Violation {
        Violation::new(Code::UnknownMessage, format!("no message has the type `{}`", shown(&self.kind)))
    }
}

/// The beginning of a text of the peer, for an error message or a log, without control characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(40).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
