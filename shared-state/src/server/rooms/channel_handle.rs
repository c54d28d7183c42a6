//! The server's own program as one who speaks in a channel.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::oneshot;

use crate::core::UpdateError;
use crate::core::WriteError;
use crate::proto::channel::{MESSAGES, SEND};
use crate::proto::split_address;
use crate::server::rooms::handle::{Receipt, RoomGuard};
use crate::server::rooms::room::{Closed, Room};

/// A channel in the server's own program; see [`Server::channel`](crate::server::Server::channel).
///
/// Cheap to clone. The channel stays in memory while there is one. If it is reset because its store failed, sending
/// fails with [`WriteError::Closed`]: open it again.
#[derive(Clone)]
pub struct Channel {
    hold: Arc<RoomGuard>,
}

impl Channel {
    /// Takes over a hold of the channel.
    pub(crate) fn new(room: Arc<Room>) -> Self {
        Self { hold: Arc::new(RoomGuard(room)) }
    }

    /// Sends a message to everybody in the channel, from `"server"`. The receipt resolves to its number when it is
    /// durable.
    ///
    /// # Errors
    /// The value has no JSON form, is not what the channel takes, as many messages as
    /// [`in_flight`](crate::proto::Limits::in_flight) says are on their way to the store, or the channel was reset.
    pub fn send<T: Serialize>(&self, value: &T) -> Result<Receipt, WriteError> {
        let room = &self.hold.0;
        let value = serde_json::to_string(value)
            .map_err(|error| WriteError::Unsendable(UpdateError::wrong_type(&error)))?;
        let Some(permit) = room.permit_now() else {
            return Err(match room.is_closed() {
                true => WriteError::Closed,
                false => WriteError::QueueFull { limit: room.limit(), unit: "messages" },
            });
        };
        let (durable, receipt) = oneshot::channel();
        let update = format!(r#"[{{"key":"{MESSAGES}","op":"{SEND}","value":{value}}}]"#);
        match room.submit_server(|_| Ok(Some(update)), permit, durable) {
            Ok(sent) => sent.map(|()| Receipt::new(room.name().clone(), receipt)),
            Err(Closed) => Err(WriteError::Closed),
        }
    }

    /// The number of the last message, durable or on its way; 0: none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.hold.0.read(|_, version| version)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (room, channel) = split_address(self.hold.0.name());
        f.debug_struct("Channel").field("room", &room).field("name", &channel).finish_non_exhaustive()
    }
}
