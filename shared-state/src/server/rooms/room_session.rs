//! A stay in a room, which ends when it is dropped.

use std::sync::Arc;

use crate::authority::SessionId;
use crate::server::membership::Guest;
use crate::server::rooms::hooks::Visitor;
use crate::server::rooms::room::Room;

pub(crate) struct Seat {
    pub(crate) room: Arc<Room>,
    pub(crate) session: SessionId,
    /// Lets it be in the room.
    pub(crate) guest: Arc<Guest>,
    /// Whether it is told what is said of the room.
    pub(crate) informed: bool,
    /// Who it is, for the room's rules.
    visitor: Option<Box<Visitor>>,
}

impl Seat {
    pub(crate) fn new(room: Arc<Room>, session: SessionId, visitor: Visitor, informed: bool) -> Self {
        let guest = visitor.guest().clone();
        let visitor = room.rules().is_some().then(|| Box::new(visitor));
        Self { room, session, guest, informed, visitor }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.leave(self.session);
        if let Some(visitor) = self.visitor.take() {
            self.room.left(visitor);
        }
    }
}
