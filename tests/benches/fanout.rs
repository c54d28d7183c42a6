//! Measures what it costs a server to send one small change to everyone in a room, and to hold an idle
//! connection, compared with two lower bounds in the same run: (a) tokio-tungstenite with a task for each
//! connection and 4 kB buffers, which parses nothing; (b) one loop that writes the encoded frame directly to
//! every socket.
//!
//! Each server is a separate process with one thread; its CPU time is the one that the system reports. The
//! contestants take turns, and the median is printed, with the ratios to the lower bounds.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Error, Result};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::proto::Limits;
use shared_state::server::Server;
use shared_state_tests::{BareFrames, cpu_of, send_bare};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

const CONTESTANTS: [&str; 3] = ["ours", "task", "loop"];
const ROUNDS: usize = 5;
/// The number of receivers, and of changes in a round.
const SIZES: [(usize, u64); 3] = [(1, 4000), (100, 400), (1000, 60)];
const IDLE: usize = 2000;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match arguments.iter().position(|argument| argument == "--server") {
        Some(at) => runtime.block_on(serve(arguments.get(at + 1).map_or("", String::as_str))),
        None => runtime.block_on(measure()),
    }
}

// The servers.

async fn serve(kind: &str) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    match kind {
        "ours" => {
            // All come from one address, at once.
            let mut limits = Limits::default();
            limits.connections_per_address = usize::MAX;
            limits.handshakes_per_address = 100_000;
            let server = Server::builder().rooms("doc", Document::default).limits(limits).build();
            server.serve(listener).await;
        }
        "task" => task_per_connection(listener).await?,
        "loop" => one_loop(listener).await?,
        other => return Err(Error::other(format!("no server is called `{other}`"))),
    }
    Ok(())
}

/// A frame of the same length as the one that this library's server sends for the change.
fn delivery() -> String {
    let frame = shared_state::proto::server::change(
        "doc",
        1000,
        "0123456789abcdef",
        r#"[{"key":"title","value":"My Document"}]"#,
        None,
    );
    frame.as_str().to_owned()
}

/// Lower bound (a).
async fn task_per_connection(listener: TcpListener) -> Result<()> {
    let peers: Arc<std::sync::Mutex<Vec<mpsc::Sender<Message>>>> = Arc::default();
    let frame = Message::text(delivery());
    loop {
        let (stream, _) = listener.accept().await?;
        let (peers, frame) = (peers.clone(), frame.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let (is_writer, mut socket) = accept(stream).await?;
            let (sender, mut queue) = mpsc::channel(256);
            if !is_writer && let Ok(mut peers) = peers.lock() {
                peers.push(sender);
            }
            loop {
                tokio::select! {
                    message = socket.next() => match message {
                        Some(Ok(Message::Text(_))) => {
                            if let Ok(peers) = peers.lock() {
                                for peer in peers.iter() {
                                    let _ = peer.try_send(frame.clone());
                                }
                            }
                            socket.send(Message::text("ack")).await.map_err(Error::other)?;
                        }
                        Some(Ok(_)) => {}
                        _ => return Ok::<(), Error>(()),
                    },
                    Some(message) = queue.recv() => socket.send(message).await.map_err(Error::other)?,
                }
            }
        });
    }
}

/// Lower bound (b).
async fn one_loop(listener: TcpListener) -> Result<()> {
    let text = delivery();
    let mut frame = vec![0x81, 126, 0, 0];
    let length = u16::try_from(text.len()).map_err(Error::other)?;
    frame[2..].copy_from_slice(&length.to_be_bytes());
    if length < 126 {
        frame = vec![0x81, text.len() as u8];
    }
    frame.extend_from_slice(text.as_bytes());
    let mut peers = Vec::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (is_writer, mut socket) = accept(stream).await?;
        if !is_writer {
            peers.push(socket.into_inner());
            continue;
        }
        while let Some(Ok(Message::Text(_))) = socket.next().await {
            for peer in &peers {
                peer.try_write(&frame)?;
            }
            socket.send(Message::text("ack")).await.map_err(Error::other)?;
        }
    }
}

#[allow(clippy::result_large_err)] // The handshake's own type.
async fn accept(stream: TcpStream) -> Result<(bool, tokio_tungstenite::WebSocketStream<TcpStream>)> {
    let mut is_writer = false;
    let config = WebSocketConfig::default().read_buffer_size(4 << 10).write_buffer_size(4 << 10);
    let look = |request: &Request, response: Response| -> std::result::Result<Response, ErrorResponse> {
        is_writer = request.uri().query() == Some("writer");
        Ok(response)
    };
    let socket = tokio_tungstenite::accept_hdr_async_with_config(stream, look, Some(config)).await;
    Ok((is_writer, socket.map_err(Error::other)?))
}

// The measuring process.

struct Contestant {
    process: Child,
    address: SocketAddr,
    ours: bool,
}

