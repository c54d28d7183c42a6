//! How a client is configured, and how its task is started.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::RETAINED;
use crate::client::task::core::{Core, Settings};
use crate::client::task::driver;
use crate::client::task::driver::{Bearer, Dial};
use crate::client::{Client, DisconnectReason};
use crate::replica::{LinkConfig, ReplicaConfig};

/// Configures a [`Client`].
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
        };
        Self { url, secret: None, bearer: None, settings }
    }

    /// The first and the longest wait between attempts to connect; it doubles in between. Default 1 s and 30 s.
    pub const fn backoff(mut self, initial: Duration, max: Duration) -> Self {
        self.settings.link.backoff.initial = initial;
        self.settings.link.backoff.max = max;
        self
    }

    /// The part of a wait that is random, 0 to 1: so that many clients do not return at once. Default 0.5.
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.settings.link.backoff.jitter = jitter;
        self
    }

    /// How many attempts in a row may fail before the client gives up; `None`: never. Default `None`.
    pub const fn attempts(mut self, attempts: Option<u32>) -> Self {
        self.settings.link.backoff.attempts = attempts;
        self
    }

    /// How long nothing may be heard before the server is asked for a sign of life, and how long its answer may
    /// take: a link that is dead without saying so is noticed within twice this. Default 30 s; the server's own value
    /// is taken if it is shorter.
    pub const fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.settings.link.heartbeat = heartbeat;
        self
    }

    /// How long an attempt to connect may take, and then again how long the server's welcome. Default 10 s.
    pub const fn handshake(mut self, handshake: Duration) -> Self {
        self.settings.link.handshake = handshake;
        self
    }

    /// How much may wait for an answer in one room, in changes and in bytes; beyond it a write is refused with
    /// [`WriteError::QueueFull`](crate::WriteError::QueueFull). Default 10,000 changes and 8 MiB.
    pub const fn max_queue(mut self, changes: usize, bytes: usize) -> Self {
        self.settings.replica.max_changes = changes;
        self.settings.replica.max_bytes = bytes;
        self
    }

    /// How many updates of one room can be undone, and how long a pause between two writes must be for them to be
    /// undone one by one. Default 1,000 and 500 ms.
    pub const fn undo(mut self, updates: usize, pause: Duration) -> Self {
        self.settings.replica.max_undo = updates;
        self.settings.replica.undo_pause = pause;
        self
    }

    /// Whether the server may send what it sends most in brief binary frames, which [`Client::on`] does not hear. Without
    /// them every message is JSON, to be read by people. Default true.
    pub const fn brief(mut self, brief: bool) -> Self {
        self.settings.replica.brief = brief;
        self
    }

    /// How long a client that is closed, or whose last handle was dropped, goes on trying to have everything
    /// answered. Default 5 s.
    pub const fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// How much of each channel is kept here, in messages and in bytes of JSON: beyond it the oldest are let go of, and
    /// a stream that has not given them yet says which. At least the last. Default 1,000 messages and 4 MiB.
    pub const fn channel_buffer(mut self, messages: usize, bytes: usize) -> Self {
        self.settings.messages = (messages, bytes);
        self
    }

    /// How many events a stream of events keeps for an app that does not take them; beyond it the oldest are dropped
    /// and the stream says how many. At least 1. Default 1,024.
    pub const fn event_buffer(mut self, events: usize) -> Self {
        self.settings.events = events;
        self
    }

    /// How often a transaction is run again because somebody else was faster. Default 8.
    pub const fn reruns(mut self, reruns: u32) -> Self {
        self.settings.reruns = reruns;
        self
    }

    /// The client's secret id: 16 to 128 printable ASCII characters that nobody can guess. Two clients with the same
    /// id drive each other out. Default: 128 random bits.
    pub fn client_id(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }

    /// A token that says who this is, sent as an `Authorization: Bearer` header with each attempt to connect. If the
    /// server does not want it, the client [ends](crate::client::DisconnectReason::Refused).
    pub fn bearer(mut self, token: impl Into<String>) -> Self {
        self.bearer = Some(Bearer::Fixed(token.into().into()));
        self
    }

    /// The same, with a token that is asked for before each attempt to connect, and a while before the server says
    /// that the one in use expires: for tokens that do. The newer one is told over the connection that stands,
    /// which goes on. If there is none by then, the server ends the connection with
    /// [`Code::Expired`](crate::core::Code::Expired) and the client connects again; what was not answered waits
    /// meanwhile as it does whenever there is no connection.
    ///
    /// It is asked one minute before the end, or when a fifth of the time is left if that is later. An error then
    /// is logged; before an attempt it is an attempt that failed. The token is part of the attempt's time,
    /// [`handshake`](Self::handshake): what takes longer is dropped.
    pub fn bearer_with<E, F>(mut self, token: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        E: fmt::Display,
        F: Future<Output = Result<String, E>> + Send + 'static,
    {
        self.bearer = Some(Bearer::Asked(Arc::new(move || {
            let token = token();
            Box::pin(async move { token.await.map_err(|error| error.to_string()) })
        })));
        self
    }

    /// Makes the client and begins to connect. Returns at once and never fails: what can never work (an URL that is
    /// none, `wss://` without the feature `rustls`) is [`Status::Disconnected`](crate::client::Status::Disconnected)
    /// from the beginning, and logged.
    ///
    /// Inside a tokio runtime, which must have its I/O and time drivers enabled, the client is one task of it.
    /// Outside, it is one thread with a runtime of its own.
    #[must_use]
    pub fn connect(self) -> Client {
        let Self { url, secret, bearer, settings } = self;
        let core = Arc::new(Core::new(settings));
        let client = Client::new(core.clone());
        let started = match Dial::new(url, bearer) {
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
