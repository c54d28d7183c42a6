//! A stay in a room, which ends when it is dropped.

use std::sync::Arc;

use crate::authority::SessionId;
use crate::server::membership::Membership;
use crate::server::rooms::participant::Participant;
use crate::server::rooms::room::Room;

pub(crate) struct RoomSession {
    pub(crate) room: Arc<Room>,
    pub(crate) session: SessionId,
    /// Lets it be in the room.
    pub(crate) membership: Arc<Membership>,
    /// Whether it is told what is said of the room.
    pub(crate) informed: bool,
    /// Who it is, for the room's rules.
    visitor: Option<Box<Participant>>,
}

impl RoomSession {
    pub(crate) fn new(room: Arc<Room>, session: SessionId, visitor: Participant, informed: bool) -> Self {
        let membership = visitor.membership().clone();
        let visitor = room.is_observed().then(|| Box::new(visitor));
        Self { room, session, membership, informed, visitor }
    }
}

impl Drop for RoomSession {
    fn drop(&mut self) {
        self.room.leave(self.session);
        if let Some(visitor) = self.visitor.take() {
            self.room.left(visitor);
        }
    }
}
