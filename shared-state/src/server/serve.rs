//! The server on listeners of its own: accepts sockets, with TLS or without, and serves their requests.

use std::future::ready;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

use crate::server::Server;
use crate::server::addresses::Accepted;

/// The longest time a client may take for its TLS handshake, and then to send its request.
const REQUEST: Duration = Duration::from_secs(10);

/// The most bytes of a request's line and headers.
const REQUEST_BYTES: usize = 32 << 10;

/// The pause after a failed `accept`, for example when the process has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// A socket before its first request.
struct Socket {
    stream: TcpStream,
    peer: SocketAddr,
    /// Counts the socket until it is closed or has become a WebSocket; `None`: it is a proxy's.
    counted: Option<Accepted>,
}

impl Server {
    /// Accepts connections on `listener` and upgrades requests for the path `/ws`, until
    /// [`shutdown`](Self::shutdown). Other paths are answered with 404. See [`serve_app`](Self::serve_app) for the rest.
    ///
    /// Cancel safe: if the future is dropped, no more connections are accepted, and those already open continue.
    pub async fn serve(&self, listener: TcpListener) {
        self.serve_app(listener, self.app()).await;
    }

    /// Accepts connections on `listener` and passes their requests to `app`, your own axum router with
    /// [`handler`](Self::handler) as one of its routes, until [`shutdown`](Self::shutdown).
    ///
    /// Unlike `axum::serve`, it disconnects a client that has not sent a request within ten seconds, limits a request's
    /// line and headers to 32 kB and the sockets of an address to
    /// [`connections_per_address`](crate::proto::Limits::connections_per_address), tells the handler the clients'
    /// addresses and sets `TCP_NODELAY`. After a failed `accept` it logs the error and tries again 100 ms later.
    ///
    /// Cancel safe: if the future is dropped, no more connections are accepted, and those already open continue.
    pub async fn serve_app(&self, listener: TcpListener, app: Router) {
        self.accept(listener, |socket| {
            serve_requests(app.clone(), socket.stream, socket.peer, socket.counted)
        })
        .await;
    }

    /// As [`serve`](Self::serve), for `wss://`: with TLS by rustls. `config` has the certificate and its key; it needs no
    /// ALPN protocols. A handshake that takes more than ten seconds, or fails, closes the socket.
    ///
    /// Cancel safe, as [`serve`](Self::serve) is.
    #[cfg(feature = "server-rustls")]
    pub async fn serve_tls(&self, listener: TcpListener, config: std::sync::Arc<rustls::ServerConfig>) {
        self.serve_app_tls(listener, self.app(), config).await;
    }

    /// As [`serve_app`](Self::serve_app), with TLS as in [`serve_tls`](Self::serve_tls).
    ///
    /// Cancel safe, as [`serve_app`](Self::serve_app) is.
    #[cfg(feature = "server-rustls")]
    pub async fn serve_app_tls(
        &self,
        listener: TcpListener,
        app: Router,
        config: std::sync::Arc<rustls::ServerConfig>,
    ) {
        let tls = tokio_rustls::TlsAcceptor::from(config);
        self.accept(listener, |Socket { stream, peer, counted }| {
            let (app, shaking) = (app.clone(), tls.accept(stream));
            async move {
                match tokio::time::timeout(REQUEST, shaking).await {
                    Ok(Ok(stream)) => serve_requests(app, stream, peer, counted).await,
                    Ok(Err(error)) => tracing::debug!(%peer, "no TLS handshake: {error}"),
                    Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
                }
            }
        })
        .await;
    }

    fn app(&self) -> Router {
        let not_found = || ready((StatusCode::NOT_FOUND, "the path is `/ws`"));
        Router::new().route("/ws", self.handler()).fallback(not_found)
    }

    /// Accepts sockets and spawns the task of each, until the server is shut down.
    async fn accept<F>(&self, listener: TcpListener, serve: impl Fn(Socket) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut closing = self.0.closing.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // `self` holds the sender, so waiting cannot fail.
                _ = closing.wait_for(|closing| *closing) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    // A proxy's sockets are not limited.
                    let is_client = self.0.client_address.is_peer();
                    let counted = is_client.then(|| self.0.addresses.accept(peer.ip()));
                    if matches!(counted, Some(None)) {
                        continue;
                    }
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%peer, "TCP_NODELAY was not set: {error}");
                    }
                    tokio::spawn(serve(Socket { stream, peer, counted: counted.flatten() }));
                }
                Err(error) => {
                    tracing::warn!("no connection could be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Serves the requests of a socket, until it is closed or has become a WebSocket.
async fn serve_requests<T>(app: Router, stream: T, peer: SocketAddr, _counted: Option<Accepted>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        app.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(REQUEST_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%peer, "no request: {error}");
    }
}
