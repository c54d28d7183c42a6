//! A stay in a room, which ends when it is dropped.

use std::sync::Arc;

use crate::authority::SessionId;
use crate::server::houses::Guest;
use crate::server::room::Room;
use crate::server::rules::Visitor;

pub(super) struct Seat {
    pub(super) room: Arc<Room>,
    pub(super) session: SessionId,
    /// Lets it be in the room.
    pub(super) guest: Arc<Guest>,
    /// Whether it is told what is said of the room.
    pub(super) informed: bool,
    /// Who it is, for the room's rules.
    visitor: Option<Box<Visitor>>,
}

impl Seat {
    pub(super) fn new(room: Arc<Room>, session: SessionId, visitor: Visitor, informed: bool) -> Self {
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
