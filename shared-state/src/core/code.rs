//! Every code an error or a rejection can carry.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// Why something was refused. On the wire it is the text that [`as_str`](Code::as_str) gives.
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

            /// The code on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                    Self::Other => "other",
                }
            }

            /// The code with this text; [`Other`](Self::Other) if there is none.
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
    /// A binary frame where the subprotocol has text.
    BinaryFrame = "binary_frame",
    /// The frame is longer than the limit.
    FrameTooLarge = "frame_too_large",
    /// Arrays and objects are nested deeper than the limit.
    TooDeep = "too_deep",
    /// The message is JSON but not of its type's form.
    BadMessage = "bad_message",
    /// No message has this type.
    UnknownMessage = "unknown_message",
    /// A message came before `hello`.
    HelloExpected = "hello_expected",
    /// A second `hello` on one connection.
    HelloRepeated = "hello_repeated",
    /// The client id is missing, too short, too long or not printable ASCII.
    BadClientId = "bad_client_id",
    /// The server does not know who this is, or does not want them.
    Unauthorized = "unauthorized",
    /// What says who this is was valid until now; connect again, with something newer.
    Expired = "expired",
    /// Whoever this is may not do that.
    Forbidden = "forbidden",
    /// Whoever this is was put out of the room: they do not come back by themselves.
    Kicked = "kicked",
    /// Whoever this is may not come into the room for a time.
    Banned = "banned",
    /// The room has a password, and this is not it, or none was given.
    WrongPassword = "wrong_password",
    /// As many users are in the room as it takes.
    RoomFull = "room_full",
    /// The room is closed; everybody who was in it is out.
    RoomClosed = "room_closed",
    /// Too much of that on one connection in too short a time; try again a little later.
    TooOften = "too_often",
    /// Another connection with the same client id took over.
    Superseded = "superseded",
    /// The message needs a `room`, or its name is empty, too long or has control characters.
    BadRoom = "bad_room",
    /// No room of this name can be opened here.
    UnknownRoom = "unknown_room",
    /// The name of a channel is empty, too long or has control characters.
    BadChannel = "bad_channel",
    /// No channel of this name can be opened in the room.
    UnknownChannel = "unknown_channel",
    /// The connection has joined as many rooms as the limit allows.
    TooManyRooms = "too_many_rooms",
    /// The message is about a room that the connection has not joined.
    NotJoined = "not_joined",
    /// The client's struct and the room's have a field that is not the same in both.
    IncompatibleSchema = "incompatible_schema",
    /// The room cannot be read or written now; join again later.
    Unavailable = "unavailable",
    /// The server is shutting down; connect again.
    ShuttingDown = "shutting_down",
    /// No field has this name.
    UnknownField = "unknown_field",
    /// The field's policy has no such operation.
    UnknownOp = "unknown_op",
    /// The value does not have the field's type.
    WrongType = "wrong_type",
    /// A rule does not hold.
    Invalid = "invalid",
    /// The server's own rules of the room failed: what was asked for is refused, and nothing else is the matter.
    RulesFailed = "rules_failed",
    /// Only the server may write the field.
    ReadOnly = "read_only",
    /// A field that the transaction read has changed since.
    Conflict = "conflict",
    /// The change has no updates, or more than the limit.
    BadChange = "bad_change",
    /// The key is empty, too long or reserved.
    BadKey = "bad_key",
    /// The sequence number is 0 or too large.
    BadSequence = "bad_sequence",
    /// The version is one that the room has not reached.
    FutureVersion = "future_version",
    /// The room's state would grow beyond the limit.
    StateTooLarge = "state_too_large",
    /// The message is longer than the channel takes.
    MessageTooLarge = "message_too_large",
    /// The change was refused earlier; the reason is no longer known.
    Refused = "refused",
    /// The client was away longer than the server remembers: the change may or may not have been applied.
    Uncertain = "uncertain",
    /// What a session shows of itself is longer than the limit.
    PresenceTooLarge = "presence_too_large",
    /// As many sessions show themselves in the room as the limit allows.
    TooManyPresent = "too_many_present",
    /// The presence of another user than the session's own.
    OtherUser = "other_user",
    /// The client has ended before the change was answered: it may or may not have been applied. Never sent.
    Closed = "closed",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a change was refused. The whole change was; none of its updates was applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {}{message}", .field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct Reject {
    /// The reason.
    pub code: Code,
    /// The field's path, if one field is to blame.
    pub field: Option<String>,
    /// For people: expected and found.
    pub message: String,
}

impl Reject {
    /// A rejection that no single field is to blame for.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, field: None, message: message.into() }
    }

    /// The same rejection, blaming `field`.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl From<crate::core::Invalid> for Reject {
    fn from(invalid: crate::core::Invalid) -> Self {
        let field = Some(invalid.field).filter(|field| !field.is_empty());
        Self { code: Code::Invalid, field, message: invalid.message }
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
