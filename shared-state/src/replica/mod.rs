//! The client's state machine for one room, without I/O.
//!
//! Owns a room's **confirmed** state, the **pending** changes of this client in order, and the **view** that
//! the app reads: the confirmed state with the pending changes on top. Messages, local writes and the time
//! come in; frames, events, answers and the next deadline go out. It has no socket, clock, task or randomness
//! of its own. The client's tasks and the simulation drive it.
//!
//! # Which order is guaranteed
//! Changes are sent, and applied, in the order in which they were written. A debounced or throttled write is
//! delayed, and then sent as if it had been written at that moment, so others may see a later write to
//! *another* field before it. A delayed write is never overtaken where that could be observed: the delayed
//! writes are sent first when a change touches the same field, when a transaction reads that field, and, in a
//! struct with a rule over the whole state, before any other change. Plain sets of one field that were never
//! sent are folded into one, in the place of the first.
//!
//! # What undo does
//! Undo takes back this user's own changes only, the latest first. Each is taken back by a new change made on
//! the current state, so what others did since stays. Updates that others have overwritten, or that this user
//! may no longer write, are skipped.
//!
//! # Why a user's own field never flickers
//! A remote change is applied to the confirmed state. In the view, a field without pending changes gets the
//! same update; a field with pending changes is rebuilt from the confirmed state and those changes before the
//! app can read it.
//!
//! # The parts
//! A [`Replica`] joins four parts, each with a file of its own: the session with the room, the schemas, the
//! permissions, and the document. It alone knows them all: it reads messages and makes frames with the first
//! three, and gives the document updates of its own type. The document owns the two states, what is pending
//! (a queue, and the delayed writes), the undo history, and the events and answers.

mod change;
mod config;
mod delayed;
mod document;
mod event;
mod limits;
mod link;
mod pending;
mod pending_moves;
mod permissions;
mod queue;
mod schema;
mod session;
mod states;
mod transact;
mod undo;

pub use crate::core::{Rejected, WriteError};
pub use change::WriteId;
pub use config::ReplicaConfig;
pub use event::{Event, Origin};
pub use link::{Backoff, HeartbeatTimeout, Link, LinkConfig, LinkEvent};
pub use permissions::RoomPermissions;
pub use transact::{Read, Transaction};

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "testing")]
use crate::core::text_scope;
use crate::core::{Code, Reject, SharedState, WireUpdate, decode_update, transfer};
use crate::proto::{
    ClientLimits, Denied, Frame, Outcomes, Refusal, Resume, RoomMessage, RoomSchema, Secret, Violation,
    compact,
};

use document::Document;
use schema::{SchemaNegotiation, Verdict};
use session::Session;
use undo::Kind;

/// A client's copy of a room's state.
pub struct Replica<S: SharedState> {
    session: Session,
    schema: SchemaNegotiation,
    permissions: RoomPermissions,
    /// Whether the permissions have changed since the caller last took them.
    permissions_changed: bool,
    document: Document<S>,
}

impl<S: SharedState> Replica<S> {
    /// A replica of `room` that shows `initial` until the room's state arrives.
    ///
    /// Fields that nobody has written in an untyped room keep their value from `initial`, so every client of
    /// such a room should start with the same `initial`.
    #[must_use]
    pub fn new(room: Arc<str>, initial: S, config: ReplicaConfig) -> Self {
        Self {
            session: Session::new(room, &config),
            schema: SchemaNegotiation::new::<S>(),
            permissions: RoomPermissions::default(),
            permissions_changed: false,
            document: Document::new(initial, &config),
        }
    }

    /// The room's name.
    #[must_use]
    pub const fn room(&self) -> &Arc<str> {
        &self.session.room
    }

    /// The state as the app should see it: confirmed, with this client's pending changes on top.
    #[must_use]
    pub const fn state(&self) -> &S {
        &self.document.states.view
    }

    /// The state at [`version`](Self::version), the same for every client.
    #[must_use]
    pub const fn confirmed(&self) -> &S {
        &self.document.states.confirmed
    }

