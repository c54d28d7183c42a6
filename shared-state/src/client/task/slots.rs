//! What the task of a client sees of a room's state and of its presence, whatever their types, and the signal by which
//! they wake it.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::client::DisconnectReason;
use crate::proto::presence::PresenceNews;
use crate::proto::{Frame, RoomMessage, Secret, Violation};

/// The clock of a client, and the bell by which its handles wake its task.
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

/// A room as the client's task sees it, whatever its state's type.
pub(crate) trait AnyReplica: Send + Sync {
    fn room(&self) -> &Arc<str>;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn state_name(&self) -> &'static str;
    /// Joins over this connection, unless it was done before.
    fn attach(&self, connection: u64, window: usize, max_frame: usize);
    /// Joins again over the present connection.
    fn rejoin(&self, window: usize);
    /// What it is joined with from now on.
    fn set_password(&self, password: &Secret);
    /// Nothing can be sent there for now.
    fn detach(&self);
    fn receive(&self, message: RoomMessage<'_>) -> Result<(), Violation>;
    fn tick(&self, now: Duration);
    fn deadline(&self) -> Option<Duration>;
    fn poll_frame(&self) -> Option<Frame>;
    fn pending(&self) -> usize;
    fn is_live(&self) -> bool;
    /// Takes no more writes, sends on what was kept back.
    fn close(&self, now: Duration);
    /// Answers everything with the client's end; says how many changes that were.
    fn end(&self, reason: &DisconnectReason) -> usize;
    /// Notes what is wrong with the room; `None`: nothing any more.
    fn report(&self, violation: Option<Violation>);
    /// Whether nobody holds the state any more.
    fn is_abandoned(&self) -> bool;
    /// One more handle.
    fn hold(&self);
}

/// A client's part in a room's presence as its task sees it, whatever the types.
pub(crate) trait AnyPresence: Send + Sync {
    fn room(&self) -> &Arc<str>;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    fn type_name(&self) -> &'static str;
    /// Takes part over this connection, unless it does already.
    fn attach(&self, connection: u64, id: &str);
    /// What it comes in with from now on.
    fn set_password(&self, password: &Secret);
    /// Asks again to be let in, if it was not.
    fn retry_join(&self);
    fn detach(&self);
    fn receive(&self, now: Duration, news: PresenceNews<'_>);
    fn tick(&self, now: Duration);
    fn deadline(&self) -> Option<Duration>;
    fn poll_frame(&self, now: Duration) -> Option<Frame>;
    fn end(&self);
    /// Whether nobody holds it any more.
    fn is_abandoned(&self) -> bool;
}
