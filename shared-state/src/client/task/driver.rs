//! The task of a client: connects, keeps the connection, waits after it broke, and repeats that until the
//! client is closed.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::{IntoClientRequest as _, uri_mode};
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::stream::Mode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::client::task::shared::{Core, EndWithTask};
use crate::client::task::slots::AnyPresence;
use crate::client::task::slots::AnyReplica;
use crate::client::{DisconnectReason, Status, lock};
use crate::proto;
use crate::replica::Link;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The read and the write buffer of a connection, in bytes.
const BUFFER: usize = 16 << 10;

pub(crate) type Token = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// The source of the token that identifies the user.
#[derive(Clone)]
pub(crate) enum Bearer {
    /// Always this token.
    Fixed(Arc<str>),
    /// The token that this function returns, called for each attempt and before the current token expires.
    Callback(Arc<dyn Fn() -> Token + Send + Sync>),
}

/// Where and with which token to connect.
#[derive(Clone)]
pub(crate) struct Dial {
    url: String,
    bearer: Option<Bearer>,
}

impl Dial {
    pub(crate) fn new(url: String, bearer: Option<Bearer>) -> Result<Self, DisconnectReason> {
        let unusable = |error: Error| DisconnectReason::Url(format!("{url}: {error}").into());
        let request = url.as_str().into_client_request().map_err(unusable)?;
        let mode = uri_mode(request.uri()).map_err(unusable)?;
        if matches!(mode, Mode::Tls) && cfg!(not(feature = "rustls")) {
            return Err(DisconnectReason::Url(
                format!("{url}: `wss://` needs the crate's feature `rustls`").into(),
            ));
        }
        Ok(Self { url, bearer })
    }

    /// Asks for a newer token, if the source can give one.
    pub(crate) fn renew_token(&self) -> Option<Token> {
        match &self.bearer {
            Some(Bearer::Callback(token)) => Some(token()),
            Some(Bearer::Fixed(_)) | None => None,
        }
    }

    async fn connect(&self) -> Result<Socket, Arc<str>> {
        let token: Option<Arc<str>> = match &self.bearer {
            None => None,
            Some(Bearer::Fixed(token)) => Some(token.clone()),
            Some(Bearer::Callback(token)) => {
                Some(token().await.map_err(|error| format!("could not get a token: {error}"))?.into())
            }
        };
        self.open(token.as_deref()).await.map_err(|error| error.to_string().into())
    }

    async fn open(&self, bearer: Option<&str>) -> Result<Socket, Error> {
        // Made for each attempt, because every request has its own WebSocket key.
        let mut request = self.url.as_str().into_client_request()?;
        let subprotocol = HeaderValue::from_static(proto::JSON);
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, subprotocol);
        if let Some(bearer) = bearer {
            let mut token = HeaderValue::try_from(format!("Bearer {bearer}"))?;
            token.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(BUFFER);
        let no_delay = true;
        #[cfg(feature = "rustls")]
        let connecting = {
            let connector = tls_connector()?;
            tokio_tungstenite::connect_async_tls_with_config(request, Some(config), no_delay, Some(connector))
        };
        #[cfg(not(feature = "rustls"))]
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), no_delay);
        let (socket, _) = connecting.await?;
        Ok(socket)
    }
}

/// TLS with the web's root certificates and with the program's cryptography provider, if it has installed
/// one. Chosen explicitly, because rustls panics if no provider is installed and its features name none, or
/// two.
#[cfg(feature = "rustls")]
fn tls_connector() -> Result<tokio_tungstenite::Connector, Error> {
    use rustls::crypto::{CryptoProvider, ring};

    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
    let provider =
        CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Io(std::io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_tungstenite::Connector::Rustls(Arc::new(config)))
}

/// How a connection, or an attempt to connect, ended.
pub(crate) enum End {
    /// The connection was lost; there will be another attempt.
    Lost(Arc<str>),
    /// The client ends.
    Final(DisconnectReason),
}

pub(crate) struct Driver {
    pub(crate) core: Arc<Core>,
    pub(crate) link: Link,
    /// The rooms and channels, as of `generation`.
    pub(crate) replicas: Vec<Arc<dyn AnyReplica>>,
    /// The presences. Compared with the shared ones before each step.
    pub(crate) presences: Vec<Arc<dyn AnyPresence>>,
    generation: u64,
    /// Counts connections, from 1.
    pub(crate) connection: u64,
    /// How many attempts in a row have failed.
    pub(crate) failed: u32,
    /// Until when a client that is closing waits for answers.
    closing: Option<Duration>,
    pub(crate) dial: Dial,
}

/// Runs a client until it ends.
pub(crate) async fn run(core: Arc<Core>, dial: Dial, secret: String) {
    let end = EndWithTask(core.clone());
    let mut driver = Driver {
        link: Link::new(secret, core.settings.link),
        core,
        replicas: Vec::new(),
        presences: Vec::new(),
        generation: 0,
        connection: 0,
        failed: 0,
        closing: None,
        dial,
    };
    let reason = driver.run().await;
    match &reason {
        DisconnectReason::Closed => tracing::debug!("the client has ended"),
        reason => tracing::error!(%reason, "the client has ended"),
    }
    end.0.end(reason);
}

