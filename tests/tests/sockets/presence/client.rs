//! The client's presence, over sockets.

use std::future::ready;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use shared_state::client::{Client, Presence};
use shared_state::presence::{Peer, PresenceError, PresenceEvent, PresenceOptions, User};
use shared_state::proto::Code;
use shared_state::server::{Action, Handshake, Server};
use shared_state_tests::{is_offline, soon, start, status};

use crate::common::proxy::Proxy;
use crate::common::rig::{Document, Rig, is_connected, quick};

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cursor {
    x: i32,
    y: i32,
}

type Here = Presence<User, Cursor>;

fn at(x: i32) -> Cursor {
    Cursor { x, y: 0 }
}

fn present(client: &Client, user: &str) -> Here {
    client.room("document-1").presence(User::new(user), Cursor::default())
}

/// Waits until the others are `expected`: user, x, away.
async fn others(presence: &Here, expected: &[(&str, i32, bool)]) {
    let mut expected: Vec<_> =
        expected.iter().map(|(user, x, away)| ((*user).to_owned(), *x, *away)).collect();
    expected.sort();
    let mut others = presence.watch();
    let mut last = Vec::new();
    let seen = async {
        while let Some(peers) = others.next().await {
            last = peers.iter().map(|peer| (peer.user.id.clone(), peer.data.x, peer.away)).collect();
            last.sort();
            if last == expected {
                return;
            }
        }
        panic!("the others ended");
    };
    if tokio::time::timeout(shared_state_tests::PATIENCE, seen).await.is_err() {
        panic!("expected {expected:?}, found {last:?}");
    }
}

#[tokio::test]
async fn everybody_sees_everybody_else_and_their_last_values() {
    let rig = Rig::start().await;
    let (a, b) = (quick(rig.address).connect(), quick(rig.address).connect());
    let ann = present(&a, "ann");
    let bob = present(&b, "bob");
    others(&ann, &[("bob", 0, false)]).await;
    others(&bob, &[("ann", 0, false)]).await;
    let mut events = bob.events();
    for x in 1..=100 {
        ann.update(|cursor| cursor.x = x).unwrap();
    }
    others(&bob, &[("ann", 100, false)]).await;
    assert_eq!(*ann.me(), at(100));
    assert!(matches!(soon("an update", events.next()).await, Some(PresenceEvent::Updated(Peer { .. }))));

    let late = quick(rig.address).connect();
    let cyd = present(&late, "cyd");
    others(&cyd, &[("ann", 100, false), ("bob", 0, false)]).await;
    assert_eq!((cyd.count(), cyd.is_live()), (3, true));
    let ids: Vec<_> = cyd.others().into_iter().map(|peer| peer.id).collect();
    assert!(ids.contains(&a.id().unwrap()) && ids.contains(&b.id().unwrap()));

    drop(cyd);
    others(&ann, &[("bob", 0, false)]).await;
    drop(ann);
    others(&bob, &[]).await;
    assert!(b.close().await.is_empty());
    assert!(bob.set(at(1)).is_err());
}

#[tokio::test]
async fn three_tabs_are_one_user_with_three_sessions() {
    let rig = Rig::start().await;
    let tabs: Vec<_> = (0..3).map(|_| quick(rig.address).connect()).collect();
    let tabs: Vec<_> = tabs.iter().map(|tab| present(tab, "ann")).collect();
    let b = quick(rig.address).connect();
    let bob = present(&b, "bob");
    others(&bob, &[("ann", 0, false); 3]).await;
    let users = bob.users();
    assert_eq!((bob.count(), users.len()), (2, 2));
    let ann = users.iter().find(|user| user.user.id == "ann").unwrap();
    assert_eq!(ann.sessions.len(), 3);
    tabs[0].set(at(7)).unwrap();
    others(&bob, &[("ann", 7, false), ("ann", 0, false), ("ann", 0, false)]).await;
    others(&tabs[1], &[("ann", 7, false), ("ann", 0, false), ("bob", 0, false)]).await;
    assert_eq!(tabs[1].count(), 2);
    let mut tabs = tabs.into_iter();
    drop(tabs.next());
    others(&bob, &[("ann", 0, false), ("ann", 0, false)]).await;
    assert_eq!(bob.count(), 2);
    drop(tabs);
    others(&bob, &[]).await;
    assert_eq!(bob.count(), 1);
}

#[tokio::test]
async fn hidden_from_the_beginning_and_away_by_itself() {
    let rig = Rig::start().await;
    let (a, b, e) =
        (quick(rig.address).connect(), quick(rig.address).connect(), quick(rig.address).connect());
    let bob = present(&b, "bob");
    let options = PresenceOptions::default().hidden(true);
    let eve = e.room("document-1").try_presence(User::new("eve"), at(1), options).unwrap();
    others(&eve, &[("bob", 0, false)]).await;
    let mut events = bob.events();
    let options = PresenceOptions::default().away_after(Some(std::time::Duration::from_millis(100)));
    let ann = a.room("document-1").try_presence(User::new("ann"), at(1), options).unwrap();
    let first = soon("an event", events.next()).await;
    assert!(
        matches!(first, Some(PresenceEvent::Joined(peer)) if peer.user.id == "ann"),
        "the first one to be seen"
    );
    assert_eq!((eve.is_hidden(), bob.count(), ann.is_away()), (true, 2, false));
    others(&bob, &[("ann", 1, true)]).await;
    assert!(ann.is_away());
    let mut events = bob.events();
    ann.input();
    let back = soon("an event", events.next()).await;
    assert!(matches!(back, Some(PresenceEvent::Updated(peer)) if !peer.away), "input ends it");
    ann.set_away(true).unwrap();
    others(&eve, &[("ann", 1, true), ("bob", 0, false)]).await;
    eve.set_hidden(false).unwrap();
    others(&bob, &[("ann", 1, true), ("eve", 1, false)]).await;
    eve.set_hidden(true).unwrap();
    others(&bob, &[("ann", 1, true)]).await;
}

