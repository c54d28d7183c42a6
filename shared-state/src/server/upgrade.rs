//! The WebSocket handshake: checks an HTTP upgrade request and chooses the dialect. Reads no socket; called by the
//! server for each request.

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::proto::Dialect;
use crate::proto::JSON;
use crate::server::origins::Origins;

/// The status and text for a request that cannot be upgraded.
pub(super) type Refusal = (StatusCode, String);

/// What an acceptable request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) dialect: Dialect,
    /// The value of the response's `Sec-WebSocket-Accept`.
    pub(super) accept: String,
}

/// Whether a header's comma-separated values contain `token`, ignoring ASCII case.
fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    values(headers, name).any(|value| value.eq_ignore_ascii_case(token))
}

fn values(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Checks a request.
///
/// # Errors
/// The method is not GET (405), it asks for no WebSocket upgrade or another version (426), it comes from a page that
/// may not connect (403), it has no key, or it offers only unknown subprotocols (400).
pub(super) fn read<B>(request: &Request<B>, origins: &Origins) -> Result<Offer, Refusal> {
    let headers = request.headers();
    let refuse = |status, message: &str| Err((status, message.to_owned()));
    if request.method() != Method::GET {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "expected GET with a WebSocket upgrade");
    }
    if !has_token(headers, header::CONNECTION, "upgrade") || !has_token(headers, header::UPGRADE, "websocket")
    {
        return refuse(StatusCode::UPGRADE_REQUIRED, "expected a WebSocket upgrade");
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return refuse(StatusCode::UPGRADE_REQUIRED, "expected `Sec-WebSocket-Version: 13`");
    }
    if let Err(message) = origins.check(headers, request.uri()) {
        return Err((StatusCode::FORBIDDEN, message));
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return refuse(StatusCode::BAD_REQUEST, "expected a `Sec-WebSocket-Key`");
    };
    let offered: Vec<_> =
        values(headers, header::SEC_WEBSOCKET_PROTOCOL).filter(|name| !name.is_empty()).collect();
    let dialect = if offered.contains(&JSON) {
        Dialect::V1
    } else if offered.is_empty() {
        Dialect::Legacy
    } else {
        let offered = offered.join("`, `");
        let message = format!(
            "no known subprotocol among `{offered}`: offer `{JSON}`, or none for the messages of the original \
             `useSharedState` hook"
        );
        return Err((StatusCode::BAD_REQUEST, message));
    };
    Ok(Offer { dialect, accept: derive_accept_key(key.as_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(protocols: &[&str]) -> Result<Offer, Refusal> {
        let mut request = Request::builder()
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for protocol in protocols {
            request = request.header("sec-websocket-protocol", *protocol);
        }
        read(&request.body(()).unwrap(), &Origins::default())
    }

    #[test]
    fn the_subprotocol_decides_the_dialect() {
        let v1 = offer(&["chat, shared-state.v1.json"]).unwrap();
        // The example of RFC 6455, section 1.3.
        assert_eq!(v1, Offer { dialect: Dialect::V1, accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned() });
        assert_eq!(offer(&["chat", "shared-state.v1.json"]).unwrap().dialect, Dialect::V1);
        assert_eq!(offer(&[]).unwrap().dialect, Dialect::Legacy);
        let (status, message) = offer(&["chat"]).unwrap_err();
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(message.contains("`chat`") && message.contains(JSON), "{message}");
    }

    #[test]
    fn what_is_no_upgrade_is_refused() {
        let refusal = |request: &Request<()>| read(request, &Origins::default()).unwrap_err().0;
        assert_eq!(refusal(&Request::new(())), StatusCode::UPGRADE_REQUIRED);
        let post = Request::post("/").body(()).unwrap();
        assert_eq!(refusal(&post), StatusCode::METHOD_NOT_ALLOWED);
    }
}
