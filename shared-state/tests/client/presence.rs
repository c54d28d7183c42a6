//! Who is in a room, over real sockets.

use serde::{Deserialize, Serialize};
use shared_state::client::{Client, Presence};
use shared_state::presence::{Peer, PresenceEvent, PresenceOptions, User};

use crate::proxy::Proxy;
use crate::{Rig, is_connected, is_reconnecting, quick, soon, status};

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

/// Waits until the others are as `expected` says: user, x, away.
async fn others(presence: &Here, expected: &[(&str, i32, bool)]) {
    let mut expected: Vec<_> = expected.iter().map(|(user, x, away)| ((*user).to_owned(), *x, *away)).collect();
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
    if tokio::time::timeout(crate::PATIENCE, seen).await.is_err() {
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