    /// The version of the confirmed state; 0 before the first state arrived.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.document.states.version
    }

    /// The room's epoch, the random id of its history; `None` before the first state arrived.
    #[must_use]
    pub const fn epoch(&self) -> Option<u64> {
        self.document.states.epoch
    }

    /// The updates of a change that waits for its answer, for the simulation.
    #[cfg(feature = "testing")]
    pub(crate) fn pending_updates(&self, id: WriteId) -> Option<Vec<S::Update>> {
        self.document.pending.updates_of(id).map(|(sent, _)| sent)
    }

    /// The updates of a change that waits for its answer, as the view shows them, for the simulation.
    #[cfg(feature = "testing")]
    pub(crate) fn shown_updates(&self, id: WriteId) -> Option<Vec<S::Update>> {
        self.document.pending.updates_of(id).map(|(_, shown)| shown)
    }

    /// Where a change that waits for its answer is among the others, for the simulation.
    #[cfg(feature = "testing")]
    pub(crate) fn pending_position(&self, id: WriteId) -> Option<usize> {
        self.document.pending.position(id)
    }

    /// As whom this client edits texts, for the simulation.
    #[cfg(feature = "testing")]
    pub(crate) const fn text_writer(&self) -> text_scope::TextWriter {
        self.document.states.writer
    }

    /// Whether a change waits that was never sent, for the simulation.
    #[cfg(feature = "testing")]
    pub(crate) fn is_unsent(&self, id: WriteId) -> bool {
        self.document.pending.is_unsent(id)
    }

    /// How many changes wait for their answer, sent or not.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.document.pending.len()
    }

    /// Whether the room's state has arrived over the current connection.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.session.is_live()
    }

    /// Whether a join was sent over the current connection, and neither the room's state nor a refusal has arrived.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.session.is_joining()
    }

    /// What this client may do, as the server said last; everything until it has.
    #[must_use]
    pub const fn permissions(&self) -> &RoomPermissions {
        &self.permissions
    }

    /// The [permissions](Self::permissions), if they have changed since the last call.
    pub fn poll_permissions(&mut self) -> Option<RoomPermissions> {
        std::mem::take(&mut self.permissions_changed).then(|| self.permissions.clone())
    }

    /// Why the room cannot be used, if it cannot: its struct is incompatible with this one, or this client
    /// was put out.
    #[must_use]
    pub const fn refusal(&self) -> Option<&Reject> {
        self.schema.refusal.as_ref()
    }

    /// The next frame to send.
    pub fn poll_frame(&mut self) -> Option<Frame> {
        self.session.frames.pop_front()
    }

    /// The next event: a visible change of the state.
    pub fn poll_event(&mut self) -> Option<Event<S>> {
        self.document.output.poll_event()
    }

    /// The next answer to a write: the version that contains it, or why it was refused.
    pub fn poll_answer(&mut self) -> Option<(WriteId, Result<u64, Rejected>)> {
        self.document.output.poll_answer()
    }

    /// When [`tick`](Self::tick) has to be called: when the first delayed write is due. `None`: nothing is
    /// delayed.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.document.pending.deadline()
    }

    /// Sends the delayed writes that are due.
    pub fn tick(&mut self, now: Duration) {
        self.document.pending.release_due(now);
        self.send_ready();
    }

    /// Sends everything that debounce or throttle delays.
    pub fn flush(&mut self, now: Duration) {
        self.document.pending.release_all(now);
        self.send_ready();
    }

    /// Sets the server's limits on what a client sends. A write that the server would certainly refuse is
    /// refused by [`write`](Self::write) with the same code. One that was written before the limits were known
    /// is refused when its turn to be sent comes, and so is one that exceeds them by then because others have moved
    /// what it changes. There are no limits before the first call.
    pub fn set_limits(&mut self, limits: ClientLimits) {
        self.session.limits.set(limits);
    }

    /// Sets the password for the next joins.
    pub fn set_password(&mut self, password: Option<Secret>) {
        self.session.password = password;
    }

    /// The connection is ready and allows `window` unanswered changes. Sends the request to join, unless this
    /// client was kicked.
    pub fn connected(&mut self, window: usize) {
        self.document.pending.queue.set_window(window);
        // A kicked client does not come back by itself.
        if self.refusal().is_some_and(|refusal| refusal.code == Code::Kicked) {
            return;
        }
        self.schema.begin();
        self.rejoin();
    }

    /// Changes how many unanswered changes the connection allows.
    pub fn set_window(&mut self, window: usize) {
        self.document.pending.queue.set_window(window);
        self.send_ready();
    }

    /// Whether changes were sent over the current connection that are not answered.
    #[must_use]
    pub fn has_unanswered(&self) -> bool {
        self.document.pending.queue.first_sent().is_some()
    }

    /// Refuses the oldest change that was sent and not answered, which is not sent again. Without a connection only.
    pub fn give_up(&mut self, reject: Reject) {
        if self.document.pending.queue.iter().next().is_some_and(|first| first.sent.is_some()) {
            self.document.reject(0, reject);
        }
    }

    /// Asks to join again, from the version this replica has. The room answers with a delta or its state.
    pub fn rejoin(&mut self) {
        let Document { states, pending, .. } = &mut self.document;
        pending.queue.unsend();
        let resume = states.epoch.map(|epoch| Resume {
            epoch,
            version: states.version,
            acked: pending.queue.acked(),
            schema: self.schema.room(),
            audience: self.session.audience,
        });
        self.session.join(self.schema.request(resume));
    }

    /// The connection is lost. Everything pending stays, and is sent again after the next join.
    pub fn disconnected(&mut self) {
        self.session.disconnected();
        self.document.pending.queue.unsend();
    }

    /// Writes a change: all of `updates` or nothing. The view contains it when this returns.
    ///
    /// [`poll_answer`](Self::poll_answer) returns the answer under the returned id. Writes that are folded
    /// into one change share the id. An empty change is answered with the current version.
    ///
    /// # Errors
    /// A rule is violated, the change acts on what does not exist or inserts what exists, a field is read-only, the server
    /// has said that this client [may not write](Replica::permissions) there, a value has no JSON form, a
    /// [limit](Replica::set_limits) is exceeded, the queue is full, or the room refuses this client. Nothing was changed
    /// then.
    pub fn write(&mut self, now: Duration, updates: Vec<S::Update>) -> Result<WriteId, WriteError> {
        self.submit(now, updates, None)
    }

    /// Writes a change that depends on the values of `reads`: the answer is a refusal if somebody else has
    /// changed one of them before the change reaches the server.
    ///
    /// # Errors
    /// As [`write`](Self::write); also if this client may not read one of `reads`.
    pub fn write_if_unchanged(
        &mut self,
        now: Duration,
        updates: Vec<S::Update>,
        reads: Vec<Read>,
    ) -> Result<WriteId, WriteError> {
        self.submit(now, updates, Some(reads))
    }

    /// Checks whether this client may write a change, writes it, and sends it if its turn has come.
    fn submit(
        &mut self,
        now: Duration,
        updates: Vec<S::Update>,
        mut reads: Option<Vec<Read>>,
    ) -> Result<WriteId, WriteError> {
        if let Some(refusal) = self.refusal() {
            return Err(refusal.clone().into());
        }
        if let Some(update) = updates.iter().find(|update| S::read_only(update)) {
            return Err(WriteError::ReadOnly { field: S::FIELDS[S::field(update)].name });
        }
        let updates = transfer::expanded(&mut self.document.states.view, updates)?;
        let updates = match &updates[..] {
            [update] => self.document.states.parts(update).unwrap_or(updates),
            _ => self.document.states.decompose(updates),
        };
        let updates = self.document.states.bounded(updates);
        if updates.is_empty() {
            return Ok(self.document.write_nothing());
        }
        if !self.permissions.is_everything() {
            self.permissions.check::<S>(&updates, reads.as_mut())?;
        }
        let knows = self.epoch().is_some();
        let is_known = |update: &S::Update| knows && self.permissions.shows::<S>(update);
        let id = self.document.write(now, &updates, reads, Kind::Plain, None, &self.session, is_known)?;
        self.send_ready();
        Ok(id)
    }

    /// Undoes this user's last step, one change or several that belong together, by a new change. Returns
    /// `None` if there is nothing to undo.
    ///
    /// A step that others have overwritten since, or that this client may no longer write, is dropped, and
    /// the one before it is undone instead.
    ///
    /// # Errors
    /// As [`write`](Self::write). The undo history is unchanged then.
    pub fn undo(&mut self, now: Duration) -> Result<Option<WriteId>, WriteError> {
        self.take_back(now, Kind::Undo)
    }

    /// Redoes the last step that was undone, by a new change. Returns `None` if nothing was undone, or
    /// something was written since.
    ///
    /// # Errors
    /// As [`write`](Self::write). The undo history is unchanged then.
    pub fn redo(&mut self, now: Duration) -> Result<Option<WriteId>, WriteError> {
        self.take_back(now, Kind::Redo)
    }

    fn take_back(&mut self, now: Duration, kind: Kind) -> Result<Option<WriteId>, WriteError> {
        if let Some(refusal) = self.refusal().filter(|_| self.document.history.can(kind)) {
            return Err(refusal.clone().into());
        }
        while let Some(step) = self.document.history.pop(kind) {
            let may_write = |update: &S::Update| !S::read_only(update) && self.permissions.allow::<S>(update);
            if let Some(id) = self.document.take_back(now, kind, step, may_write, &self.session)? {
                self.send_ready();
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Whether there is a step to undo. A step that others have overwritten counts until undoing it is tried.
    #[must_use]
    pub fn can_undo(&self) -> bool {
        self.document.history.can(Kind::Undo)
    }

    /// Whether there is a step to redo. A step that others have overwritten counts until redoing it is tried.
    #[must_use]
    pub fn can_redo(&self) -> bool {
        self.document.history.can(Kind::Redo)
    }

    /// Opens a group: what is written until [`end_group`](Self::end_group) is undone together. Groups nest.
    pub fn begin_group(&mut self) {
        self.document.history.begin_group();
    }

    /// Closes the group that [`begin_group`](Self::begin_group) opened.
    pub fn end_group(&mut self) {
        self.document.history.end_group();
    }

    /// Processes a message of this room. The cost is that of its updates; a full state costs its size.
    ///
    /// # Errors
    /// The message does not fit this replica's state, or it is an error of the room. If a new state helps,
    /// this replica has asked for it already; the caller may log the error.
    pub fn receive(&mut self, message: RoomMessage<'_>) -> Result<(), Violation> {
        if let RoomMessage::Error(violation) = message {
            // After `future_version` the state follows. What does not end for good, the caller tries again.
            if violation.code != Code::FutureVersion && Refusal::of(violation.code) == Refusal::Final {
                self.refuse(&violation);
            }
            return Err(violation);
        }
        let verdict = self.take(message);
        if self.is_live() && matches!(&verdict, Err(violation) if violation.code == Code::BadMessage) {
            self.rejoin();
        }
        self.send_ready();
        verdict
    }

    fn take(&mut self, message: RoomMessage<'_>) -> Result<(), Violation> {
        match message {
            RoomMessage::Sync { epoch, version, data, schema, rights, audience, outcomes, .. } => {
                let same_history = self.epoch() == Some(epoch);
                if self.compare(schema, same_history, &outcomes)? {
                    let confirmed = self.schema.decode_state(&self.document.states.initial, data)?;
                    self.session.joined();
                    self.document.replace(epoch, version, confirmed, outcomes);
                    self.session.audience = audience;
                    self.permit(rights);
                }
            }
            RoomMessage::Delta { since, version, updates, moves, schema, rights, outcomes, .. } => {
                if self.compare(schema, true, &outcomes)? {
                    let has = self.version();
                    if since != has || version < since {
                        let message =
                            format!("a delta from version {since} to {version} does not fit version {has}");
                        return Err(Violation::new(Code::BadMessage, message));
                    }
                    let (decoded, moves) = (self.decode(&updates)?, self.decode(&moves)?);
                    self.session.joined();
                    self.document.catch_up(version, decoded, &moves, outcomes);
                    self.permit(rights);
                }
            }
            // Messages that arrive before the state that was asked for are contained in that state.
            _ if !self.is_live() => {}
            RoomMessage::Change { version, from, updates, brief } => {
                self.session.note_header(brief, &from, &updates);
                self.document.states.expect_next(version)?;
                let decoded = self.decode(&updates)?;
                self.document.apply_remote(version, from.as_ref().into(), decoded);
            }
            RoomMessage::Compact { header, value } => {
                let Some(known) = self.session.headers.get(&header) else {
                    let message = format!("nothing was said to have the number {header}");
                    return Err(Violation::new(Code::BadMessage, message));
                };
                let (from, value) = (known.from.clone(), known.value(value)?);
                let (key, op) = ((&*known.key).into(), known.op.as_deref().map(Into::into));
                let decoded = self.decode(&[WireUpdate { key, op, value: &value }])?;
                self.document.apply_remote(self.version() + 1, from, decoded);
            }
            RoomMessage::NextAccepted { check } => {
                let first = self.document.pending.queue.first_sent();
                let Some(seq) = first.filter(|seq| compact::check_byte(*seq) == check) else {
                    let message = format!("an answer to change {check} of 256, and {first:?} waits for one");
                    return Err(Violation::new(Code::BadMessage, message));
                };
                self.document.accept(seq, self.version() + 1, None)?;
            }
            RoomMessage::Accepted { seq, version, updates } => {
                let rewritten = updates.map(|updates| self.decode(&updates)).transpose()?;
                self.document.accept(seq, version, rewritten)?;
            }
            RoomMessage::Rejected(seq, reject) => {
                if let Some(at) = self.document.pending.queue.with_seq(seq) {
                    self.document.reject(at, reject);
                }
            }
            RoomMessage::Rights(denied) => self.permit(denied),
            // Not about the state. An error never comes here.
            RoomMessage::Broadcast { .. }
            | RoomMessage::BroadcastRejected(_)
            | RoomMessage::Info(_)
            | RoomMessage::Error(_) => {}
        }
        Ok(())
    }

    /// Compares the schema that came with a state or delta. Returns whether that can be used.
    ///
    /// # Errors
    /// The schemas are incompatible. Everything pending was refused.
    fn compare(
        &mut self,
        schema: Option<Box<RoomSchema>>,
        same_history: bool,
        outcomes: &Outcomes,
    ) -> Result<bool, Violation> {
        match self.schema.compare(schema, &self.document.states.initial) {
            Ok(Verdict::Use) => Ok(true),
            Ok(Verdict::Ignore) => Ok(false),
            Ok(Verdict::JoinAgain) => {
                self.rejoin();
                Ok(false)
            }
            Err(violation) => {
                if same_history {
                    let (refused, _) = self.document.settle(outcomes.clone());
                    self.document.report(refused);
                }
                self.session.leave();
                self.refuse(&violation);
                Err(violation)
            }
        }
    }

    /// The room cannot be used. Everything pending is refused, and so is every write until the next
    /// connection, or for good if this client was kicked.
    fn refuse(&mut self, violation: &Violation) {
        let reject = Reject::new(violation.code, violation.message.clone());
        self.session.refused();
        self.document.reject_all(&reject);
        self.schema.refusal = Some(reject);
    }

    /// Stores what the server says this client may not do.
    fn permit(&mut self, denied: Denied) {
        let permissions = RoomPermissions::without::<S>(self.schema.own_names(denied));
        self.permissions_changed |= self.permissions != permissions;
        self.permissions = permissions;
    }

    /// Reads updates of the room. Fields of a newer struct are left out.
    fn decode(&self, updates: &[WireUpdate<'_>]) -> Result<Vec<S::Update>, Violation> {
        if self.schema.differences().is_some() {
            return self.schema.decode(&self.document.states, updates);
        }
        let mut decoded = Vec::with_capacity(updates.len());
        for update in updates {
            let read = schema::known(decode_update::<S>(update));
            decoded.extend(read.map_err(|error| schema::wrong_type(&error, "an update"))?);
        }
        Ok(decoded)
    }

    /// Sends the queued changes that the window allows.
    fn send_ready(&mut self) {
        while self.session.is_live() && self.document.pending.queue.next().is_some() {
            if self.document.next_waits() {
                return;
            }
            if !self.document.revise_next() {
                continue;
            }
            if !self.document.guard_next(&self.permissions, &self.session) {
                return;
            }
            let Document { states, pending, history, .. } = &mut self.document;
            let Some(next) = pending.queue.next() else { return };
            let reject = if let Some(path) = next.stale() {
                let message = "somebody changed it before the transaction was sent";
                Reject::new(Code::Conflict, message).in_field(path)
            } else {
                let sent = pending.queue.number(next, states.version);
                let room = &self.session.room;
                let frame = match self.schema.differences() {
                    None => next.frame(room, sent),
                    Some(differences) => schema::frame(differences, room, next, sent, states),
                };
                // One that was sent before may have been accepted: the server decides about it.
                let checked = if next.sent.is_some() {
                    Ok(())
                } else {
                    let reads: Vec<Read> = next.unchanged().into_iter().flatten().cloned().collect();
                    let taken_back = if history.is_taking(next.id) { &next.updates[..] } else { &[] };
                    let session = &self.session;
                    session
                        .limits
                        .check_frame(frame.len())
                        .and_then(|()| session.check(&next.updates, &reads))
                        .and_then(|()| self.permissions.check_known(&reads, taken_back))
                };
                match checked {
                    Ok(()) => {
                        self.session.frames.push_back(frame);
                        pending.queue.next_was_sent(sent);
                        continue;
                    }
                    Err(reject) => reject,
                }
            };
            let at = pending.queue.next_at();
            self.document.reject(at, reject);
        }
    }
}
