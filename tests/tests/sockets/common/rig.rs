//! A server that can stop and start again, and clients that reconnect quickly.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::client::{Client, ClientBuilder, Handle, State, Status};
use shared_state::merge::MergePolicy;
use shared_state::proto::Limits;
use shared_state::server::{Server, ServerBuilder};
use shared_state::{Field, SharedState};
use shared_state_tests::{Process, soon};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::common::kept::Kept;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub(crate) struct Document {
    pub(crate) title: String,
    #[shared(validate(range(max = 24)))]
    pub(crate) size: u8,
    #[shared(counter)]
    pub(crate) views: i64,
    /// Delayed longer than any test takes.
    #[shared(debounce = "60m")]
    pub(crate) note: String,
    #[shared(debounce = "20ms")]
    pub(crate) draft: String,
    pub(crate) log: Vec<u32>,
    pub(crate) balance: i64,
}

/// The [`Document`] of a client that does not have its rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
pub(crate) struct Loose {
    pub(crate) title: String,
    pub(crate) size: u8,
}

/// A server that can be stopped and started again.
pub(crate) struct Rig {
    pub(crate) store: Kept,
    pub(crate) address: SocketAddr,
    pub(crate) running: Option<(Server, JoinHandle<()>)>,
}

pub(crate) fn builder(store: &Kept) -> ServerBuilder {
    Server::builder().store(store.clone()).rooms("document*", Document::default)
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_on(Process::address()).await
    }

    pub(crate) async fn start_on(address: SocketAddr) -> Self {
        let mut rig = Self { store: Kept::default(), address, running: None };
        rig.restart().await;
        rig
    }

    /// An address where a server can be started later.
    pub(crate) fn nowhere() -> SocketAddr {
        Process::address()
    }

    pub(crate) async fn restart(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let server = builder(&self.store).limits(Limits::default()).build();
        let serving = server.clone();
        let task = tokio::spawn(async move { serving.serve(listener).await });
        self.running = Some((server, task));
    }

    pub(crate) async fn stop(&mut self) {
        let (server, task) = self.running.take().unwrap();
        soon("the end of the server", server.shutdown()).await.unwrap();
        soon("the end of the listener", task).await.unwrap();
    }
}

/// Configures a client that reconnects quickly.
pub(crate) fn quick(address: SocketAddr) -> ClientBuilder {
    let wait = Duration::from_millis(10);
    Client::builder(format!("ws://{address}/ws")).backoff(wait, 5 * wait).jitter(0.0)
}

/// Opens a client's document, and waits until it is live.
pub(crate) async fn joined(client: &Client) -> Handle<Document> {
    let document = client.room("document-1").state(Document::default());
    live(&document).await;
    document
}

/// Waits until the room's state has arrived.
pub(crate) async fn live<S: SharedState>(state: &State<S>) {
    assert!(soon("the room's state", state.live()).await);
}

/// Waits until a field has this value.
pub(crate) async fn until<T, P>(document: &Handle<Document>, field: Field<Document, T, P>, value: T)
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

pub(crate) fn is_connected(status: &Status) -> bool {
    matches!(status, Status::Connected)
}
