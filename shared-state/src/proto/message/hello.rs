//! The connection itself: `hello`, `welcome`, their tokens, `ping` and `pong`.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::json::{empty_frame, payload_frame};
use crate::proto::{ClientLimits, Frame, Limits};

/// `hello`: the first message of a connection.
#[derive(Clone, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// The client's secret id. It proves that a returning connection is the same client.
    #[serde(borrow)]
    pub client: Cow<'a, str>,
    /// A token that identifies the user, from a client that cannot send one in the HTTP request.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Cow<'a, str>>,
}

impl fmt::Debug for Hello<'_> {
    /// Shows neither the id nor the token: both are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello").field("token", &self.token.as_ref().map(|_| "..")).finish_non_exhaustive()
    }
}

/// `hello:token`.
#[derive(Serialize, Deserialize)]
pub(super) struct Token<'a> {
    #[serde(borrow)]
    pub(super) token: Cow<'a, str>,
}

/// `welcome`.
#[derive(Serialize, Deserialize)]
pub(super) struct Welcome<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    pub(super) heartbeat: u64,
    pub(super) window: usize,
    #[serde(flatten)]
    pub(super) limits: ClientLimits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<u64>,
}

/// `welcome:token`.
#[derive(Serialize, Deserialize)]
pub(super) struct Renewed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<u64>,
}

/// The client's first frame. `token` identifies the user, if the HTTP request could not.
#[must_use]
pub fn hello(client: &str, token: Option<&str>) -> Frame {
    let size = 64 + token.map_or(0, str::len);
    payload_frame("hello", None, size, &Hello { client: client.into(), token: token.map(Cow::Borrowed) })
}

/// The client's newer token, sent before the older one expires.
#[must_use]
pub fn token(token: &str) -> Frame {
    payload_frame("hello:token", None, token.len() + 16, &Token { token: token.into() })
}

/// The server's answer to `hello`. `id` is the client's public id; `expires` is the time until the user's
/// authentication expires, `None`: never.
#[must_use]
pub fn welcome(id: &str, limits: &Limits, expires: Option<Duration>) -> Frame {
    let (window, limits, heartbeat) = (limits.window, limits.into(), limits.heartbeat);
    let (heartbeat, expires) = (milliseconds(heartbeat), expires.map(milliseconds));
    payload_frame("welcome", None, 192, &Welcome { id: id.into(), heartbeat, window, limits, expires })
}

/// The server's answer to `hello:token`. `expires` is the time until the user's authentication expires, `None`:
/// never.
#[must_use]
pub fn renewed(expires: Option<Duration>) -> Frame {
    payload_frame("welcome:token", None, 32, &Renewed { expires: expires.map(milliseconds) })
}

/// A duration in milliseconds, at most the largest integer that JavaScript represents exactly.
fn milliseconds(time: Duration) -> u64 {
    const MAX: u64 = (1 << 53) - 1;
    u64::try_from(time.as_millis()).unwrap_or(MAX).min(MAX)
}

/// Asks the other side for a `pong`.
#[must_use]
pub fn ping() -> Frame {
    empty_frame("ping", None)
}

/// Answers a `ping`.
#[must_use]
pub fn pong() -> Frame {
    empty_frame("pong", None)
}
