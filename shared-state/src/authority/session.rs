//! Sessions: who is in the room, what each has been sent, and how a slow one is brought up to date.

use std::sync::Arc;

use crate::authority::typed::{field_of, read_updates, touched};
use crate::authority::{After, Author, Authority, InFlight, Rights, RoomState};
use crate::protocol::channel::{APPEND, ChannelEntry};
use crate::protocol::{
    ClientId, Code, Frame, JoinRequest, Outcome, Reject, Violation, push_string, room_schema, server,
    split_address,
};
use crate::state::WireUpdate;

/// One connection's stay in one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

/// What a session's client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `shared-state.v1.json`.
    V1,
    /// The original hook's messages.
    Hook,
}

/// Where the frames for a session go: a bounded queue.
pub trait Outbox {
    /// Queues a frame. `false`: it was not taken, the queue is full. The session is then sent nothing until
    /// [`Authority::drained`] says that there is room again, and then what it missed as one delta.
    fn push(&mut self, frame: &Frame) -> bool;

    /// Queues a frame that may be left out. `false`: it was, and that has no consequences. A queue should keep room
    /// for what may not be.
    fn offer(&mut self, frame: &Frame) -> bool {
        self.push(frame)
    }
}

/// Whether a session is sent changes as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Live,
    /// Its queue was full; a delta follows once it is drained.
    Behind,
    /// A state or a delta is promised and waits for the store.
    Syncing,
}

pub(super) struct Session<O> {
    client: ClientId,
    dialect: Dialect,
    flow: Flow,
    /// The version up to which it was sent everything.
    synced: u64,
    /// It was never sent a state, so a delta would mean nothing to it.
    stateless: bool,
    /// The sequence number up to which its changes were answered.
    answered: u64,
    /// The room's schema, if it was to be told and its queue was full.
    untold: Option<String>,
    /// What it may do; `None`: everything that a client may.
    rights: Option<Arc<dyn Rights>>,
    outbox: O,
}

/// A state or a delta, made at a version and sent when that version is durable.
pub(super) struct Bring {
    since: Option<u64>,
    version: u64,
    text: String,
    /// The room's schema, if the client has another and joins.
    schema: Option<String>,
}

impl<O: Outbox> Session<O> {
    fn push(&mut self, frame: &Frame) {
        if !self.outbox.push(frame) {
            self.flow = Flow::Behind;
        }
    }

    /// Sends what may be left out, if the session is sent things as they come.
    pub(super) fn offer(&mut self, frame: &Frame) -> bool {
        self.flow == Flow::Live && self.outbox.offer(frame)
    }

    /// Whether its client may write at this path.
    pub(super) fn may_write(&self, path: &str) -> Result<(), Reject> {
        let verdict = self.rights.as_ref().map_or(Ok(()), |rights| rights.write(path));
        verdict.map_err(|message| Reject::new(Code::Forbidden, message))
    }

    pub(super) fn is_hook(&self) -> bool {
        self.dialect == Dialect::Hook
    }
}

/// A change encoded at most once for each dialect that somebody in the room speaks.
struct Encoded<'a> {
    room: &'a str,
    version: u64,
    from: &'a str,
    updates: &'a str,
    v1: Option<Frame>,
    hook: Option<Frame>,
    /// Of a channel, for the hook's dialect.
    messages: Option<Vec<(u64, Frame)>>,
}