#[tokio::test]
async fn a_client_that_returns_leaves_no_ghost() {
    let rig = Rig::start().await;
    let proxy = Proxy::start(rig.address).await;
    let b = quick(rig.address).connect();
    let bob = present(&b, "bob");
    let a = quick(proxy.address).heartbeat(std::time::Duration::from_millis(200)).connect();
    let ann = present(&a, "ann");
    others(&bob, &[("ann", 0, false)]).await;
    let mut seen = bob.watch();
    // The server does not notice that this connection is dead; the client does, and reconnects.
    proxy.hold();
    proxy.let_others_through();
    status(&a, "the loss", is_offline).await;
    assert!(!ann.is_live());
    assert_eq!(ann.others().len(), 1, "those who were there last");
    ann.set(at(5)).unwrap();
    status(&a, "the connection", is_connected).await;
    soon("the return", async {
        loop {
            let peers = seen.next().await.unwrap();
            assert!(peers.len() <= 1, "a ghost: {peers:?}");
            if peers.iter().any(|peer| peer.data.x == 5) {
                return;
            }
        }
    })
    .await;
    assert!(soon("the others", ann.live()).await);
    // This time the server notices.
    proxy.reset();
    status(&a, "the loss", is_offline).await;
    ann.set(at(6)).unwrap();
    others(&bob, &[("ann", 6, false)]).await;
    assert_eq!(bob.others().len(), 1);
    // Sessions that left while a client was disconnected are gone when it returns.
    proxy.reset();
    status(&a, "the loss", is_offline).await;
    drop((seen, bob));
    others(&ann, &[]).await;
}

#[tokio::test]
async fn what_is_refused_is_said() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let room = client.room("document-1");
    let note = room.presence("ann".to_owned(), "short".to_owned());
    assert!(soon("the others", note.live()).await);
    let refused = note.set("x".repeat(5000)).unwrap_err();
    assert!(matches!(refused, PresenceError::Rejected(reject) if reject.code == Code::PresenceTooLarge));
    note.set("short again".to_owned()).unwrap();
    let other = room.try_presence(User::new("ann"), at(1), PresenceOptions::default());
    assert!(matches!(other, Err(PresenceError::OtherType { .. })));
    let closed = room.presence(User::new("ann"), at(1));
    assert!(matches!(closed.set(at(2)), Err(PresenceError::Closed { .. })));
    assert_eq!((closed.others().len(), *closed.me()), (0, at(1)));

    let nowhere = client.room("nowhere").presence(User::new("ann"), at(1));
    let refusal = soon("the refusal", nowhere.errors().next()).await.unwrap();
    assert_eq!(refusal.code, Code::UnknownRoom);
    assert!(!soon("the end of the wait", nowhere.live()).await);

    // What was written before the server's limits are known is refused by the server, and said.
    let early = quick(rig.address).connect();
    let long = early.room("document-1").presence("eve".to_owned(), "x".repeat(5000));
    let refusal = soon("the refusal", long.errors().next()).await.unwrap();
    assert_eq!(refusal.code, Code::PresenceTooLarge);
    assert!(!soon("the end of the wait", long.live()).await);
    long.set("short".to_owned()).unwrap();
    assert!(soon("the others", long.live()).await);
    drop((long, early));

    // The same client as another user: the old user leaves first.
    let b = quick(rig.address).connect();
    let bob = b.room("document-1").presence("bob".to_owned(), String::new());
    drop(note);
    let again = room.presence("cyd".to_owned(), "new".to_owned());
    let mut others = bob.watch();
    soon("the new one", async {
        while !others.next().await.unwrap().iter().any(|peer| *peer.user == "cyd") {}
    })
    .await;
    assert_eq!((bob.others().len(), again.count()), (1, 2));
}

#[tokio::test]
async fn who_may_not_be_present_for_a_time_is_back_when_they_may() {
    // The token in the middle is of a user who may not be present; it and the first one are valid for a
    // moment.
    let builder = Server::builder()
        .rooms("document*", Document::default)
        .authenticate(|handshake: Handshake| {
            ready(Ok::<_, &str>(handshake.bearer().unwrap_or_default().to_owned()))
        })
        .valid_until(|token: &String| {
            (token == "0" || token == "1").then(|| SystemTime::now() + Duration::from_secs(2))
        })
        .authorize(|token: &String, _: &str, action: Action<'_>| match action {
            Action::Presence if token == "1" => Err("nobody sees you"),
            _ => Ok(()),
        });
    let (_server, address) = start(builder).await;
    let count = AtomicU64::new(0);
    let token = move || ready(Ok::<_, &str>(count.fetch_add(1, Ordering::SeqCst).to_string()));
    let (a, b) = (quick(address).bearer_with(token).connect(), quick(address).connect());
    let (ann, bob) = (present(&a, "ann"), present(&b, "bob"));
    others(&bob, &[("ann", 0, false)]).await;
    others(&bob, &[]).await;
    ann.update(|cursor| cursor.x = 1).unwrap();
    others(&bob, &[("ann", 1, false)]).await;
    others(&ann, &[("bob", 0, false)]).await;
}
