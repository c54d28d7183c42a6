//! A WebSocket client that may break every rule: it sends bytes as they are, and understands what it is sent only as far
//! as the table needs it.

use std::io::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, SocketAddr};

use bytes::{Buf as _, BytesMut};
use shared_state::proto::JSON;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};

use crate::answers::Answers;

/// First bytes of frames.
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// The first fragment of a text, one in its middle, and the last one.
pub const BEGIN: u8 = 0x01;
pub const MIDDLE: u8 = 0x00;
pub const LAST: u8 = 0x80;

/// The longest head of a response to a handshake that is read.
const LONGEST_HEAD: usize = 16 << 10;

/// The head of a masked frame of this length.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    let mut head = unmasked(first, length);
    head[1] |= 0x80;
    head.extend_from_slice(&[0; 4]);
    head
}

/// The head of a frame without a mask, which no client may send.
pub fn unmasked(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length), _) if length < 126 => head.push(length),
        (_, Ok(length)) => {
            head.push(126);
            head.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&length.to_be_bytes());
        }
    }
    head
}

/// A frame with a mask of zeros.
pub fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = header(first, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// A request for an upgrade; `more` is further lines.
pub fn request(more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// The line that asks for version 1 of the protocol.
pub fn v1() -> String {
    format!("Sec-WebSocket-Protocol: {JSON}\r\n")
}

/// Connects from an address of this machine.
pub async fn tcp(from: Ipv4Addr, address: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What the server has sent.
#[derive(Debug)]
pub enum Event {
    Text(String),
    Binary,
    Ping,
    Pong,
    Close,
    Ended,
}

/// A connection.
pub struct Raw {
    pub reader: Reader,
    pub writer: Writer,
}

impl Raw {
    pub fn new(stream: TcpStream, answers: Answers) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: Reader { stream: reader, received: BytesMut::new(), answers }, writer: Writer(writer) }
    }

    /// Sends a request, and waits for its answer.
    ///
    /// # Errors
    /// The server did not upgrade the connection.
    pub async fn open(stream: TcpStream, answers: Answers, request: &str) -> Result<Self> {
        let mut raw = Self::new(stream, answers);
        raw.writer.bytes(request.as_bytes()).await?;
        match raw.reader.status().await? {
            101 => Ok(raw),
            status => Err(Error::other(format!("the request was answered with {status}"))),
        }
    }
}

impl Raw {
    /// Reads until the connection ends.
    pub async fn listen(self) {
        let Self { mut reader, writer: _writer } = self;
        reader.listen().await;
    }
}

/// The half that reads.
pub struct Reader {
    stream: OwnedReadHalf,
    received: BytesMut,
    answers: Answers,
}

impl Reader {
    /// The status with which a request was answered, counted if it is not 101.
    pub async fn status(&mut self) -> Result<u16> {
        loop {
            let end = self.received.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.received.split_to(end + 4);
                let status =
                    head.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
                let status = status.ok_or_else(|| Error::from(ErrorKind::InvalidData))?;
                if status != 101 {
                    self.answers.count(&format!("http {status}"));
                }
                return Ok(status);
            }
            if self.received.len() > LONGEST_HEAD {
                return Err(ErrorKind::InvalidData.into());
            }
            if !self.receive().await {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Reads once; returns whether the connection goes on.
    async fn receive(&mut self) -> bool {
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => {
                self.answers.count("ended");
                false
            }
            Ok(_) => true,
            Err(_) => {
                self.answers.count("reset");
                false
            }
        }
    }

    /// The first byte and the payload of the next frame, if it is there as a whole.
    fn parse(&mut self) -> Option<(u8, BytesMut)> {
        let received = &self.received;
        let (first, length) = (*received.first()?, *received.get(1)?);
        let (head, length) = match length {
            127 => {
                let bytes = received.get(2..10)?.try_into().ok()?;
                (10, usize::try_from(u64::from_be_bytes(bytes)).ok()?)
            }
            126 => (4, usize::from(u16::from_be_bytes(received.get(2..4)?.try_into().ok()?))),
            length => (2, usize::from(length)),
        };
        if received.len() < head + length {
            return None;
        }
        self.received.advance(head);
        Some((first, self.received.split_to(length)))
    }

    /// The next thing that the server has sent, counted if it answers something. Cancel safe.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some((first, payload)) = self.parse() {
                return match first & 0x0f {
                    1 => {
                        let text = String::from_utf8_lossy(&payload).into_owned();
                        self.answers.count_text(&text);
                        Event::Text(text)
                    }
                    8 => {
                        let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
                        self.answers.count(&format!("close {code}"));
                        Event::Close
                    }
                    9 => Event::Ping,
                    10 => {
                        self.answers.count("pong");
                        Event::Pong
                    }
                    _ => Event::Binary,
                };
            }
            if !self.receive().await {
                return Event::Ended;
            }
        }
    }

    /// Reads until the connection ends.
    pub async fn listen(&mut self) {
        while !matches!(self.next().await, Event::Ended) {}
    }

    /// Reads the text of the next message of this type.
    ///
    /// # Errors
    /// The connection ended, or something was refused before.
    pub async fn expect(&mut self, kind: &str) -> Result<String> {
        let start = format!(r#"{{"type":"{kind}""#);
        loop {
            match self.next().await {
                Event::Text(text) if text.starts_with(&start) => return Ok(text),
                Event::Text(text) if text.contains(r#""code":""#) => {
                    return Err(Error::other(format!("expected `{kind}`, found {text}")));
                }
                Event::Ended => return Err(ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
        }
    }
}

/// The half that writes.
pub struct Writer(OwnedWriteHalf);

impl Writer {
    pub async fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.write_all(bytes).await
    }

    pub async fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(&frame(TEXT, text)).await
    }
}
