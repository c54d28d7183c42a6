//! Sends durable changes to the sessions of a room, and catches sessions up.
//!
//! Owns the sessions and the record of what each was sent. It decides no change: [`order`](super::order) passes
//! accepted changes in, and states and deltas are read from the [`Head`]. A change is encoded at most once for each
//! dialect and audience in the room, whatever the number of sessions. Called by [`Authority`](super::Authority).

mod catch_up;
mod frames;
mod header_table;
mod in_flight;
mod legacy;
mod sessions;
mod state_texts;
mod values;

use std::sync::Arc;

use crate::authority::access::{Access, Grant};
use crate::authority::order::{Accepted, Head};
use crate::authority::permissions::Permissions;
use crate::authority::source::SessionId;
use crate::core::{Code, Reject};
use crate::legacy::LegacyClock;
use crate::proto::channel::MESSAGES;
use crate::proto::{ClientId, Dialect, JoinRequest, Outcome, room_schema, server, split_address};

use header_table::HeaderTable;
use in_flight::{After, InFlightQueue};
use sessions::{Flow, Session, Sessions};
use state_texts::StateTexts;

pub use sessions::Outbox;

/// The result of broadcasting a message to the sessions in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// The message was queued for this number of sessions.
    To(usize),
    /// The message does not fit the channel, or the sender may not write to it.
    Refused(Reject),
}

/// Sends the changes of one room. `O` receives the frames for a session.
pub(super) struct Fanout<O> {
    room: Arc<str>,
    is_channel: bool,
    /// The version of the last durable change.
    durable: u64,
    in_flight: InFlightQueue,
    sessions: Sessions<O>,
    access: Access,
    states: StateTexts,
    headers: HeaderTable,
    legacy_clock: LegacyClock,
}

impl<O> Fanout<O> {
    /// The fanout of a room without sessions whose head version is durable.
    pub(super) fn new(room: Arc<str>, head: &Head<'_>) -> Self {
        let is_channel = split_address(&room).1.is_some();
        Self {
            access: Access::new(head.state.fields(), is_channel),
            room,
            is_channel,
            durable: head.version,
            in_flight: InFlightQueue::default(),
            sessions: Sessions::default(),
            states: StateTexts::default(),
            headers: HeaderTable::default(),
            legacy_clock: LegacyClock::default(),
        }
    }

    /// Sets the number by which compact frames name the room.
    pub(super) const fn set_number(&mut self, number: u64) {
        self.headers.room = number;
    }

    /// Sets the time to `now`, in milliseconds since 1970.
    pub(super) fn set_time(&mut self, now: u64) {
        self.legacy_clock.set_time(now);
    }

    pub(super) const fn room(&self) -> &Arc<str> {
        &self.room
    }

    pub(super) const fn is_channel(&self) -> bool {
        self.is_channel
    }

    pub(super) const fn durable(&self) -> u64 {
        self.durable
    }

    pub(super) fn count(&self) -> usize {
        self.sessions.len()
    }

    pub(super) const fn has_legacy(&self) -> bool {
        self.sessions.has_legacy()
    }

    pub(super) const fn access(&self) -> &Access {
        &self.access
    }

    pub(super) fn client(&self, id: SessionId) -> Option<&ClientId> {
        self.sessions.get(id).map(|session| &session.client)
    }

    /// What a session may do.
    pub(super) fn granted(&self, id: SessionId) -> Option<&Grant> {
        self.sessions.get(id).map(|session| &session.grant)
    }
}

