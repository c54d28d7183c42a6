//! Tokens that identify a client, and that expire.

use std::collections::VecDeque;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use shared_state::client::{DisconnectReason, Status};
use shared_state::proto::Code;
use shared_state::server::{Handshake, Server};
use shared_state_tests::{soon, start, status};

use crate::common::rig::{Document, is_connected, joined, quick};

/// A server that accepts the tokens from `first` on; each is valid for the number of milliseconds that `left`
/// returns.
async fn serve(first: u64, left: impl Fn(u64) -> Option<u64> + Send + Sync + 'static) -> SocketAddr {
    let builder = Server::builder()
        .rooms("document*", Document::default)
        .authenticate(move |handshake: Handshake| {
            let token = handshake.bearer().and_then(|token| token.parse().ok());
            let known = token.filter(|token| *token >= first).ok_or("the token is not known");
            ready(known.map(|token| left(token).map(|left| SystemTime::now() + Duration::from_millis(left))))
        })
        .valid_until(|until: &Option<SystemTime>| *until);
    start(builder).await.1
}

#[tokio::test]
async fn g2_g3_a_token_expires_and_nothing_is_lost_or_done_twice() {
    // The first three tokens are valid for a moment and the next is not ready in time, so that connections
    // end while writes are in flight.
    let address = serve(0, |token| (token < 6).then_some(700)).await;
    let asked = Arc::new(AtomicU64::new(0));
    let counted = asked.clone();
    let client = quick(address)
        .bearer_with(move || {
            let asked = counted.fetch_add(1, Ordering::SeqCst);
            ready(if asked.is_multiple_of(2) { Ok(asked.to_string()) } else { Err("not yet") })
        })
        .connect();
    let mut statuses = client.statuses();
    let document = joined(&client).await;
    let (mut ends, mut written, mut receipts) = (0, 0, VecDeque::new());
    while ends < 3 {
        receipts.push_back(document.add_views(1).unwrap());
        written += 1;
        tokio::select! {
            biased;
            found = statuses.next() => if let Status::Reconnecting { cause, .. } = found.unwrap() {
                assert!(cause.contains("expired"), "{cause}");
                ends += 1;
            },
            () = tokio::task::yield_now() => {}
        }
        // Keep a few writes in flight.
        if receipts.len() == 8
            && let Some(first) = receipts.pop_front()
        {
            soon("an answer", first).await.unwrap();
        }
    }
    status(&client, "the connection", is_connected).await;
    for receipt in receipts {
        soon("an answer", receipt).await.unwrap();
    }
    assert_eq!(document.pending(), 0);
    assert_eq!((document.views(), document.version()), (i64::try_from(written).unwrap(), written));
    assert_eq!(asked.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn a_token_is_renewed_over_the_connection_that_stands() {
    let address = serve(0, |token| (token < 3).then_some(700)).await;
    let (asking, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let count = AtomicU64::new(0);
    let client = quick(address)
        .bearer_with(move || {
            let token = count.fetch_add(1, Ordering::SeqCst);
            asking.send(token).unwrap();
            ready(Ok::<_, &str>(token.to_string()))
        })
        .connect();
    let mut renewed = client.on("welcome:token");
    let document = joined(&client).await;
    let mut statuses = client.statuses();
    assert!(matches!(statuses.next().await, Some(Status::Connected)));
    for token in 0..4 {
        assert_eq!(soon("a question", asked.recv()).await, Some(token));
        if token > 0 {
            let told = soon("its answer", renewed.next()).await.unwrap().unwrap();
            assert_eq!(told.payload.contains("expires"), token < 3, "{told:?}");
        }
        soon("an answer", document.add_views(1).unwrap()).await.unwrap();
    }
    // The third token expires less than three times its 700 ms after the start; the connection must outlive
    // it.
    tokio::select! {
        biased;
        status = statuses.next() => panic!("{status:?}"),
        answer = document.add_views(1).unwrap() => assert_eq!(answer, Ok(5)),
    }
}

#[tokio::test]
async fn a_token_that_is_not_wanted_any_more_is_the_end() {
    let address = serve(1, |_| Some(700)).await;
    let asked = AtomicU64::new(1);
    let token = move || ready(Ok::<_, &str>(asked.fetch_sub(1, Ordering::SeqCst).to_string()));
    let client = quick(address).bearer_with(token).connect();
    let document = joined(&client).await;
    status(&client, "the end", |status| match status {
        Status::Disconnected { reason: DisconnectReason::Refused(violation) } => {
            violation.code == Code::Unauthorized
        }
        _ => false,
    })
    .await;
    assert!(document.add_views(1).is_err());
}

#[tokio::test]
async fn no_token_is_an_attempt_that_failed() {
    let address = serve(2, |_| None).await;
    let asked = AtomicU64::new(0);
    let token = move || {
        let asked = asked.fetch_add(1, Ordering::SeqCst);
        ready(if asked < 2 { Err("nobody has signed in") } else { Ok(asked.to_string()) })
    };
    let client = quick(address).bearer_with(token).connect();
    let mut statuses = client.statuses();
    let mut failed = None;
    while let Some(status) = soon("a status", statuses.next()).await {
        match status {
            Status::Reconnecting { attempt, cause, .. } => failed = Some((attempt, cause)),
            Status::Connected => break,
            _ => {}
        }
    }
    let (attempt, cause) = failed.unwrap();
    assert!(attempt >= 2 && cause.contains("nobody has signed in"), "{attempt}: {cause}");
}
