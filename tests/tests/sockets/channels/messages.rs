//! Channels between real clients and a real server, over sockets.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::WriteError;
use shared_state::channel::{Item, Message};
use shared_state::client::{BroadcastError, Channel, Client, StateError, Subscription};
use shared_state::proto::Code;
use shared_state::server::{Action, ChannelKind, Server, ServerBuilder};
use shared_state_tests::{
    Hook, Link, Process, Proxy, accepted, builder, client, is_offline, next, soon, start, status,
};
use tokio::net::TcpListener;

use crate::common::kept::Kept;
use crate::common::rig::{is_connected, quick};

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

/// Opens a client's channel, and waits until it is live.
async fn joined(client: &Client) -> Channel<Line> {
    let channel = client.room("lobby").channel::<Line>("chat");
    assert!(soon("the channel", channel.live()).await);
    channel
}

fn texts(channel: &Channel<Line>) -> Vec<String> {
    channel.history().iter().map(|message| message.value().text.clone()).collect()
}

/// The next item of a stream, which must be a message.
async fn message(feed: &mut Subscription<Item<Line>>) -> Message<Line> {
    match next(feed, "a message").await {
        Item::Message(message) => message,
        other => panic!("expected a message, found {other:?}"),
    }
}

/// The code with which a message was refused.
async fn refused(channel: &Channel<Line>, text: &str) -> Code {
    soon("an answer", channel.send(&line(text)).unwrap()).await.unwrap_err().code()
}

#[tokio::test]
async fn what_one_says_the_other_hears_with_number_sender_and_time() {
    let (_server, address) = start(server(ChannelKind::of::<Line>("chat"))).await;
    let (anne, ben) = (client(address), client(address));
    let (a, b) = (joined(&anne).await, joined(&ben).await);
    assert_eq!((a.room(), a.name()), ("lobby", "chat"));
    let mut heard = b.stream();
    let mut own = a.stream();
    assert_eq!(accepted(a.send(&line("hello"))).await, 1);
    for (feed, is_own) in [(&mut heard, false), (&mut own, true)] {
        let message = message(feed).await;
        assert_eq!(message.value(), &line("hello"));
        assert_eq!((message.seq(), message.from(), message.is_own()), (Some(1), anne.id().as_ref(), is_own));
        assert!(message.at().is_some_and(|at| at > 1_700_000_000_000) && !message.is_pending());
    }
    assert_eq!(accepted(b.send(&line("hello yourself"))).await, 2);
    let late = client(address);
    let late = joined(&late).await;
    assert_eq!(texts(&late), ["hello", "hello yourself"]);
    assert!(late.history().iter().all(|message| !message.is_own()));
    // The room's state does not affect the numbers of its channels.
    assert_eq!(late.last(), 2);
}