impl<O: Outbox> Authority<O> {
    /// Lets a session in and sends it the state, or what it missed since it left; and the room's schema, if the
    /// client says that it has another.
    ///
    /// # Errors
    /// A field that the client declares does not fit what the room has: nobody was let in.
    pub fn join(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        outbox: O,
    ) -> Result<SessionId, Violation> {
        for (path, declaration) in &request.declare {
            self.state.declare(path, declaration)?;
        }
        let schema = self.schema.clone();
        let resume = request.resume;
        let id = SessionId(self.next_session);
        self.next_session += 1;
        self.clients.enter(&client);
        let known = resume.filter(|resume| resume.epoch == self.epoch);
        let mut session = Session {
            client,
            dialect,
            flow: Flow::Live,
            synced: self.head,
            stateless: false,
            answered: known.map_or(0, |resume| resume.acked),
            untold: None,
            rights: None,
            outbox,
        };
        if let Some(resume) = known.filter(|resume| resume.version > self.head) {
            let message = format!("the room is at version {}, not yet at {}", self.head, resume.version);
            session.push(&server::room_error(&self.room, Code::FutureVersion, &message));
        }
        self.sessions.insert(id, session);
        if dialect == Dialect::V1 {
            // With another struct, the state at a version is another.
            let same = |hash: Option<u64>| match (hash, &schema) {
                (Some(hash), Some(schema)) => hash == schema.hash,
                _ => true,
            };
            let known = known.filter(|resume| same(resume.schema));
            let since = known.map(|resume| resume.version).filter(|version| *version <= self.head);
            let told = schema.as_ref().filter(|_| !same(request.schema));
            let told = told.map(|known| room_schema(known.hash, &known.schema, &self.state.kept()));
            self.bring_with(id, since, told, !request.declare.is_empty());
        } else if let Some(resume) = known.filter(|resume| resume.version < self.head) {
            // A hook in a channel, which was told of it when it was at that version.
            self.bring(id, Some(resume.version));
        }
        Ok(id)
    }

