//! The configuration of a client, and the start of its task.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::RETAINED;
use crate::client::task::dial::{Bearer, Dial};
use crate::client::task::driver;
use crate::client::task::shared::{Core, Settings};
use crate::client::{Client, DisconnectReason};
use crate::replica::{LinkConfig, ReplicaConfig};

/// Configures a [`Client`]. Made by [`Client::builder`]; [`connect`](Self::connect) creates the client.
#[derive(Clone)]
#[must_use = "nothing happens before `connect`"]
pub struct ClientBuilder {
    url: String,
    secret: Option<String>,
    bearer: Option<Bearer>,
    settings: Settings,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    pub(super) fn new(url: String) -> Self {
        let settings = Settings {
            link: LinkConfig::default(),
            replica: ReplicaConfig::default(),
            linger: Duration::from_secs(5),
            events: 1024,
            reruns: 8,
            messages: RETAINED,
            max_message: 64 << 20,
        };
        Self { url, secret: None, bearer: None, settings }
    }

    /// The first and the longest wait between attempts to connect. The wait doubles after each failed
    /// attempt. Default 1 s and 30 s.
    pub const fn backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.settings.link.backoff.initial = initial;
        self.settings.link.backoff.max = max;
        self
    }

    /// The random part of a wait, 0 to 1, so that many clients do not reconnect at the same time. Default
    /// 0.5.
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.settings.link.backoff.jitter = jitter;
        self
    }

    /// How many attempts in a row may fail before the client gives up. `None`, the default: it never does.
    pub const fn attempts(mut self, attempts: Option<u32>) -> Self {
        self.settings.link.backoff.attempts = attempts;
        self
    }

    /// After this long without a message from the server the client sends a ping, and after as long again
    /// without an answer it drops the connection. So a half-open connection is detected within twice this
    /// time. The server's own heartbeat is used if it is shorter. Default 30 s.
    pub const fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.settings.link.heartbeat = heartbeat;
        self
    }

    /// How long an attempt to connect may take, and then how long the server's welcome may take. Default 10
    /// s.
    pub const fn handshake(mut self, handshake: Duration) -> Self {
        self.settings.link.handshake = handshake;
        self
    }

    /// How much may wait for an answer in one room, in changes and in bytes of JSON. Beyond that a write
    /// fails with [`WriteError::QueueFull`](crate::WriteError::QueueFull). Default 10,000 changes and 8 MiB.
    pub const fn max_queue(mut self, changes: usize, bytes: usize) -> Self {
        self.settings.replica.max_changes = changes;
        self.settings.replica.max_bytes = bytes;
        self
    }

    /// How many updates in one room can be undone, and how long the pause between two writes must be for them
    /// to be undone separately. The newest change can be undone however many updates it has, up to 8 MiB. Default
    /// 1,000 updates and 500 ms.
    pub const fn undo(mut self, updates: usize, pause: Duration) -> Self {
        self.settings.replica.max_undo = updates;
        self.settings.replica.undo_pause = pause;
        self
    }

    /// Whether the server may send its most frequent messages as compact binary frames. [`Client::on`] does
    /// not receive these. Without them every message is JSON, which is easier to debug. Default true.
    pub const fn compact_frames(mut self, compact_frames: bool) -> Self {
        self.settings.replica.compact_frames = compact_frames;
        self
    }

    /// The longest message that the client takes from the server, in bytes. It must be longer than the state of any of
    /// the rooms, which the server limits to 4 MiB by default. A longer message ends the connection, and the room whose
    /// state it was is then joined less and less often, so that the other rooms live on. Default 64 MiB.
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.settings.max_message = bytes;
        self
    }

    /// How long a client that is closed, or whose last handle was dropped, keeps trying to get everything
    /// answered. Default 5 s.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// How many messages of each channel the client stores, and how many bytes of JSON. Beyond that the
    /// oldest are dropped, and a stream that has not returned them yet reports which. The last message is
    /// always stored. Default 1,000 messages and 4 MiB.
    pub const fn channel_buffer(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.messages = (messages, bytes);
        self
    }

    /// How many events a stream of events stores for an app that reads too slowly. Beyond that the oldest are
    /// dropped, and the stream reports how many. At least 1. Default 1,024.
    pub const fn event_buffer(mut self, events: usize) -> Self {
        self.settings.events = events;
        self
    }

    /// How often a transaction is run again after a conflict. Default 8.
    pub const fn reruns(mut self, reruns: u32) -> Self {
        self.settings.reruns = reruns;
        self
    }

    /// The client's secret id: 16 to 128 printable ASCII characters that nobody can guess. If two clients use
    /// the same id, the server disconnects the one that connected first. Default: 128 random bits.
    pub fn client_id(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// A token that identifies the user, sent as an `Authorization: Bearer` header with each attempt to
    /// connect. If the server rejects it, the client [ends](crate::client::DisconnectReason::Refused).
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.bearer = Some(Bearer::Fixed(token.into().into()));
        self
    }

    /// As [`bearer`](Self::bearer), for tokens that expire: `token` is called before each attempt to connect,
    /// and again some time before the current token expires, as reported by the server. The new token is sent
    /// over the open connection, which continues. If there is none in time, the server closes the connection
    /// with [`Code::Expired`](crate::core::Code::Expired), and the client reconnects; unanswered changes
    /// wait, as they do whenever there is no connection.
    ///
    /// `token` is called one minute before the expiry, or when a fifth of the remaining time is left if that
    /// is later. An error then is logged; an error before an attempt makes the attempt fail. Getting the
    /// token counts towards the time of the attempt, [`handshake`](Self::handshake); a future that takes
    /// longer is dropped.
    pub fn bearer_with<E, F>(mut self, token: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        E: fmt::Display,
        F: Future<Output = Result<String, E>> + Send + 'static,
    {
        self.bearer = Some(Bearer::Callback(Arc::new(move || {
            let token = token();
            Box::pin(async move { token.await.map_err(|error| error.to_string()) })
        })));
        self
    }

    /// Creates the client and starts to connect. Returns at once and never fails. What can never work (an
    /// invalid URL, `wss://` without the feature `rustls`) is logged, and is
    /// [`Status::Disconnected`](crate::client::Status::Disconnected) from the start.
    ///
    /// Inside a tokio runtime, whose I/O and time drivers must be enabled, the client is a task of that
    /// runtime. Outside, it is a thread with its own runtime.
    #[must_use]
    pub fn connect(self) -> Client {
        let Self { url, secret, bearer, settings } = self;
        let core = Arc::new(Core::new(settings));
        let client = Client::new(core.clone());
        let started = match Dial::new(url, bearer, settings.max_message) {
            Ok(dial) => start(core.clone(), dial, secret),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = started {
            tracing::error!(%reason, "the client cannot connect");
            core.end(reason);
        }
        client
    }
}

fn start(core: Arc<Core>, dial: Dial, secret: Option<String>) -> Result<(), DisconnectReason> {
    let secret = match secret {
        Some(secret) => secret,
        None => random_id()
            .map_err(|error| DisconnectReason::Start(format!("no random client id: {error}").into()))?,
    };
    let task = driver::run(core, dial, secret);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| DisconnectReason::Start(format!("no runtime: {error}").into()))?;
    std::thread::Builder::new()
        .name("shared-state".into())
        .spawn(move || runtime.block_on(task))
        .map(drop)
        .map_err(|error| DisconnectReason::Start(format!("no thread: {error}").into()))
}

fn random_id() -> Result<String, getrandom::Error> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bits)))
}
