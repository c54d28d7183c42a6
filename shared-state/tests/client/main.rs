//! The native client against the real server, over real sockets.

#![allow(clippy::unwrap_used)]

mod closing;
mod edits;
mod faults;
#[path = "../common/kept.rs"]
mod kept;
mod kick;
#[cfg(feature = "password")]
mod passwords;
mod presence;
mod proxy;
mod rights;
mod rooms;
#[path = "../common/start.rs"]
mod start;
mod streams;
mod threads;
mod tokens;
mod transactions;

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::client::{Client, ClientBuilder, Handle, State, Status};
use shared_state::merge::MergePolicy;
use shared_state::proto::Limits;
use shared_state::server::{Server, ServerBuilder};
use shared_state::{Field, SharedState};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use kept::Kept;
use start::start;

/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Awaits an event that must come.
async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(event) => event,
        Err(_) => panic!("{what} did not happen"),
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    #[shared(validate(range(max = 24)))]
    size: u8,
    #[shared(counter)]
    views: i64,
    /// Kept back for ever, as far as a test is concerned.
    #[shared(debounce = "60m")]
    note: String,
    #[shared(debounce = "20ms")]
    draft: String,
    log: Vec<u32>,
    balance: i64,
}

/// A client's own idea of a [`Document`]: it has no rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Loose {
    title: String,
    size: u8,
}

/// A server that can be stopped and started again.
struct Rig {
    store: Kept,
    address: SocketAddr,
    running: Option<(Server, JoinHandle<()>)>,
}

fn builder(store: &Kept) -> ServerBuilder {
    Server::builder().store(store.clone()).rooms("document*", Document::default)
}

impl Rig {
    async fn start() -> Self {
        Self::start_on(([127, 0, 0, 1], 0).into()).await
    }

    async fn start_on(address: SocketAddr) -> Self {
        let mut rig = Self { store: Kept::default(), address, running: None };
        rig.restart().await;
        rig
    }

    /// A place where a server is going to be.
    async fn nowhere() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let server = builder(&self.store).limits(Limits::default()).build();
        let serving = server.clone();
        let task = tokio::spawn(async move { serving.serve(listener).await });
        self.running = Some((server, task));
    }

    async fn stop(&mut self) {
        let (server, task) = self.running.take().unwrap();
        soon("the end of the server", server.shutdown()).await.unwrap();
        soon("the end of the listener", task).await.unwrap();
    }
}

/// A client that loses no time.
fn quick(address: SocketAddr) -> ClientBuilder {
    let wait = Duration::from_millis(10);
    Client::builder(format!("ws://{address}/ws")).backoff(wait, 5 * wait).jitter(0.0)
}

/// A client's document, once it is live.
async fn joined(client: &Client) -> Handle<Document> {
    let document = client.room("document-1").state(Document::default());
    live(&document).await;
    document
}

/// Waits until the room's state has come.
async fn live<S: SharedState>(state: &State<S>) {
    assert!(soon("the room's state", state.live()).await);
}

/// Waits for a value of a field.
async fn until<T, P>(document: &Handle<Document>, field: Field<Document, T, P>, value: T)
where
    T: Clone + PartialEq + Send + 'static,
    P: MergePolicy<T>,
{
    let mut values = document.watch(field);
    soon("the value", async {
        while let Some(found) = values.next().await {
            if found == value {
                return;
            }
        }
        panic!("the values ended");
    })
    .await;
}

/// Waits for a status.
async fn status(client: &Client, what: &str, matches: impl Fn(&Status) -> bool) {
    let mut statuses = client.statuses();
    soon(what, async {
        while let Some(status) = statuses.next().await {
            if matches(&status) {
                return;
            }
        }
        panic!("the statuses ended");
    })
    .await;
}

fn is_connected(status: &Status) -> bool {
    matches!(status, Status::Connected)
}

fn is_reconnecting(status: &Status) -> bool {
    matches!(status, Status::Reconnecting { .. })
}
