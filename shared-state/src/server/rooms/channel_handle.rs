//! [`Channel`]: a channel as the server's program sends in it.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::oneshot;

use crate::core::read_back::encode_lossless;
use crate::core::{UpdateError, WriteError};
use crate::proto::channel::{MESSAGES, SEND};
use crate::proto::split_address;
use crate::server::rooms::handle::{Receipt, RoomGuard};
use crate::server::rooms::room::{Closed, Room};

/// A channel in the server's program, for sending messages as `"server"`; see
/// [`Server::channel`](crate::server::Server::channel).
///
/// Cheap to clone. The channel stays in memory while a handle exists. If its store fails, the channel is reset, and
/// sending fails with [`WriteError::Closed`]: call [`Server::channel`](crate::server::Server::channel) again.
#[derive(Clone)]
pub struct Channel {
    guard: Arc<RoomGuard>,
}

impl Channel {
    /// Takes over the caller's hold of the channel, see [`Room::hold`].
    pub(crate) fn new(room: Arc<Room>) -> Self {
        Self { guard: Arc::new(RoomGuard(room)) }
    }

    /// Sends a message to everyone in the channel, from `"server"`. The receipt resolves to the message's number once
    /// the message is durable; in a channel that is not stored, at once.
    ///
    /// # Errors
    /// [`WriteError::Unsendable`] if the value has no JSON form or has a part that would be read as `None` and is not,
    /// as `Some(f64::NAN)`, [`WriteError::Rejected`] if the channel does not
    /// take it, [`WriteError::QueueFull`] if [`in_flight`](crate::proto::Limits::in_flight) messages are on their way
    /// to the store, [`WriteError::Closed`] if the channel was reset or closed. Nothing was sent then.
    pub fn send<T: Serialize>(&self, value: &T) -> Result<Receipt, WriteError> {
        let room = &self.guard.0;
        let value = encode_lossless(value)
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

    /// The number of the last message, durable or in flight; 0 if there is none.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.guard.0.read(|_, version| version)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (room, channel) = split_address(self.guard.0.name());
        f.debug_struct("Channel").field("room", &room).field("name", &channel).finish_non_exhaustive()
    }
}
