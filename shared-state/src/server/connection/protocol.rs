//! The protocol of one connection without its socket: what a client may send when, and what each frame asks for.
//!
//! An [`Inbound`] takes frames one by one and checks everything that can be checked without the room. It never waits,
//! sends or locks. Called by the connection's task.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::core::FieldPathBuf;
use crate::core::{Code, Reject};
use crate::proto::Dialect;
use crate::proto::channel::{MESSAGES, SEND};
use crate::proto::legacy::LegacyMessage;
use crate::proto::presence;
use crate::proto::{
    ChangeRequest, ClientId, ClientLimits, ClientMessage, Envelope, Frame, Hello, JoinRequest, Limits,
    RoomDetails, Secret, Violation, channel_address, check_room_name, server, shown, split_address,
};
use crate::server::fanout::queue::CloseReason;
use crate::server::presence::PresenceAction;

/// The longest room name that is sent back to a client whose room cannot be, in bytes.
const LONGEST_ECHOED: usize = 1024;

/// How long a client's secret id may be, in bytes.
const CLIENT_ID_LENGTH: std::ops::RangeInclusive<usize> = 16..=128;

/// A frame as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Incoming<'a> {
    Text(&'a str),
    Binary,
}

/// What a frame asks for. `J` is what the connection stores for a room it has joined.
#[derive(Debug)]
pub(crate) enum Request<'g, 'm, J> {
    /// Nothing to do.
    Nothing,
    /// Send this answer.
    Reply(Frame),
    /// End the connection.
    Close(CloseReason),
    /// The client's first message, with its secret id. It is answered once the user is known and the client's older
    /// connections have been ended.
    Hello { secret: Secret, token: Option<String> },
    /// A newer token for the user.
    Token(String),
    /// Join a room or channel, or join it again.
    Join { room: Cow<'m, str>, request: JoinRequest },
    /// Leave a room or channel.
    Leave { room: Cow<'m, str> },
    /// Make a change.
    Change { room: &'g J, change: ChangeRequest<'m> },
    /// Refuse the change with this number.
    Refuse { room: &'g J, seq: u64, reject: Reject },
    /// Send a message to those who are in the channel now.
    Broadcast { room: &'g J, value: &'m str },
    /// A message about presence.
    Presence { room: Cow<'m, str>, action: PresenceAction<'m> },
    /// Relay a message of the app's own to the other legacy clients in a room.
    Relay { room: Cow<'m, str>, kind: Cow<'m, str>, value: &'m RawValue },
    /// A legacy client's message. If the connection has not joined the room, it is to join first.
    Legacy { room: Cow<'m, str>, joined: Option<&'g J>, action: LegacyAction },
}

/// What a legacy client asks of a room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LegacyAction {
    /// Send the state.
    Sync,
    /// Make a change: a JSON array of updates, and the version that the client has after it.
    Change(String, Option<u64>),
}

/// The state of the protocol on one connection.
#[derive(Debug)]
pub(crate) struct Inbound<J> {
    dialect: Dialect,
    limits: Arc<Limits>,
    client: Option<ClientId>,
    rooms: BTreeMap<Arc<str>, J>,
}

impl<J> Inbound<J> {
    /// A connection of the v1 protocol, before its `hello`.
    pub(crate) fn v1(limits: Arc<Limits>) -> Self {
        Self { dialect: Dialect::V1, limits, client: None, rooms: BTreeMap::new() }
    }

    /// A connection of a legacy client, which sends no `hello`. `client` is its public id.
    pub(crate) fn legacy(limits: Arc<Limits>, client: ClientId) -> Self {
        Self { dialect: Dialect::Legacy, limits, client: Some(client), rooms: BTreeMap::new() }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Records the public id of the client whose `hello` was read.
    pub(crate) fn identified(&mut self, client: ClientId) {
        self.client = Some(client);
    }

    /// The client's public id; `None` before its `hello` and while its user is being identified.
    pub(crate) fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
    }

    /// Whether the connection has joined this address, or has joined as many rooms as it may.
    pub(crate) fn is_in_or_full(&self, address: &str) -> bool {
        self.rooms.contains_key(address) || self.may_join(address).is_err()
    }

    /// Records that a room was joined.
    pub(crate) fn joined(&mut self, room: Arc<str>, joined: J) {
        self.rooms.insert(room, joined);
    }

    /// Records that a room was left; returns what was stored for it.
    pub(crate) fn left(&mut self, room: &str) -> Option<J> {
        self.rooms.remove(room)
    }

    /// What is stored for each room joined.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &J> {
        self.rooms.values()
    }

    /// Removes the rooms for which `keep` is false.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&J) -> bool) {
        self.rooms.retain(|_, joined| keep(joined));
    }

    /// Reads a frame. Frames that can be answered here become [`Request::Reply`], or [`Request::Close`] if they break
    /// the protocol.
    pub(crate) fn read<'m>(&mut self, frame: Incoming<'m>) -> Request<'_, 'm, J> {
        let text = match frame {
            Incoming::Text(text) => text,
            Incoming::Binary => {
                return Request::Close(CloseReason::new(
                    Code::BinaryFrame,
                    "expected text, found a binary frame",
                ));
            }
        };
        if text.len() > self.limits.frame {
            return Request::Close(too_large(text.len(), self.limits.frame));
        }
        let read = Envelope::read(text);
        // The room checks the depth of a change, so that the refusal has the change's number.
        if let (Ok(envelope), Dialect::V1) = (&read, self.dialect)
            && envelope.kind == "state:change"
        {
            return self.read_change(envelope);
        }
        // The text is a whole frame, so nothing is around it.
        if let Err(reject) = ClientLimits::from(&*self.limits).check_depth(text, 0) {
            return self.too_deep(read.as_ref().ok(), reject);
        }
        match (read, self.dialect) {
            (Ok(envelope), Dialect::V1) => self.read_v1(&envelope),
            // A legacy client names the channel in the message's type.
            (Ok(envelope), Dialect::Legacy) => self.read_legacy(&Envelope { channel: None, ..envelope }),
            // A legacy client that sends what is not JSON is answered, and stays connected, as with its original
            // server.
            (Err(violation), Dialect::V1) if violation.code == Code::NotJson => {
                Request::Close(CloseReason::new(violation.code, violation.message))
            }
            (Err(violation), _) => refused(&violation),
        }
    }

