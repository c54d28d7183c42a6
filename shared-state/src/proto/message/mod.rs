//! The messages, one family in one file: what is read and what is written lie beside each other.
//!
//! The functions of [`client`] and [`server`] write frames, each once for all its receivers. [`ClientMessage::read`]
//! and [`ServerMessage::read`] read them. What is read borrows from the frame; values of updates stay JSON text until
//! the field's type decodes them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::core::{Code, Reject, WireUpdate};
use crate::proto::{ClientLimits, Envelope, Frame, compact};

mod broadcast;
mod change;
pub mod channel;
mod error;
mod hello;
mod hex;
mod join;
mod json;
pub mod legacy;
mod permissions;
pub mod presence;
pub mod room;
mod state;
#[cfg(test)]
mod tests;

pub use change::ChangeRequest;
pub(crate) use error::Refusal;
pub use error::Violation;
pub use hello::Hello;
pub(crate) use join::room_schema;
pub use join::{Declaration, JoinRequest, Resume, RoomSchema};
pub(crate) use json::push_string;
pub use permissions::Denied;
use presence::{PresenceNews, PresenceRequest};
pub use room::RoomDetails;
pub use state::{Outcome, Outcomes};

/// The frames that a client sends.
pub mod client {
    pub use super::broadcast::request as broadcast;
    pub use super::change::request as change;
    pub use super::hello::{hello, ping, pong, token};
    pub use super::join::{join, leave};
}

/// The frames that the server sends.
pub mod server {
    pub use super::broadcast::{broadcast, rejected as broadcast_rejected};
    pub use super::change::{ack, acked_as, change, reject};
    pub use super::error::{error, room_error};
    pub use super::hello::{ping, pong, renewed, welcome};
    pub use super::legacy::{
        broadcast as legacy_broadcast, merge as legacy_merge, relay as legacy_relay, sync as legacy_sync,
        update as legacy_update,
    };
    pub use super::permissions::rights;
    pub use super::state::{Beside, delta, sync};
}

