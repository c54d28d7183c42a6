//! Shared by the whole-system tests: states, a server in this process or in its own, a proxy that breaks
//! connections, and a bare legacy client.

mod bare;
pub mod evolve;
mod hook;
mod load;
mod process;
mod proxy;
pub mod seeds;
mod tube;
mod world;

pub use bare::{BareFrames, cpu_of, send_bare};
pub use hook::Hook;
pub use load::{Load, Stamp};
pub use process::{Process, serve_process};
pub use proxy::{Link, Proxy, Traffic};
pub use tube::Tube;
pub use world::{User, World};

use std::net::SocketAddr;
use std::time::Duration;

use shared_state::client::{Client, ClientBuilder, Receipt, State, Status, Subscription};
use shared_state::server::{Server, ServerBuilder};
use shared_state::{SharedState, WriteError};
use tokio::net::TcpListener;

/// How long a test waits for one event before it fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a value is polled whose changes nothing reports.
const LOOK: Duration = Duration::from_millis(2);

/// Waits for an event; `what` names it in the message of a failure.
///
/// # Panics
/// If the event does not happen in time.
pub async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(event) => event,
        Err(_) => panic!("{what} did not happen within {PATIENCE:?}"),
    }
}

/// Starts a server in this process, on a free port.
///
/// # Panics
/// If there is no free port.
pub async fn start(builder: ServerBuilder) -> (Server, SocketAddr) {
    let server = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let address = listener.local_addr().expect("the listener is bound");
    tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    (server, address)
}

/// Configures a client that reconnects quickly.
pub fn builder(address: SocketAddr) -> ClientBuilder {
    Client::builder(format!("ws://{address}/ws")).backoff(Duration::from_millis(2), Duration::from_millis(20))
}

/// A client that reconnects quickly.
#[must_use]
pub fn client(address: SocketAddr) -> Client {
    builder(address).connect()
}

/// Waits for a write to be accepted, and returns its version.
///
/// # Panics
/// If the write is refused.
pub async fn accepted(written: Result<Receipt, WriteError>) -> u64 {
    let receipt = written.expect("the write is taken");
    soon("an answer", receipt).await.expect("the write is accepted")
}

/// The next item of a stream; `what` names it in the message of a failure.
///
/// # Panics
/// If the stream ends, or there is no item in time.
pub async fn next<T>(feed: &mut Subscription<T>, what: &str) -> T {
    soon(what, feed.next()).await.expect("the client has not ended")
}

/// Waits until the state satisfies `holds`.
///
/// # Panics
/// If it does not in time.
pub async fn until<S: SharedState>(state: &State<S>, what: &str, holds: impl Fn(&State<S>) -> bool) {
    soon(what, async {
        loop {
            let revision = state.revision();
            if holds(state) {
                return;
            }
            // Changes that are not part of the state (its version, whether it is live) wake nobody, so poll
            // for them.
            let _ = tokio::time::timeout(LOOK, state.changed(revision)).await;
        }
    })
    .await;
}

/// Waits until the room's state has arrived over the current connection.
///
/// # Panics
/// If it does not arrive in time.
pub async fn live<S: SharedState>(state: &State<S>) {
    until(state, "the room's state", State::is_live).await;
}

/// Waits until the client's status satisfies `wanted`.
///
/// # Panics
/// If it does not in time.
pub async fn status(client: &Client, what: &str, wanted: impl Fn(&Status) -> bool) {
    let mut statuses = client.statuses();
    soon(what, async {
        while let Some(status) = statuses.next().await {
            if wanted(&status) {
                return;
            }
        }
        panic!("the client has ended");
    })
    .await;
}

/// Whether a client has noticed that it has no connection.
#[must_use]
pub fn is_offline(status: &Status) -> bool {
    matches!(status, Status::Reconnecting { .. })
}