impl<O: Outbox> Fanout<O> {
    /// Adds a session and sends it the state, or a delta from the version that it resumes from; and the room's schema,
    /// if the client reports a different one.
    pub(super) fn join(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        permissions: Option<Arc<dyn Permissions>>,
        outbox: O,
        head: &Head<'_>,
    ) -> SessionId {
        let grant = self.access.grant(permissions);
        let denied = self.denied(dialect, &grant);
        let token = self.access.token(grant.audience);
        let known = request.resume.filter(|resume| resume.epoch == head.epoch);
        let mut session = Session {
            client,
            dialect,
            compact: request.brief && dialect == Dialect::V1,
            flow: Flow::Live,
            synced: head.version,
            stateless: false,
            answered: known.map_or(0, |resume| resume.acked),
            reconcile: (dialect == Dialect::Legacy).then(Box::default),
            unsent_schema: None,
            grant,
            denied,
            outbox,
        };
        if let Some(resume) = known.filter(|resume| resume.version > head.version) {
            let message = format!("the room is at version {}, not yet at {}", head.version, resume.version);
            session.push(&server::room_error(&self.room, Code::FutureVersion, &message));
        }
        let id = self.sessions.insert(session);
        if dialect == Dialect::V1 {
            let schema = head.state.schema();
            // A client with a different struct reads the state at the same version differently.
            let same = |hash: Option<u64>| match (hash, &schema) {
                (Some(hash), Some(schema)) => hash == schema.hash,
                _ => true,
            };
            // A delta is possible only if the client could read the same fields at that version.
            let known = known.filter(|resume| same(resume.schema) && resume.audience == token);
            let since = known.map(|resume| resume.version).filter(|version| *version <= head.version);
            let schema = schema.as_ref().filter(|_| !same(request.schema));
            let schema =
                schema.map(|known| room_schema(known.hash, &known.schema, &head.state.unknown_fields()));
            self.catch_up_with(id, since, schema, !request.declare.is_empty(), head);
        } else if let Some(resume) = known.filter(|resume| resume.version < head.version) {
            // A legacy client that joins a channel from a version: it is sent the messages after it.
            self.catch_up(id, Some(resume.version), head);
        }
        id
    }

    /// Removes a session. Returns its client and outbox.
    pub(super) fn leave(&mut self, id: SessionId) -> Option<(ClientId, O)> {
        self.sessions.remove(id).map(|session| (session.client, session.outbox))
    }

    /// The paths that a client is denied, as it is sent them. The legacy dialect has no message for them.
    fn denied(&self, dialect: Dialect, grant: &Grant) -> Option<Arc<str>> {
        if dialect == Dialect::Legacy { None } else { self.access.denied(grant) }
    }

    /// Replaces a session's permissions. If the session may now read different fields, it is sent the full state.
    pub(super) fn grant(
        &mut self,
        id: SessionId,
        permissions: Option<Arc<dyn Permissions>>,
        head: &Head<'_>,
    ) {
        let grant = self.access.grant(permissions);
        let Some(session) = self.sessions.get(id) else { return };
        let denied = self.denied(session.dialect, &grant);
        let Some(session) = self.sessions.get_mut(id) else { return };
        let reads_same = session.grant.audience == grant.audience;
        session.grant = grant;
        let denied_changed = session.denied != denied;
        session.denied = denied;
        if !reads_same {
            self.send_anew(id, head);
        } else if denied_changed && session.flow == Flow::Live {
            // Otherwise the state or delta that follows includes it.
            let frame = server::rights(&self.room, session.denied.as_deref());
            session.push(&frame);
        }
    }

    /// Refreshes the permissions of all sessions by [`Permissions::refreshed`].
    pub(super) fn refresh_permissions(&mut self, head: &Head<'_>) {
        let held = self.sessions.iter();
        let held = held.filter_map(|(id, session)| Some((id, session.grant.permissions.as_ref()?)));
        let now: Vec<_> = held.filter_map(|(id, held)| Some((id, held.refreshed()?))).collect();
        now.into_iter().for_each(|(id, permissions)| self.grant(id, Some(permissions), head));
    }

