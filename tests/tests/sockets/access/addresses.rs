//! G9: what one address may have leaves room for the others.

use std::net::SocketAddr;

use shared_state::proto::Limits;
use shared_state::server::Server;
use shared_state_tests::soon;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::{Error, http::StatusCode};

use crate::common::rig::{Document, live, quick};

async fn start(limits: Limits) -> (SocketAddr, Server) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().rooms("document*", Document::default).limits(limits).build();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (address, server)
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

/// Opens a connection from a local address.
async fn open(from: &str, to: SocketAddr) -> Result<Socket, Error> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
    let stream = socket.connect(to).await.unwrap();
    tokio_tungstenite::client_async(format!("ws://{to}/ws"), stream).await.map(|(socket, _)| socket)
}

/// Waits until a connection from a local address is taken.
async fn until_open(from: &str, to: SocketAddr) {
    soon("the place", async {
        while open(from, to).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn status(error: Error) -> Option<StatusCode> {
    match error {
        Error::Http(response) => Some(response.status()),
        _ => None,
    }
}

#[tokio::test]
async fn an_address_has_as_many_connections_as_it_may_and_others_have_theirs() {
    let mut limits = Limits::default();
    limits.connections_per_address = 3;
    let (address, _server) = start(limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open("127.0.0.1", address).await.unwrap());
    }
    let refused = open("127.0.0.1", address).await.unwrap_err();
    assert_eq!(status(refused), Some(StatusCode::TOO_MANY_REQUESTS));
    assert!(open("127.0.0.2", address).await.is_ok());
    drop(held.pop());
    // The server notices that it has gone.
    until_open("127.0.0.1", address).await;
}

#[tokio::test]
async fn an_address_has_as_many_silent_sockets_as_it_may_and_others_have_theirs() {
    let mut limits = Limits::default();
    limits.connections_per_address = 3;
    let (address, _server) = start(limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(address).await.unwrap());
    }
    let mut refused = TcpStream::connect(address).await.unwrap();
    let read = soon("the end", refused.read_u8()).await;
    assert!(read.is_err(), "closed without a byte");
    assert!(open("127.0.0.1", address).await.is_err());
    assert!(open("127.0.0.2", address).await.is_ok());
    drop(held.pop());
    until_open("127.0.0.1", address).await;
}

#[tokio::test]
async fn an_address_begins_only_so_many_connections_a_second() {
    let mut limits = Limits::default();
    limits.handshakes_per_address = 1;
    let (address, _server) = start(limits).await;
    let mut refused = 0;
    for _ in 0..30 {
        refused += usize::from(open("127.0.0.1", address).await.is_err());
    }
    assert!((10..=20).contains(&refused), "{refused}");
    assert!(open("127.0.0.3", address).await.is_ok());
}

#[tokio::test]
async fn rooms_are_opened_at_a_rate_and_what_is_refused_is_joined_later() {
    let mut limits = Limits::default();
    limits.rooms_opened_per_address = 2;
    let (address, server) = start(limits).await;
    let client = quick(address).connect();
    let mut refusals = client.on("room:error");
    let rooms: Vec<_> =
        (0..24).map(|n| client.room(format!("document-{n}")).state(Document::default())).collect();
    for room in &rooms[..20] {
        live(room).await;
    }
    let refused = soon("the refusal", refusals.next()).await.unwrap().unwrap();
    assert!(refused.payload.contains("too_often"), "{refused:?}");
    // A room that is open costs nothing.
    let other = quick(address).connect().room("document-0").state(Document::default());
    live(&other).await;
    for room in &rooms {
        live(room).await;
    }
    assert_eq!(server.open_rooms(), 24);
}
