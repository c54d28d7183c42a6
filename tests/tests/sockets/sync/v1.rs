//! The v1 protocol: joining, changes, resuming, slow readers, two connections of one client.

use serde_json::json;
use shared_state::proto::Limits;
use shared_state::server::Server;
use shared_state_tests::{soon, start};
use tokio_tungstenite::tungstenite::Error;

use crate::common::client::{Client, connect};

fn untyped() -> shared_state::server::ServerBuilder {
    Server::builder().untyped_rooms(true)
}

#[tokio::test]
async fn a_change_is_acknowledged_and_told_to_the_others() {
    let (_server, address) = start(untyped()).await;
    let mut ann = Client::silent(address).await;
    ann.send(json!({"type": "hello", "payload": {"client": "ann-----------------"}})).await;
    let welcome = ann.expect("welcome").await;
    assert_eq!(welcome["id"].as_str().unwrap().len(), 32);
    assert_ne!(welcome["id"], "ann-----------------");
    let mut bob = Client::new(address, "bob").await;
    let sync = ann.join("a").await;
    assert_eq!((&sync["version"], &sync["data"]), (&json!(0), &json!({})));
    assert_eq!(bob.join("a").await["epoch"], sync["epoch"]);

    ann.set("a", 1, 0, "title", json!("x")).await;
    assert_eq!(
        ann.next().await,
        json!({"type": "state:ack", "room": "a", "payload": {"seq": 1, "version": 1}})
    );
    assert_eq!(
        bob.next().await,
        json!({"type": "state:change", "room": "a", "payload": {
            "version": 1, "from": welcome["id"], "updates": [{"key": "title", "value": "x"}]
        }})
    );
    bob.send(json!({"type": "room:leave", "room": "a"})).await;
    bob.ping().await;
    ann.set("a", 2, 1, "title", json!("y")).await;
    ann.expect("state:ack").await;
    bob.ping().await;
    assert_eq!(bob.join("a").await["data"], json!({"title": "y"}));
}

#[tokio::test]
async fn g3_a_resent_change_is_answered_in_the_delta_and_applied_once() {
    let (_server, address) = start(untyped()).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    let epoch = ann.join("a").await["epoch"].clone();
    bob.join("a").await;
    ann.set("a", 1, 0, "n", json!(1)).await;
    ann.expect("state:ack").await;
    bob.expect("state:change").await;
    // The answer to this change is lost.
    ann.set("a", 2, 1, "n", json!(2)).await;
    assert_eq!(bob.expect("state:change").await["version"], 2);
    drop(ann);
    bob.set("a", 1, 2, "m", json!(3)).await;
    bob.expect("state:ack").await;

    let mut ann = Client::new(address, "ann").await;
    let resume = json!({"resume": {"epoch": epoch, "version": 1, "acked": 1}});
    ann.send(json!({"type": "room:join", "room": "a", "payload": resume})).await;
    ann.set("a", 2, 1, "n", json!(2)).await;
    let delta = ann.expect("state:delta").await;
    assert_eq!((&delta["since"], &delta["version"]), (&json!(1), &json!(3)));
    assert_eq!(delta["answers"]["acks"], json!([[2, 2]]));
    assert_eq!(delta["updates"], json!([{"key": "m", "value": 3}, {"key": "n", "value": 2}]));
    assert_eq!(ann.expect("state:ack").await, json!({"seq": 2, "version": 2}));
    bob.ping().await;
    ann.set("a", 3, 3, "n", json!(4)).await;
    assert_eq!(ann.expect("state:ack").await, json!({"seq": 3, "version": 4}));
}

#[tokio::test]
async fn g9_a_slow_reader_is_sent_a_delta_and_holds_nobody_up() {
    const CHANGES: u64 = 400;
    let mut limits = Limits::default();
    limits.queue = 8;
    let (_server, address) = start(untyped().limits(limits)).await;
    let mut writer = Client::new(address, "writer").await;
    let mut fast = Client::new(address, "fast").await;
    let mut slow = Client::new(address, "slow").await;
    for client in [&mut writer, &mut fast, &mut slow] {
        client.join("a").await;
    }
    // More than the sockets' buffers hold.
    let large = "x".repeat(64 << 10);
    for seq in 1..=CHANGES {
        writer.set("a", seq, 0, "large", json!(format!("{seq}-{large}"))).await;
        assert_eq!(writer.expect("state:ack").await["version"], seq);
        assert_eq!(fast.expect("state:change").await["version"], seq);
    }
    let (mut seen, mut changes, mut deltas) = (0, 0, 0);
    while seen < CHANGES {
        let frame = slow.next().await;
        let payload = &frame["payload"];
        match frame["type"].as_str() {
            Some("state:change") => {
                assert_eq!(payload["version"], seen + 1);
                changes += 1;
            }
            Some("state:delta") => {
                assert_eq!(payload["since"], seen);
                deltas += 1;
            }
            _ => panic!("{frame}"),
        }
        seen = payload["version"].as_u64().unwrap();
        let updates = payload["updates"].as_array().unwrap();
        assert_eq!(updates.len(), 1);
        assert!(updates[0]["value"].as_str().unwrap().starts_with(&format!("{seen}-")));
    }
    assert!(deltas > 0 && changes + deltas < CHANGES, "{changes} changes, {deltas} deltas");
}

#[tokio::test]
async fn the_newer_connection_of_a_client_takes_over() {
    let (_server, address) = start(untyped()).await;
    let mut old = Client::new(address, "ann").await;
    old.join("a").await;
    let mut new = Client::new(address, "ann").await;
    old.expect_error("superseded").await;
    assert_eq!(old.closed().await, (1008, "superseded".to_owned()));
    new.join("a").await;
    let mut newest = Client::new(address, "ann").await;
    new.expect_error("superseded").await;
    newest.join("a").await;
    newest.ping().await;
}

#[tokio::test]
async fn a_silent_client_is_asked_and_then_let_go() {
    let mut limits = Limits::default();
    limits.heartbeat = std::time::Duration::from_millis(200);
    let (_server, address) = start(untyped().limits(limits)).await;
    let mut ann = Client::new(address, "ann").await;
    ann.expect("ping").await;
    ann.send(json!({"type": "pong"})).await;
    ann.expect("ping").await;
    assert!(ann.next_message().await.is_none());
    let mut mute = Client::silent(address).await;
    mute.expect_error("hello_expected").await;
}

#[tokio::test]
async fn the_handshake_names_what_it_knows() {
    let (_server, address) = start(untyped()).await;
    let Err(Error::Http(response)) = connect(address, Some("chat")).await else {
        panic!("expected a refusal")
    };
    assert_eq!(response.status(), 400);
    let body = String::from_utf8(response.body().clone().unwrap_or_default()).unwrap();
    assert!(body.contains("shared-state.v1.json"), "{body}");
    assert!(connect(address, Some("chat, shared-state.v1.json")).await.is_ok());
}

#[tokio::test]
async fn the_handler_serves_a_route_of_the_applications_router() {
    let server = untyped().build();
    let router = axum::Router::<()>::new().route("/ws", server.handler());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut ann = Client::new(address, "ann").await;
    ann.join("a").await;
    soon("the end", server.shutdown()).await.unwrap();
    ann.expect_error("shutting_down").await;
    assert!(connect(address, None).await.is_err());
}
