//! Measures what it costs to show 200 users each other's cursors, each of which moves 20 times a second, in
//! one room over real sockets; and how that affects writes of the room's state. Rounds with and without
//! presence take turns.
//!
//! The server is a separate process with a thread for each core. It shares the machine with the clients,
//! which are one thread of this process. `PRESENCE_USERS`, `PRESENCE_SECONDS` and `PRESENCE_ROUNDS` change
//! the size of the run.

#![allow(missing_docs)]

use std::io::{BufRead as _, BufReader, Error, Result};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::proto::{JoinRequest, client, presence};
use shared_state::server::Server;
use shared_state_tests::{BareFrames, cpu_of, send_bare};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// The time between two movements of a cursor.
const MOVE: Duration = Duration::from_millis(50);
/// The time between two writes of the state, unless the answer takes longer.
const WRITE: Duration = Duration::from_millis(20);

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
}

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--server") {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            println!("{}", listener.local_addr()?);
            Server::builder().rooms("doc", Document::default).build().serve(listener).await;
            Ok(())
        });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure())
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

struct Process(Child);

impl Process {
    fn start() -> Result<(Self, SocketAddr)> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--server")
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = process.stdout.take().ok_or_else(|| Error::other("no output"))?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(Error::other)?;
        Ok((Self(process), address))
    }

    /// The CPU time so far.
    fn cpu(&self) -> Result<Duration> {
        cpu_of(self.0.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What all clients together have received.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    bytes: AtomicU64,
    frames: AtomicU64,
    updates: AtomicU64,
    joined: AtomicU64,
    left: AtomicU64,
}

/// The receiving half of a client.
struct Reader {
    stream: tokio::net::tcp::OwnedReadHalf,
    frames: BareFrames,
}

impl Reader {
    /// Reads once and passes the complete frames to `each`.
    async fn read(&mut self, each: impl FnMut(&[u8])) -> Result<()> {
        self.frames.read(&mut self.stream, each).await
    }
}

/// Opens a connection that joins the room.
async fn connect(address: SocketAddr, name: &str) -> Result<(Reader, tokio::net::tcp::OwnedWriteHalf)> {
    let mut request = format!("ws://{address}/ws").into_client_request().map_err(Error::other)?;
    let json = shared_state::proto::JSON.parse().map_err(Error::other)?;
    request.headers_mut().insert("sec-websocket-protocol", json);
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(Error::other)?;
    let (read, mut write) = socket.into_inner().into_split();
    let mut reader = Reader { stream: read, frames: BareFrames::default() };
    send_bare(&mut write, client::hello(&format!("benchmark-client-{name}"), None).as_str()).await?;
    send_bare(&mut write, client::join("doc", &JoinRequest::default()).as_str()).await?;
    let mut frames = 0;
    while frames < 2 {
        reader.read(|_| frames += 1).await?;
    }
    Ok((reader, write))
}

/// How often `what` occurs in `text`.
fn count(text: &[u8], what: &[u8]) -> u64 {
    text.windows(what.len()).filter(|window| *window == what).count() as u64
}

/// A user who is present from the start and moves the cursor while `moving` is true.
async fn user(
    address: SocketAddr,
    number: usize,
    moving: Arc<AtomicBool>,
    counts: Arc<Counts>,
) -> Result<()> {
    let (mut reader, mut write) = connect(address, &format!("{number:06}")).await?;
    let user = format!(r#"{{"id":"user-{number}","name":"User {number}"}}"#);
    let first = presence::set("doc", Some(&user), Some(r#"{"x":0,"y":0}"#), None, None, None);
    send_bare(&mut write, first.as_str()).await?;
    let reading = counts.clone();
    tokio::spawn(async move {
        let looked_into = number == 0;
        let each = |frame: &[u8]| {
            if frame.starts_with(b"{\"type\":\"presence:") {
                reading.bytes.fetch_add(frame.len() as u64 + 4, Relaxed);
            }
            if looked_into && frame.starts_with(b"{\"type\":\"presence:changes\"") {
                reading.frames.fetch_add(1, Relaxed);
                reading.updates.fetch_add(count(frame, b"\"x\":"), Relaxed);
                reading.joined.fetch_add(count(frame, b"\"joined\":"), Relaxed);
                reading.left.fetch_add(count(frame, b"\"left\":"), Relaxed);
            }
        };
        while reader.read(each).await.is_ok() {}
    });
    let mut random = fastrand::Rng::with_seed(number as u64);
    tokio::spawn(async move {
        tokio::time::sleep(MOVE.mul_f64(random.f64())).await;
        let mut clock = tokio::time::interval(MOVE);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            clock.tick().await;
            if !moving.load(Relaxed) {
                continue;
            }
            let cursor = format!(r#"{{"x":{},"y":{}}}"#, random.u32(0..2000), random.u32(0..1000));
            let frame = presence::set("doc", None, Some(&cursor), None, None, None);
            let Ok(bytes) = send_bare(&mut write, frame.as_str()).await else { return };
            counts.sent.fetch_add(1, Relaxed);
            counts.sent_bytes.fetch_add(bytes, Relaxed);
        }
    });
    Ok(())
}

/// A client that writes the state and waits for each answer.
struct Writer {
    reader: Reader,
    write: tokio::net::tcp::OwnedWriteHalf,
    seq: u64,
}

impl Writer {
    /// The durations of the answers, one after the other.
    async fn round(&mut self, length: Duration) -> Result<Vec<Duration>> {
        let mut took = Vec::new();
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.seq += 1;
            let update = [r#"{"key":"title","value":"My Document"}"#];
            let frame = client::change("doc", self.seq, 0, false, update.into_iter(), None);
            let start = Instant::now();
            send_bare(&mut self.write, frame.as_str()).await?;
            let mut answered = false;
            while !answered {
                self.reader.read(|frame| answered |= frame.starts_with(b"{\"type\":\"state:ack\"")).await?;
            }
            took.push(start.elapsed());
            tokio::time::sleep(WRITE.saturating_sub(start.elapsed())).await;
        }
        Ok(took)
    }
}

/// How long after a user's connection broke another user is informed, while everyone moves.
async fn crash(address: SocketAddr, counts: &Counts, moving: &AtomicBool) -> Result<Duration> {
    moving.store(true, Relaxed);
    let mut times = Vec::new();
    for number in 0..20 {
        let before = (counts.joined.load(Relaxed), counts.left.load(Relaxed));
        let (reader, mut write) = connect(address, &format!("crash-{number}")).await?;
        let first = presence::set("doc", Some("1"), Some("1"), None, None, None);
        send_bare(&mut write, first.as_str()).await?;
        while counts.joined.load(Relaxed) == before.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        drop((reader, write));
        let start = Instant::now();
        while counts.left.load(Relaxed) == before.1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times.push(start.elapsed());
    }
    moving.store(false, Relaxed);
    Ok(percentile(&mut times, 1.0))
}

fn percentile(times: &mut [Duration], part: f64) -> Duration {
    times.sort();
    let at = ((times.len() as f64 - 1.0) * part).round() as usize;
    times.get(at).copied().unwrap_or_default()
}

async fn measure() -> Result<()> {
    let users = setting("PRESENCE_USERS", 200) as usize;
    let length = Duration::from_secs(setting("PRESENCE_SECONDS", 5));
    let rounds = setting("PRESENCE_ROUNDS", 3);
    let (process, address) = Process::start()?;
    let (moving, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
    for number in 0..users {
        user(address, number, moving.clone(), counts.clone()).await?;
    }
    let (reader, write) = connect(address, "writer").await?;
    let mut writer = Writer { reader, write, seq: 0 };
    writer.round(Duration::from_secs(1)).await?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    let (mut cpu_with, mut cpu_without) = (Duration::ZERO, Duration::ZERO);
    let mut bytes = 0;
    for _ in 0..rounds {
        let before = process.cpu()?;
        without.extend(writer.round(length).await?);
        cpu_without += process.cpu()? - before;

        moving.store(true, Relaxed);
        let (before, read) = (process.cpu()?, counts.bytes.load(Relaxed));
        with.extend(writer.round(length).await?);
        moving.store(false, Relaxed);
        cpu_with += process.cpu()? - before;
        bytes += counts.bytes.load(Relaxed) - read;
    }
    let seconds = length.as_secs_f64() * rounds as f64;
    let each = users as f64 * seconds;
    let sent = counts.sent.load(Relaxed) as f64;
    let frames = counts.frames.load(Relaxed) as f64;
    let updates = counts.updates.load(Relaxed) as f64;
    let sent_bytes = counts.sent_bytes.load(Relaxed) as f64;
    let gone = crash(address, &counts, &moving).await?;
    println!("{users} users, each moves its cursor every {MOVE:?}; one of them beside writes the state");
    println!("movements sent       {:>9.1} per user and second", sent / each);
    println!("bytes up             {:>9.0} per user and second", sent_bytes / each);
    println!("bytes down           {:>9.0} per user and second", bytes as f64 / each);
    println!("frames down          {:>9.1} per user and second", frames / seconds);
    println!("movements in a frame {:>9.1}", updates / frames);
    println!("bytes per movement   {:>9.1}", bytes as f64 / users as f64 / updates);
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / each;
    println!("the server's CPU     {:>9.0} µs per user and second", micros(cpu_with));
    println!("  without movement   {:>9.0} µs", micros(cpu_without));
    println!("gone after a crash   {gone:>9.1?} at most, of 20");
    println!("answers to writes    {:>12} {:>12} {:>8}", "p50", "p99", "writes");
    for (what, times) in [("without", &mut without), ("with", &mut with)] {
        let (half, most) = (percentile(times, 0.5), percentile(times, 0.99));
        println!("  {what:<18} {half:>12.1?} {most:>12.1?} {:>8}", times.len());
    }
    Ok(())
}
