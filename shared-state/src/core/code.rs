//! The codes that errors and rejections carry.

use std::fmt;

use crate::core::rules::{AT_BOUND, EXISTS, GONE};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Why something was refused. On the wire a code is the text that [`as_str`](Code::as_str) returns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
            /// A code that this version does not know.
            Other,
        }

        impl Code {
            /// Every code this version can send.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code's text on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Other => "other",
                }
            }

            /// The code with this text, or [`Other`](Self::Other) if no code has it.
            #[must_use]
            pub fn from_text(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)+
                    _ => Self::Other,
                }
            }
        }
    };
}

codes! {
    /// The frame is not JSON text.
    NotJson = "not_json",
    /// A binary frame was sent over a subprotocol that has text frames only.
    BinaryFrame = "binary_frame",
    /// What arrived is no frame of a WebSocket client.
    BadFrame = "bad_frame",
    /// The frame is longer than the limit.
    FrameTooLarge = "frame_too_large",
    /// Arrays and objects are nested deeper than the limit.
    TooDeep = "too_deep",
    /// The message is JSON but does not have the form of its type.
    BadMessage = "bad_message",
    /// No message has this type.
    UnknownMessage = "unknown_message",
    /// A message came before `hello`.
    HelloExpected = "hello_expected",
    /// A second `hello` on one connection.
    HelloRepeated = "hello_repeated",
    /// The client id is missing, too short, too long or not printable ASCII.
    BadClientId = "bad_client_id",
    /// The server does not know the user, or does not admit them.
    Unauthorized = "unauthorized",
    /// The user's credentials have expired. Connect again with new ones.
    Expired = "expired",
    /// The user is not allowed to do that.
    Forbidden = "forbidden",
    /// The user was removed from the room. The client does not rejoin by itself.
    Kicked = "kicked",
    /// The user is banned from the room for a time.
    Banned = "banned",
    /// The room has a password, and the one given is missing or wrong.
    WrongPassword = "wrong_password",
    /// The room already has as many users as it takes.
    RoomFull = "room_full",
    /// The room was closed, and every session in it has ended.
    RoomClosed = "room_closed",
    /// Too many requests of this kind on one connection in too short a time. Try again a little later.
    TooOften = "too_often",
    /// Another connection with the same client id took over.
    Superseded = "superseded",
    /// The message needs a `room` and has none, or the room's name is empty, too long or has control
    /// characters.
    BadRoom = "bad_room",
    /// The server opens no room of this name.
    UnknownRoom = "unknown_room",
    /// The channel's name is empty, too long or has control characters.
    BadChannel = "bad_channel",
    /// The room opens no channel of this name.
    UnknownChannel = "unknown_channel",
    /// The connection has joined as many rooms as the limit allows.
    TooManyRooms = "too_many_rooms",
    /// The message names a room that the connection has not joined.
    NotJoined = "not_joined",
    /// A field that both the client's struct and the room's have is not the same in both.
    IncompatibleSchema = "incompatible_schema",
    /// The room cannot be read or written at present. Join again later.
    Unavailable = "unavailable",
    /// The server is shutting down. Connect again.
    ShuttingDown = "shutting_down",
    /// No field has this name.
    UnknownField = "unknown_field",
    /// The field's policy has no such operation.
    UnknownOp = "unknown_op",
    /// The value does not have the field's type.
    WrongType = "wrong_type",
    /// A validation rule does not hold.
    Invalid = "invalid",
    /// The hooks of the server's program failed: one panicked or took too long, or the updates that one made
    /// break the state's rules. The request itself may be valid.
    RulesFailed = "rules_failed",
    /// Only the server may write the field.
    ReadOnly = "read_only",
    /// A field that the transaction read has changed since then.
    Conflict = "conflict",
    /// What the change acts on does not exist, or not any more.
    Gone = "gone",
    /// What the change inserts exists already, with another value.
    Exists = "exists",
    /// The counter is at the bound of its type, so that nothing of the addition or subtraction can be done.
    AtBound = "at_bound",
    /// Deciding the change would take more work than the server does for one.
    TooCostly = "too_costly",
    /// The change has no updates, or more than the limit.
    BadChange = "bad_change",
    /// The key is empty, too long or reserved.
    BadKey = "bad_key",
    /// The sequence number is 0 or too large.
    BadSequence = "bad_sequence",
    /// The version is greater than the one that the room has reached.
    FutureVersion = "future_version",
    /// The room's state would grow beyond the limit.
    StateTooLarge = "state_too_large",
    /// The message is longer than the channel, or the server's relay, allows.
    MessageTooLarge = "message_too_large",
    /// The change was refused earlier. The server no longer knows the reason.
    Refused = "refused",
    /// The client was away for longer than the server remembers its changes. The change may or may not have
    /// been applied.
    Uncertain = "uncertain",
    /// The session's presence (its user and its data) is longer than the limit.
    PresenceTooLarge = "presence_too_large",
    /// The room's presence already has as many sessions as the limit allows.
    TooManyPresent = "too_many_present",
    /// The request names another user than the one whom the session or the connection belongs to.
    OtherUser = "other_user",
    /// The client was closed before the server answered the change, which may or may not have been applied.
    /// Never sent over the wire.
    Closed = "closed",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a change was refused. The change was refused as a whole: none of its updates was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {}{message}", .field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct Reject {
    /// The reason.
    pub code: Code,
    /// The path of the field that caused the rejection, if a single one did.
    pub field: Option<String>,
    /// A message for people: what was expected, and what was found.
    pub message: String,
}

impl Reject {
    /// A rejection that no single field caused.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into() }
    }

    /// The same rejection, caused by `field`.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl From<crate::core::Invalid> for Reject {
    fn from(invalid: crate::core::Invalid) -> Self {
        let field = Some(invalid.field).filter(|field| !field.is_empty());
        let code = match invalid.rule {
            GONE => Code::Gone,
            EXISTS => Code::Exists,
            AT_BOUND => Code::AtBound,
            _ => Code::Invalid,
        };
        Self { code, field, message: invalid.message }
    }
}

impl From<crate::core::UpdateError> for Reject {
    fn from(error: crate::core::UpdateError) -> Self {
        use crate::core::UpdateErrorKind as Kind;
        let code = match error.kind {
            Kind::UnknownField => Code::UnknownField,
            Kind::UnknownOp => Code::UnknownOp,
            Kind::WrongType => Code::WrongType,
        };
        let field = Some(error.field).filter(|field| !field.is_empty());
        Self { code, field, message: error.message }
    }
}
