//! The room's state machine, without I/O.
//!
//! It has two halves: [`order`] decides changes and [`fanout`] sends them. Changes come in as JSON; log entries and
//! frames go out. The authority uses no socket, no clock and no task. It is called by the server's room and by the
//! simulation.
//!
//! # The path of a change
//! [`submit`](Authority::submit) decides a change, applies it to the state at the head and returns a [`LogEntry`]. Once
//! the store has that entry, [`committed`](Authority::committed) answers the author and sends the change to the other
//! sessions. Nothing is sent before the change is durable: a session that joins or catches up while changes are in
//! flight is sent its state once the store has these changes.

mod access;
mod audience;
mod change;
mod declarations;
mod fanout;
mod order;
mod permissions;
mod source;
mod state;

pub use fanout::{Outbox, Relayed};
pub use order::{LoadError, LogEntry};
pub use permissions::Permissions;
pub use source::{ChangeSource, SessionId};
#[cfg(feature = "testing")]
pub(crate) use state::Json;
pub use state::{
    ChannelLog, Check, OnChange, PathChange, ProposedChange, Retention, RoomState, Typed, UNKNOWN_FIELDS,
    UNKNOWN_FIELDS_BYTES, Untyped, Verdict, WriteCheck, Writer,
};

use std::sync::Arc;

use bytes::Bytes;

use crate::core::{Code, Reject};
use crate::proto::{ChangeRequest, ClientId, Dialect, JoinRequest, Limits, Violation};

use change::Incoming;
#[cfg(feature = "testing")]
pub(crate) use change::read_updates;
use declarations::Declarations;
use fanout::Fanout;
use order::{Decision, Order};

/// The result of submitting a change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Submitted {
    /// The change was accepted. The caller appends the entry to the log and then calls [`Authority::committed`].
    Accepted(LogEntry),
    /// The change was answered, or is answered when a change in flight is durable. The caller has nothing to do.
    Answered,
}

/// The state machine of one room. `O` receives the frames for a session.
pub struct Authority<O> {
    order: Order,
    fanout: Fanout<O>,
    declarations: Declarations,
}

impl<O> Authority<O> {
    fn from_order(room: Arc<str>, order: Order) -> Self {
        let fanout = Fanout::new(room, &order.head());
        Self { order, fanout, declarations: Declarations::default() }
    }

    /// A new room with `state` as its version 0. `epoch` must be random.
    #[must_use]
    pub fn new(room: Arc<str>, epoch: u64, state: Box<dyn RoomState>, limits: Arc<Limits>) -> Self {
        Self::from_order(room, Order::new(epoch, state, limits))
    }

    /// Opens a stored room from its latest snapshot and the entries after it. `state` is the state that the room began
    /// with. Costs the snapshot and the entries.
    ///
    /// # Errors
    /// The snapshot or an entry cannot be read, does not fit the state, or was written by a newer version of the
    /// struct.
    pub fn load<'a>(
        room: Arc<str>,
        epoch: u64,
        state: Box<dyn RoomState>,
        limits: Arc<Limits>,
        snapshot: Option<(u64, &[u8])>,
        tail: impl IntoIterator<Item = (u64, &'a [u8])>,
    ) -> Result<Self, LoadError> {
        match Order::load(epoch, state, limits, snapshot, tail) {
            Ok(order) => Ok(Self::from_order(room, order)),
            Err((version, message)) => Err(LoadError { room, version, message }),
        }
    }

    /// The same room with this number, by which compact frames name it. It must be unique among the rooms that a
    /// connection may join. Default 0.
    #[must_use]
    pub fn with_number(mut self, number: u64) -> Self {
        self.fanout.set_number(number);
        self
    }

    /// The same room with this creation time, in milliseconds since 1970, which is stored with its first change.
    /// Ignored if the log has the time already or the room has changes.
    #[must_use]
    pub fn beginning_at(mut self, time: u64) -> Self {
        self.order.set_created_at(time);
        self
    }

    /// When the room's history began, in milliseconds since 1970; `None` if it is not known.
    #[must_use]
    pub const fn created_at(&self) -> Option<u64> {
        self.order.created_at()
    }

    /// The room's name.
    #[must_use]
    pub const fn room(&self) -> &Arc<str> {
        self.fanout.room()
    }

