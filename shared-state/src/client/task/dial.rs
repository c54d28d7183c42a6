//! Opens the socket to the server: the URL, the token, the WebSocket request and TLS.

use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::{IntoClientRequest as _, uri_mode};
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::stream::Mode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::client::DisconnectReason;
use crate::proto;

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
    /// The longest message that is taken from the server, in bytes.
    max_message: usize,
}

impl Dial {
    pub(crate) fn new(
        url: String,
        bearer: Option<Bearer>,
        max_message: usize,
    ) -> Result<Self, DisconnectReason> {
        let unusable = |error: Error| DisconnectReason::Url(format!("{url}: {error}").into());
        let request = url.as_str().into_client_request().map_err(unusable)?;
        let mode = uri_mode(request.uri()).map_err(unusable)?;
        if matches!(mode, Mode::Tls) && cfg!(not(feature = "rustls")) {
            return Err(DisconnectReason::Url(
                format!("{url}: `wss://` needs the crate's feature `rustls`").into(),
            ));
        }
        Ok(Self { url, bearer, max_message })
    }

    /// Asks for a newer token, if the source can give one.
    pub(crate) fn renew_token(&self) -> Option<Token> {
        match &self.bearer {
            Some(Bearer::Callback(token)) => Some(token()),
            Some(Bearer::Fixed(_)) | None => None,
        }
    }

    pub(crate) async fn connect(&self) -> Result<Socket, Arc<str>> {
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
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(self.max_message))
            .max_frame_size(Some(self.max_message));
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
