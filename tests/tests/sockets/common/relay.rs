//! A proxy that passes WebSocket messages on, but for those with a certain word.

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

const SUBPROTOCOL: &str = "sec-websocket-protocol";

/// Starts a proxy before a server. It ends the connection of a client that sends `word`, and says that this is why.
pub async fn relay_without(server: SocketAddr, word: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(relay(stream, server, word));
        }
    });
    address
}

/// Passes messages on until one side closes.
#[allow(clippy::result_large_err)] // the type of the callback
async fn relay(stream: TcpStream, server: SocketAddr, word: &str) -> Result<(), Error> {
    let json = || HeaderValue::from_static("shared-state.v1.json");
    let accept = |_: &Request, mut response: Response| {
        response.headers_mut().insert(SUBPROTOCOL, json());
        Ok(response)
    };
    let mut client = tokio_tungstenite::accept_hdr_async(stream, accept).await?;
    let mut request = format!("ws://{server}/ws").into_client_request()?;
    request.headers_mut().insert(SUBPROTOCOL, json());
    let (mut server, _) = tokio_tungstenite::connect_async(request).await?;
    loop {
        tokio::select! {
            message = client.next() => match message {
                Some(Ok(Message::Text(text))) if text.contains(word) => {
                    let close = CloseFrame { code: CloseCode::Policy, reason: "not that word".into() };
                    return client.close(Some(close)).await;
                }
                Some(message) => server.send(message?).await?,
                None => return Ok(()),
            },
            message = server.next() => match message {
                Some(message) => client.send(message?).await?,
                None => return Ok(()),
            },
        }
    }
}