/// 1,000 messages of three writers, whose connections are cut again and again, as is a listener's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_g2_g3_none_lost_none_twice_one_order_through_reconnects() {
    const EACH: usize = 334;
    const ALL: usize = 3 * EACH;
    let (_server, address) = start(server(ChannelKind::of::<Line>("chat").keep(2 * ALL))).await;
    let mut tasks = Vec::new();
    let mut proxies = Vec::new();
    // The buffer is large enough that no reader lags.
    let client = |address| builder(address).channel_buffer(2 * ALL, usize::MAX).connect();
    let steady = client(address);
    let steady = joined(&steady).await;
    for writer in 0..4 {
        let proxy = Arc::new(Proxy::start(address).await);
        let client = client(proxy.address());
        let channel = joined(&client).await;
        let mut stream = channel.stream_after(0);
        proxies.push(proxy.clone());
        tasks.push(tokio::spawn(async move {
            let mut receipts = Vec::new();
            let mut read = Vec::new();
            // The fourth client only listens.
            for number in 0..if writer < 3 { EACH } else { 0 } {
                receipts.push((number, channel.send(&line(format!("{writer} {number}"))).unwrap()));
                if number % 8 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            while read.len() < ALL {
                let message = message(&mut stream).await;
                assert_eq!(message.seq(), Some(read.len() as u64 + 1), "each once, in order");
                let own = message.value().text.starts_with(&format!("{writer} "));
                assert_eq!(message.is_own(), own);
                read.push(message.value().text.clone());
            }
            for (number, receipt) in receipts {
                let seq = soon("an answer", receipt).await.unwrap() as usize;
                assert_eq!(read[seq - 1], format!("{writer} {number}"), "acknowledged is there");
            }
            assert!(channel.pending() == 0 && channel.error().is_none());
            (client, read)
        }));
    }
    // Cut connections, whatever is in flight.
    let mut stream = steady.stream_after(0);
    let mut cuts = 0;
    for count in 0..ALL {
        if count % 40 == 20 {
            let proxy = &proxies[cuts % proxies.len()];
            proxy.set(Link::Reset);
            proxy.set(Link::Up);
            cuts += 1;
        }
        message(&mut stream).await;
    }
    let order = texts(&steady);
    assert_eq!(order.len(), ALL);
    let mut by_writer: BTreeMap<String, usize> = BTreeMap::new();
    for (at, task) in tasks.into_iter().enumerate() {
        let (_client, read) = task.await.unwrap();
        assert_eq!(read, order, "{at} has the same order");
        if at == 0 {
            for text in &read {
                let (writer, number) = text.split_once(' ').unwrap();
                let next = by_writer.entry(writer.to_owned()).or_default();
                assert_eq!(*number, next.to_string(), "a writer's messages are in its order");
                *next += 1;
            }
        }
    }
    assert_eq!(by_writer.into_values().collect::<Vec<_>>(), [EACH; 3]);
    println!("{ALL} messages through {cuts} cuts");
}

#[tokio::test]
async fn g9_what_is_no_longer_kept_is_a_gap() {
    let (_server, address) = start(server(ChannelKind::of::<Line>("chat").keep(10))).await;
    let proxy = Proxy::start(address).await;
    let (writer, away) = (client(address), client(proxy.address()));
    let (w, a) = (joined(&writer).await, joined(&away).await);
    let mut stream = a.stream();
    accepted(w.send(&line("1"))).await;
    assert_eq!(message(&mut stream).await.seq(), Some(1));
    proxy.set(Link::Reset);
    status(&away, "the end of the connection", is_offline).await;
    for number in 2..=50 {
        accepted(w.send(&line(number.to_string()))).await;
    }
    proxy.set(Link::Up);
    let gap = next(&mut stream, "the gap").await;
    assert!(matches!(gap, Item::Gap { from: 2, to: 40 }), "{gap:?}");
    for seq in 41..=50 {
        assert_eq!(message(&mut stream).await.seq(), Some(seq));
    }
    let items = a.items();
    assert!(matches!(items[..2], [Item::Message(_), Item::Gap { from: 2, to: 40 }]), "{items:?}");
    assert_eq!(items.len(), 12);

    let late = client(address);
    let mut all = late.room("lobby").channel::<Line>("chat").stream_after(0);
    let gap = next(&mut all, "the gap").await;
    assert!(matches!(gap, Item::Gap { from: 1, to: 40 }), "{gap:?}");
    assert_eq!(message(&mut all).await.seq(), Some(41));
}

#[tokio::test]
async fn g9_a_slow_reader_is_told_what_it_missed() {
    let (_server, address) = start(server(ChannelKind::of::<Line>("chat"))).await;
    let client = client(address);
    let chat = joined(&client).await;
    let mut stream = chat.stream();
    let mut last = None;
    for number in 1..=1500 {
        last = Some(chat.send(&line(number.to_string())));
    }
    assert_eq!(accepted(last.unwrap()).await, 1500);
    let missed = next(&mut stream, "what was missed").await;
    assert!(matches!(missed, Item::Lagged { from: 1, to: 500 }), "{missed:?}");
    for seq in 501..=1500 {
        assert_eq!(message(&mut stream).await.seq(), Some(seq));
    }
}

