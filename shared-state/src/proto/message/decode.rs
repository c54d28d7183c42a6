//! Reading frames.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::core::WireUpdate;
use crate::core::{Code, Reject};
use crate::proto::message::join::{JoinRequest, RoomSchema, WireJoin, WireSchema, audience};
use crate::proto::message::room::{RoomDetails, WireDetails};
use crate::proto::presence::{PresenceNews, PresenceRequest};
use crate::proto::{Denied, Envelope, Frame, compact};

/// A frame that is not what the protocol allows; what to tell its sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Violation {
    /// The reason.
    pub code: Code,
    /// For people: expected and found.
    pub message: String,
}

impl Violation {
    /// A violation, explained.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// `hello`: who is there.
#[derive(Clone, Debug, Deserialize)]
pub struct Hello<'a> {
    /// The client's secret id: it proves that a resuming connection is the same client.
    #[serde(borrow)]
    pub client: Cow<'a, str>,
    /// What says who its user is, from a client that cannot say so in its request.
    #[serde(borrow, default)]
    pub token: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WireToken<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
}

/// Where a client left a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resume {
    /// The history it knows.
    pub epoch: u64,
    /// The version it has confirmed.
    pub version: u64,
    /// Every change up to this sequence number was answered.
    pub acked: u64,
    /// The hash of the schema that the room had. If it has another now, the client is sent the whole state.
    pub schema: Option<u64>,
    /// The audience it was in, as the last whole state said. If it is in another one now, it is sent the whole state.
    pub audience: Option<u64>,
}

/// A client's change as it was sent.
#[derive(Clone, Debug, Deserialize)]
pub struct ChangeRequest<'a> {
    /// The client's number for it: rises with each new change, stays when it is sent again.
    pub seq: u64,
    /// The version the client had confirmed when it first sent the change.
    pub base: u64,
    /// Whether the client may have sent it before.
    #[serde(default)]
    pub again: bool,
    /// A JSON array of updates, not yet looked into.
    #[serde(borrow)]
    pub updates: &'a RawValue,
    /// The fields a transaction read; they must not have changed since `base`.
    #[serde(borrow, default)]
    pub reads: Option<Vec<Cow<'a, str>>>,
}

/// A message from a client of the `shared-state.v1` protocol.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// Who is there.
    Hello(Hello<'a>),
    /// What says who the user is, newer than what was said before.
    Token(Cow<'a, str>),
    /// Joins a room.
    Join(JoinRequest),
    /// Leaves a room.
    Leave,
    /// A change of the room's state.
    Change(ChangeRequest<'a>),
    /// A message for those who are in the channel now.
    Broadcast(&'a RawValue),
    /// StructInfo the client's presence in a room.
    Presence(PresenceRequest<'a>),
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

#[derive(Deserialize)]
struct WireCast<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
}

pub(crate) fn epoch(text: &str) -> Result<u64, Violation> {
    hexadecimal("an epoch", text)
}

/// A number that JavaScript could not count to, as it is on the wire.
pub(crate) fn hexadecimal(what: &str, text: &str) -> Result<u64, Violation> {
    u64::from_str_radix(text, 16)
        .map_err(|_| Violation::new(Code::BadMessage, format!("{what} is 16 hexadecimal digits")))
}

impl<'a> ClientMessage<'a> {
    /// Reads the message in an envelope.
    ///
    /// # Errors
    /// The type is unknown or the payload is not of its form.
    pub fn read(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        Ok(match &*envelope.kind {
            "hello" => Self::Hello(envelope.content()?),
            "hello:token" => Self::Token(envelope.content::<WireToken<'_>>()?.token),
            "room:join" => Self::Join(envelope.content::<WireJoin<'_>>()?.read()?),
            "room:leave" => Self::Leave,
            "state:change" => Self::Change(envelope.content()?),
            "channel:broadcast" => Self::Broadcast(envelope.content::<WireCast<'_>>()?.value),
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            kind if kind.starts_with("presence:") => Self::Presence(PresenceRequest::read(envelope)?),
            _ => return Err(envelope.unknown()),
        })
    }
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the history, as this version.
    Accepted(u64),
    /// It was refused.
    Rejected(Reject),
}

/// The answers that come with a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The highest sequence number of this client that the server has answered.
    pub last: u64,
    /// The version since which the server knows this client. Of a change first sent before, and not among the
    /// answers, it cannot say whether it was applied.
    pub since: u64,
    /// Answers by sequence number, in order. Accepted ones are in the state they come with.
    pub answers: Vec<(u64, Outcome)>,
}

#[derive(Deserialize)]
struct WireReject<'a> {
    seq: u64,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default)]
    field: Option<String>,
    message: String,
}

impl WireReject<'_> {
    fn read(self) -> (u64, Reject) {
        let code = Code::from_text(&self.code);
        (self.seq, Reject { code, field: self.field, message: self.message })
    }
}

/// Absent members mean that nothing is to be said.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WireAnswers<'a> {
    last: u64,
    since: u64,
    acks: Vec<(u64, u64)>,
    #[serde(borrow)]
    rejects: Vec<WireReject<'a>>,
}

fn outcomes(WireAnswers { last, since, acks, rejects }: WireAnswers<'_>) -> Outcomes {
    let accepted = acks.into_iter().map(|(seq, version)| (seq, Outcome::Accepted(version)));
    let rejected = rejects.into_iter().map(WireReject::read).map(|(seq, r)| (seq, Outcome::Rejected(r)));
    let mut answers: Vec<_> = accepted.chain(rejected).collect();
    answers.sort_by_key(|(seq, _)| *seq);
    Outcomes { last, since, answers }
}

#[derive(Deserialize)]
struct WireSync<'a> {
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    version: u64,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow, default)]
    schema: Option<WireSchema<'a>>,
    #[serde(default)]
    brief: Option<u64>,
    #[serde(default)]
    rights: Denied,
    #[serde(borrow, default)]
    audience: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    answers: WireAnswers<'a>,
}

