//! G9: clients that do not finish what they send, or do not read what they are sent.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use shared_state::proto::Limits;
use shared_state::server::Server;
use shared_state_tests::{soon, start};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::common::client::Client;

/// A frame that is sent by hand, with a mask of zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126, "a short frame");
    let mut frame = vec![first, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend(payload);
    frame
}

/// A socket whose request for an upgrade was answered, for frames sent by hand.
async fn upgraded(address: std::net::SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: shared-state.v1.json\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    socket
}

#[tokio::test]
async fn g9_a_message_that_is_not_finished_ends_the_connection_although_pings_keep_coming() {
    let mut limits = Limits::default();
    limits.heartbeat = Duration::from_millis(100);
    let (_server, address) = start(Server::builder().untyped_rooms(true).limits(limits)).await;
    let mut client = Client::new(address, "slow").await;
    client.join("a").await;
    // The first part of a text that says that more follows.
    let part = Frame::message("x".repeat(300), OpCode::Data(Data::Text), false);
    client.socket.send(Message::Frame(part)).await.unwrap();
    let mut pings = tokio::time::interval(Duration::from_millis(20));
    let closed = async {
        loop {
            tokio::select! {
                _ = pings.tick() => if client.socket.send(Message::Ping("p".into())).await.is_err() {
                    return None;
                },
                message = client.socket.next() => match message? {
                    Ok(Message::Text(text)) if text.contains("not finished") => return Some(text),
                    Ok(_) => {}
                    Err(_) => return None,
                },
            }
        }
    };
    let told = soon("the end of the connection", closed).await;
    assert!(told.is_some_and(|told| told.contains("bad_message")));
}

#[tokio::test]
async fn g9_pings_of_a_client_that_does_not_read_the_answers_are_not_read() {
    /// More than all the buffers on the way.
    const MOST: usize = 64 << 20;
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let mut deaf = upgraded(address).await;
    let pings = masked(0x89, &[b'p'; 100]).repeat(1_000);
    let mut sent = 0;
    while let Ok(written) = tokio::time::timeout(Duration::from_secs(1), deaf.write_all(&pings)).await {
        written.unwrap();
        sent += pings.len();
        assert!(sent < MOST, "the server reads {sent} bytes of pings and keeps the answers");
    }
    let mut client = Client::new(address, "honest").await;
    client.join("a").await;
    client.ping().await;
}

#[tokio::test]
async fn g10_what_is_no_frame_of_a_client_is_answered_with_an_error_and_a_close_code() {
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    for (name, bytes) in [
        ("a reserved bit", masked(0xc1, b"{}")),
        ("an unknown opcode", masked(0x83, b"{}")),
        ("an unknown control opcode", masked(0x8b, b"")),
        ("a part of nothing", masked(0x80, b"{}")),
        ("a message within another", [masked(0x01, b"{"), masked(0x81, b"{}")].concat()),
        ("a ping in parts", masked(0x09, b"p")),
        ("a long ping", [&[0x89, 0xfe, 0, 126, 0, 0, 0, 0][..], &[b'p'; 126]].concat()),
        ("no mask", vec![0x81, 2, b'{', b'}']),
    ] {
        let mut socket = upgraded(address).await;
        socket.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        soon("the end of the connection", socket.read_to_end(&mut answer)).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        assert!(
            text.contains(r#""type":"error""#) && text.contains(r#""code":"bad_frame""#),
            "{name}: {text}"
        );
        // A close frame with the code 1002 and a reason.
        let close = [&[0x88, 11][..], &1002_u16.to_be_bytes(), b"bad_frame"].concat();
        assert!(answer.ends_with(&close), "{name}: {answer:?}");
    }
    let mut client = Client::new(address, "honest").await;
    client.join("a").await;
    client.ping().await;
}

#[tokio::test]
async fn g9_a_request_with_long_headers_is_refused() {
    let (_server, address) = start(Server::builder().untyped_rooms(true)).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let headers = format!("GET /ws HTTP/1.1\r\nHost: {address}\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    // The server may answer, and close, before it has read everything.
    let _ = socket.write_all(headers.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = soon("the answer", socket.read_to_end(&mut answer)).await;
    assert!(answer.starts_with(b"HTTP/1.1 431") || answer.is_empty(), "{}", String::from_utf8_lossy(&answer));
    let mut client = Client::new(address, "honest").await;
    assert_eq!(client.join("a").await["version"], json!(0));
}