#[tokio::test]
async fn g2_what_is_said_offline_is_pending_and_arrives() {
    let (_server, address) = start(server(ChannelKind::of::<Line>("chat"))).await;
    let proxy = Proxy::start(address).await;
    let client = client(proxy.address());
    let chat = joined(&client).await;
    accepted(chat.send(&line("before"))).await;
    proxy.set(Link::Reset);
    status(&client, "the end of the connection", is_offline).await;
    let receipts = [chat.send(&line("one")).unwrap(), chat.send(&line("two")).unwrap()];
    let history = chat.history();
    let pending: Vec<_> = history.iter().map(|message| (message.is_pending(), message.is_own())).collect();
    assert_eq!(pending, [(false, true), (true, true), (true, true)]);
    assert_eq!((history[1].seq(), history[1].from(), history[1].at()), (None, None, None));
    assert!(matches!(chat.broadcast(&line("nobody hears it")), Err(BroadcastError::NotLive)));
    proxy.set(Link::Up);
    for (receipt, seq) in receipts.into_iter().zip(2..) {
        assert_eq!(soon("an answer", receipt).await.unwrap(), seq);
    }
    assert_eq!(texts(&chat), ["before", "one", "two"]);
    assert!(chat.history().iter().all(|message| !message.is_pending()));
}