#[derive(Deserialize)]
struct WireDelta<'a> {
    since: u64,
    version: u64,
    #[serde(borrow)]
    updates: Vec<WireUpdate<'a>>,
    #[serde(borrow, default)]
    schema: Option<WireSchema<'a>>,
    #[serde(default)]
    brief: Option<u64>,
    #[serde(default)]
    rights: Denied,
    #[serde(borrow, default)]
    answers: WireAnswers<'a>,
}

#[derive(Deserialize)]
struct WireChange<'a> {
    version: u64,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    updates: Vec<WireUpdate<'a>>,
    #[serde(default)]
    brief: Option<u8>,
}

#[derive(Deserialize)]
struct WireAck<'a> {
    seq: u64,
    version: u64,
    #[serde(borrow)]
    updates: Option<Vec<WireUpdate<'a>>>,
}

#[derive(Deserialize)]
struct WireHeard<'a> {
    #[serde(borrow)]
    from: Cow<'a, str>,
    at: u64,
    #[serde(borrow)]
    value: &'a RawValue,
}

#[derive(Deserialize)]
struct WireWelcome<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    heartbeat: u64,
    window: usize,
    #[serde(default = "unlimited")]
    frame: usize,
    #[serde(default)]
    expires: Option<u64>,
}

#[derive(Deserialize)]
struct WireRenewed {
    #[serde(default)]
    expires: Option<u64>,
}

const fn unlimited() -> usize {
    usize::MAX
}

#[derive(Deserialize)]
struct WireError<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    message: String,
}

/// A message about one room, for a client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RoomMessage<'a> {
    /// The whole state.
    Sync {
        /// The room's history.
        epoch: u64,
        /// The state's version.
        version: u64,
        /// A JSON object: the fields.
        data: &'a RawValue,
        /// The room's schema, if it is not the client's.
        schema: Option<Box<RoomSchema>>,
        /// The room's number in brief frames, if it sends any.
        brief: Option<u64>,
        /// What the client may not do.
        rights: Denied,
        /// The audience that this state is for, to be said with a resume.
        audience: Option<u64>,
        /// Answers to the client's changes.
        outcomes: Outcomes,
    },
    /// What changed since a version.
    Delta {
        /// The version it starts from.
        since: u64,
        /// The version it leads to.
        version: u64,
        /// The updates, in order.
        updates: Vec<WireUpdate<'a>>,
        /// The room's schema, if it is not the client's.
        schema: Option<Box<RoomSchema>>,
        /// The room's number in brief frames, if it sends any.
        brief: Option<u64>,
        /// What the client may not do.
        rights: Denied,
        /// Answers to the client's changes.
        outcomes: Outcomes,
    },
    /// What the client may not do has changed.
    Rights(Denied),
    /// Somebody's change.
    Change {
        /// The version it made.
        version: u64,
        /// Who made it.
        from: Cow<'a, str>,
        /// Its updates, in order.
        updates: Vec<WireUpdate<'a>>,
        /// The number under which brief frames are about the same.
        brief: Option<u8>,
    },
    /// Somebody's change, in a brief frame: the next version.
    Brief {
        /// What it is about, as a change said that had this number.
        header: u8,
        /// The operation's value.
        value: &'a [u8],
    },
    /// The first of the client's changes that has no answer was accepted as it was sent, as the next version.
    NextAccepted,
    /// One of the client's changes was accepted.
    Accepted {
        /// The client's number for it.
        seq: u64,
        /// The version it made.
        version: u64,
        /// Its updates as they were accepted, if that is not as they were sent.
        updates: Option<Vec<WireUpdate<'a>>>,
    },
    /// One of the client's changes was refused.
    Rejected(u64, Reject),
    /// A message for those who are in the channel now; no part of its history.
    Broadcast {
        /// Who sent it.
        from: Cow<'a, str>,
        /// When the server had it, in milliseconds since 1970.
        at: u64,
        /// Its content.
        value: &'a RawValue,
    },
    /// What is known of the room beside its state.
    Info(RoomDetails),
    /// Something about the room went wrong.
    Error(Violation),
}

