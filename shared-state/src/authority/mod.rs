//! The room's state machine, without I/O.
//!
//! Two halves: [`order`] decides changes and [`fanout`] sends them. Between them is the accepted change, which is sent
//! once the store has its entry. Changes come in as bytes; log entries and frames go out. It knows no socket, no clock
//! and no task. Called by the server's room and by the simulation.
//!
//! # The one way a change goes
//! [`submit`](Authority::submit) decides a change, applies it to the state at the head and gives a [`LogEntry`]; once
//! the store has that entry, [`committed`](Authority::committed) answers the author and sends the change to the others.
//! Nothing is sent before: a session that joins, or is brought up to date, while changes are in flight is sent its state
//! when the store has them.

mod access;
mod audience;
mod change;
mod fanout;
mod order;
mod permissions;
mod source;
mod state;

pub use fanout::{Outbox, Relayed};
pub use order::{LoadError, LogEntry};
pub use permissions::Permissions;
pub use source::{ChangeSource, SessionId};
pub use state::{
    ChannelLog, Check, OnChange, ProposedChange, Retention, RoomState, Typed, UNKNOWN_FIELDS,
    UNKNOWN_FIELDS_BYTES, Untyped, Verdict, Writer,
};

use std::sync::Arc;

use bytes::Bytes;

use crate::core::{Code, Reject};
use crate::proto::{ChangeRequest, ClientId, Dialect, JoinRequest, Limits, Violation};

use change::Incoming;
use fanout::Fanout;
use order::{Decision, Order};

/// What became of a submitted change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Submitted {
    /// To be appended to the log; then [`Authority::committed`].
    Accepted(LogEntry),
    /// Answered, or to be answered with an earlier change: nothing to do.
    Answered,
}

/// One room. `O` is where frames for a session go.
pub struct Authority<O> {
    order: Order,
    fanout: Fanout<O>,
}

impl<O> Authority<O> {
    fn from_order(room: Arc<str>, order: Order) -> Self {
        let fanout = Fanout::new(room, &order.head());
        Self { order, fanout }
    }

    /// A room that begins now, with `state` as its version 0. `epoch` must be random.
    #[must_use]
    pub fn new(room: Arc<str>, epoch: u64, state: Box<dyn RoomState>, limits: Arc<Limits>) -> Self {
        Self::from_order(room, Order::new(epoch, state, limits))
    }

    /// Opens a room from what the store has of it: the latest snapshot and the entries after it. `state` is the state
    /// the room began with.
    ///
    /// # Errors
    /// The snapshot or an entry is not one that this room's state can have had.
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

    /// The same room, with a number that no other room has which the same connection may be in: compact frames name the
    /// room by it. 0 if this is not called.
    #[must_use]
    pub fn with_number(mut self, number: u64) -> Self {
        self.fanout.set_number(number);
        self
    }

    /// The same room, whose history begins at this time, in milliseconds since 1970, unless its log says when it began.
    /// The log then has it.
    #[must_use]
    pub fn beginning_at(mut self, time: u64) -> Self {
        self.order.set_created_at(time);
        self
    }

    /// When the room's history began, in milliseconds since 1970; `None` if its log does not say.
    #[must_use]
    pub const fn began(&self) -> Option<u64> {
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

    /// Whether a legacy client is in the room, so that the room has to know the time.
    #[must_use]
    pub const fn has_legacy(&self) -> bool {
        self.fanout.has_legacy()
    }

    /// The client behind a session.
    #[must_use]
    pub fn client(&self, id: SessionId) -> Option<&ClientId> {
        self.fanout.client(id)
    }

    /// It is `now`, in milliseconds since 1970. A time before the last one is ignored.
    pub fn set_time(&mut self, now: u64) {
        self.fanout.set_time(now);
        self.order.state_mut().set_time(now);
    }

    /// Whether the log since the last snapshot has become so long that a new one is due.
    #[must_use]
    pub const fn wants_snapshot(&self) -> bool {
        self.order.wants_snapshot()
    }

    /// Whether a snapshot would spare the next opening anything.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.order.has_log()
    }

    /// A snapshot at the head version; costs the state. The store may have it only once it has that version.
    pub fn snapshot(&mut self) -> (u64, Bytes) {
        self.order.snapshot()
    }
}

impl<O: Outbox> Authority<O> {
    /// Adds a session and sends it the state, or what it missed since it left; and the room's schema, if the client
    /// says that it has another. It may do what any client may, without a role.
    ///
    /// # Errors
    /// A field that the client declares does not fit what the room has: no session was added.
    pub fn join(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        outbox: O,
    ) -> Result<SessionId, Violation> {
        self.join_with(client, dialect, request, None, outbox)
    }

