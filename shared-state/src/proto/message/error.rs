//! `error` and `room:error`, and the error that they report.

use serde::{Deserialize, Serialize};

use super::json::{Text, payload_frame};
use crate::core::Code;
use crate::proto::Frame;

/// What is wrong with a frame or a message. On the wire it is the payload of `error`, `room:error` and
/// `presence:reject`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{code}: {message}")]
pub struct Violation {
    /// The reason.
    #[serde(with = "code")]
    pub code: Code,
    /// A message for people: what was expected, and what was found.
    pub message: String,
}

impl Violation {
    /// A violation with a message for people.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a refused join, or the loss of a room, means for what waits in a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Joining again after a while may succeed.
    Passes,
    /// Joining again may succeed once the password, the room or the connection's other rooms have changed.
    Waits,
    /// The client is out of the room for good.
    Final,
}

impl Refusal {
    pub(crate) const fn of(code: Code) -> Self {
        match code {
            Code::Unavailable | Code::NotJoined | Code::ShuttingDown | Code::TooOften | Code::RulesFailed => {
                Self::Passes
            }
            Code::WrongPassword | Code::RoomFull | Code::TooManyRooms => Self::Waits,
            _ => Self::Final,
        }
    }
}

/// A code as the text that it is on the wire. A text that this version does not know is [`Code::Other`].
pub(super) mod code {
    use super::{Code, Deserialize, Text};
    use serde::{Deserializer, Serializer};

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
    pub(crate) fn serialize<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(code.as_str())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Code, D::Error> {
        Text::deserialize(deserializer).map(|Text(text)| Code::from_text(&text))
    }
}

/// The connection broke a rule of the protocol, or ends.
#[must_use]
pub fn error(code: Code, message: &str) -> Frame {
    payload_frame("error", None, 128, &Violation::new(code, message))
}

/// A request about a room or a channel was refused, or the client was removed from it.
#[must_use]
pub fn room_error(room: &str, code: Code, message: &str) -> Frame {
    payload_frame("room:error", Some(room), 128, &Violation::new(code, message))
}
