//! Faults of the network and the server, as a client sees them.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use shared_state::client::{Client, DisconnectReason, Status};
use shared_state::proto::Code;
use shared_state_tests::{is_offline, soon, status};

use crate::common::proxy::Proxy;
use crate::common::rig::{Document, Rig, is_connected, joined, live, quick, until};

#[tokio::test]
async fn g2_g3_offline_edits_arrive_in_order_and_once() {
    let mut rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    soon("the answer", at_a.set_title("before").unwrap()).await.unwrap();
    until(&at_b, Document::TITLE, "before".into()).await;
    let mut events = at_b.events();
    rig.stop().await;
    status(&a, "the loss", is_offline).await;

    let receipts: Vec<_> = (1..=20)
        .map(|n| {
            let both =
                vec![Document::LOG.set(vec![n]), Document::VIEWS.op(shared_state::merge::CounterOp::Add(1))];
            at_a.write_all(both).unwrap()
        })
        .collect();
    assert_eq!((at_a.views(), at_a.pending(), at_a.is_live()), (20, 20, false));
    rig.restart().await;
    for (version, receipt) in (2..).zip(receipts) {
        assert_eq!(soon("the answer", receipt).await, Ok(version));
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&20) {
        let event = soon("the event", events.next()).await.unwrap();
        seen.extend(event.updates.iter().filter_map(|update| match update {
            crate::common::rig::DocumentUpdate::Log(log) => log.first().copied(),
            _ => None,
        }));
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!((at_b.views(), at_b.version()), (20, 21));
}

#[tokio::test]
async fn statuses_tell_the_whole_story() {
    let mut rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let mut statuses = client.statuses();
    assert_eq!(statuses.next().await, Some(Status::Connecting));
    assert_eq!(soon("the connection", statuses.next()).await, Some(Status::Connected));
    rig.stop().await;
    let lost = soon("the loss", statuses.next()).await;
    let Some(Status::Reconnecting { attempt: 1, next_try, cause }) = lost else { panic!("found {lost:?}") };
    assert!(next_try > Instant::now() - Duration::from_secs(20));
    assert!(cause.contains("shutting"), "{cause}");
    let failed = soon("the second attempt", statuses.next()).await;
    assert!(matches!(failed, Some(Status::Reconnecting { attempt: 2.., .. })), "found {failed:?}");
    rig.restart().await;
    status(&client, "the connection", is_connected).await;
    assert!(client.close().await.is_empty());
    let mut last = None;
    while let Some(status) = statuses.next().await {
        last = Some(status);
    }
    assert_eq!(last, Some(Status::Disconnected { reason: DisconnectReason::Closed }));
}

#[tokio::test]
async fn a_reset_connection_is_made_again_and_brings_a_delta() {
    let rig = Rig::start().await;
    let proxy = Proxy::start(rig.address).await;
    let (a, b) = (quick(proxy.address).connect(), quick(rig.address).connect());
    let (mut states, mut deltas) = (a.on("state:sync"), a.on("state:delta"));
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    assert!(states.next().await.is_some());
    proxy.reset();
    status(&a, "the loss", is_offline).await;
    soon("the answer", at_b.set_title("missed").unwrap()).await.unwrap();
    until(&at_a, Document::TITLE, "missed".into()).await;
    let delta = soon("the delta", deltas.next()).await.unwrap().unwrap();
    assert_eq!(delta.room.as_deref(), Some("document-1"));
    assert!(states.next().now_or_never().is_none(), "the whole state was not sent again");
}

#[tokio::test]
async fn a_half_open_link_is_noticed_and_replaced() {
    let rig = Rig::start().await;
    let proxy = Proxy::start(rig.address).await;
    let heartbeat = Duration::from_millis(100);
    let a = quick(proxy.address).heartbeat(heartbeat).connect();
    let b = quick(rig.address).connect();
    let (mut states, mut deltas) = (a.on("state:sync"), a.on("state:delta"));
    let (at_a, at_b) = (joined(&a).await, joined(&b).await);
    assert!(states.next().await.is_some());

    let from = Instant::now();
    proxy.hold();
    proxy.let_others_through();
    let lost = at_a.set_title("into the void").unwrap();
    let seen = at_b.set_size(9).unwrap();
    soon("the other's answer", seen).await.unwrap();
    status(&a, "the loss", is_offline).await;
    // A ping after one heartbeat, the loss after another; the rest allows for a slow machine.
    assert!(from.elapsed() < 20 * heartbeat, "{:?}", from.elapsed());
    assert_eq!(soon("the answer", lost).await, Ok(2), "what was lost was sent again");
    until(&at_b, Document::TITLE, "into the void".into()).await;
    assert_eq!(at_a.size(), 9);
    assert!(soon("the delta", deltas.next()).await.is_some());
    assert!(states.next().now_or_never().is_none(), "the whole state was not sent again");
}

/// The heartbeat continues while the socket is blocked.
#[tokio::test]
async fn a_half_open_link_is_noticed_while_it_is_full() {
    let rig = Rig::start().await;
    let proxy = Proxy::start(rig.address).await;
    let a = quick(proxy.address).heartbeat(Duration::from_millis(100)).connect();
    let at_a = joined(&a).await;
    proxy.hold();
    proxy.let_others_through();
    // More than the buffers of two sockets hold.
    let receipts: Vec<_> = (0..60)
        .map(|n| {
            let title = "x".repeat(200_000);
            at_a.write_all(vec![Document::TITLE.set(title), Document::SIZE.set(n % 20)]).unwrap()
        })
        .take_while(|_| at_a.pending() < 38)
        .collect();
    status(&a, "the loss", is_offline).await;
    for receipt in receipts {
        soon("the answer", receipt).await.unwrap();
    }
}

/// A room whose frames find the socket blocked has its turn when the socket accepts frames again, though nothing
/// arrives and nobody writes.
#[tokio::test]
async fn g2_rooms_that_together_fill_the_socket_are_all_sent() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let rooms: Vec<_> =
        (0..24).map(|n| client.room(format!("document-{n}")).state(Document::default())).collect();
    for room in &rooms {
        live(room).await;
    }
    // Together more than the buffers of two sockets hold; all are sent in the same turn.
    let receipts: Vec<_> = rooms.iter().map(|room| room.set_title("x".repeat(900_000)).unwrap()).collect();
    for receipt in receipts {
        assert_eq!(soon("the answer", receipt).await, Ok(1));
    }
}

