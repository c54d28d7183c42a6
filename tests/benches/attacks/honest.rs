//! The honest client: in a room of its own it writes at a steady rate, on a thread of its own, and measures how long each
//! write takes to be acknowledged.

use std::collections::VecDeque;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Deserialize;
use shared_state::proto::client;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::answers::Answers;
use crate::raw::{Event, PONG, Raw, frame, request, tcp, v1};

/// Its address; those of the attackers are others.
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const ROOM: &str = "honest";
/// Time between two writes.
const PERIOD: Duration = Duration::from_millis(10);
/// The most writes that wait for their answer, less than the server's window.
const WINDOW: usize = 100;
/// The longest time that a write or a visit may take before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the client knows about its writes, over all of its connections.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// The number of the last write.
    written: u64,
    /// The number of the last write that was acknowledged, and how many were.
    last: u64,
    acknowledged: u64,
    /// How many were on their way when a connection ended.
    uncertain: u64,
}

#[derive(Default)]
struct Shared {
    ledger: Ledger,
    /// When the writes on their way were sent, with their numbers, and those on the connection.
    sent: VecDeque<(u64, u64, Instant)>,
    times: Vec<Duration>,
    faults: Vec<String>,
    paused: bool,
    stopped: bool,
}

impl Shared {
    /// Returns whether to connect again.
    fn disconnected(&mut self, error: &Error) -> bool {
        self.ledger.uncertain += self.sent.len() as u64;
        self.sent.clear();
        if !self.stopped {
            self.faults.push(format!("the honest client lost its connection: {error}"));
        }
        !self.stopped
    }
}

/// The honest client.
pub struct Honest {
    shared: Arc<Mutex<Shared>>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Honest {
    /// Starts it against a server whose rooms have what `ledger` says.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(address: SocketAddr, ledger: Ledger) -> Result<Self> {
        let shared = Arc::new(Mutex::new(Shared { ledger, ..Shared::default() }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let writing = shared.clone();
        let thread = std::thread::Builder::new().name("honest".to_owned()).spawn(move || {
            runtime.block_on(async {
                while let Err(error) = write(&writing, address).await {
                    if !lock(&writing).disconnected(&error) {
                        return;
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            });
        })?;
        Ok(Self { shared, address, thread: Some(thread) })
    }

    /// The times of the writes since the last call. Waits for the writes on their way.
    pub fn take_times(&self) -> Vec<Duration> {
        self.pause(true);
        let times = std::mem::take(&mut lock(&self.shared).times);
        self.pause(false);
        times
    }

    /// What went wrong since the last call.
    pub fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.shared).faults)
    }

    /// Checks as a new visitor that every acknowledged write is there. Writes wait meanwhile.
    ///
    /// # Errors
    /// A write is missing or was applied twice, or the visitor was not let in in time.
    pub async fn check(&self) -> Result<()> {
        self.pause(true);
        let visit = async {
            let mut raw = join(self.address).await?;
            raw.reader.expect("state:sync").await
        };
        let text = timeout(PATIENCE, visit).await;
        let ledger = lock(&self.shared).ledger.clone();
        self.pause(false);
        let text = text.map_err(|_| Error::other("a new visitor was not let in in time"))?;
        let text = text.map_err(|error| Error::other(format!("a new visitor was not let in: {error}")))?;
        let state: Sync = serde_json::from_str(&text).map_err(Error::other)?;
        let Data { total, ann } = state.payload.data;
        let wanted = ledger.acknowledged..=ledger.acknowledged + ledger.uncertain;
        if !wanted.contains(&total) || ann < ledger.last {
            return Err(Error::other(format!(
                "{} writes were acknowledged, {} are uncertain, the last one is {}; the room has {total}, and the last \
                 one is {ann}",
                ledger.acknowledged, ledger.uncertain, ledger.last
            )));
        }
        Ok(())
    }

    fn pause(&self, paused: bool) {
        lock(&self.shared).paused = paused;
        if paused {
            self.wait();
        }
    }

    /// Waits for the writes on their way.
    fn wait(&self) {
        let begun = Instant::now();
        loop {
            let mut shared = lock(&self.shared);
            if shared.sent.is_empty() {
                return;
            }
            if begun.elapsed() > PATIENCE {
                shared.faults.push(format!("a write was not acknowledged within {PATIENCE:?}"));
                return;
            }
            drop(shared);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Writes no more and does not connect again.
    pub fn finish(&self) {
        lock(&self.shared).stopped = true;
        self.wait();
    }

    /// What it has written, when its connection has ended after [`finish`](Self::finish).
    pub fn ledger(&mut self) -> Ledger {
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed, and the missing writes are noticed.
            let _ = thread.join();
        }
        std::mem::take(&mut lock(&self.shared).ledger)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn join(address: SocketAddr) -> Result<Raw> {
    let mut raw = Raw::open(tcp(HOST, address).await?, Answers::default(), &request(&v1())).await?;
    let id = format!("honest-client-{:016x}", fastrand::u64(..));
    raw.writer.text(client::hello(&id, None).as_str()).await?;
    raw.reader.expect("welcome").await?;
    raw.writer.text(client::join(ROOM, &Default::default()).as_str()).await?;
    Ok(raw)
}

/// Writes over one connection, until it ends or the client is stopped.
async fn write(shared: &Mutex<Shared>, address: SocketAddr) -> Result<()> {
    let mut raw = timeout(PATIENCE, async {
        let mut raw = join(address).await?;
        raw.reader.expect("state:sync").await?;
        Ok::<_, Error>(raw)
    })
    .await??;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seq = 0;
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let number = {
                    let mut shared = lock(shared);
                    if shared.stopped && shared.sent.is_empty() {
                        return Ok(());
                    }
                    if shared.paused || shared.stopped || shared.sent.len() >= WINDOW {
                        continue;
                    }
                    seq += 1;
                    shared.ledger.written += 1;
                    let number = shared.ledger.written;
                    shared.sent.push_back((number, seq, Instant::now()));
                    number
                };
                let updates = [
                    r#"{"key":"total","op":"add","value":1}"#.to_owned(),
                    format!(r#"{{"key":"ann","value":{number}}}"#),
                ];
                let updates = updates.iter().map(String::as_str);
                raw.writer.text(client::change(ROOM, seq, 0, false, updates, None).as_str()).await?;
            }
            event = raw.reader.next() => match event {
                Event::Text(text) => answered(&mut lock(shared), &text)?,
                Event::Ping => raw.writer.bytes(&frame(PONG, [])).await?,
                Event::Binary | Event::Pong => {}
                Event::Close | Event::Ended => return Err(Error::other("the server closed it")),
            },
        }
    }
}

fn answered(shared: &mut Shared, text: &str) -> Result<()> {
    let answer: Answer = serde_json::from_str(text).map_err(Error::other)?;
    let acks = match answer.kind.as_str() {
        "state:ack" => vec![answer.payload.seq],
        "state:sync" | "state:delta" => answer.payload.answers.acks.iter().map(|(seq, _)| *seq).collect(),
        _ => return Err(Error::other(format!("the server said {text}"))),
    };
    let now = Instant::now();
    for ack in acks {
        while let Some((number, seq, sent)) = shared.sent.front().copied()
            && seq <= ack
        {
            shared.sent.pop_front();
            shared.times.push(now - sent);
            shared.ledger.acknowledged += 1;
            shared.ledger.last = number;
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: String,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    answers: Acks,
}

#[derive(Deserialize, Default)]
struct Acks {
    #[serde(default)]
    acks: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct Sync {
    payload: State,
}

#[derive(Deserialize)]
struct State {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    total: u64,
    ann: u64,
}