    /// From now on the session may do what `rights` say, and nothing else.
    pub fn grant(&mut self, id: SessionId, rights: Arc<dyn Rights>) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.rights = Some(rights);
        }
    }

    /// Whether the author of a change may write all that it writes.
    pub(super) fn check_rights(&self, author: &Author, updates: &[WireUpdate<'_>]) -> Result<(), Reject> {
        let (Author::Client { session, .. } | Author::Hook { session, .. }) = author else { return Ok(()) };
        let rights = self.sessions.get(session).and_then(|session| session.rights.as_ref());
        let Some(rights) = rights else { return Ok(()) };
        updates.iter().try_for_each(|update| {
            let refuse = |message| Reject::new(Code::Forbidden, message).in_field(&*update.key);
            rights.write(&update.key).map_err(refuse)
        })
    }

    /// Lets a session out; gives its outbox back.
    pub fn leave(&mut self, id: SessionId) -> Option<O> {
        let session = self.sessions.remove(&id)?;
        self.clients.exit(&session.client);
        Some(session.outbox)
    }

    /// The session's queue has room again: if it was behind, it is sent what it missed.
    pub fn drained(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get(&id)
            && session.flow == Flow::Behind
        {
            let since = (!session.stateless).then_some(session.synced);
            self.bring(id, since);
        }
    }

    /// A session of the hook's dialect asked for the state.
    ///
    /// It replaces its whole state by a `state:sync`. Where the room does not have every field (an untyped
    /// room), that would wipe initial fields that nobody wrote, so it is sent a `state:merge` instead, and
    /// nothing while nobody has written anything.
    pub fn hook_sync(&mut self, id: SessionId) {
        if !self.state.is_complete() && self.head == 0 {
            return;
        }
        self.bring(id, None);
    }

    /// Makes the state (`since` is `None`) or a delta at the head version, to be sent when that is durable.
    fn bring(&mut self, id: SessionId, since: Option<u64>) {
        self.bring_with(id, since, None, false);
    }

    /// The same for a session that joins: with the room's schema, and for one that has `declared` fields, with those
    /// that nobody has written.
    fn bring_with(&mut self, id: SessionId, since: Option<u64>, schema: Option<String>, declared: bool) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.flow = Flow::Syncing;
        session.synced = self.head;
        let untold = session.untold.take();
        let declared = declared || untold.is_some();
        let schema = schema.or(untold);
        let mut text = String::new();
        let is_channel = split_address(&self.room).1.is_some();
        match (since, session.dialect) {
            (Some(since), dialect) if is_channel || dialect == Dialect::V1 => {
                self.state.write_delta(since, &mut text);
                if declared {
                    self.state.write_unwritten(&mut text);
                }
            }
            (Some(since), _) => {
                let mut updates = String::new();
                self.state.write_delta(since, &mut updates);
                let state = &*self.state;
                let values: Vec<_> =
                    touched(&updates).into_iter().map(|field| (written(state, &field), field)).collect();
                text = object(&values);
            }
            (None, Dialect::V1) => self.state.write_data(&mut text),
            (None, Dialect::Hook) => self.state.write_plain(&mut text),
        }
        let bring = Bring { since, version: self.head, text, schema };
        match self.in_flight.back_mut() {
            Some(last) => last.after.push(After::Bring(id, bring)),
            None => self.brought(id, &bring),
        }
    }

    /// Sends a state or delta whose version is durable now.
    pub(super) fn brought(&mut self, id: SessionId, bring: &Bring) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.flow = Flow::Live;
        let is_channel = split_address(&self.room).1.is_some();
        let frame = match session.dialect {
            Dialect::Hook if is_channel => {
                for (seq, frame) in messages(&self.room, &bring.text) {
                    session.push(&frame);
                    if session.flow == Flow::Behind {
                        session.synced = seq - 1;
                        return;
                    }
                }
                return;
            }
            Dialect::V1 => {
                let outcomes = self.clients.answers(&session.client, session.answered, bring.version);
                session.answered = session.answered.max(outcomes.last);
                let (text, schema) = (&bring.text, bring.schema.as_deref());
                match bring.since {
                    None => server::sync(&self.room, self.epoch, bring.version, text, schema, &outcomes),
                    Some(since) => server::delta(&self.room, since, bring.version, text, schema, &outcomes),
                }
            }
            Dialect::Hook if bring.since.is_none() && self.state.is_complete() => {
                server::hook_sync(&self.room, &bring.text, bring.version)
            }
            Dialect::Hook => server::hook_merge(&self.room, &bring.text, bring.version),
        };
        session.push(&frame);
        if session.flow == Flow::Behind {
            // It was not taken: what it would have brought is still missing.
            session.untold.clone_from(&bring.schema);
            match bring.since {
                Some(since) => session.synced = since,
                None => session.stateless = true,
            }
        } else {
            session.stateless = false;
        }
    }

    /// Sends a session the answer to its change, if it is sent things as they come: otherwise the answer
    /// travels with the state or delta it is promised.
    pub(super) fn answer(&mut self, id: SessionId, seq: u64, outcome: &Outcome) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        if session.flow != Flow::Live {
            return;
        }
        let frame = match (session.dialect, outcome) {
            (Dialect::V1, Outcome::Accepted(version)) => server::ack(&self.room, seq, *version),
            (Dialect::V1, Outcome::Rejected(reject)) => server::reject(&self.room, seq, reject),
            (Dialect::Hook, Outcome::Accepted(_)) => return,
            (Dialect::Hook, Outcome::Rejected(reject)) => {
                server::room_error(&self.room, reject.code, &reject.to_string())
            }
        };
        session.push(&frame);
        if session.flow == Flow::Live {
            session.answered = session.answered.max(seq);
        }
    }

    /// Tells everybody in the room of a change that is durable now; its author gets the answer.
    pub(super) fn tell(&mut self, change: &InFlight) {
        let room = self.room.clone();
        let InFlight { version, author, updates, settled, .. } = change;
        let (version, from) = (*version, author.name());
        let author = match author {
            Author::Client { session, seq, .. } => Some((*session, *seq)),
            Author::Hook { session, .. } => Some((*session, 0)),
            Author::Server => None,
        };
        let mut encoded =
            Encoded { room: &room, version, from, updates, v1: None, hook: None, messages: None };
        let is_ahead = self.head > version;
        let is_channel = split_address(&room).1.is_some();
        let mut ahead = Vec::new();
        for (id, session) in &mut self.sessions {
            if session.flow != Flow::Live || session.synced >= version {
                continue;
            }
            let own = author.filter(|(session, _)| session == id).map(|(_, seq)| seq);
            match (session.dialect, own) {
                (Dialect::V1, Some(seq)) => {
                    let frame = match settled {
                        true => server::settled(&room, seq, version, updates),
                        false => server::ack(&room, seq, version),
                    };
                    session.push(&frame);
                    if session.flow == Flow::Live {
                        session.answered = session.answered.max(seq);
                    }
                }
                // The hook counts its own writes itself. A message of its own it shows when it comes back.
                (Dialect::Hook, Some(_)) if !is_channel => {}
                (Dialect::V1, None) => session.push(encoded.v1()),
                (Dialect::Hook, _) if is_channel => {
                    encoded.messages().iter().for_each(|(_, frame)| session.push(frame))
                }
                (Dialect::Hook, _) => match encoded.hook(is_ahead, &*self.state) {
                    Some(frame) => session.push(frame),
                    None => {
                        ahead.push((*id, session.synced));
                        continue;
                    }
                },
            }
            if session.flow == Flow::Live {
                session.synced = version;
            }
        }
        for (id, since) in ahead {
            self.bring(id, Some(since));
        }
    }

    /// Tells everybody that the room cannot go on, and empties it.
    pub fn close(&mut self, code: Code, message: &str) -> Vec<O> {
        let frame = server::room_error(&self.room, code, message);
        let sessions = std::mem::take(&mut self.sessions);
        sessions
            .into_values()
            .map(|mut session| {
                session.push(&frame);
                session.outbox
            })
            .collect()
    }

    /// The client behind a session.
    #[must_use]
    pub fn client(&self, id: SessionId) -> Option<&ClientId> {
        self.sessions.get(&id).map(|session| &session.client)
    }

    /// Refuses a change, after the answers to the changes before it.
    pub(super) fn refuse(&mut self, id: SessionId, seq: u64, reject: Reject) {
        let outcome = Outcome::Rejected(reject);
        match self.in_flight.back_mut() {
            Some(last) => last.after.push(After::Answer(id, seq, outcome)),
            None => self.answer(id, seq, &outcome),
        }
    }
}