    /// The same for a session that may do what `permissions` allow, and nothing else.
    ///
    /// # Errors
    /// A field that the client declares does not fit what the room has: no session was added.
    pub fn join_with(
        &mut self,
        client: ClientId,
        dialect: Dialect,
        request: &JoinRequest,
        permissions: Option<Arc<dyn Permissions>>,
        outbox: O,
    ) -> Result<SessionId, Violation> {
        for (path, declaration) in &request.declare {
            self.order.state_mut().declare(path, declaration)?;
        }
        self.order.enter(&client);
        Ok(self.fanout.join(client, dialect, request, permissions, outbox, &self.order.head()))
    }

    /// Removes a session; gives its outbox back.
    pub fn leave(&mut self, id: SessionId) -> Option<O> {
        let (client, outbox) = self.fanout.leave(id)?;
        self.order.exit(&client);
        Some(outbox)
    }

    /// Changes what a session may do. If it may read other fields than before, it is sent the state anew.
    pub fn grant(&mut self, id: SessionId, permissions: Option<Arc<dyn Permissions>>) {
        self.fanout.grant(id, permissions, &self.order.head());
    }

    /// Asks for the permissions of all sessions again.
    pub fn ask_rights_again(&mut self) {
        self.fanout.refresh_permissions(&self.order.head());
    }

    /// The session's queue has room again: if it was behind, it is sent what it missed.
    pub fn drained(&mut self, id: SessionId) {
        self.fanout.drained(id, &self.order.head());
    }

    /// Takes a client's change.
    pub fn submit(&mut self, session: SessionId, change: &ChangeRequest<'_>) -> Submitted {
        let Self { order, fanout } = self;
        let (Some(client), Some(grant)) = (fanout.client(session), fanout.granted(session)) else {
            return Submitted::Answered;
        };
        match order.submit(session, client, change, fanout.access(), grant) {
            Decision::Accepted(accepted, entry) => {
                fanout.accepted(accepted, &order.head());
                return Submitted::Accepted(entry);
            }
            Decision::AcceptedBefore(version) => fanout.answer_again(session, change.seq, version),
            Decision::Refused(reject) => fanout.refuse(session, change.seq, reject, &order.head()),
        }
        Submitted::Answered
    }

    /// Takes a change of the server's own program.
    ///
    /// # Errors
    /// The change is wrong or breaks a rule.
    pub fn submit_server(&mut self, updates: &str) -> Result<LogEntry, Reject> {
        let change = Incoming::parse(updates)?;
        let (accepted, entry) = self.order.accept(ChangeSource::Server, &change, None)?;
        self.fanout.accepted(accepted, &self.order.head());
        Ok(entry)
    }

    /// Takes a change of a legacy client. `claim` is the version that the client has by it.
    ///
    /// Where the client shows something else than the room has, because the change is refused, read otherwise than it
    /// was written, or crosses what is on its way to the client, it is sent the fields again.
    pub fn submit_legacy(&mut self, id: SessionId, updates: &str, claim: Option<u64>) -> Submitted {
        let Self { order, fanout } = self;
        let Some(client) = fanout.client(id).cloned() else { return Submitted::Answered };
        let change = Incoming::parse(updates);
        let write = (!fanout.is_channel()).then(|| fanout.legacy_wrote(id, change.as_ref().ok(), claim));
        let author = ChangeSource::Legacy { session: id, client };
        let decided = change.and_then(|change| {
            let by = fanout.granted(id).map(|grant| (fanout.access(), grant));
            order.accept(author, &change, by).map(|decided| (decided, change))
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

    /// A legacy client asks for the state.
    pub fn legacy_sync(&mut self, id: SessionId) {
        self.fanout.legacy_sync(id, &self.order.head());
    }

    /// The store has everything up to `version`: answers the authors, sends the changes to the others, and brings up to
    /// date the sessions that waited for it.
    pub fn committed(&mut self, version: u64) {
        self.fanout.committed(version, &self.order.head());
    }

    /// Sends a message, JSON text, to everybody in the channel but its sender, once, if there is room for it: it is
    /// not stored, not ordered with those that are, and not sent again.
    pub fn broadcast(&mut self, sender: SessionId, at: u64, value: &str) -> Relayed {
        if let Some(channel) = self.order.state().as_any().downcast_ref::<ChannelLog>()
            && let Err(reject) = channel.admit(value)
        {
            return Relayed::Refused(reject);
        }
        self.fanout.broadcast(sender, at, value)
    }

    /// Sends everybody an error, and removes all sessions; gives their outboxes.
    pub fn close(&mut self, code: Code, message: &str) -> Vec<O> {
        self.fanout.close(code, message)
    }
}