impl Driver {
    async fn run(&mut self) -> DisconnectReason {
        loop {
            let end = match self.connect().await {
                Ok(socket) => {
                    let end = self.run_connection(socket).await;
                    self.link.closed();
                    self.replicas.iter().for_each(|replica| replica.detach());
                    self.presences.iter().for_each(|presence| presence.detach());
                    end
                }
                Err(end) => end,
            };
            match end {
                End::Final(reason) => return reason,
                End::Lost(cause) => {
                    if let Err(reason) = self.pause(cause).await {
                        return reason;
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Socket, End> {
        let core = self.core.clone();
        let timeout = core.settings.link.handshake;
        let dial = self.dial.clone();
        let mut attempt = std::pin::pin!(tokio::time::timeout(timeout, dial.connect()));
        loop {
            self.refresh();
            if self.is_done() {
                return Err(End::Final(DisconnectReason::Closed));
            }
            let error: Arc<str> = tokio::select! {
                socket = &mut attempt => match socket {
                    Ok(Ok(socket)) => return Ok(socket),
                    Ok(Err(error)) => error,
                    Err(_) => format!("no answer within {timeout:?}").into(),
                },
                () = core.signal.wake.notified() => continue,
                () = self.sleep_until(self.closing) => continue,
            };
            self.failed = self.failed.saturating_add(1);
            return Err(End::Lost(error));
        }
    }

    /// Waits until the next attempt is due.
    async fn pause(&mut self, cause: Arc<str>) -> Result<(), DisconnectReason> {
        let Some(wait) = self.wait() else {
            return Err(DisconnectReason::GaveUp { attempts: self.failed, cause });
        };
        let core = self.core.clone();
        let attempt = self.failed.saturating_add(1);
        let until = core.signal.now() + wait;
        tracing::warn!(%cause, attempt, ?wait, "not connected, waiting for the next attempt");
        let next_try = core.signal.instant(until);
        core.status.send_replace(Status::Reconnecting { attempt, next_try, cause });
        loop {
            self.refresh();
            if self.is_done() {
                return Err(DisconnectReason::Closed);
            }
            let until = self.closing.map_or(until, |closing| closing.min(until));
            tokio::select! {
                () = self.sleep_until(Some(until)) => return Ok(()),
                () = core.signal.wake.notified() => {}
            }
        }
    }

    /// How long to wait before the next attempt; `None`: give up.
    fn wait(&self) -> Option<Duration> {
        self.core.settings.link.backoff.wait(self.failed, fastrand::f64())
    }

    /// Waits until this time, or forever if there is none.
    pub(crate) fn sleep_until(&self, until: Option<Duration>) -> impl Future<Output = ()> + use<> {
        let until = until.map(|until| self.core.signal.instant(until));
        async move {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Picks up what the handles did: rooms that were opened, rooms without a handle, the closing of the
    /// client. Returns the rooms to leave.
    pub(crate) fn refresh(&mut self) -> Vec<Arc<str>> {
        let mut left = Vec::new();
        if self.replicas.iter().any(|replica| replica.is_abandoned() && replica.pending() == 0) {
            let mut rooms = lock(&self.core.rooms);
            rooms.replicas.retain(|room, replica| {
                let leave = replica.is_abandoned() && replica.pending() == 0;
                if leave {
                    left.push(room.clone());
                }
                !leave
            });
            rooms.generation += 1;
        }
        {
            let rooms = lock(&self.core.rooms);
            if self.generation != rooms.generation {
                self.generation = rooms.generation;
                self.replicas = rooms.replicas.values().cloned().collect();
            }
        }
        if self.core.is_closing() && self.closing.is_none() {
            let now = self.core.signal.now();
            self.closing = Some(now + self.core.settings.linger);
            // Nothing can be opened any more.
            let rooms = lock(&self.core.rooms);
            self.replicas = rooms.replicas.values().cloned().collect();
            drop(rooms);
            self.replicas.iter().for_each(|replica| replica.close(now));
        }
        left
    }

    /// Whether the client is closing and has nothing left to wait for.
    pub(crate) fn is_done(&self) -> bool {
        let Some(until) = self.closing else { return false };
        self.core.signal.now() >= until || self.replicas.iter().all(|replica| replica.pending() == 0)
    }

    /// Until when a client that is closing continues.
    pub(crate) const fn closing(&self) -> Option<Duration> {
        self.closing
    }

    /// How long to wait before joining a room again after `failed` refusals in a row.
    pub(crate) fn room_wait(&self, failed: u32) -> Duration {
        let mut backoff = self.core.settings.link.backoff;
        backoff.attempts = None;
        backoff.wait(failed, fastrand::f64()).unwrap_or(backoff.max)
    }
}

impl Driver {
    /// Picks up the presences that were opened or dropped. Returns the rooms whose presence to leave.
    pub(crate) fn refresh_presence(&mut self) -> Vec<Arc<str>> {
        let present = {
            let mut rooms = lock(&self.core.rooms);
            if self.presences.iter().any(|presence| presence.is_abandoned()) {
                rooms.presences.retain(|_, presence| !presence.is_abandoned());
            }
            let same = rooms.presences.len() == self.presences.len()
                && rooms.presences.values().zip(&self.presences).all(|(a, b)| Arc::ptr_eq(a, b));
            if same {
                return Vec::new();
            }
            rooms.presences.values().cloned().collect::<Vec<_>>()
        };
        let before = std::mem::replace(&mut self.presences, present);
        let left = before.iter().filter(|old| !self.presences.iter().any(|new| Arc::ptr_eq(old, new)));
        left.map(|presence| presence.room().clone()).collect()
    }
}