    /// The answer to a message that nests too deep.
    fn too_deep<'m>(&self, envelope: Option<&Envelope<'m>>, reject: Reject) -> Request<'_, 'm, J> {
        let Reject { code, message, .. } = reject;
        match (self.dialect, envelope) {
            (Dialect::V1, Some(envelope)) if envelope.kind.starts_with("presence:") => {
                Request::Reply(match self.room(envelope) {
                    Ok(room) => presence::reject(&room, code, &message),
                    Err(frame) => frame,
                })
            }
            (Dialect::V1, Some(envelope)) if envelope.kind == "channel:broadcast" => {
                Request::Reply(match self.room(envelope) {
                    Ok(room) => server::broadcast_rejected(&room, code, &message),
                    Err(frame) => frame,
                })
            }
            (Dialect::V1, _) => Request::Close(CloseReason::new(code, message)),
            (Dialect::Legacy, _) => Request::Reply(server::error(code, &message)),
        }
    }

    /// Reads a `state:change`. What is wrong with it is an answer to the change if its number can be read.
    fn read_change<'m>(&mut self, envelope: &Envelope<'m>) -> Request<'_, 'm, J> {
        /// The number of a change, whatever else the payload has.
        #[derive(serde::Deserialize)]
        struct Numbered {
            seq: u64,
        }
        if self.client.is_none() {
            return hello_expected(envelope);
        }
        let address = match self.room(envelope) {
            Ok(address) => address,
            Err(frame) => return Request::Reply(frame),
        };
        let Some(room) = self.rooms.get(&*address) else { return Request::Reply(not_joined(&address)) };
        match envelope.content() {
            Ok(change) => Request::Change { room, change },
            Err(Violation { code, message }) => match envelope.content::<Numbered>() {
                Ok(Numbered { seq }) => Request::Refuse { room, seq, reject: Reject::new(code, message) },
                Err(_) => Request::Close(CloseReason::new(code, message)),
            },
        }
    }

    fn read_v1<'m>(&mut self, envelope: &Envelope<'m>) -> Request<'_, 'm, J> {
        let is_hello = envelope.kind == "hello";
        match (&self.client, is_hello) {
            (None, true) => return self.read_hello(envelope),
            (None, false) => return hello_expected(envelope),
            (Some(_), true) => {
                return Request::Close(CloseReason::new(
                    Code::HelloRepeated,
                    "a connection sends `hello` once",
                ));
            }
            (Some(_), false) => {}
        }
        let message = match ClientMessage::read(envelope) {
            Ok(message) => message,
            Err(violation) => return refused(&violation),
        };
        let message = match message {
            ClientMessage::Ping => return Request::Reply(server::pong()),
            ClientMessage::Pong => return Request::Nothing,
            ClientMessage::Token(token) => return Request::Token(token.into_owned()),
            message => message,
        };
        let room = match self.room(envelope) {
            Ok(room) => room,
            Err(frame) => return Request::Reply(frame),
        };
        match message {
            ClientMessage::Join(request) => match self.may_join(&room) {
                Ok(()) => Request::Join { room, request },
                Err(frame) => Request::Reply(frame),
            },
            ClientMessage::Leave if self.rooms.contains_key(&*room) => Request::Leave { room },
            ClientMessage::Leave => Request::Reply(not_joined(&room)),
            ClientMessage::Broadcast(_) if split_address(&room).1.is_none() => {
                let message = "`channel:broadcast` needs a `channel`";
                Request::Reply(server::error(Code::BadChannel, message))
            }
            ClientMessage::Broadcast(value) => match self.rooms.get(&*room) {
                Some(joined) => Request::Broadcast { room: joined, value: value.get() },
                None => Request::Reply(not_joined(&room)),
            },
            ClientMessage::Presence(_) if split_address(&room).1.is_some() => {
                Request::Reply(server::error(Code::BadChannel, "presence is a room's, found a `channel`"))
            }
            ClientMessage::Presence(request) => {
                Request::Presence { room, action: PresenceAction::V1(request) }
            }
            // Handled above.
            ClientMessage::Change(_)
            | ClientMessage::Hello(_)
            | ClientMessage::Token(_)
            | ClientMessage::Ping
            | ClientMessage::Pong => Request::Nothing,
        }
    }

    fn read_hello<'m>(&mut self, envelope: &Envelope<'m>) -> Request<'_, 'm, J> {
        let Hello { client: secret, token } = match ClientMessage::read(envelope) {
            Ok(ClientMessage::Hello(hello)) => hello,
            Ok(_) => return Request::Nothing,
            Err(violation) => return Request::Close(CloseReason::new(Code::BadClientId, violation.message)),
        };
        if !CLIENT_ID_LENGTH.contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (from, to) = (CLIENT_ID_LENGTH.start(), CLIENT_ID_LENGTH.end());
            let message = format!("a client id is {from} to {to} printable ASCII characters");
            return Request::Close(CloseReason::new(Code::BadClientId, message));
        }
        Request::Hello { secret: Secret::from(&*secret), token: token.map(Cow::into_owned) }
    }

    fn read_legacy<'m>(&mut self, envelope: &Envelope<'m>) -> Request<'_, 'm, J> {
        let mut channel = None;
        let action = match LegacyMessage::read(envelope) {
            Ok(LegacyMessage::Relay { .. }) if self.limits.relays == 0 => {
                return refused(&envelope.unknown());
            }
            Ok(LegacyMessage::Ping) => return Request::Reply(server::pong()),
            Ok(LegacyMessage::Pong) => return Request::Nothing,
            Ok(LegacyMessage::Presence(presence)) => {
                return self.presence(envelope.room.as_ref(), envelope, PresenceAction::Legacy(presence));
            }
            Ok(LegacyMessage::RoomJoin { room, user, password }) => {
                let action = PresenceAction::Join { user, password, details: RoomDetails::default() };
                return self.presence(Some(&room), envelope, action);
            }
            Ok(LegacyMessage::RoomLeave { room, user }) => {
                return self.presence(Some(&room), envelope, PresenceAction::Leave(user));
            }
            Ok(LegacyMessage::Relay { kind, value }) => {
                return match self.room(envelope) {
                    Ok(room) => Request::Relay { room, kind, value },
                    Err(frame) => Request::Reply(frame),
                };
            }
            Ok(LegacyMessage::SyncRequest) => LegacyAction::Sync,
            Ok(LegacyMessage::Broadcast { channel: name, value }) => {
                channel = Some(name);
                LegacyAction::Change(message(value), None)
            }
            Ok(LegacyMessage::Update { key, value, version }) => {
                LegacyAction::Change(updates([(&*key, value)]), version)
            }
            Ok(LegacyMessage::Merge { data, version }) => {
                // Of two members with the same name, the last counts, as in JavaScript.
                match serde_json::from_str::<BTreeMap<Cow<'_, str>, &RawValue>>(data.get()) {
                    Ok(data) => LegacyAction::Change(
                        updates(data.iter().map(|(key, value)| (&**key, *value))),
                        version,
                    ),
                    Err(error) => {
                        let message = format!("`data` is an object of fields: {error}");
                        return refused(&Violation::new(Code::BadMessage, message));
                    }
                }
            }
            Err(violation) => return refused(&violation),
        };
        let room = match (self.room(envelope), &channel) {
            (Ok(room), Some(channel)) => self.channel(&room, channel).map(Cow::Owned),
            (room, _) => room,
        };
        let room = match room {
            Ok(room) => room,
            Err(frame) => return Request::Reply(frame),
        };
        if let Err(frame) = self.may_join(&room) {
            return Request::Reply(frame);
        }
        let joined = self.rooms.get(&*room);
        Request::Legacy { room, joined, action }
    }

    /// A legacy client's presence message. `room` is the envelope's or the payload's.
    fn presence<'m>(
        &self,
        room: Option<&Cow<'m, str>>,
        envelope: &Envelope<'m>,
        action: PresenceAction<'m>,
    ) -> Request<'_, 'm, J> {
        match self.room(&Envelope { room: room.cloned(), ..envelope.clone() }) {
            Ok(room) => Request::Presence { room, action },
            Err(frame) => Request::Reply(frame),
        }
    }

    /// The address of the room or channel that a message is about.
    fn room<'m>(&self, envelope: &Envelope<'m>) -> Result<Cow<'m, str>, Frame> {
        match &envelope.room {
            Some(room) if check_room_name(room, self.limits.room_name) => match &envelope.channel {
                Some(channel) => self.channel(room, channel).map(Cow::Owned),
                None => Ok(room.clone()),
            },
            Some(room) => {
                let limit = self.limits.room_name;
                let message = format!("a room's name has 1 to {limit} bytes and no control characters");
                if envelope.kind == "presence:set" && self.is_echoed(room) {
                    return Err(presence::reject(room, Code::BadRoom, &message));
                }
                Err(self.bad_name(room, envelope.channel.as_deref(), Code::BadRoom, &message))
            }
            None => {
                let message = format!("`{}` needs a `room`", shown(&envelope.kind));
                Err(server::error(Code::BadRoom, &message))
            }
        }
    }

    /// The address of a room's channel.
    fn channel(&self, room: &str, channel: &str) -> Result<String, Frame> {
        let limit = self.limits.room_name;
        if check_room_name(channel, limit) {
            return Ok(channel_address(room, channel));
        }
        let message = format!("a channel's name has 1 to {limit} bytes and no control characters");
        Err(self.bad_name(room, Some(channel), Code::BadChannel, &message))
    }

    /// Refuses a room, or a channel of it, whose name cannot be. The frame names it if it can: the client waits for it.
    fn bad_name(&self, room: &str, channel: Option<&str>, code: Code, message: &str) -> Frame {
        match channel.filter(|channel| self.is_echoed(channel)) {
            _ if !self.is_echoed(room) => server::error(code, message),
            Some(channel) => server::room_error(&channel_address(room, channel), code, message),
            None => server::room_error(room, code, message),
        }
    }

    /// Whether the server sends a name back.
    fn is_echoed(&self, name: &str) -> bool {
        check_room_name(name, LONGEST_ECHOED.max(self.limits.room_name))
    }

    fn may_join(&self, room: &str) -> Result<(), Frame> {
        let limit = self.limits.rooms_per_connection;
        if self.rooms.len() < limit || self.rooms.contains_key(room) {
            return Ok(());
        }
        let message = format!("a connection joins at most {limit} rooms");
        Err(server::room_error(room, Code::TooManyRooms, &message))
    }
}

