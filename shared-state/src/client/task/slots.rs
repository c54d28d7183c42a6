//! A room's state and its presence as the client's task sees them, whatever their types; and the signal by
//! which the handles wake the task.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::client::DisconnectReason;
use crate::client::task::connection::{Connection, End};
use crate::proto::presence::PresenceNews;
use crate::proto::{RoomMessage, Secret};

/// The clock of a client, and what wakes its task.
pub(crate) struct Signal {
    start: Instant,
    pub(crate) wake: Notify,
    /// What the client has open has changed since the task last looked.
    changed: AtomicBool,
}

impl Signal {
    pub(crate) const fn new(start: Instant) -> Self {
        Self { start, wake: Notify::const_new(), changed: AtomicBool::new(false) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.start + at
    }

    /// Something was opened, has lost its last handle or its last pending change, is to be joined again, or
    /// the client is closed: wakes the task, which looks at all rooms.
    pub(crate) fn rooms_changed(&self) {
        self.changed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether [`rooms_changed`](Self::rooms_changed) was called since the last call.
    pub(crate) fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }
}

/// The replica of a room or channel, whatever its type.
pub(crate) trait AnyReplica: Send + Sync {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn state_name(&self) -> &'static str;
    /// Does what is due over this connection: joins, if that was not done before, releases delayed writes and
    /// sends frames. Returns when the next step is due. Does nothing before the server's welcome.
    fn turn(&self, now: Duration, connection: &mut Connection) -> Result<Option<Duration>, End>;
    fn receive(&self, now: Duration, message: RoomMessage<'_>);
    /// Joins again over the current connection, if it is not joined.
    fn retry_join(&self, window: usize);
    /// Whether it could not be joined because the connection is in too many rooms.
    fn is_one_too_many(&self) -> bool;
    /// Sets the password for the next joins.
    fn set_password(&self, password: &Secret);
    /// The connection is lost. `blamed`: the server has ended it because of what it was sent.
    fn detach(&self, blamed: bool);
    fn pending(&self) -> usize;
    /// Refuses further writes, and sends the delayed ones.
    fn close(&self, now: Duration);
    /// Answers everything pending with the client's end. Returns how many changes that were.
    fn end(&self, reason: &DisconnectReason) -> usize;
    /// Whether the last handle was dropped.
    fn is_abandoned(&self) -> bool;
}

/// A client's presence in a room, whatever its types.
pub(crate) trait AnyPresence: Send + Sync {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn type_name(&self) -> &'static str;
    /// Does what is due over this connection: joins, if that was not done before, and sends what has changed.
    /// Returns when the next step is due. Does nothing before the server's welcome.
    fn turn(&self, now: Duration, connection: &mut Connection) -> Result<Option<Duration>, End>;
    fn receive(&self, now: Duration, news: PresenceNews<'_>);
    /// Tries to join again, if the server refused.
    fn retry_join(&self);
    /// Whether it could not be joined because the connection is in too many rooms.
    fn is_one_too_many(&self) -> bool;
    /// Sets the password for the next joins.
    fn set_password(&self, password: &Secret);
    fn detach(&self);
    fn end(&self);
    /// Whether the last handle was dropped.
    fn is_abandoned(&self) -> bool;
}
