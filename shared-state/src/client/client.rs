//! A client, as an app holds it.

use std::sync::Arc;

use crate::client::block::block_on;
use crate::client::task::core::{Core, Guard};
use crate::client::{
    ClientBuilder, Lagged, RawMessage, Room, Status, Subscription, Unsent, lock, subscription,
};

/// A connection to a server that lasts: it is made again for ever when it breaks. Cheap to clone; every clone is the
/// same client.
#[derive(Clone)]
pub struct Client {
    guard: Arc<Guard>,
}

impl Client {
    /// Configures a client of the server at this URL, `ws://…` or `wss://…`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { guard: Arc::new(Guard(core)) }
    }

    fn core(&self) -> &Arc<Core> {
        &self.guard.0
    }

    /// The room of this name. It is joined when its state is asked for.
    #[must_use]
    pub fn room(&self, name: impl Into<Arc<str>>) -> Room {
        Room { guard: self.guard.clone(), name: name.into() }
    }

    /// How the connection is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.core().status.borrow().clone()
    }

    /// How the connection is now, and each time that changes. If it is read too slowly it skips to the latest. Ends
    /// after [`Status::Disconnected`]; does not keep the client alive.
    pub fn statuses(&self) -> Subscription<Status> {
        let last = |status: &Status| matches!(status, Status::Disconnected { .. });
        subscription::latest(self.core().status.subscribe(), |status| Some(status.clone()), last)
    }

    /// The client's public name: what others see as the author of its changes. `None` before the server has said it.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        lock(&self.core().public).clone()
    }

    /// The messages of this type as they come from the server, known to the library or not, from now on. Those that
    /// are not taken in time are dropped, oldest first, 256 are kept; then `Err` says how many. Ends with the client.
    ///
    /// Most changes and acknowledgements come in [brief](ClientBuilder::brief) frames, which have no type.
    pub fn on(&self, kind: &str) -> Subscription<Result<RawMessage, Lagged>> {
        let messages = self.core().listeners.listen(kind);
        subscription::broadcast(messages, self.guard.clone(), Ok, |count| Err(Lagged(count)))
    }

    /// Ends the client: takes no more writes, sends on what is kept back by debounce or throttle, waits until
    /// everything is answered, as long as [`linger`](ClientBuilder::linger) says, leaves the rooms and closes the
    /// connection. Says what could not be delivered; its receipts resolve to
    /// [`Code::Closed`](crate::core::Code::Closed).
    ///
    /// Every handle of the client is of use for reading only from then on. Closing begins when the future is first
    /// polled, and goes on if it is then dropped; each call of several gets the same answer.
    pub async fn close(&self) -> Unsent {
        let mut unsent = self.core().unsent.subscribe();
        self.core().close();
        // Fails only if the sender is gone, which this handle holds.
        let end = unsent.wait_for(Option::is_some).await;
        end.ok().and_then(|unsent| unsent.clone()).unwrap_or_default()
    }

    /// [`close`](Self::close) for plain threads: blocks until the client has ended. Never call it in async code.
    #[must_use = "says what could not be delivered"]
    pub fn close_blocking(&self) -> Unsent {
        block_on(self.close())
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}
