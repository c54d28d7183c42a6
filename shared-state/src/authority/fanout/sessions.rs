//! The sessions of a room: what each may do and has been sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authority::access::Grant;
use crate::authority::source::SessionId;
use crate::legacy::Reconcile;
use crate::proto::{ClientId, Dialect, Frame};

/// Where the frames for a session go: a bounded queue.
pub trait Outbox {
    /// Queues a frame. `false`: it was not taken, because the queue is full. The session is then sent nothing until
    /// [`Authority::drained`](crate::authority::Authority::drained) says that there is room again, and then one delta
    /// with all that it missed.
    fn push(&mut self, frame: &Frame) -> bool;

    /// Queues a frame that may be dropped. `false`: it was, without consequences. A queue should keep room for frames
    /// that may not be dropped.
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
    /// A state or a delta is waiting for the store.
    Syncing,
}

pub(super) struct Session<O> {
    pub(super) client: ClientId,
    pub(super) dialect: Dialect,
    /// Whether it takes compact frames.
    pub(super) compact: bool,
    pub(super) flow: Flow,
    /// The version up to which it was sent everything.
    pub(super) synced: u64,
    /// It was never sent a state, so that a delta would mean nothing to it.
    pub(super) stateless: bool,
    /// The sequence number up to which its changes were answered.
    pub(super) answered: u64,
    /// Of a legacy client: what it has taken of what it was sent.
    pub(super) reconcile: Option<Box<Reconcile>>,
    /// The room's schema, if the client has another and could not be sent it yet.
    pub(super) unsent_schema: Option<String>,
    pub(super) grant: Grant,
    /// What its client is told that it may not do, as JSON; `None`: it may do what any client may.
    pub(super) denied: Option<Arc<str>>,
    pub(super) outbox: O,
}

impl<O: Outbox> Session<O> {
    pub(super) fn push(&mut self, frame: &Frame) {
        if !self.outbox.push(frame) {
            self.flow = Flow::Behind;
        }
    }

    /// Sends a frame that may be dropped, if the session is sent changes as they come.
    pub(super) fn offer(&mut self, frame: &Frame) -> bool {
        self.flow == Flow::Live && self.outbox.offer(frame)
    }
}

impl<O> Session<O> {
    pub(super) fn is_legacy(&self) -> bool {
        self.dialect == Dialect::Legacy
    }

    /// Whether a legacy client shows something else than the room has.
    pub(super) fn is_outdated(&self) -> bool {
        self.reconcile.as_ref().is_some_and(|reconcile| reconcile.is_outdated())
    }
}

/// The sessions by their ids, and how many there are of each kind.
pub(super) struct Sessions<O> {
    by_id: BTreeMap<SessionId, Session<O>>,
    next: u64,
    legacy: usize,
    compact: usize,
}

impl<O> Default for Sessions<O> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), next: 0, legacy: 0, compact: 0 }
    }
}

impl<O> Sessions<O> {
    pub(super) fn insert(&mut self, session: Session<O>) -> SessionId {
        let id = SessionId(self.next);
        self.next += 1;
        self.legacy += usize::from(session.is_legacy());
        self.compact += usize::from(session.compact);
        self.by_id.insert(id, session);
        id
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session<O>> {
        let session = self.by_id.remove(&id)?;
        self.legacy -= usize::from(session.is_legacy());
        self.compact -= usize::from(session.compact);
        Some(session)
    }

    /// Takes all of them out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Session<O>> + use<O> {
        (self.legacy, self.compact) = (0, 0);
        std::mem::take(&mut self.by_id).into_values()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session<O>> {
        self.by_id.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session<O>> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session<O>)> {
        self.by_id.iter().map(|(id, session)| (*id, session))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (SessionId, &mut Session<O>)> {
        self.by_id.iter_mut().map(|(id, session)| (*id, session))
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether a legacy client is in the room.
    pub(super) const fn has_legacy(&self) -> bool {
        self.legacy > 0
    }

    /// Whether somebody in the room takes compact frames.
    pub(super) const fn has_compact(&self) -> bool {
        self.compact > 0
    }
}
