//! A server in this process.

use std::net::SocketAddr;

use shared_state::server::{Server, ServerBuilder};
use tokio::net::TcpListener;

/// Starts a server on a free port.
pub(crate) async fn start(builder: ServerBuilder) -> (Server, SocketAddr) {
    let server = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn({
        let server = server.clone();
        async move { server.serve(listener).await }
    });
    (server, address)
}