/// A message from the server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// The connection stands.
    Welcome {
        /// The client's public name.
        id: Cow<'a, str>,
        /// How long either side may be silent, in milliseconds.
        heartbeat: u64,
        /// The most unanswered changes per room.
        window: usize,
        /// The longest frame the server takes, in bytes.
        frame: usize,
        /// How long the user stays known, in milliseconds; `None`: for ever.
        expires: Option<u64>,
    },
    /// The newer token was taken.
    Renewed {
        /// How long the user stays known, in milliseconds; `None`: for ever.
        expires: Option<u64>,
    },
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
    /// Something about the connection went wrong.
    Error(Violation),
    /// StructInfo one room.
    Room(Cow<'a, str>, RoomMessage<'a>),
    /// StructInfo the room with this number, see [`brief`].
    Numbered(u64, RoomMessage<'a>),
    /// StructInfo presence in one room.
    Presence(Cow<'a, str>, PresenceNews<'a>),
    /// A message of a type that this version does not know.
    Unknown,
}

impl<'a> ServerMessage<'a> {
    /// Reads a frame from the server, text or [`brief`].
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`compact::read`].
    pub fn of(frame: &'a Frame) -> Result<Self, Violation> {
        match frame.is_binary() {
            true => compact::read(frame.as_bytes()).map(|(room, message)| Self::Numbered(room, message)),
            false => Self::read(frame.as_str()),
        }
    }

    /// Reads a text frame from the server.
    ///
    /// # Errors
    /// The frame is not JSON, or a known message not of its form.
    pub fn read(text: &'a str) -> Result<Self, Violation> {
        Self::read_envelope(&Envelope::read(text)?)
    }

    /// Reads the message in an envelope.
    ///
    /// # Errors
    /// A known message is not of its form.
    pub fn read_envelope(envelope: &Envelope<'a>) -> Result<Self, Violation> {
        let about_room = |message| match envelope.address() {
            Some(room) => Ok(Self::Room(room, message)),
            None => Err(Violation::new(Code::BadRoom, format!("`{}` without a room", envelope.kind))),
        };
        match &*envelope.kind {
            "welcome" => {
                let WireWelcome { id, heartbeat, window, frame, expires } = envelope.content()?;
                Ok(Self::Welcome { id, heartbeat, window, frame, expires })
            }
            "welcome:token" => {
                let WireRenewed { expires } = envelope.content()?;
                Ok(Self::Renewed { expires })
            }
            "ping" => Ok(Self::Ping),
            "pong" => Ok(Self::Pong),
            "error" => {
                let WireError { code, message } = envelope.content()?;
                Ok(Self::Error(Violation { code: Code::from_text(&code), message }))
            }
            "state:sync" => {
                let WireSync { epoch: text, version, data, schema, brief, rights, audience: of, answers } =
                    envelope.content()?;
                let (schema, outcomes) = (schema.map(WireSchema::read).transpose()?, outcomes(answers));
                let (epoch, audience) = (epoch(&text)?, of.as_deref().map(audience).transpose()?);
                about_room(RoomMessage::Sync {
                    epoch,
                    version,
                    data,
                    schema,
                    brief,
                    rights,
                    audience,
                    outcomes,
                })
            }
            "state:delta" => {
                let WireDelta { since, version, updates, schema, brief, rights, answers } =
                    envelope.content()?;
                let (schema, outcomes) = (schema.map(WireSchema::read).transpose()?, outcomes(answers));
                about_room(RoomMessage::Delta { since, version, updates, schema, brief, rights, outcomes })
            }
            "state:change" => {
                let WireChange { version, from, updates, brief } = envelope.content()?;
                about_room(RoomMessage::Change { version, from, updates, brief })
            }
            "state:ack" => {
                let WireAck { seq, version, updates } = envelope.content()?;
                about_room(RoomMessage::Accepted { seq, version, updates })
            }
            "room:rights" => about_room(RoomMessage::Rights(envelope.content()?)),
            "state:reject" => {
                let (seq, reject) = envelope.content::<WireReject<'_>>()?.read();
                about_room(RoomMessage::Rejected(seq, reject))
            }
            "channel:broadcast" => {
                let WireHeard { from, at, value } = envelope.content()?;
                about_room(RoomMessage::Broadcast { from, at, value })
            }
            "room:info" => about_room(RoomMessage::Info(envelope.content::<WireDetails<'_>>()?.read())),
            "room:error" => {
                let WireError { code, message } = envelope.content()?;
                about_room(RoomMessage::Error(Violation { code: Code::from_text(&code), message }))
            }
            kind if kind.starts_with("presence:") => match (PresenceNews::read(envelope)?, &envelope.room) {
                (Some(news), Some(room)) => Ok(Self::Presence(room.clone(), news)),
                (Some(_), None) => Err(Violation::new(Code::BadRoom, format!("`{kind}` without a room"))),
                (None, _) => Ok(Self::Unknown),
            },
            _ => Ok(Self::Unknown),
        }
    }
}
