//! `wss://` by the server's own listener.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use shared_state::server::Server;
use shared_state_tests::soon;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::common::rig::Document;

/// A server with a certificate for `localhost`, and what trusts that.
async fn start() -> (SocketAddr, TlsConnector, Server) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let trusting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().rooms("document*", Document::default).build();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_tls(listener, Arc::new(config)).await });
    (address, TlsConnector::from(Arc::new(trusting)), server)
}

#[tokio::test]
async fn a_client_is_served_over_tls_and_what_is_no_handshake_is_closed() {
    let (address, tls, server) = start().await;
    // Plain text instead of a handshake.
    let mut plain = TcpStream::connect(address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /ws HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // The end, with an alert of TLS before it or a reset.
    let _ = soon("the end", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let stream = TcpStream::connect(address).await.unwrap();
    let stream = tls.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let mut request = format!("wss://localhost:{}/ws", address.port()).into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", "shared-state.v1.json".parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let hello = r#"{"type":"hello","payload":{"client":"a-client-over-tls"}}"#;
    socket.send(Message::text(hello)).await.unwrap();
    let welcome = soon("the welcome", socket.next()).await.unwrap().unwrap();
    assert!(welcome.to_text().unwrap().contains(r#""type":"welcome""#), "{welcome:?}");
    let join = r#"{"type":"room:join","room":"document-1","payload":{}}"#;
    socket.send(Message::text(join)).await.unwrap();
    let state = soon("the state", async {
        loop {
            let frame = socket.next().await.unwrap().unwrap();
            if frame.to_text().unwrap().contains(r#""type":"state:sync""#) {
                return frame;
            }
        }
    })
    .await;
    assert!(state.to_text().unwrap().contains(r#""title""#), "{state:?}");
    soon("the end", server.shutdown()).await.unwrap();
}
