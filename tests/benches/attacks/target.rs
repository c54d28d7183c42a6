//! What the cases attack with: connections from many hosts, rooms nobody has used, and the ways in which frames are sent.

use std::cell::Cell;
use std::io::Result;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::answers::Answers;
use crate::raw::{Event, Raw, Reader, TEXT, Writer, frame, request, tcp, v1};

/// The hosts of attackers who have many: 127.0.2.1 to 127.0.9.250.
const HOSTS: u32 = 2000;

/// How long an answer to one frame is waited for.
const ANSWER: Duration = Duration::from_millis(500);

/// The server, as the attackers of one case see it.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub answers: Answers,
    /// The number of the case, which makes its names different from those of others.
    case: usize,
    next: Arc<AtomicU32>,
}

impl Target {
    pub fn new(address: SocketAddr, answers: Answers, case: usize) -> Self {
        // Each case begins with other hosts, whose limits are not used up.
        let next = u32::try_from(case).unwrap_or_default() * 97;
        Self { address, answers, case, next: Arc::new(AtomicU32::new(next)) }
    }

    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// The next of many hosts.
    pub fn hosts(&self) -> Ipv4Addr {
        let number = self.number() % HOSTS;
        Ipv4Addr::new(127, 0, 2 + (number / 250) as u8, 1 + (number % 250) as u8)
    }

    /// A single host, which no other case uses.
    pub fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 100 + (self.case / 250) as u8, 1 + (self.case % 250) as u8)
    }

    /// A room's name, the same whenever it is asked for in a case.
    pub fn same_room(&self, pattern: &str) -> String {
        format!("{pattern}-{}", self.case)
    }

    /// A room's name that nobody has used.
    pub fn new_room(&self, pattern: &str) -> String {
        format!("{pattern}-{}-{}", self.case, self.number())
    }

    /// A client id that nobody has used.
    pub fn new_id(&self) -> String {
        format!("attacker-{:016x}-{}", fastrand::u64(..), self.number())
    }

    /// A connection without a handshake.
    ///
    /// # Errors
    /// As all functions here: the server did not do what an honest client needs.
    pub async fn tcp(&self) -> Result<Raw> {
        Ok(Raw::new(tcp(self.hosts(), self.address).await?, self.answers.clone()))
    }

    /// A connection from one host after a handshake with these further lines.
    pub async fn open_from(&self, host: Ipv4Addr, more: &str) -> Result<Raw> {
        Raw::open(tcp(host, self.address).await?, self.answers.clone(), &request(more)).await
    }

    /// A connection of version 1 that has sent nothing.
    pub async fn silent(&self) -> Result<Raw> {
        self.open_from(self.hosts(), &v1()).await
    }

    /// A connection of the original hook.
    pub async fn hook(&self) -> Result<Raw> {
        self.open_from(self.hosts(), "").await
    }

    /// A connection after `hello`.
    pub async fn client(&self) -> Result<Raw> {
        self.client_from(self.hosts()).await
    }

    /// A connection from one host after `hello`.
    pub async fn client_from(&self, host: Ipv4Addr) -> Result<Raw> {
        self.client_as(host, &self.new_id()).await
    }

    /// A connection after `hello` with a client id.
    pub async fn client_as(&self, host: Ipv4Addr, id: &str) -> Result<Raw> {
        let mut raw = self.open_from(host, &v1()).await?;
        raw.writer.text(&hello(id)).await?;
        raw.reader.expect("welcome").await?;
        Ok(raw)
    }

    /// A connection that has joined a room.
    pub async fn member(&self, room: &str) -> Result<Raw> {
        let mut raw = self.client().await?;
        raw.join(room).await?;
        Ok(raw)
    }

    /// Connections that each have joined a room.
    pub async fn members(&self, room: &str, count: usize) -> Result<Vec<Raw>> {
        join_all((0..count).map(|_| self.member(room))).await.into_iter().collect()
    }

    /// `count` attackers at once.
    pub async fn crowd<F: Future<Output = Result<()>>>(
        &self,
        count: usize,
        attacker: impl Fn(Self) -> F,
    ) -> Result<()> {
        let attackers = (0..count).map(|_| async {
            // One whose connection was ended comes again.
            loop {
                if attacker(self.clone()).await.is_err() {
                    sleep(Duration::from_millis(2)).await;
                }
            }
        });
        join_all(attackers).await;
        Ok(())
    }
}

