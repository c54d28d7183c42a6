//! A room's state and its presence as the client's task sees them, whatever their types; and the signal by
//! which the handles wake the task.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::client::DisconnectReason;
use crate::proto::presence::PresenceNews;
use crate::proto::{ClientLimits, Frame, RoomMessage, Secret, Violation};

/// The clock of a client, and the notification that wakes its task.
pub(crate) struct Signal {
    pub(crate) start: Instant,
    pub(crate) wake: Notify,
}

impl Signal {
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.start + at
    }
}

/// The replica of a room or channel, whatever its type.
pub(crate) trait AnyReplica: Send + Sync {
    fn room(&self) -> &Arc<str>;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn state_name(&self) -> &'static str;
    /// Joins over this connection, unless that was done before.
    fn attach(&self, connection: u64, window: usize, limits: ClientLimits);
    /// Joins again over the current connection.
    fn rejoin(&self, window: usize);
    /// Sets the password for the next joins.
    fn set_password(&self, password: &Secret);
    /// Stops sending until the room is joined again.
    fn detach(&self);
    fn receive(&self, message: RoomMessage<'_>) -> Result<(), Violation>;
    fn tick(&self, now: Duration);
    fn deadline(&self) -> Option<Duration>;
    fn poll_frame(&self) -> Option<Frame>;
    fn pending(&self) -> usize;
    fn is_live(&self) -> bool;
    /// Refuses further writes, and sends the delayed ones.
    fn close(&self, now: Duration);
    /// Answers everything pending with the client's end. Returns how many changes that were.
    fn end(&self, reason: &DisconnectReason) -> usize;
    /// Stores the room's error, or removes it.
    fn report(&self, violation: Option<Violation>);
    /// Whether the last handle was dropped.
    fn is_abandoned(&self) -> bool;
    /// Counts one more handle.
    fn hold(&self);
}

/// A client's presence in a room, whatever its types.
pub(crate) trait AnyPresence: Send + Sync {
    fn room(&self) -> &Arc<str>;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn type_name(&self) -> &'static str;
    /// Joins over this connection, unless that was done before.
    fn attach(&self, connection: u64, id: &str, limits: ClientLimits);
    /// Sets the password for the next joins.
    fn set_password(&self, password: &Secret);
    /// Tries to join again, if the server refused.
    fn retry_join(&self);
    fn detach(&self);
    fn receive(&self, now: Duration, news: PresenceNews<'_>);
    fn tick(&self, now: Duration);
    fn deadline(&self) -> Option<Duration>;
    fn poll_frame(&self, now: Duration) -> Option<Frame>;
    fn end(&self);
    /// Whether the last handle was dropped.
    fn is_abandoned(&self) -> bool;
}