#[tokio::test]
async fn a_client_connects_to_a_server_that_comes_later() {
    let address = Rig::nowhere();
    let client = quick(address).connect();
    let document = client.room("document-1").state(Document::default());
    let receipt = document.set_title("early").unwrap();
    status(&client, "the failure", is_offline).await;
    let _rig = Rig::start_on(address).await;
    assert_eq!(soon("the answer", receipt).await, Ok(1));
}

#[tokio::test]
async fn a_client_gives_up_if_it_is_told_to() {
    let client = quick(Rig::nowhere()).attempts(Some(3)).connect();
    let document = client.room("document-1").state(Document::default());
    let receipt = document.set_title("lost").unwrap();
    let rejected = soon("the end", receipt).await.unwrap_err();
    assert_eq!(rejected.code(), Code::Closed);
    status(&client, "the end", |status| {
        matches!(status, Status::Disconnected { reason: DisconnectReason::GaveUp { attempts: 3, .. } })
    })
    .await;
    assert!(document.set_title("more").is_err());
    assert_eq!(client.close().await.changes(), 1);
}

#[tokio::test]
async fn what_can_never_work_is_said_at_once() {
    for url in [
        "",
        "http://127.0.0.1/ws",
        "ws://",
        "127.0.0.1:8080",
        #[cfg(not(feature = "rustls"))]
        "wss://localhost/ws",
    ] {
        let client = Client::builder(url).connect();
        let status = client.status();
        assert!(
            matches!(status, Status::Disconnected { reason: DisconnectReason::Url(_) }),
            "{url}: {status:?}"
        );
        assert!(client.close().await.is_empty());
    }
    let rig = Rig::start().await;
    let client = quick(rig.address).client_id("too short").connect();
    status(&client, "the refusal", |status| match status {
        Status::Disconnected { reason: DisconnectReason::Refused(violation) } => {
            violation.code == Code::BadClientId
        }
        _ => false,
    })
    .await;
}

#[tokio::test]
async fn a_newer_client_of_the_same_id_drives_the_older_one_out() {
    let rig = Rig::start().await;
    let id = "one-id-for-two-clients";
    let old = quick(rig.address).client_id(id).connect();
    status(&old, "the first connection", is_connected).await;
    let new = quick(rig.address).client_id(id).connect();
    status(&old, "the end", |status| match status {
        Status::Disconnected { reason: DisconnectReason::Refused(violation) } => {
            violation.code == Code::Superseded
        }
        _ => false,
    })
    .await;
    joined(&new).await;
}

/// The server does not speak TLS, which is a failed attempt like any other.
#[cfg(feature = "rustls")]
#[tokio::test]
async fn tls_is_tried() {
    let rig = Rig::start().await;
    let client = Client::builder(format!("wss://{}/ws", rig.address)).connect();
    status(&client, "the failure", is_offline).await;
}

/// G10: what a client cannot take of one room costs it that room and not the others.
#[tokio::test]
async fn a_room_whose_state_is_too_long_for_the_client_leaves_its_other_rooms_alone() {
    let rig = Rig::start().await;
    let writer = quick(rig.address).connect();
    let long = writer.room("document-0").state(Document::default());
    live(&long).await;
    soon("the answer", long.set_title("x".repeat(200_000)).unwrap()).await.unwrap();

    let client = quick(rig.address).max_message(100_000).connect();
    let mut statuses = client.statuses();
    let too_long = client.room("document-0").state(Document::default());
    let short = client.room("document-1").state(Document::default());
    for n in 0..4 {
        soon("the connection", async { while !matches!(statuses.next().await, Some(Status::Connected)) {} })
            .await;
        live(&short).await;
        soon("the answer", short.set_size(n).unwrap()).await.unwrap();
    }
    assert!(!too_long.is_live());
    // The only room that is open: each attempt waits longer than the one before.
    drop(short);
    status(&client, "the waits", |status| matches!(status, Status::Reconnecting { attempt: 4.., .. })).await;
}