impl Raw {
    /// Joins a room and waits for its state.
    pub async fn join(&mut self, room: &str) -> Result<()> {
        self.writer.text(&join(room, "{}")).await?;
        self.reader.expect("state:sync").await?;
        Ok(())
    }

    /// Sends a text and waits for what the server says to it.
    pub async fn send(&mut self, text: &str) -> Result<()> {
        self.send_bytes(&frame(TEXT, text)).await
    }

    /// As [`send`](Self::send), for what may have no answer: a ping follows it.
    pub async fn ask(&mut self, text: &str) -> Result<()> {
        self.send_bytes(&[frame(TEXT, text), frame(TEXT, r#"{"type":"ping","payload":{}}"#)].concat()).await
    }

    /// Sends bytes and waits for what the server says to them.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let Self { reader, writer } = self;
        let answer = async {
            loop {
                match reader.next().await {
                    // A close frame, or the end, follows.
                    Event::Text(text) if text.starts_with(r#"{"type":"error""#) => {
                        let _ = timeout(Duration::from_millis(20), reader.listen()).await;
                        return true;
                    }
                    Event::Text(text) if !is_answer(&text) => {}
                    event => return matches!(event, Event::Text(_) | Event::Pong),
                }
            }
        };
        let is_sent = Cell::new(false);
        let both = async {
            let sending = async {
                // The server may close the connection while it is sent to, and says why.
                let _ = writer.bytes(bytes).await;
                is_sent.set(true);
            };
            let ((), goes_on) = tokio::join!(sending, answer);
            goes_on
        };
        match timeout(ANSWER, both).await {
            Ok(true) => Ok(()),
            Err(_) if is_sent.get() => Ok(()),
            Ok(false) | Err(_) => Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Sends frames for ever, as fast as the server takes them, and reads what it says meanwhile.
    ///
    /// # Errors
    /// The server has ended the connection.
    pub async fn flood(self, next: impl FnMut(u64) -> Vec<u8>) -> Result<()> {
        let Self { mut reader, mut writer } = self;
        tokio::select! {
            result = flood(&mut writer, next) => {
                // The reason may be on its way.
                let _ = timeout(Duration::from_millis(20), reader.listen()).await;
                result
            }
            () = reader.listen() => Err(std::io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// As [`flood`](Self::flood), and reads nothing.
    pub async fn flood_unread(self, next: impl FnMut(u64) -> Vec<u8>) -> Result<()> {
        let Self { reader, mut writer } = self;
        let result = flood(&mut writer, next).await;
        drop::<Reader>(reader);
        result
    }
}

async fn flood(writer: &mut Writer, mut next: impl FnMut(u64) -> Vec<u8>) -> Result<()> {
    for number in 1.. {
        writer.bytes(&next(number)).await?;
        // Others of the case have their turn.
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn is_answer(text: &str) -> bool {
    ["state:change", "presence:changes", "channel:broadcast", "room:info"]
        .iter()
        .all(|kind| !text.starts_with(&format!(r#"{{"type":"{kind}""#)))
}

/// Waits for ever: the case ends when its time is over.
pub async fn hold<T>(connections: T) -> Result<()> {
    let _connections = connections;
    std::future::pending().await
}

/// Frames of version 1.
pub fn message(kind: &str, room: &str, payload: &str) -> String {
    format!(r#"{{"type":"{kind}","room":"{room}","payload":{payload}}}"#)
}

pub fn hello(id: &str) -> String {
    format!(r#"{{"type":"hello","payload":{{"client":"{id}"}}}}"#)
}

pub fn join(room: &str, payload: &str) -> String {
    message("room:join", room, payload)
}

pub fn change(room: &str, seq: u64, updates: &str) -> String {
    message("state:change", room, &format!(r#"{{"seq":{seq},"base":0,"updates":[{updates}]}}"#))
}

/// `count` things with commas between them.
pub fn list(count: usize, thing: impl Fn(usize) -> String) -> String {
    (0..count).map(thing).collect::<Vec<_>>().join(",")
}

/// An update without an operation.
pub fn set(key: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","value":{value}}}"#)
}

/// An update with an operation.
pub fn op(key: &str, op: &str, value: &str) -> String {
    format!(r#"{{"key":"{key}","op":"{op}","value":{value}}}"#)
}