/// The messages among some updates of a channel, as the hook's dialect has them.
fn messages(address: &str, updates: &str) -> Vec<(u64, Frame)> {
    // They were read when they were accepted.
    let updates = read_updates(updates).unwrap_or_default();
    let appended = updates.iter().filter(|update| update.op.as_deref() == Some(APPEND));
    let entries =
        appended.filter_map(|update| serde_json::from_str::<ChannelEntry<'_>>(update.value.get()).ok());
    let frame =
        |entry: &ChannelEntry<'_>| server::hook_broadcast(address, &entry.from, entry.at, entry.value.get());
    entries.map(|entry| (entry.seq, frame(&entry))).collect()
}

impl Encoded<'_> {
    fn messages(&mut self) -> &[(u64, Frame)] {
        self.messages.get_or_insert_with(|| messages(self.room, self.updates))
    }

    fn v1(&mut self) -> &Frame {
        self.v1.get_or_insert_with(|| server::change(self.room, self.version, self.from, self.updates))
    }

    /// The hook knows only whole fields: plain sets pass as their author wrote them, other operations as the
    /// field's value. That is the head's: `None` where the head `is_ahead` of this version, and so of what the
    /// store has.
    fn hook(&mut self, is_ahead: bool, state: &dyn RoomState) -> Option<&Frame> {
        if self.hook.is_none() {
            // It was read when it was accepted.
            let updates = read_updates(self.updates).unwrap_or_default();
            let mut values = Vec::new();
            for field in touched(self.updates) {
                let last = updates.iter().rev().find(|update| field_of(&update.key) == field);
                let value = match last {
                    Some(set) if set.op.is_none() && !set.key.contains('/') => set.value.get().to_owned(),
                    _ if is_ahead => return None,
                    _ => written(state, &field),
                };
                values.push((value, field));
            }
            self.hook = Some(match &values[..] {
                [(value, field)] => server::hook_update(self.room, field, value, self.version),
                _ => server::hook_merge(self.room, &object(&values), self.version),
            });
        }
        self.hook.as_ref()
    }
}

fn written(state: &dyn RoomState, field: &str) -> String {
    let mut text = String::new();
    state.write_field(field, &mut text);
    text
}

/// A JSON object of values that are written already, each with its field.
fn object(fields: &[(String, String)]) -> String {
    let mut out = String::from("{");
    for (index, (value, field)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(&mut out, field);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    out
}