/// A message from a client that speaks `shared-state.v1`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// The first message of a connection.
    Hello(Hello<'a>),
    /// A newer token of the connection's user.
    Token(Cow<'a, str>),
    /// Joins a room.
    Join(JoinRequest),
    /// Leaves a room.
    Leave,
    /// A change of the room's state.
    Change(ChangeRequest<'a>),
    /// A message for those who are in the channel now.
    Broadcast(&'a RawValue),
    /// About the client's presence in a room.
    Presence(PresenceRequest<'a>),
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl<'a> ClientMessage<'a> {
    /// Reads the message in an envelope.
    ///
    /// # Errors
    /// The type is unknown, or the payload does not have the form of its type.
    pub fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        Ok(match &*envelope.kind {
            "hello" => Self::Hello(envelope.content()?),
            "hello:token" => Self::Token(envelope.content::<hello::Token<'_>>()?.token),
            "room:join" => Self::Join(envelope.content()?),
            "room:leave" => Self::Leave,
            "state:change" => Self::Change(envelope.content()?),
            "channel:broadcast" => {
                Self::Broadcast(envelope.content::<broadcast::BroadcastRequest<'_>>()?.value)
            }
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            kind if kind.starts_with("presence:") => Self::Presence(PresenceRequest::read(envelope)?),
            _ => return Err(envelope.unknown()),
        })
    }
}

/// The server's message about one room or channel.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RoomMessage<'a> {
    /// The whole state.
    Sync {
        /// The epoch of the room's history.
        epoch: u64,
        /// The state's version.
        version: u64,
        /// A JSON object: the fields.
        data: &'a RawValue,
        /// The room's schema, if it differs from the client's.
        schema: Option<Box<RoomSchema>>,
        /// The room's number in [compact] frames, if it sends any.
        brief: Option<u64>,
        /// What the client may not do.
        rights: Denied,
        /// The audience that this state is for; the client repeats it when it resumes.
        audience: Option<u64>,
        /// Answers to the client's changes.
        outcomes: Outcomes,
    },
    /// What changed since a version.
    Delta {
        /// The version that the updates apply to.
        since: u64,
        /// The version that they result in.
        version: u64,
        /// The updates, in order.
        updates: Vec<WireUpdate<'a>>,
        /// The moves from list to list that the updates contain as removals and insertions: for each, the update that
        /// takes the item from its former list, the first move first.
        moves: Vec<WireUpdate<'a>>,
        /// The room's schema, if it differs from the client's.
        schema: Option<Box<RoomSchema>>,
        /// The room's number in [compact] frames, if it sends any.
        brief: Option<u64>,
        /// What the client may not do.
        rights: Denied,
        /// Answers to the client's changes.
        outcomes: Outcomes,
    },
    /// What the client may not do has changed.
    Rights(Denied),
    /// An accepted change of another client or of the server.
    Change {
        /// The version that it results in.
        version: u64,
        /// The public id of its author, or `server`.
        from: Cow<'a, str>,
        /// Its updates, in order.
        updates: Vec<WireUpdate<'a>>,
        /// The number that its header has in [compact] frames from now on.
        brief: Option<u8>,
    },
    /// An accepted change in a [compact] frame. It results in the client's version plus 1.
    Compact {
        /// The number of its header: that of the last [`Change`](Self::Change) that had this number.
        header: u8,
        /// The update's value.
        value: &'a [u8],
    },
    /// The client's first change that has no answer yet was accepted as it was sent, as the client's version plus 1.
    NextAccepted {
        /// The last byte of the change's sequence number.
        check: u8,
    },
    /// One of the client's changes was accepted.
    Accepted {
        /// The client's number for the change.
        seq: u64,
        /// The version that it resulted in.
        version: u64,
        /// Its updates as they were accepted, if they differ from those that the client sent.
        updates: Option<Vec<WireUpdate<'a>>>,
    },
    /// One of the client's changes was refused: the client's number for it, and the reason.
    Rejected(u64, Reject),
    /// A message for those who are in the channel now. It is not kept.
    Broadcast {
        /// The public id of its sender, or `server`.
        from: Cow<'a, str>,
        /// When the server received it, in milliseconds since 1970.
        at: u64,
        /// Its content.
        value: &'a RawValue,
    },
    /// Information about the room beside its state.
    Info(RoomDetails),
    /// A request was refused, or the client was removed.
    Error(Violation),
    /// The client's broadcast was refused. It stays in the channel.
    BroadcastRejected(Violation),
}

impl<'a> RoomMessage<'a> {
    /// Reads the message in an envelope; `None` if it is not about a room, or of an unknown type.
    fn read(envelope: &Envelope<'a>) -> Result<Option<Self>, Violation> {
        Ok(Some(match &*envelope.kind {
            "state:sync" => {
                let state::Sync { epoch, version, data, schema, brief, rights, audience, answers } =
                    envelope.content()?;
                let outcomes = answers.into();
                Self::Sync { epoch, version, data, schema, brief, rights, audience, outcomes }
            }
            "state:delta" => {
                let state::Delta { since, version, updates, moves, schema, brief, rights, answers } =
                    envelope.content()?;
                let outcomes = answers.into();
                Self::Delta { since, version, updates, moves, schema, brief, rights, outcomes }
            }
            "state:change" => {
                let change::Change { version, from, updates, brief } = envelope.content()?;
                Self::Change { version, from, updates, brief }
            }
            "state:ack" => {
                let change::Ack { seq, version, updates } = envelope.content()?;
                Self::Accepted { seq, version, updates }
            }
            "state:reject" => {
                let (seq, reject) = envelope.content::<change::Rejection<'_>>()?.into();
                Self::Rejected(seq, reject)
            }
            "channel:broadcast" => {
                let broadcast::Broadcast { from, at, value } = envelope.content()?;
                Self::Broadcast { from, at, value }
            }
            "room:rights" => Self::Rights(envelope.content()?),
            "room:info" => Self::Info(envelope.content()?),
            "channel:reject" => Self::BroadcastRejected(envelope.content()?),
            "room:error" => Self::Error(envelope.content()?),
            _ => return Ok(None),
        }))
    }
}

/// A message from the server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// The answer to `hello`.
    Welcome {
        /// The client's public id.
        id: Cow<'a, str>,
        /// How long either side may be silent, in milliseconds.
        heartbeat: u64,
        /// The most unanswered changes in one room.
        window: usize,
        /// The server's limits on what a client sends.
        limits: ClientLimits,
        /// The time until the user's authentication expires, in milliseconds; `None`: never.
        expires: Option<u64>,
    },
    /// The newer token was accepted.
    Renewed {
        /// The time until the user's authentication expires, in milliseconds; `None`: never.
        expires: Option<u64>,
    },
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// An error of the connection.
    Error(Violation),
    /// About the room or channel with this address, see [`split_address`](crate::proto::split_address).
    Room(Cow<'a, str>, RoomMessage<'a>),
    /// About the room with this number, in a [compact] frame.
    Numbered(u64, RoomMessage<'a>),
    /// About presence in this room.
    Presence(Cow<'a, str>, PresenceNews<'a>),
    /// A message of a type that this version does not know.
    Unknown,
}

impl<'a> ServerMessage<'a> {
    /// Reads a frame from the server, text or [compact].
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`compact::read`].
    pub fn of(frame: &'a Frame) -> Result<Self, Violation> {
        if frame.is_binary() {
            let (room, message) = compact::read(frame.as_bytes())?;
            Ok(Self::Numbered(room, message))
        } else {
            Self::read(frame.as_str())
        }
    }

    /// Reads a text frame from the server.
    ///
    /// # Errors
    /// The frame is not JSON, or a message of a known type does not have its form.
    pub fn read(text: &'a str) -> Result<Self, Violation> {
        Self::read_envelope(&Envelope::read(text)?)
    }

    /// Reads the message in an envelope.
    ///
    /// # Errors
    /// A message of a known type does not have its form.
    pub fn read_envelope(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        let kind = &*envelope.kind;
        let no_room = || Violation::new(Code::BadRoom, format!("`{kind}` without a room"));
        Ok(match kind {
            "welcome" => {
                let hello::Welcome { id, heartbeat, window, limits, expires } = envelope.content()?;
                Self::Welcome { id, heartbeat, window, limits, expires }
            }
            "welcome:token" => {
                let hello::Renewed { expires } = envelope.content()?;
                Self::Renewed { expires }
            }
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            "error" => Self::Error(envelope.content()?),
            _ if kind.starts_with("presence:") => match PresenceNews::read(envelope)? {
                Some(news) => Self::Presence(envelope.room.clone().ok_or_else(no_room)?, news),
                None => Self::Unknown,
            },
            _ => match RoomMessage::read(envelope)? {
                Some(message) => Self::Room(envelope.address().ok_or_else(no_room)?, message),
                None => Self::Unknown,
            },
        })
    }
}