    /// Queues an accepted change until it is durable. `head` is the state after it.
    pub(super) fn accepted(&mut self, accepted: Accepted, head: &Head<'_>) {
        let verbatim = !accepted.rewritten
            && (!self.has_legacy() || values::reads_verbatim(head.state, &accepted.change));
        self.in_flight.push(accepted, verbatim);
    }

    /// The store has every change up to `version`: answers the authors, sends the changes to the other sessions, and
    /// sends what waited for these changes.
    pub(super) fn committed(&mut self, version: u64, head: &Head<'_>) {
        while let Some((change, after)) = self.in_flight.pop(version) {
            self.durable = change.accepted.version;
            self.send_change(&change, head);
            after.into_iter().for_each(|after| self.send(after, head));
        }
    }

    fn send(&mut self, after: After, head: &Head<'_>) {
        match after {
            After::Answer(session, seq, outcome) => self.answer(session, seq, &outcome),
            After::CatchUp(session, catch_up) => self.send_catch_up(session, catch_up, head),
        }
    }

    /// Sends something after the last accepted change: now, if that is durable.
    fn send_after_last(&mut self, after: After, head: &Head<'_>) {
        if let Some(now) = self.in_flight.send_after_last(after) {
            self.send(now, head);
        }
    }

    /// Answers a repeated change that was accepted before as `version`, once that version is durable.
    pub(super) fn answer_again(&mut self, id: SessionId, seq: u64, version: u64) {
        let outcome = Outcome::Accepted(version);
        match version.checked_sub(self.durable + 1) {
            Some(index) => self.in_flight.send_after(index, After::Answer(id, seq, outcome)),
            None => self.answer(id, seq, &outcome),
        }
    }

    /// Sends the rejection of a change after the answers to the changes before it.
    pub(super) fn refuse(&mut self, id: SessionId, seq: u64, reject: Reject, head: &Head<'_>) {
        self.send_after_last(After::Answer(id, seq, Outcome::Rejected(reject)), head);
    }

    /// Sends a session the answer to its change if the session is live. Otherwise the state or delta that follows
    /// includes the answer.
    fn answer(&mut self, id: SessionId, seq: u64, outcome: &Outcome) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        if session.flow != Flow::Live {
            return;
        }
        let frame = match (session.dialect, outcome) {
            (Dialect::V1, Outcome::Accepted(version)) => server::ack(&self.room, seq, *version),
            (Dialect::V1, Outcome::Rejected(reject)) => server::reject(&self.room, seq, reject),
            (Dialect::Legacy, Outcome::Accepted(_)) => return,
            (Dialect::Legacy, Outcome::Rejected(reject)) => {
                server::room_error(&self.room, reject.code, &reject.to_string())
            }
        };
        session.push_answers(&frame, seq);
    }

    /// Offers a channel's message, JSON text, to all sessions but its sender's.
    pub(super) fn broadcast(&mut self, sender: SessionId, at: u64, value: &str) -> Relayed {
        let Some(session) = self.sessions.get(sender) else { return Relayed::To(0) };
        if let Err(reject) = session.grant.check_path(MESSAGES) {
            return Relayed::Refused(reject);
        }
        let from = session.client.clone();
        let v1 = server::broadcast(&self.room, &from, at, value);
        let legacy = std::cell::OnceCell::new();
        let mut taken = 0;
        for (_, session) in self.sessions.iter_mut().filter(|(id, _)| *id != sender) {
            let frame = if session.is_legacy() {
                legacy.get_or_init(|| server::legacy_broadcast(&self.room, &from, at, value))
            } else {
                &v1
            };
            taken += usize::from(session.offer(frame));
        }
        Relayed::To(taken)
    }

    /// Sends an error to all sessions and removes them. Returns their outboxes.
    pub(super) fn close(&mut self, code: Code, message: &str) -> Vec<O> {
        let frame = server::room_error(&self.room, code, message);
        let notify = |mut session: Session<O>| {
            session.push(&frame);
            session.outbox
        };
        self.sessions.drain().map(notify).collect()
    }
}
