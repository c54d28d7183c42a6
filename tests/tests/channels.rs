//! Channels between real clients and a real server, over real sockets.

#![allow(clippy::unwrap_used, missing_docs)]

use serde::{Deserialize, Serialize};
use shared_state::channel::Item;
use shared_state::client::{Channel, Client};
use shared_state::server::{ChannelKind, Server, ServerBuilder};
use shared_state_tests::{accepted, client, next, soon, start};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Line {
    text: String,
}

fn line(text: impl Into<String>) -> Line {
    Line { text: text.into() }
}

fn server(kind: ChannelKind) -> ServerBuilder {
    Server::builder().untyped_rooms(true).channels(kind)
}

/// A client's channel, once it is live.
async fn joined(client: &Client) -> Channel<Line> {
    let channel = client.room("lobby").channel::<Line>("chat");
    assert!(soon("the channel", channel.live()).await);
    channel
}

fn texts(channel: &Channel<Line>) -> Vec<String> {
    channel.history().iter().map(|message| message.value().text.clone()).collect()
}

#[tokio::test]
async fn what_one_says_the_other_hears_with_number_sender_and_time() {
    let (_server, address) = start(server(ChannelKind::of::<Line>("chat"))).await;
    let (anne, ben) = (client(address), client(address));
    let (a, b) = (joined(&anne).await, joined(&ben).await);
    let mut heard = b.stream();
    let mut own = a.stream();
    assert_eq!(accepted(a.send(&line("hello"))).await, 1);
    for (feed, is_own) in [(&mut heard, false), (&mut own, true)] {
        let Item::Message(message) = next(feed, "the message").await else { panic!("expected a message") };
        assert_eq!(message.value(), &line("hello"));
        assert_eq!((message.seq(), message.from(), message.is_own()), (Some(1), anne.id().as_ref(), is_own));
        assert!(message.at().is_some_and(|at| at > 1_700_000_000_000) && !message.is_pending());
    }
    assert_eq!(accepted(b.send(&line("hello yourself"))).await, 2);
    let late = client(address);
    let late = joined(&late).await;
    assert_eq!(texts(&late), ["hello", "hello yourself"]);
    assert!(late.history().iter().all(|message| !message.is_own()));
}
