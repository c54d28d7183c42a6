//! Rooms and their store: durability, failures, idle rooms, shutdown.

use std::time::Duration;

use serde_json::json;
use shared_state::proto::Limits;
use shared_state::server::Server;
use shared_state_tests::{soon, start};

use crate::common::client::{Client, connect};
use crate::common::observed::{Mode, observed};

#[tokio::test]
async fn g2_nothing_is_told_before_the_store_has_it() {
    let (store, mut observer) = observed();
    let (_server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("a").await;
    bob.join("a").await;
    observer.mode.send_replace(Mode::Hold);
    for seq in 1..=3 {
        ann.set("a", seq, 0, "n", json!(seq)).await;
    }
    assert_eq!(observer.next().await, "load a");
    for version in 1..=3 {
        assert_eq!(observer.next().await, format!("append a {version}"));
    }
    ann.ping().await;
    bob.ping().await;
    observer.mode.send_replace(Mode::Until(1));
    assert_eq!(ann.expect("state:ack").await["version"], 1);
    assert_eq!(bob.expect("state:change").await["version"], 1);
    ann.ping().await;
    bob.ping().await;
    observer.mode.send_replace(Mode::Pass);
    for version in 2..=3 {
        assert_eq!(ann.expect("state:ack").await["version"], version);
        assert_eq!(bob.expect("state:change").await["version"], version);
    }
}

#[tokio::test]
async fn g2_a_failed_append_resets_the_room_and_tells_nobody_of_the_change() {
    let (store, mut observer) = observed();
    let (server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    let mut other = Client::new(address, "other").await;
    let epoch = ann.join("a").await["epoch"].clone();
    bob.join("a").await;
    other.join("b").await;
    ann.set("a", 1, 0, "n", json!(1)).await;
    ann.expect("state:ack").await;
    bob.expect("state:change").await;
    for event in ["load a", "load b", "append a 1"] {
        assert_eq!(observer.next().await, event);
    }

    observer.mode.send_replace(Mode::Fail);
    ann.set("a", 2, 1, "n", json!(2)).await;
    ann.set("a", 3, 1, "n", json!(3)).await;
    assert_eq!(observer.next().await, "append a 2");
    assert_eq!(observer.next().await, "append a 3");
    observer.mode.send_replace(Mode::Pass);
    ann.expect_error("unavailable").await;
    bob.expect_error("unavailable").await;

    // A change for the old room is dropped, and is not applied to the new one.
    ann.set("a", 4, 1, "n", json!(4)).await;
    ann.expect_error("not_joined").await;
    let sync = bob.join("a").await;
    assert_eq!(observer.next().await, "load a");
    assert_eq!((&sync["epoch"], &sync["version"], &sync["data"]), (&epoch, &json!(1), &json!({"n": 1})));
    ann.join("a").await;
    ann.set("a", 2, 1, "n", json!(2)).await;
    assert_eq!(ann.expect("state:ack").await, json!({"seq": 2, "version": 2}));
    assert_eq!(bob.expect("state:change").await["version"], 2);
    other.ping().await;
    assert_eq!(server.open_rooms(), 2);
}

#[tokio::test]
async fn g2_g10_what_a_busy_store_does_not_take_is_passed_again_in_order() {
    let (store, mut observer) = observed();
    let (server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("a").await;
    bob.join("a").await;
    observer.mode.send_replace(Mode::Busy);
    for seq in 1..=3 {
        ann.set("a", seq, 0, "n", json!(seq)).await;
    }
    ann.ping().await;
    // The first is passed again and again, and nothing after it.
    assert_eq!(observer.next().await, "load a");
    for _ in 0..5 {
        assert_eq!(observer.next().await, "append a 1");
    }
    bob.ping().await;
    observer.mode.send_replace(Mode::Pass);
    for seq in 1..=3 {
        assert_eq!(ann.expect("state:ack").await["seq"], seq);
        assert_eq!(bob.expect("state:change").await["version"], seq);
    }
    // The room is the same, and appends pass it as before.
    ann.set("a", 4, 3, "n", json!(4)).await;
    assert_eq!(ann.expect("state:ack").await["version"], 4);
    soon("the end of the server", server.shutdown()).await.unwrap();
}

#[tokio::test]
async fn g2_an_append_refused_at_once_resets_the_room_as_well() {
    let (store, observer) = observed();
    let (_server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("a").await;
    bob.join("a").await;
    observer.mode.send_replace(Mode::Refuse);
    ann.set("a", 1, 0, "n", json!(1)).await;
    ann.expect_error("unavailable").await;
    bob.expect_error("unavailable").await;
    observer.mode.send_replace(Mode::Pass);
    assert_eq!(bob.join("a").await["version"], 0);
}

#[tokio::test]
async fn writers_wait_when_the_store_does_not_follow() {
    let (store, mut observer) = observed();
    let mut limits = Limits::default();
    limits.in_flight = 2;
    let builder = Server::builder().untyped_rooms(true).store(store).limits(limits);
    let (_server, address) = start(builder).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("a").await;
    bob.join("a").await;
    observer.mode.send_replace(Mode::Hold);
    for seq in 1..=5 {
        ann.set("a", seq, 0, "n", json!(seq)).await;
    }
    for event in ["load a", "append a 1", "append a 2"] {
        assert_eq!(observer.next().await, event);
    }
    // Bob is served meanwhile: only changes take one of the two places in flight.
    bob.ping().await;
    observer.mode.send_replace(Mode::Pass);
    for version in 1..=5 {
        assert_eq!(ann.expect("state:ack").await["version"], version);
        assert_eq!(bob.expect("state:change").await["version"], version);
    }
}

#[tokio::test]
async fn a_room_that_cannot_be_loaded_refuses_and_the_others_work() {
    let (store, _observer) = observed();
    let (_server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut ann = Client::new(address, "ann").await;
    for _ in 0..2 {
        ann.send(json!({"type": "room:join", "room": "hole", "payload": {}})).await;
        let error = ann.expect_error("unavailable").await;
        let message = error["payload"]["message"].as_str().unwrap();
        assert!(message.contains("`hole`") && message.contains('7'), "{message}");
    }
    ann.join("sound").await;
}

#[tokio::test]
async fn an_idle_room_leaves_memory_and_comes_back_as_it_was() {
    let (store, mut observer) = observed();
    let idle = Duration::from_millis(20);
    let (server, address) = start(Server::builder().untyped_rooms(true).store(store).idle(idle)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut untouched = Client::new(address, "untouched").await;
    let epoch = ann.join("a").await["epoch"].clone();
    untouched.join("b").await;
    ann.set("a", 1, 0, "n", json!(1)).await;
    ann.expect("state:ack").await;
    ann.send(json!({"type": "room:leave", "room": "a"})).await;
    untouched.send(json!({"type": "room:leave", "room": "b"})).await;
    for event in ["load a", "load b", "append a 1", "compact a 1"] {
        assert_eq!(observer.next().await, event);
    }
    let sync = ann.join("a").await;
    assert_eq!(observer.next().await, "load a", "a room without changes is not stored");
    assert_eq!((&sync["epoch"], &sync["version"], &sync["data"]), (&epoch, &json!(1), &json!({"n": 1})));
    // Earlier answers are still known.
    ann.set("a", 1, 0, "n", json!(1)).await;
    assert_eq!(ann.expect("state:ack").await, json!({"seq": 1, "version": 1}));
    let only_one = async {
        while server.open_rooms() > 1 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of the other room", only_one).await;
}

#[tokio::test]
async fn a_room_that_somebody_is_in_stays_in_memory() {
    let (store, mut observer) = observed();
    let idle = Duration::from_millis(1);
    let (_server, address) = start(Server::builder().untyped_rooms(true).store(store).idle(idle)).await;
    let mut ann = Client::new(address, "ann").await;
    let mut bob = Client::new(address, "bob").await;
    ann.join("kept").await;
    ann.set("kept", 1, 0, "n", json!(1)).await;
    ann.expect("state:ack").await;
    bob.join("left").await;
    bob.set("left", 1, 0, "n", json!(1)).await;
    bob.expect("state:ack").await;
    drop(bob);
    for event in ["load kept", "append kept 1", "load left", "append left 1", "compact left 1"] {
        assert_eq!(observer.next().await, event);
    }
    ann.set("kept", 2, 0, "n", json!(2)).await;
    ann.expect("state:ack").await;
    assert_eq!(observer.next().await, "append kept 2");
}

#[tokio::test]
async fn a_long_log_is_compacted() {
    let (store, mut observer) = observed();
    let (_server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("a").await;
    let large = "x".repeat(2 << 10);
    for seq in 1..=64 {
        ann.set("a", seq, 0, "n", json!(large)).await;
        ann.expect("state:ack").await;
    }
    assert_eq!(observer.next().await, "load a");
    for version in 1..=64 {
        assert_eq!(observer.next().await, format!("append a {version}"));
    }
    assert_eq!(observer.next().await, "compact a 64");
}

#[tokio::test]
async fn g2_shutdown_tells_everybody_and_waits_for_the_store() {
    let (store, mut observer) = observed();
    let (server, address) = start(Server::builder().untyped_rooms(true).store(store)).await;
    let mut ann = Client::new(address, "ann").await;
    ann.join("a").await;
    observer.mode.send_replace(Mode::Hold);
    ann.set("a", 1, 0, "n", json!(1)).await;
    for event in ["load a", "append a 1"] {
        assert_eq!(observer.next().await, event);
    }
    let down = tokio::spawn({
        let server = server.clone();
        async move { server.shutdown().await }
    });
    ann.expect_error("shutting_down").await;
    assert_eq!(ann.closed().await, (1001, "shutting_down".to_owned()));
    assert!(connect(address, None).await.is_err());
    assert!(!down.is_finished() && observer.is_quiet());
    observer.mode.send_replace(Mode::Pass);
    soon("the end", down).await.unwrap().unwrap();
    assert_eq!(observer.next().await, "compact a 1");
    assert_eq!(observer.next().await, "close");
    assert_eq!(server.open_rooms(), 0);
}
