//! The client, as an app holds it.

use std::sync::Arc;

use crate::client::block::block_on;
use crate::client::task::shared::{Core, Guard};
use crate::client::{
    ClientBuilder, Lagged, RawMessage, Room, Status, Subscription, Unsent, lock, subscription,
};

/// A lasting connection to a server: when it breaks, the client reconnects. Cheap to clone; every clone is
/// the same client. See the [module](crate::client) for when a client ends.
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

    /// The room of this name. It is joined when its state, a channel or its presence is opened.
    #[must_use]
    pub fn room(&self, name: impl Into<Arc<str>>) -> Room {
        Room { guard: self.guard.clone(), name: name.into() }
    }

    /// The state of the connection.
    #[must_use]
    pub fn status(&self) -> Status {
        self.core().status.borrow().clone()
    }

    /// The current status, and then each change of it. A stream that is read too slowly skips to the latest.
    /// Ends after [`Status::Disconnected`]; does not keep the client alive.
    pub fn statuses(&self) -> Subscription<Status> {
        let last = |status: &Status| matches!(status, Status::Disconnected { .. });
        subscription::latest(self.core().status.subscribe(), |status| Some(status.clone()), last)
    }

    /// The client's public id, which others see as the author of its changes. `None` before the server has
    /// sent it.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        lock(&self.core().public).clone()
    }

    /// The server's messages of this type from now on, whether the library knows the type or not. `kind` is the
    /// type on the wire, for example `state:change`. The stream stores 256 messages; if it is read too slowly
    /// the oldest are dropped, and an `Err` reports how many. Ends with the client.
    ///
    /// Most changes and acknowledgements arrive in [compact](ClientBuilder::compact_frames) frames, which have no type
    /// and are not included.
    pub fn on(&self, kind: &str) -> Subscription<Result<RawMessage, Lagged>> {
        let messages = self.core().listeners.subscribe(kind);
        subscription::broadcast(messages, self.guard.clone(), Ok, |count| Err(Lagged(count)))
    }

    /// Ends the client. It accepts no more writes, sends what debounce or throttle delays, waits until
    /// everything is answered, for [`linger`](ClientBuilder::linger) at most, leaves the rooms and closes the
    /// connection. Returns what could not be delivered; the receipts of those changes resolve to
    /// [`Code::Closed`](crate::core::Code::Closed).
    ///
    /// After that, the client's handles can only read. Closing starts when the future is first polled, and
    /// continues if it is dropped. Several calls get the same result.
    pub async fn close(&self) -> Unsent {
        let mut unsent = self.core().unsent.subscribe();
        self.core().close();
        // Fails only if the sender is dropped, and this handle holds it.
        let end = unsent.wait_for(Option::is_some).await;
        end.ok().and_then(|unsent| unsent.clone()).unwrap_or_default()
    }

    /// [`close`](Self::close) for synchronous code: blocks the thread until the client has ended. Do not call
    /// it in async code.
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
