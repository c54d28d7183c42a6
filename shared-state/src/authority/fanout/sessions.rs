//! The sessions of a room: what each may do, and what it was sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::authority::access::Grant;
use crate::authority::source::SessionId;
use crate::legacy::Reconcile;
use crate::proto::{ClientId, Dialect, Frame};

/// Where the frames for a session go: a bounded queue.
pub trait Outbox {
    /// Queues a frame. `false`: the queue is full and the frame was not taken. The session is then sent nothing until
    /// [`Authority::drained`](crate::authority::Authority::drained) is called for it, which sends one delta.
    fn push(&mut self, frame: &Frame) -> bool;

    /// Queues a frame that may be dropped. `false`: it was dropped, and nothing follows from that. A queue should
    /// reserve space for the frames of [`push`](Self::push).
    fn offer(&mut self, frame: &Frame) -> bool {
        self.push(frame)
    }
}

/// Whether a session is sent changes as they become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// The session is sent each change.
    Live,
    /// The session's queue was full; a delta follows once the queue is drained.
    Behind,
    /// A state or delta for the session waits until its version is durable.
    Syncing,
}

/// One session of the room.
pub(super) struct Session<O> {
    pub(super) client: ClientId,
    pub(super) dialect: Dialect,
    /// Whether the client takes compact frames.
    pub(super) compact: bool,
    pub(super) flow: Flow,
    /// The version up to which the session was sent every change.
    pub(super) synced: u64,
    /// The session still needs the full state, so that a delta is of no use to it.
    pub(super) stateless: bool,
    /// The sequence number up to which the client's changes were answered.
    pub(super) answered: u64,
    /// Which of the changes sent to it a legacy client has accepted; `None` for other clients.
    pub(super) reconcile: Option<Box<Reconcile>>,
    /// The room's schema, if the client has a different one and could not be sent the room's yet.
    pub(super) unsent_schema: Option<String>,
    pub(super) grant: Grant,
    /// The paths that the client may not read or write, as JSON, which it is sent; `None`: there are no restrictions.
    pub(super) denied: Option<Arc<str>>,
    pub(super) outbox: O,
}

impl<O: Outbox> Session<O> {
    pub(super) fn push(&mut self, frame: &Frame) {
        if !self.outbox.push(frame) {
            self.flow = Flow::Behind;
        }
    }

    /// Sends a frame with the answers up to a sequence number. They count as sent only if the queue takes it.
    pub(super) fn push_answers(&mut self, frame: &Frame, last: u64) {
        self.push(frame);
        if self.flow != Flow::Behind {
            self.answered = self.answered.max(last);
        }
    }

    /// Sends a frame that may be dropped, if the session is live.
    pub(super) fn offer(&mut self, frame: &Frame) -> bool {
        self.flow == Flow::Live && self.outbox.offer(frame)
    }
}

impl<O> Session<O> {
    pub(super) fn is_legacy(&self) -> bool {
        self.dialect == Dialect::Legacy
    }

    /// Whether this is a legacy client whose copy differs from the room's state.
    pub(super) fn is_outdated(&self) -> bool {
        self.reconcile.as_ref().is_some_and(|reconcile| reconcile.is_outdated())
    }
}

/// The sessions by their ids, with the numbers of legacy clients and of those that take compact frames.
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

    /// Removes all sessions.
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

    /// Whether some session takes compact frames.
    pub(super) const fn has_compact(&self) -> bool {
        self.compact > 0
    }
}
