//! Several rooms over one connection.

#![allow(clippy::unwrap_used)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::client::Client;
use shared_state::server::Server;
use shared_state_tests::{Link, Proxy, accepted, client, is_offline, live, soon, start, status, until};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    title: String,
    #[shared(counter)]
    views: i64,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Game {
    board: [u8; 9],
    turn: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Profile {
    name: String,
    #[shared(nested)]
    colours: Colours,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Colours {
    front: u32,
    back: u32,
}

#[tokio::test]
async fn many_rooms_share_one_connection_and_nothing_else() {
    const ROOMS: usize = 20;
    let (server, address) = start(Server::builder().rooms("doc-*", Document::default)).await;
    let proxy = Proxy::start(address).await;
    let (ann, bob) = (client(proxy.address()), client(address));
    let open = |client: &Client| -> Vec<_> {
        (0..ROOMS).map(|room| client.room(format!("doc-{room}")).state(Document::default())).collect()
    };
    let (anns, bobs) = (open(&ann), open(&bob));
    for state in anns.iter().chain(&bobs) {
        live(state).await;
    }

    // Each room is written from both sides at the same time.
    let mut receipts = Vec::new();
    for (room, (ann, bob)) in anns.iter().zip(&bobs).enumerate() {
        receipts.push(ann.set_title(format!("room {room}")).unwrap());
        for _ in 0..room {
            receipts.push(bob.add_views(1).unwrap());
        }
    }
    for receipt in receipts {
        soon("an answer", receipt).await.unwrap();
    }
    for (room, (ann, bob)) in anns.iter().zip(&bobs).enumerate() {
        let version = ann.version().max(bob.version());
        until(ann, "ann's last version", |state| state.version() == version).await;
        until(bob, "bob's last version", |state| state.version() == version).await;
        let expected = Document { title: format!("room {room}"), views: room as i64 };
        assert_eq!((ann.state(), bob.state()), (expected.clone(), expected));
    }
    assert_eq!(proxy.traffic().len(), 1);
    assert_eq!(server.open_rooms(), ROOMS);

    // A room that is left is unloaded; the others stay.
    let mut anns = anns;
    drop(anns.remove(0));
    let revision = anns[0].revision();
    accepted(bobs[0].set_title("without ann")).await;
    accepted(bobs[1].set_title("with ann")).await;
    until(&anns[0], "bob's change", |state| state.get(Document::TITLE) == "with ann").await;
    assert!(anns[0].revision() > revision);
    let again = ann.room("doc-0").state(Document::default());
    until(&again, "the state of the room left", |state| state.get(Document::TITLE) == "without ann").await;
    assert_eq!(proxy.traffic().len(), 1);
}

#[tokio::test]
async fn g2_three_rooms_of_different_types_go_offline_and_come_back() {
    let builder = Server::builder()
        .rooms("doc-*", Document::default)
        .rooms("game-*", Game::default)
        .rooms("profile", Profile::default);
    let (_server, address) = start(builder).await;
    let proxy = Proxy::start(address).await;
    let (ann, bob) = (client(proxy.address()), client(address));
    let open = |client: &Client| {
        (
            client.room("doc-1").state(Document::default()),
            client.room("game-1").state(Game::default()),
            client.room("profile").state(Profile::default()),
        )
    };
    let (doc, game, profile) = open(&ann);
    let (bobs_doc, bobs_game, bobs_profile) = open(&bob);
    live(&doc).await;
    live(&game).await;
    live(&profile).await;

    proxy.set(Link::Reset);
    status(&ann, "the loss of the connection", is_offline).await;
    let offline = [
        doc.set_title("offline").unwrap(),
        doc.add_views(2).unwrap(),
        game.update(|game| (game.board[4], game.turn) = (1, 2)).unwrap(),
        profile.colours().set_front(7).unwrap(),
        profile.set_name("ann").unwrap(),
    ];
    let meanwhile = [
        bobs_doc.add_views(3).unwrap(),
        bobs_game.update(|game| game.board[0] = 2).unwrap(),
        bobs_profile.colours().set_back(9).unwrap(),
    ];
    for receipt in meanwhile {
        soon("bob's answer", receipt).await.unwrap();
    }
    assert_eq!((doc.views(), game.turn(), profile.name()), (2, 2, "ann".to_owned()), "her own shows at once");
    assert!(offline.iter().all(|receipt| receipt.try_result().is_none()));

    proxy.set(Link::Up);
    // Each room has its own versions: bob's change, and then hers in her order.
    for (receipt, version) in offline.into_iter().zip([2, 3, 2, 2, 3]) {
        assert_eq!(soon("an answer", receipt).await, Ok(version));
    }
    until(&bobs_doc, "her last change", |state| state.version() == 3).await;
    until(&bobs_game, "her last change", |state| state.version() == 2).await;
    until(&bobs_profile, "her last change", |state| state.version() == 3).await;
    assert_eq!((doc.state(), game.state(), profile.state()), {
        (bobs_doc.state(), bobs_game.state(), bobs_profile.state())
    });
    assert_eq!(doc.state(), Document { title: "offline".into(), views: 5 });
    assert_eq!(
        game.state(),
        Game { board: [0, 0, 0, 0, 1, 0, 0, 0, 0], turn: 2 },
        "a plain field is one value"
    );
    assert_eq!(profile.state(), Profile { name: "ann".into(), colours: Colours { front: 7, back: 9 } });
}
