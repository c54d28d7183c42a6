//! A page of another site cannot connect with its visitor's cookie, in either dialect.

use std::future::ready;
use std::net::SocketAddr;

use shared_state::proto::JSON;
use shared_state::server::{Handshake, Origins, Server, ServerBuilder};
use shared_state_tests::start;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

fn builder() -> ServerBuilder {
    Server::builder().untyped_rooms(true).authenticate(|handshake: Handshake| {
        ready(handshake.cookie("session").map(str::to_owned).ok_or("a session is needed"))
    })
}

/// The HTTP status of an upgrade request with a session's cookie and this origin.
async fn status(address: SocketAddr, protocol: Option<&str>, origin: Option<&str>) -> u16 {
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("cookie", "session=ann".parse().unwrap());
    if let Some(protocol) = protocol {
        headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    if let Some(origin) = origin {
        headers.insert("origin", origin.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_not_let_in() {
    let (_server, address) = start(builder()).await;
    let own = format!("http://{address}");
    let other_port = format!("http://{}:{}", address.ip(), address.port().wrapping_add(1));
    for protocol in [None, Some(JSON)] {
        assert_eq!(status(address, protocol, None).await, 101);
        assert_eq!(status(address, protocol, Some(&own)).await, 101);
        for origin in ["https://evil.example", "null", "", "http://127.0.0.1", &other_port, &own[7..]] {
            assert_eq!(status(address, protocol, Some(origin)).await, 403, "{origin}");
        }
    }
}

#[tokio::test]
async fn the_program_lists_pages_or_allows_all() {
    let list = Origins::list(["https://app.example"]);
    let (_listed, listed) = start(builder().origins(list)).await;
    let (_open, open) = start(builder().origins(Origins::any())).await;
    for protocol in [None, Some(JSON)] {
        for (origin, expected) in [
            (Some("https://app.example"), 101),
            (Some("http://app.example"), 403),
            (Some("https://evil.example"), 403),
            (None, 101),
        ] {
            assert_eq!(status(listed, protocol, origin).await, expected, "{origin:?}");
            assert_eq!(status(open, protocol, origin).await, 101, "{origin:?}");
        }
        assert_eq!(status(listed, protocol, Some(&format!("http://{listed}"))).await, 403, "not in the list");
    }
}