    /// The random id of the room's history.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.order.epoch()
    }

    /// The version of the last accepted change, durable or in flight.
    #[must_use]
    pub const fn head(&self) -> u64 {
        self.order.version()
    }

    /// The version of the last change that the store has.
    #[must_use]
    pub const fn durable(&self) -> u64 {
        self.fanout.durable()
    }

    /// The state at [`head`](Self::head).
    #[must_use]
    pub fn state(&self) -> &dyn RoomState {
        self.order.state()
    }

    /// How many sessions are in the room.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.fanout.count()
    }

    /// Whether a legacy client is in the room. Such a room needs [`set_time`](Self::set_time), because the versions
    /// that legacy clients are sent are times.
    #[must_use]
    pub const fn has_legacy(&self) -> bool {
        self.fanout.has_legacy()
    }

    /// The client of a session.
    #[must_use]
    pub fn client(&self, id: SessionId) -> Option<&ClientId> {
        self.fanout.client(id)
    }

    /// Sets the time to `now`, in milliseconds since 1970. A time before the last one is ignored.
    pub fn set_time(&mut self, now: u64) {
        self.fanout.set_time(now);
        self.order.set_time(now);
    }

    /// Whether the struct has fields that not everybody may read. Such a room needs [`set_time`](Self::set_time),
    /// because the refusals by rules that see those fields are limited by time.
    #[must_use]
    pub const fn has_hidden(&self) -> bool {
        self.fanout.access().audiences().is_some()
    }

    /// Whether the log since the last snapshot is so long that a new snapshot is due.
    #[must_use]
    pub const fn wants_snapshot(&self) -> bool {
        self.order.wants_snapshot()
    }

    /// Whether there are log entries since the last snapshot.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.order.has_log()
    }

    /// A snapshot at the head version. Costs the state. The store must be given it only after the entry of that
    /// version.
    pub fn snapshot(&mut self) -> (u64, Bytes) {
        self.order.snapshot()
    }
}

impl<O: Outbox> Authority<O> {
    /// Adds a session without permissions of its own: it may do what a client without a role may do. Sends it the
    /// state, or a delta from the version that it resumes from; and the room's schema, if the client reports a
    /// different one.
    ///
    /// # Errors
    /// A field that the client declares does not fit the room's fields. No session was added.
    pub fn join(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        outbox: O,
    ) -> Result<SessionId, Violation> {
        self.join_with(client, dialect, request, None, outbox)
    }

    /// As [`join`](Self::join), for a session with these permissions.
    ///
    /// # Errors
    /// A field that the client declares does not fit the room's fields. No session was added.
    pub fn join_with(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        permissions: Option<Arc<dyn Permissions>>,
        outbox: O,
    ) -> Result<SessionId, Violation> {
        let declared = self.declare(&client, request, permissions.clone())?;
        self.order.enter(&client);
        let id = self.fanout.join(client, dialect, request, permissions, outbox, &self.order.head());
        self.declarations.joined(id, declared.iter());
        Ok(id)
    }

    /// Declares the fields of a session that joins, except for those that it may not write. Returns their paths.
    ///
    /// # Errors
    /// A declaration does not fit, or there are too many. None of them counts.
    fn declare(
        &mut self,
        client: &ClientId,
        request: &JoinRequest,
        permissions: Option<Arc<dyn Permissions>>,
    ) -> Result<Vec<String>, Violation> {
        let Self { order, fanout, declarations } = self;
        if request.declare.is_empty() {
            return Ok(Vec::new());
        }
        let (access, state) = (fanout.access(), order.state_mut());
        let grant = access.grant(permissions);
        let user: Arc<str> = grant.user().map_or_else(|| client.clone(), Arc::from);
        let (mut declared, mut new) = (Vec::new(), Vec::new());
        for (path, declaration) in &request.declare {
            let path = state.own_path(path).into_owned();
            let may = access.check_declaration(&grant, &path, declaration).is_ok();
            if !may && !state.has_declared(&path) {
                // The client shows its own initial value, and what it writes is refused.
                continue;
            }
            match declarations.declare(state, &user, &path, declaration) {
                Ok(true) => new.push(path.clone()),
                Ok(false) => {}
                Err(violation) => {
                    declarations.withdraw(state, &new);
                    order.revised();
                    return Err(violation);
                }
            }
            declared.push(path);
        }
        if !new.is_empty() {
            order.revised();
        }
        Ok(declared)
    }

    /// Removes a session and returns its outbox.
    pub fn leave(&mut self, id: SessionId) -> Option<O> {
        let (client, outbox) = self.fanout.leave(id)?;
        self.order.exit(&client);
        self.declarations.left(id);
        if self.fanout.count() == 0 {
            self.declarations.forget_unwritten(self.order.state_mut());
            self.order.revised();
        }
        Some(outbox)
    }

    /// Replaces a session's permissions. If the session may now read different fields, it is sent the full state.
    pub fn grant(&mut self, id: SessionId, permissions: Option<Arc<dyn Permissions>>) {
        self.fanout.grant(id, permissions, &self.order.head());
    }