impl Contestant {
    fn start(kind: &str) -> Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--server", kind])
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or_else(|| Error::other("no output"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(Error::other)?;
        Ok(Self { process, address, ours: kind == "ours" })
    }

    /// The CPU time so far, in nanoseconds.
    fn cpu(&self) -> Result<u64> {
        u64::try_from(cpu_of(self.process.id())?.as_nanos()).map_err(Error::other)
    }

    /// The resident memory, in kB.
    fn memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
        line.trim().trim_end_matches(" kB").parse().map_err(Error::other)
    }

    /// Opens a connection, which joins the room if the server is this library's.
    async fn connect(&self, client: usize, query: &str) -> Result<TcpStream> {
        let url = format!("ws://{}/ws{query}", self.address);
        let mut request = url.into_client_request().map_err(Error::other)?;
        if self.ours {
            let json = "shared-state.v1.json".parse().map_err(Error::other)?;
            request.headers_mut().insert("sec-websocket-protocol", json);
        }
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(Error::other)?;
        let mut stream = socket.into_inner();
        if self.ours {
            let hello = shared_state::proto::client::hello(&format!("benchmark-client-{client:06}"), None);
            let join = shared_state::proto::client::join("doc", &shared_state::proto::JoinRequest::default());
            send_bare(&mut stream, hello.as_str()).await?;
            send_bare(&mut stream, join.as_str()).await?;
            let (mut frames, mut seen) = (BareFrames::default(), 0);
            while seen < 2 {
                seen += count(&mut frames, &mut stream).await?;
            }
        }
        Ok(stream)
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads once; returns how many complete frames were received.
async fn count(frames: &mut BareFrames, stream: &mut TcpStream) -> Result<u64> {
    let mut count = 0;
    frames.read(stream, |_| count += 1).await?;
    Ok(count)
}

async fn measure() -> Result<()> {
    println!("CPU of the server's process per delivery, median of {ROUNDS} rounds in turns");
    println!(
        "{:>9} {:>10} {:>10} {:>10} {:>9} {:>9}",
        "receivers", "ours", "(a) task", "(b) loop", "ours/(a)", "ours/(b)"
    );
    for (receivers, changes) in SIZES {
        let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        let mut rooms = Vec::new();
        for kind in CONTESTANTS {
            rooms.push((kind, Room::open(kind, receivers).await?));
        }
        for round in 0..=ROUNDS {
            for (kind, room) in &mut rooms {
                let nanoseconds = room.round(changes).await?;
                // The first round warms up.
                if round > 0 {
                    let deliveries = (changes * receivers as u64) as f64;
                    times.entry(kind).or_default().push(nanoseconds as f64 / 1000.0 / deliveries);
                }
            }
        }
        let median = |kind: &str| {
            let mut times = times.get(kind).cloned().unwrap_or_default();
            times.sort_by(f64::total_cmp);
            times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let [ours, task, one] = CONTESTANTS.map(median);
        println!(
            "{receivers:>9} {ours:>7.2} µs {task:>7.2} µs {one:>7.2} µs {:>9.2} {:>9.2}",
            ours / task,
            ours / one
        );
    }
    println!("\nmemory per idle connection, {IDLE} of them after the first 100");
    for kind in CONTESTANTS {
        let server = Contestant::start(kind)?;
        let mut connections = Vec::new();
        for client in 0..100 {
            connections.push(server.connect(client, "").await?);
        }
        let before = server.memory()?;
        for client in 100..100 + IDLE {
            connections.push(server.connect(client, "").await?);
        }
        println!("{kind:>9} {:>7.2} kB", (server.memory()? - before) / IDLE as f64);
    }
    Ok(())
}

/// A server, its receivers and the writer.
struct Room {
    server: Contestant,
    writer: TcpStream,
    acks: BareFrames,
    seq: u64,
    received: Arc<AtomicU64>,
    receivers: u64,
    expected: u64,
}

impl Room {
    async fn open(kind: &str, receivers: usize) -> Result<Self> {
        let server = Contestant::start(kind)?;
        let received = Arc::new(AtomicU64::new(0));
        for client in 0..receivers {
            let mut stream = server.connect(client, "").await?;
            let received = received.clone();
            tokio::spawn(async move {
                let mut frames = BareFrames::default();
                while let Ok(count) = count(&mut frames, &mut stream).await {
                    received.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
        let writer = server.connect(receivers, "?writer").await?;
        Ok(Self {
            server,
            writer,
            acks: BareFrames::default(),
            seq: 0,
            received,
            receivers: receivers as u64,
            expected: 0,
        })
    }

    /// Sends changes one after the other, each when every receiver has the one before. Returns the CPU time
    /// of the server.
    async fn round(&mut self, changes: u64) -> Result<u64> {
        let before = self.server.cpu()?;
        for _ in 0..changes {
            self.seq += 1;
            self.expected += self.receivers;
            let update = [r#"{"key":"title","value":"My Document"}"#];
            let frame =
                shared_state::proto::client::change("doc", self.seq, 0, false, update.into_iter(), None);
            send_bare(&mut self.writer, frame.as_str()).await?;
            while count(&mut self.acks, &mut self.writer).await? == 0 {}
            while self.received.load(Ordering::Relaxed) < self.expected {
                tokio::task::yield_now().await;
            }
        }
        Ok(self.server.cpu()? - before)
    }
}