#[tokio::test]
async fn what_cannot_be_read_is_an_item_and_the_stream_goes_on() {
    let (_server, address) = start(server(ChannelKind::any("chat"))).await;
    let (newer, older) = (client(address), client(address));
    let chat = joined(&older).await;
    let mut stream = chat.stream();
    let any = newer.room("lobby").channel::<Value>("chat");
    accepted(any.send(&json!({"emoji": 7}))).await;
    accepted(any.send(&json!({"text": "words"}))).await;
    let Item::Unreadable(unreadable) = next(&mut stream, "an item").await else {
        panic!("expected an error")
    };
    assert_eq!((unreadable.seq, unreadable.json.get()), (1, r#"{"emoji":7}"#));
    assert!(unreadable.error.contains("missing field `text`"), "{unreadable}");
    assert_eq!(message(&mut stream).await.value(), &line("words"));
    assert_eq!(texts(&chat), ["words"]);
    assert_eq!(chat.items().len(), 2);
}

#[tokio::test]
async fn g10_what_the_server_does_not_take_is_refused_with_its_code() {
    let kind = ChannelKind::of::<Line>("chat").longest(40).rooms("lob*");
    let (_server, address) = start(server(kind)).await;
    let client = client(address);
    // Before the server has said how long a message may be.
    let early = client.room("lobby").channel::<Line>("chat");
    assert_eq!(refused(&early, &"x".repeat(100)).await, Code::MessageTooLarge);
    let chat = joined(&client).await;
    assert!(chat.history().is_empty(), "a refused message is taken back");
    // After it.
    let refused = chat.send(&line("x".repeat(100)));
    assert!(matches!(refused, Err(WriteError::Rejected(reject)) if reject.code == Code::MessageTooLarge));
    assert_eq!((chat.history().len(), chat.pending()), (0, 0));
    let any = client.room("lobby").try_channel::<Value>("chat");
    assert!(matches!(any, Err(StateError::OtherType { .. })));
    assert!(matches!(client.room("lobby").try_channel::<Value>("a\nb"), Err(StateError::Name { .. })));
    for (room, name) in [("lobby", "gossip"), ("elsewhere", "chat")] {
        let unknown = client.room(room).channel::<Line>(name);
        let mut errors = unknown.errors();
        let violation = next(&mut errors, "an error").await;
        assert_eq!(violation.code, Code::UnknownChannel, "{violation}");
    }
    // Another program sends a message of another type.
    let other = shared_state_tests::client(address);
    let any = other.room("lobby").channel::<Value>("chat");
    let wrong = soon("an answer", any.send(&json!({"words": 1})).unwrap()).await.unwrap_err();
    assert_eq!(wrong.code(), Code::WrongType);
    assert_eq!(accepted(chat.send(&line("fine"))).await, 1);
    assert!(client.close().await.is_empty());
    assert!(matches!(chat.send(&line("late")), Err(WriteError::Closed)));
}

#[tokio::test]
async fn a_server_that_starts_again_with_another_limit_tells_those_who_return() {
    let (store, address) = (Kept::default(), Process::address());
    let client = quick(address).connect();
    let mut chat = None;
    for (longest, written) in [(40, 0), (400, 100)] {
        let kind = ChannelKind::of::<Line>("chat").longest(longest).durable(true);
        let started = server(kind).store(store.clone()).build();
        let listener = TcpListener::bind(address).await.unwrap();
        let serving = tokio::spawn({
            let started = started.clone();
            async move { started.serve(listener).await }
        });
        status(&client, "the connection", is_connected).await;
        let chat = chat.get_or_insert_with(|| client.room("lobby").channel::<Line>("chat"));
        let text = "x".repeat(written);
        // A client that has been here learns of the limit with the messages that it has missed.
        accepted(chat.send(&line("first"))).await;
        accepted(chat.send(&line(text))).await;
        soon("the end of the server", started.shutdown()).await.unwrap();
        soon("the end of the listener", serving).await.unwrap();
        status(&client, "the end of the connection", is_offline).await;
    }
}

#[tokio::test]
async fn a_broadcast_reaches_those_who_are_there_and_is_not_kept() {
    let (_server, address) = start(server(ChannelKind::of::<Line>("chat").longest(100))).await;
    let (anne, ben) = (client(address), client(address));
    let (a, b) = (joined(&anne).await, joined(&ben).await);
    let mut heard = b.broadcasts();
    a.broadcast(&line("❤")).unwrap();
    let broadcast = next(&mut heard, "the broadcast").await.unwrap();
    assert_eq!((&broadcast.value, Some(&broadcast.from)), (&line("❤"), anne.id().as_ref()));
    // The sender does not get its own; the next broadcast it gets is the other's.
    let mut own = a.broadcasts();
    b.broadcast(&line("👍")).unwrap();
    assert_eq!(next(&mut own, "the broadcast").await.unwrap().value, line("👍"));
    assert!(a.history().is_empty() && b.history().is_empty());
    assert_eq!((a.last(), b.last()), (0, 0));
    let refused = a.broadcast(&line("x".repeat(200)));
    assert!(matches!(refused, Err(BroadcastError::Rejected(reject)) if reject.code == Code::MessageTooLarge));
    // What only the server can tell is reported to the sender.
    let any = shared_state_tests::client(address);
    let any = any.room("lobby").channel::<Value>("chat");
    assert!(soon("the channel", any.live()).await);
    let mut errors = any.errors();
    any.broadcast(&json!({"words": 1})).unwrap();
    assert_eq!(next(&mut errors, "an error").await.code, Code::WrongType);
}

#[tokio::test]
async fn a_hook_hears_the_channels_of_its_room_and_its_own_messages() {
    let (_server, address) = start(server(ChannelKind::any("*"))).await;
    let mut listener = Hook::connect(address).await;
    // The page has joined the room, without mentioning channels.
    listener.send(json!({"type": "state:sync:request", "room": "lobby", "payload": {}})).await;
    listener.expect_silence().await;

    let anne = client(address);
    let chat = joined(&anne).await;
    accepted(chat.send(&line("from anne"))).await;
    assert_eq!(listener.expect("broadcast:chat", "lobby").await, json!({"text": "from anne"}));

    // A page's first message joins the room; the message is also sent back to its sender.
    let mut writer = Hook::connect(address).await;
    writer.send(json!({"type": "broadcast:chat", "room": "lobby", "payload": {"text": "from a hook"}})).await;
    let echo = writer.next().await;
    assert_eq!((&echo["type"], &echo["payload"]["text"]), (&json!("broadcast:chat"), &json!("from a hook")));
    assert!(echo["timestamp"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{echo}");
    assert_eq!(listener.expect("broadcast:chat", "lobby").await, json!({"text": "from a hook"}));
    let mut stream = chat.stream_after(1);
    let heard = message(&mut stream).await;
    assert_eq!(
        (heard.value(), &**heard.from().unwrap()),
        (&line("from a hook"), echo["from"].as_str().unwrap())
    );

    // From then on the page gets the other channels of the room, whatever their names.
    let other = anne.room("lobby").channel::<Value>("other");
    accepted(other.send(&json!(7))).await;
    assert_eq!(writer.expect("broadcast:other", "lobby").await, json!(7));
    assert_eq!(listener.expect("broadcast:other", "lobby").await, json!(7));
    // That includes ephemeral channels.
    chat.broadcast(&line("❤")).unwrap();
    assert_eq!(writer.expect("broadcast:chat", "lobby").await, json!({"text": "❤"}));
    assert_eq!(listener.expect("broadcast:chat", "lobby").await, json!({"text": "❤"}));
    // It does not include those of other rooms.
    let elsewhere = anne.room("elsewhere").channel::<Value>("chat");
    accepted(elsewhere.send(&json!(8))).await;
    listener.expect_silence().await;
    writer.expect_silence().await;
}

#[tokio::test]
async fn a_channel_that_begins_anew_is_said_to() {
    let (server, address) =
        start(server(ChannelKind::of::<Line>("chat")).idle(std::time::Duration::ZERO)).await;
    let client = client(address);
    let chat = joined(&client).await;
    accepted(chat.send(&line("gone with its listeners"))).await;
    let proxy = Proxy::start(address).await;
    let away = shared_state_tests::client(proxy.address());
    let there = joined(&away).await;
    let mut stream = there.stream_after(1);
    proxy.set(Link::Reset);
    status(&away, "the end of the connection", is_offline).await;
    drop(chat);
    assert!(client.close().await.is_empty());
    soon("the end of the channel", async {
        while server.open_rooms() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let again = shared_state_tests::client(address);
    let again = joined(&again).await;
    assert_eq!(accepted(again.send(&line("the first again"))).await, 1);
    proxy.set(Link::Up);
    let item = next(&mut stream, "the beginning").await;
    assert!(matches!(item, Item::Restarted), "{item:?}");
    assert_eq!(message(&mut stream).await.value(), &line("the first again"));
}

#[tokio::test]
async fn the_server_speaks_too() {
    let (server, address) = start(server(ChannelKind::of::<Line>("chat"))).await;
    let client = client(address);
    let chat = joined(&client).await;
    let mut stream = chat.stream();
    let speaker = server.channel("lobby", "chat").await.unwrap();
    assert_eq!(soon("an answer", speaker.send(&line("tea is ready")).unwrap()).await.unwrap(), 1);
    let heard = message(&mut stream).await;
    assert_eq!((heard.value(), heard.from().map(|from| &**from)), (&line("tea is ready"), Some("server")));
    assert!(matches!(speaker.send(&7), Err(WriteError::Rejected(reject)) if reject.code == Code::WrongType));
    assert_eq!(speaker.last(), 1);
    assert!(server.channel("lobby", "gossip").await.is_err());
}

#[tokio::test]
async fn who_may_be_in_a_channel_and_who_may_speak_is_asked() {
    let may = |(): &(), room: &str, action: Action<'_>| match (room, action) {
        ("lobby", Action::Channel("secret")) => Err("not for you"),
        ("lobby", Action::Send("chat")) => Err("you may listen"),
        ("lobby", _) => Ok(()),
        (room, action) => panic!("asked of {room:?}: {action:?}"),
    };
    let (server, address) = start(server(ChannelKind::any("*")).authorize(may)).await;
    let client = client(address);
    let chat = joined(&client).await;
    assert!(!chat.can_send());
    assert!(matches!(chat.send(&line("hello")), Err(WriteError::Forbidden { action: "write", .. })));
    let mut errors = chat.errors();
    chat.broadcast(&line("hello")).unwrap();
    assert_eq!(next(&mut errors, "an error").await.code, Code::Forbidden);
    let secret = client.room("lobby").channel::<Value>("secret");
    assert_eq!(next(&mut secret.errors(), "an error").await.code, Code::Forbidden);
    // The page is not sent a channel that it may not read.
    let mut hook = Hook::connect(address).await;
    hook.send(json!({"type": "state:sync:request", "room": "lobby", "payload": {}})).await;
    hook.expect_silence().await;
    server.channel("lobby", "secret").await.unwrap().send(&1).unwrap().await.unwrap();
    hook.expect_silence().await;
}