    /// Refreshes the permissions of all sessions by [`Permissions::refreshed`].
    pub fn refresh_permissions(&mut self) {
        self.fanout.refresh_permissions(&self.order.head());
    }

    /// The session's queue has space again. If the session was behind, it is sent a delta.
    pub fn drained(&mut self, id: SessionId) {
        self.fanout.drained(id, &self.order.head());
    }

    /// Decides a client's change. A repeated change, by its sequence number, is answered and not applied again.
    pub fn submit(&mut self, session: SessionId, change: &ChangeRequest<'_>) -> Submitted {
        let Self { order, fanout, .. } = self;
        let (Some(client), Some(grant)) = (fanout.client(session), fanout.granted(session)) else {
            return Submitted::Answered;
        };
        let decision = order.submit(session, client, change, fanout.access(), grant);
        self.decided(session, change.seq, decision)
    }

    /// Refuses a client's change of which only the number could be read.
    pub fn refuse(&mut self, session: SessionId, seq: u64, reject: Reject) {
        let Some(client) = self.fanout.client(session) else { return };
        let decision = self.order.refuse(client, seq, reject);
        let _ = self.decided(session, seq, decision);
    }

    fn decided(&mut self, session: SessionId, seq: u64, decision: Decision) -> Submitted {
        let Self { order, fanout, .. } = self;
        match decision {
            Decision::Accepted(accepted, entry) => {
                fanout.accepted(accepted, &order.head());
                return Submitted::Accepted(entry);
            }
            Decision::AcceptedBefore(version) => fanout.answer_again(session, seq, version),
            Decision::Refused(reject) => fanout.refuse(session, seq, reject, &order.head()),
        }
        Submitted::Answered
    }

    /// Decides a change of the server's program.
    ///
    /// # Errors
    /// The change is not valid or breaks a rule.
    pub fn submit_server(&mut self, updates: &str) -> Result<LogEntry, Reject> {
        let change = Incoming::parse(updates)?;
        let (accepted, entry) = self.order.accept(ChangeSource::Server, &change, u64::MAX, None)?;
        self.fanout.accepted(accepted, &self.order.head());
        Ok(entry)
    }

    /// Decides a change of a legacy client. `claim` is the client's own version after the change.
    ///
    /// The client is sent fields again where its copy then differs from the room: because the change was refused, was
    /// read differently than it was written, or crossed a frame on its way to the client.
    pub fn submit_legacy(&mut self, id: SessionId, updates: &str, claim: Option<u64>) -> Submitted {
        let Self { order, fanout, .. } = self;
        let Some(client) = fanout.client(id).cloned() else { return Submitted::Answered };
        let change = Incoming::parse(updates);
        let write = (!fanout.is_channel()).then(|| fanout.legacy_wrote(id, change.as_ref().ok(), claim));
        let author = ChangeSource::Legacy { session: id, client };
        let decided = change.and_then(|change| {
            let by = fanout.granted(id).map(|grant| (fanout.access(), grant));
            order.accept(author, &change, u64::MAX, by).map(|decided| (decided, change))
        });
        let head = order.head();
        match decided {
            Ok(((accepted, entry), change)) => {
                fanout.accepted(accepted, &head);
                if let Some(write) = write {
                    fanout.legacy_accepted(write, &change, &head);
                }
                Submitted::Accepted(entry)
            }
            Err(reject) => {
                fanout.refuse(id, 0, reject, &head);
                if let Some(write) = write {
                    fanout.legacy_refused(write, &head);
                }
                Submitted::Answered
            }
        }
    }

    /// Sends the state to a legacy client that asks for it.
    pub fn legacy_sync(&mut self, id: SessionId) {
        self.fanout.legacy_sync(id, &self.order.head());
    }

    /// The store has every change up to `version`: answers the authors, sends the changes to the other sessions, and
    /// sends the catch-ups that waited for these changes.
    pub fn committed(&mut self, version: u64) {
        self.fanout.committed(version, &self.order.head());
    }

    /// Sends a message, JSON text, to every session in the channel but the sender's. It is dropped for a session whose
    /// queue has no space. It is not stored, not ordered with stored messages, and not sent again.
    pub fn broadcast(&mut self, sender: SessionId, at: u64, value: &str) -> Relayed {
        if let Some(channel) = self.order.state().as_any().downcast_ref::<ChannelLog>()
            && let Err(reject) = channel.admit(value)
        {
            return Relayed::Refused(reject);
        }
        self.fanout.broadcast(sender, at, value)
    }

    /// Sends an error to all sessions and removes them. Returns their outboxes.
    pub fn close(&mut self, code: Code, message: &str) -> Vec<O> {
        self.fanout.close(code, message)
    }
}
