//! A client that was disconnected sends its queue in order, and is sent only what has changed: the cost does
//! not depend on the size of the state.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::client::{Events, Status};
use shared_state::merge::CounterOp;
use shared_state::proto::Limits;
use shared_state::proto::replica::Origin;
use shared_state::server::Server;
use shared_state_tests::{
    Link, Proxy, Traffic, accepted, builder, client, is_offline, next, soon, start, status, until,
};

const ROOM: &str = "doc-1";

/// How many changes are made offline.
const CHANGES: i64 = 100;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    body: String,
    // Written by the disconnected client.
    title: String,
    size: i64,
    columns: i64,
    color: i64,
    #[shared(counter)]
    edits: i64,
    // Written by another client meanwhile.
    theme: String,
    owner: String,
}

/// The observer must see `CHANGES` changes of the client, the first numbered 1, each whole and in order.
async fn expect_in_order(events: &mut Events<Document>, author: &str) {
    for number in 1..=CHANGES {
        let event = next(events, "a change from the queue").await;
        assert_eq!((event.origin, event.from.as_deref()), (Origin::Remote, Some(author)), "{event:?}");
        let count = Document::EDITS.op(CounterOp::Add(1));
        assert_eq!(event.updates, [count, plain(number)], "change {number}");
    }
}

/// The plain part of a change: one of four fields is set to the change's number.
fn plain(number: i64) -> DocumentUpdate {
    match number % 4 {
        0 => Document::TITLE.set(number.to_string()),
        1 => Document::SIZE.set(number),
        2 => Document::COLUMNS.set(number),
        _ => Document::COLOR.set(number),
    }
}

/// Disconnects a client in a room whose state has `size` bytes, and returns the traffic of its return.
async fn cut_off(link: Link, size: usize) -> Traffic {
    let mut limits = Limits::default();
    limits.frame = 4 << 20;
    let (_server, address) = start(Server::builder().rooms("doc-*", Document::default).limits(limits)).await;
    let proxy = Proxy::start(address).await;

    let other = client(address);
    let other = other.room(ROOM).state(Document::default());
    accepted(other.set_body("x".repeat(size))).await;
    let heartbeat = Duration::from_secs(1);
    let away = builder(proxy.address()).heartbeat(heartbeat).handshake(2 * heartbeat).connect();
    let (mut syncs, mut deltas) = (away.on("state:sync"), away.on("state:delta"));
    let doc = away.room(ROOM).state(Document::default());
    until(&doc, "the first state", |doc| doc.version() == 1).await;
    assert_eq!(doc.read(|doc| doc.body.len()), size);
    next(&mut syncs, "the first state").await.expect("one message is no flood");

    proxy.set(link);
    if link == Link::Reset {
        status(&away, "the loss of the connection", is_offline).await;
    }
    let mut receipts = Vec::new();
    for number in 1..=CHANGES {
        let count = Document::EDITS.op(CounterOp::Add(1));
        receipts.push(doc.write_all(vec![count, plain(number)]).expect("the queue has room"));
    }
    accepted(other.set_theme("dark")).await;
    accepted(other.set_owner("bob")).await;
    // A half-open connection is detected too.
    status(&away, "the loss of the connection", is_offline).await;
    assert_eq!((doc.version(), doc.edits(), other.edits()), (1, CHANGES, 0));

    let before = proxy.traffic().len();
    assert_eq!(before, 1, "it came by one connection");
    let mut events = other.events();
    proxy.set(Link::Up);
    status(&away, "the return", |status| *status == Status::Connected).await;
    let author = away.id().expect("it was welcomed");
    expect_in_order(&mut events, &author).await;
    for (receipt, version) in receipts.into_iter().zip(4..) {
        assert_eq!(soon("an answer", receipt).await, Ok(version));
    }
    let traffic = proxy.traffic();
    assert_eq!(traffic.len(), 2, "it returned by one connection");
    assert_eq!(doc.state(), other.state());
    assert_eq!((&*doc.theme(), &*doc.owner(), doc.edits()), ("dark", "bob", CHANGES));

    let delta = next(&mut deltas, "the delta").await.expect("one message is no flood");
    let delta: serde_json::Value = delta.read().expect("it is JSON");
    assert_eq!((&delta["since"], &delta["version"]), (&1.into(), &3.into()), "{delta}");
    assert_eq!(delta["updates"].as_array().map(Vec::len), Some(2), "{delta}");
    // Both streams end with the client: nothing else has arrived.
    assert!(soon("the end", away.close()).await.is_empty());
    assert!(soon("the end", syncs.next()).await.is_none(), "the whole state came again");
    assert!(soon("the end", deltas.next()).await.is_none(), "there was a second delta");
    traffic[1]
}

async fn costs_the_same_whatever_the_size(link: Link) {
    let small = cut_off(link, 10_000).await;
    let large = cut_off(link, 1_000_000).await;
    println!("{link:?}: the return with 10 kB of state: {small:?}, with 1 MB: {large:?}");
    assert!(small.up.abs_diff(large.up) <= 200, "{small:?} and {large:?}");
    assert!(small.down.abs_diff(large.down) <= 200, "{small:?} and {large:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_a_client_cut_off_sends_its_queue_in_order_and_gets_a_delta() {
    costs_the_same_whatever_the_size(Link::Reset).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g2_a_client_on_a_half_open_link_sends_its_queue_in_order_and_gets_a_delta() {
    costs_the_same_whatever_the_size(Link::BlackHole).await;
}
