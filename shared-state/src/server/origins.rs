//! Origins: which web pages may open a connection.
//!
//! A browser sends a visitor's cookies with a WebSocket that any page opens, and lets the page read the answers. What
//! tells the pages apart is the header `Origin`, which a page cannot set. Called by the server for each upgrade
//! request, in both dialects, before anything else is decided about it.

use hyper::Uri;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::Authority;

/// The web pages that may open a connection, by the header `Origin` of the request; given to
/// [`ServerBuilder::origins`](crate::server::ServerBuilder::origins).
///
/// A request without this header is always allowed: browsers send it with every WebSocket, so such a client is not a
/// page.
///
/// ```
/// use shared_state::server::{Origins, Server};
///
/// let server = Server::builder()
///     .untyped_rooms(true)
///     .origins(Origins::list(["https://app.example.org", "http://localhost:3000"]))
///     .build();
/// ```
#[derive(Clone, Debug, Default)]
pub struct Origins(Allowed);

#[derive(Clone, Debug, Default)]
enum Allowed {
    #[default]
    SameHost,
    List(Vec<Origin>),
    Any,
}

impl Origins {
    /// Pages of the host and port that the request is addressed to: those of the header `Host`. The default.
    ///
    /// Behind a proxy that changes `Host`, no page has that host: use [`list`](Self::list).
    #[must_use]
    pub const fn same_host() -> Self {
        Self(Allowed::SameHost)
    }

    /// Pages of these origins, each `scheme://host` or `scheme://host:port` as a browser writes it, and of no other:
    /// the server's own host must be listed as well. A text that is not an origin is logged as an error and allows
    /// nothing.
    #[must_use]
    pub fn list<O: AsRef<str>>(origins: impl IntoIterator<Item = O>) -> Self {
        let read = |origin: O| {
            let origin = origin.as_ref();
            let read = Origin::read(origin);
            if read.is_none() {
                tracing::error!(origin, "is not an origin, which is `scheme://host` or `scheme://host:port`");
            }
            read
        };
        Self(Allowed::List(origins.into_iter().filter_map(read).collect()))
    }

    /// Pages of every origin. Every web page that a visitor opens can then act as the visitor, if the program's
    /// `authenticate` accepts cookies or another credential that browsers send by themselves, or if the server is
    /// reachable for the visitor and not for others.
    #[must_use]
    pub const fn any() -> Self {
        Self(Allowed::Any)
    }

    /// Whether a request with these headers may be upgraded. `uri` is the request's.
    ///
    /// # Errors
    /// What is wrong with the origin.
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), String> {
        let mut given = headers.get_all(header::ORIGIN).iter();
        let Some(first) = given.next() else { return Ok(()) };
        if matches!(self.0, Allowed::Any) {
            return Ok(());
        }
        let origin = given.next().is_none().then(|| first.to_str().ok().and_then(Origin::read)).flatten();
        let Some(origin) = origin else {
            return Err("the `Origin` of the request is not that of a page that may connect".to_owned());
        };
        let is_allowed = match &self.0 {
            Allowed::Any => true,
            Allowed::List(allowed) => allowed.contains(&origin),
            Allowed::SameHost => host_of(headers, uri).is_some_and(|host| origin.is_of(&host)),
        };
        if is_allowed {
            return Ok(());
        }
        Err(format!("pages of `{}://{}` may not connect", origin.scheme, origin.host))
    }
}

/// The host and port that a request is addressed to; `None` if it names none, or more than one.
fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::try_from(host).ok(),
        (None, _) => uri.authority().cloned(),
        (Some(_), Some(_)) => None,
    }
}

/// An origin: RFC 6454, section 4. Scheme and host are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    /// The explicit port, or else the scheme's; `None` for a scheme without one.
    port: Option<u16>,
}

impl Origin {
    /// `None` if the text is not an origin. `null`, which browsers send for pages without an origin, is none.
    fn read(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let authority: Authority = authority.parse().ok()?;
        let is_scheme = !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme || !is_plain(&authority) {
            return None;
        }
        let scheme = scheme.to_ascii_lowercase();
        let port = authority.port_u16().or_else(|| default_port(&scheme));
        Some(Self { host: authority.host().to_ascii_lowercase(), port, scheme })
    }

    /// Whether this is an origin of this host and port. A `Host` without a port means the port of the scheme.
    fn is_of(&self, host: &Authority) -> bool {
        is_plain(host)
            && host.host().eq_ignore_ascii_case(&self.host)
            && host.port_u16().or_else(|| default_port(&self.scheme)) == self.port
    }
}

/// Whether an authority is a host, or a host and a port that is a number, and nothing else.
fn is_plain(authority: &Authority) -> bool {
    let (text, host) = (authority.as_str(), authority.host());
    let rest = text.strip_prefix(host);
    !host.is_empty() && (rest == Some("") || rest.is_some() && authority.port_u16().is_some())
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(origins: &Origins, host: &[&str], origin: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(header::HOST, host.parse().unwrap());
        }
        for origin in origin {
            headers.append(header::ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        origins.check(&headers, &Uri::from_static("/ws")).is_ok()
    }

    #[test]
    fn by_default_a_page_is_of_the_host_that_it_connects_to() {
        let rows = [
            ("example.org", "https://example.org", true),
            ("example.org", "http://EXAMPLE.org", true),
            ("example.org:443", "https://example.org", true),
            ("example.org", "https://example.org:443", true),
            ("example.org:80", "https://example.org", false),
            ("example.org:8080", "http://example.org:8080", true),
            ("example.org:8080", "http://example.org", false),
            ("example.org", "http://example.org:8080", false),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("example.org", "https://evil.example.org", false),
            ("example.org", "https://example.org.evil.com", false),
            ("example.org", "https://evil.com/example.org", false),
            ("example.org", "https://example.org@evil.com", false),
            ("example.org", "https://evil.com@example.org", false),
            ("example.org", "https://evil.com#example.org", false),
            ("example.org", "https://example.org:", false),
            ("example.org", "example.org", false),
            ("example.org", "://example.org", false),
            ("example.org", "null", false),
            ("example.org", "", false),
            ("example.org", "https://exämple.org", false),
        ];
        for (host, origin, expected) in rows {
            assert_eq!(allows(&Origins::default(), &[host], &[origin]), expected, "{host} {origin}");
        }
        let default = Origins::same_host();
        assert!(allows(&default, &["example.org"], &[]), "no page");
        assert!(!allows(&default, &[], &["https://example.org"]), "no host");
        assert!(!allows(&default, &["example.org", "evil.com"], &["https://evil.com"]), "two hosts");
        let both = ["https://example.org", "https://evil.com"];
        assert!(!allows(&default, &["example.org"], &both), "two origins");
    }

    #[test]
    fn a_list_allows_its_origins_and_any_allows_all() {
        let list = Origins::list(["https://App.example.org", "http://localhost:3000", "nonsense"]);
        for (origin, expected) in [
            ("https://app.example.org", true),
            ("https://app.example.org:443", true),
            ("http://app.example.org", false),
            ("http://localhost:3000", true),
            ("http://localhost", false),
            ("https://own.host", false),
            ("nonsense", false),
        ] {
            assert_eq!(allows(&list, &["own.host"], &[origin]), expected, "{origin}");
            assert!(allows(&Origins::any(), &["own.host"], &[origin]));
        }
        assert!(allows(&list, &["own.host"], &[]));
    }
}
