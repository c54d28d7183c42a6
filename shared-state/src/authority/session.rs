//! Sessions: who is in the room, what each may do and has been sent.

use std::sync::Arc;

use crate::authority::audience::Audience;
use crate::authority::{After, Authority, ChangeSource, Permissions};
use crate::core::{Code, Reject};
use crate::core::{WireUpdate, roles};
use crate::legacy::Reconcile;
use crate::proto::{ClientId, Dialect, Frame, JoinRequest, Outcome, Violation, room_schema, server};

/// One connection's stay in one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

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
pub(super) enum Flow {
    Live,
    /// Its queue was full; a delta follows once it is drained.
    Behind,
    /// A state or a delta is promised and waits for the store.
    Syncing,
}

pub(super) struct Session<O> {
    pub(super) client: ClientId,
    pub(super) dialect: Dialect,
    /// Whether it takes brief frames.
    pub(super) brief: bool,
    pub(super) flow: Flow,
    /// The version up to which it was sent everything.
    pub(super) synced: u64,
    /// It was never sent a state, so a delta would mean nothing to it.
    pub(super) stateless: bool,
    /// The sequence number up to which its changes were answered.
    pub(super) answered: u64,
    /// Of a session of the hook's dialect: what it has taken of what it was sent.
    pub(super) reconcile: Option<Box<Reconcile>>,
    /// The room's schema, if it was to be told and its queue was full.
    pub(super) untold: Option<String>,
    /// What it may do; `None`: everything that a client may.
    pub(super) rights: Option<Arc<dyn Permissions>>,
    /// Which restricted fields it may read.
    pub(super) audience: Audience,
    /// What its client is told that it may not do, as JSON; `None`: nothing.
    pub(super) denied: Option<Arc<str>>,
    pub(super) outbox: O,
}

impl<O: Outbox> Session<O> {
    pub(super) fn push(&mut self, frame: &Frame) {
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

    pub(super) fn is_legacy(&self) -> bool {
        self.dialect == Dialect::Legacy
    }
}

impl<O: Outbox> Authority<O> {
    /// Lets a session in and sends it the state, or what it missed since it left; and the room's schema, if the
    /// client says that it has another. It may do what any client may, without a role.
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
        self.join_with(client, dialect, request, None, outbox)
    }

    /// The same for a session that may do what `rights` say, and nothing else.
    ///
    /// # Errors
    /// A field that the client declares does not fit what the room has: nobody was let in.
    pub fn join_with(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        rights: Option<Arc<dyn Permissions>>,
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
        let audience = self.audience_of(rights.as_deref());
        let denied = self.denied(dialect, audience, rights.as_deref());
        let known = resume.filter(|resume| resume.epoch == self.epoch);
        let mut session = Session {
            client,
            dialect,
            brief: request.brief && dialect == Dialect::V1,
            flow: Flow::Live,
            synced: self.head,
            stateless: false,
            answered: known.map_or(0, |resume| resume.acked),
            reconcile: (dialect == Dialect::Legacy).then(Box::default),
            untold: None,
            audience,
            denied,
            rights,
            outbox,
        };
        if let Some(resume) = known.filter(|resume| resume.version > self.head) {
            let message = format!("the room is at version {}, not yet at {}", self.head, resume.version);
            session.push(&server::room_error(&self.room, Code::FutureVersion, &message));
        }
        self.brief += usize::from(session.brief);
        self.sessions.insert(id, session);
        self.hooks += usize::from(dialect == Dialect::Legacy);
        if dialect == Dialect::V1 {
            // With another struct, the state at a version is another.
            let same = |hash: Option<u64>| match (hash, &schema) {
                (Some(hash), Some(schema)) => hash == schema.hash,
                _ => true,
            };
            // What it knows is what it could read then.
            let token =
                self.audiences.as_ref().map(|audiences| audiences.token(audience, self.state.fields()));
            let known = known.filter(|resume| same(resume.schema) && resume.audience == token);
            let since = known.map(|resume| resume.version).filter(|version| *version <= self.head);
            let told = schema.as_ref().filter(|_| !same(request.schema));
            let told = told.map(|known| room_schema(known.hash, &known.schema, &self.state.kept()));
            self.bring_with(id, since, told, !request.declare.is_empty());
        } else if let Some(resume) = known.filter(|resume| resume.version < self.head) {
            // A hook in a channel, which was told of it when it was at that version.
            self.catch_up(id, Some(resume.version));
        }
        Ok(id)
    }

    /// Whether the author of a change may write all that it writes.
    pub(super) fn check_rights(
        &self,
        author: &ChangeSource,
        updates: &[WireUpdate<'_>],
    ) -> Result<(), Reject> {
        let (ChangeSource::Client { session, .. } | ChangeSource::Hook { session, .. }) = author else {
            return Ok(());
        };
        let Some(session) = self.sessions.get(session) else { return Ok(()) };
        let rights = session.rights.as_deref();
        if rights.is_none() && !self.has_writers && self.audiences.is_none() {
            return Ok(());
        }
        updates.iter().try_for_each(|update| {
            let refuse = |message| Reject::new(Code::Forbidden, message).in_field(&*update.key);
            self.check_read(session.audience, &update.key)?;
            if self.has_writers {
                let mut lacking = None;
                let has = |role: &str| rights.is_some_and(|rights| rights.has(role));
                roles::each_to_write(self.state.fields(), &update.key, update.op.as_deref(), &mut |role| {
                    if lacking.is_none() && !has(role) {
                        lacking = Some(role);
                    }
                });
                if let Some(role) = lacking {
                    return Err(refuse(format!("this is written by those with the role `{role}`")));
                }
            }
            rights.map_or(Ok(()), |rights| rights.write(&update.key)).map_err(refuse)
        })
    }

    /// Whether those in an audience may read at a path.
    pub(super) fn check_read(&self, audience: Audience, path: &str) -> Result<(), Reject> {
        match self.audiences.as_ref().and_then(|audiences| audiences.lacks(audience, path)) {
            Some(role) => {
                let message = format!("this is read by those with the role `{role}`");
                Err(Reject::new(Code::Forbidden, message).in_field(path))
            }
            None => Ok(()),
        }
    }

    /// Lets a session out; gives its outbox back.
    pub fn leave(&mut self, id: SessionId) -> Option<O> {
        let session = self.sessions.remove(&id)?;
        self.hooks -= usize::from(session.is_legacy());
        self.clients.exit(&session.client);
        self.brief -= usize::from(session.brief);
        Some(session.outbox)
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
            (Dialect::Legacy, Outcome::Accepted(_)) => return,
            (Dialect::Legacy, Outcome::Rejected(reject)) => {
                server::room_error(&self.room, reject.code, &reject.to_string())
            }
        };
        session.push(&frame);
        if session.flow == Flow::Live {
            session.answered = session.answered.max(seq);
        }
    }

    /// Tells everybody that the room cannot go on, and empties it.
    pub fn close(&mut self, code: Code, message: &str) -> Vec<O> {
        let frame = server::room_error(&self.room, code, message);
        let sessions = std::mem::take(&mut self.sessions);
        self.hooks = 0;
        self.brief = 0;
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
