//! [`RoomSession`]: one connection's session in a room or channel. Dropping it leaves the room.

use std::sync::Arc;

use crate::authority::SessionId;
use crate::server::membership::Membership;
use crate::server::rooms::participant::Participant;
use crate::server::rooms::room::Room;

pub(crate) struct RoomSession {
    pub(crate) room: Arc<Room>,
    pub(crate) session: SessionId,
    /// Keeps the connection in the room.
    pub(crate) membership: Arc<Membership>,
    /// Whether the client asked to be sent the room's details.
    pub(crate) informed: bool,
    /// Who joined, for the `on_leave` hook; `None` if the room has no hooks.
    participant: Option<Box<Participant>>,
}

impl RoomSession {
    pub(crate) fn new(room: Arc<Room>, session: SessionId, participant: Participant, informed: bool) -> Self {
        let membership = participant.membership().clone();
        let participant = room.is_observed().then(|| Box::new(participant));
        Self { room, session, membership, informed, participant }
    }
}

impl Drop for RoomSession {
    fn drop(&mut self) {
        self.room.leave(self.session);
        if let Some(participant) = self.participant.take() {
            self.room.left(participant);
        }
    }
}