/// The reason to end a connection that sent a frame of `size` bytes.
pub(crate) fn too_large(size: usize, limit: usize) -> CloseReason {
    CloseReason::new(Code::FrameTooLarge, format!("a frame has at most {limit} bytes, found {size}"))
}

fn hello_expected<'g, 'm, J>(envelope: &Envelope<'_>) -> Request<'g, 'm, J> {
    let message = format!("expected `hello`, found `{}`", shown(&envelope.kind));
    Request::Close(CloseReason::new(Code::HelloExpected, message))
}

/// The answer to a message about a room that the connection has not joined.
fn not_joined(room: &str) -> Frame {
    server::room_error(room, Code::NotJoined, "the connection has not joined the room")
}

/// The answer to a message that cannot be accepted.
fn refused<'g, 'm, J>(violation: &Violation) -> Request<'g, 'm, J> {
    Request::Reply(server::error(violation.code, &violation.message))
}

/// A channel message, as a list of updates.
fn message(value: &RawValue) -> String {
    format!("[{{\"key\":\"{MESSAGES}\",\"op\":\"{SEND}\",\"value\":{value}}}]")
}

/// Updates that set fields. A legacy key is a field's name, whatever characters it has, and never a path.
fn updates<'a>(fields: impl IntoIterator<Item = (&'a str, &'a RawValue)>) -> String {
    #[derive(serde::Serialize)]
    struct Set<'a> {
        key: String,
        value: &'a RawValue,
    }
    let sets: Vec<_> = fields
        .into_iter()
        .map(|(field, value)| Set { key: FieldPathBuf::of(field).into_string(), value })
        .collect();
    // Strings and raw values always have a JSON form.
    serde_json::to_string(&sets).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = r#"{"type":"hello","payload":{"client":"0123456789abcdef"}}"#;

    fn limits() -> Arc<Limits> {
        Arc::new(Limits { frame: 300, depth: 8, rooms_per_connection: 2, ..Limits::default() })
    }

    fn after_hello() -> Inbound<u8> {
        let mut inbound = Inbound::v1(limits());
        assert!(matches!(inbound.read(Incoming::Text(HELLO)), Request::Hello { .. }));
        inbound.identified("0f".into());
        inbound
    }

    /// The code of the answer or of the close, and whether it is a close.
    fn refusal(inbound: &mut Inbound<u8>, frame: Incoming<'_>) -> Option<(Code, bool)> {
        match inbound.read(frame) {
            Request::Reply(frame) => {
                let code = Code::ALL.iter().find(|code| frame.as_str().contains(&format!("\"{code}\"")));
                code.map(|code| (*code, false))
            }
            Request::Close(reason) => Some((reason.code, true)),
            _ => None,
        }
    }

    #[test]
    fn hello_comes_first_and_once() {
        let mut inbound = Inbound::v1(limits());
        let ping = Incoming::Text(r#"{"type":"ping"}"#);
        assert_eq!(refusal(&mut inbound, ping), Some((Code::HelloExpected, true)));
        let mut inbound = after_hello();
        assert!(matches!(inbound.read(ping), Request::Reply(_)));
        assert_eq!(refusal(&mut inbound, Incoming::Text(HELLO)), Some((Code::HelloRepeated, true)));
    }

    #[test]
    fn a_client_id_is_16_to_128_printable_characters() {
        for (id, good) in [
            ("x".repeat(15), false),
            ("x".repeat(16), true),
            ("x".repeat(128), true),
            ("x".repeat(129), false),
            ("fifteen and a  b".to_owned(), false),
            ("ünprintable-id-here".to_owned(), false),
        ] {
            let hello = format!(r#"{{"type":"hello","payload":{{"client":"{id}"}}}}"#);
            let mut inbound = Inbound::<u8>::v1(limits());
            let read = inbound.read(Incoming::Text(&hello));
            assert_eq!(matches!(read, Request::Hello { .. }), good, "{id}: {read:?}");
        }
    }

    #[test]
    fn rooms_are_joined_before_they_are_used_and_counted() {
        let mut inbound = after_hello();
        let change = r#"{"type":"state:change","room":"a","payload":{"seq":1,"base":0,"updates":[]}}"#;
        assert_eq!(refusal(&mut inbound, Incoming::Text(change)), Some((Code::NotJoined, false)));
        let join = Incoming::Text(r#"{"type":"room:join","room":"a"}"#);
        assert!(matches!(
            inbound.read(join),
            Request::Join { request: JoinRequest { resume: None, .. }, .. }
        ));
        inbound.joined("a".into(), 1);
        inbound.joined("b".into(), 2);
        assert!(matches!(inbound.read(Incoming::Text(change)), Request::Change { room: 1, .. }));
        assert!(matches!(inbound.read(join), Request::Join { .. }), "a joined room is joined again");
        let third = Incoming::Text(r#"{"type":"room:join","room":"c"}"#);
        assert_eq!(refusal(&mut inbound, third), Some((Code::TooManyRooms, false)));
        let leave = Incoming::Text(r#"{"type":"room:leave","room":"b"}"#);
        assert!(matches!(inbound.read(leave), Request::Leave { .. }));
        assert_eq!(inbound.left("b"), Some(2));
        assert!(matches!(inbound.read(third), Request::Join { .. }));
    }

    #[test]
    fn legacy_keys_are_field_names() {
        let mut inbound = Inbound::<u8>::legacy(limits(), "x".into());
        let merge =
            r#"{"type":"state:merge","room":"a","payload":{"data":{"b/c":[1.50],"a":1},"version":9}}"#;
        let Request::Legacy { joined: None, action: LegacyAction::Change(updates, Some(9)), .. } =
            inbound.read(Incoming::Text(merge))
        else {
            panic!("expected a change")
        };
        assert_eq!(updates, r#"[{"key":"a","value":1},{"key":"b~1c","value":[1.50]}]"#);
    }

    #[test]
    fn a_legacy_client_that_sends_nonsense_is_answered_and_stays() {
        let mut inbound = Inbound::<u8>::legacy(limits(), "x".into());
        assert_eq!(refusal(&mut inbound, Incoming::Text("nonsense")), Some((Code::NotJson, false)));
        let unknown = Incoming::Text(r#"{"type":"cursor:dance"}"#);
        assert_eq!(refusal(&mut inbound, unknown), Some((Code::UnknownMessage, false)));
        let list = Incoming::Text(r#"{"type":"state:merge","room":"a","payload":{"data":[1]}}"#);
        assert_eq!(refusal(&mut inbound, list), Some((Code::BadMessage, false)));
        assert_eq!(refusal(&mut inbound, Incoming::Binary), Some((Code::BinaryFrame, true)));
    }
}
