//! The streams of generated handles, such as `watch_title()`: at a client, in the server's program, and
//! inside a nested struct.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use futures_util::{FutureExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use shared_state::proto::Code;
use shared_state::server::Server;
use shared_state::{SharedState, Text, WriteError};
use shared_state_tests::{builder, live, soon, start};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
    #[shared(counter)]
    views: i64,
    #[shared(map)]
    votes: BTreeMap<String, u32>,
    #[shared(nested)]
    layout: Layout,
    /// Takes the name that the stream of `title` would have.
    watch_title: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
    #[shared(nested)]
    margin: Margin,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Margin {
    left: u32,
    right: u32,
}

#[tokio::test]
async fn a_stream_begins_with_what_is_and_has_every_field_apart() {
    let (server, address) = start(Server::builder().rooms("page-*", Page::default)).await;
    let page = builder(address).connect().room("page-1").state(Page::default());
    live(&page).await;
    let room = server.room::<Page>("page-1").await.unwrap();

    let (mut views, mut votes) = (page.watch_views(), page.watch_votes());
    let mut left = page.layout().margin().watch_left();
    let mut left_in_room = room.layout().margin().watch_left();
    assert_eq!(views.next().await, Some(0));
    assert_eq!(votes.next().await, Some(BTreeMap::new()));
    assert_eq!(left.next().await, Some(0));
    assert_eq!(soon("the value", left_in_room.next()).await, Some(0));

    page.add_views(2).unwrap();
    page.votes().put("ada".into(), 1).unwrap();
    assert_eq!(views.next().await, Some(2));
    assert_eq!(votes.next().await.unwrap()["ada"], 1);

    // A change beside it, in the same field of the page.
    page.layout().margin().set_right(9).unwrap();
    page.layout().set_columns(3).unwrap();
    assert_eq!(left.next().now_or_never(), None);
    page.layout().margin().set_left(4).unwrap();
    assert_eq!(left.next().await, Some(4));
    assert_eq!(soon("the value", left_in_room.next()).await, Some(4));

    drop(room.layout().margin().set_left(5).unwrap());
    assert_eq!(soon("the value", left.next()).await, Some(5));
    assert!(!page.watch_title(), "the field's own accessor");
}

#[tokio::test]
async fn g15_a_stream_has_nothing_when_the_same_value_is_set_again() {
    let (server, address) = start(Server::builder().rooms("page-*", Page::default)).await;
    let page = builder(address).connect().room("page-1").state(Page::default());
    live(&page).await;
    let room = server.room::<Page>("page-1").await.unwrap();
    page.set_title("one").unwrap().await.unwrap();
    let (mut here, mut there) = (page.watch(Page::TITLE), room.watch(Page::TITLE));
    assert_eq!(here.next().await.unwrap(), "one");
    assert_eq!(soon("the value", there.next()).await.unwrap(), "one");
    // The same value from this client, from the server's program, and from a client that does not know it yet.
    page.set_title("one").unwrap().await.unwrap();
    room.set_title("one").unwrap().await.unwrap();
    let early = builder(address).connect().room("page-1").state(Page::default());
    early.set_title("one").unwrap().await.unwrap();
    page.set_title("two").unwrap().await.unwrap();
    assert_eq!(here.next().await.unwrap(), "two");
    assert_eq!(soon("the value", there.next()).await.unwrap(), "two");
    assert_eq!((here.next().now_or_never(), there.next().now_or_never()), (None, None));
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    columns: Vec<Column>,
    #[shared(map(text))]
    notes: BTreeMap<u8, Text>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Column {
    id: u32,
    title: String,
    #[shared(list(key = id, nested))]
    cards: Vec<Card>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u32,
    title: String,
}

#[tokio::test]
async fn a_stream_in_an_entry_has_values_while_the_entry_is_there() {
    let (server, address) = start(Server::builder().rooms("board-*", Board::default)).await;
    let board = builder(address).connect().room("board-1").state(Board::default());
    live(&board).await;
    let room = server.room::<Board>("board-1").await.unwrap();

    let cards = board.columns().at(&1).cards();
    let (mut titles, mut counts) = (board.columns().at(&1).watch_title(), cards.watch());
    let mut notes = board.notes().at(&3).watch();
    assert_eq!((titles.next().now_or_never(), counts.next().now_or_never()), (None, None));
    board.columns().push(Column { id: 1, title: "To do".into(), ..Column::default() }).unwrap();
    assert_eq!(titles.next().await.unwrap(), "To do");
    assert_eq!(counts.next().await, Some(Vec::new()));
    cards.push(Card { id: 7, title: "Milk".into() }).unwrap().await.unwrap();
    assert_eq!(counts.next().await.unwrap().len(), 1);
    assert_eq!(titles.next().now_or_never(), None);

    room.columns().at(&1).cards().at(&7).set_title("Oat milk").unwrap().await.unwrap();
    assert_eq!(soon("the value", counts.next()).await.unwrap()[0].title, "Oat milk");
    room.notes().at(&3).push("hello").unwrap().await.unwrap();
    assert_eq!(soon("the value", notes.next()).await.unwrap().as_str(), "hello");

    // The server's program moves the card, and is told what is gone.
    room.columns().push(Column { id: 2, ..Column::default() }).unwrap().await.unwrap();
    room.columns().at(&1).cards().move_between(&7, &room.columns().at(&2).cards(), 0).unwrap().await.unwrap();
    assert_eq!(soon("the value", counts.next()).await, Some(Vec::new()));
    assert_eq!(board.columns().at(&2).cards().at(&7).title(), "Oat milk");
    for gone in [room.columns().at(&1).cards().at(&8).set_title("x"), room.columns().at(&9).set_title("x")] {
        assert!(matches!(gone, Err(WriteError::Gone { .. })));
    }

    // The client's receipt says so too, if it has not seen it yet.
    let hidden = room.columns().remove(&2).unwrap();
    let late = board.columns().at(&2).set_title("late");
    hidden.await.unwrap();
    match late {
        Ok(receipt) => assert_eq!(receipt.await.unwrap_err().code(), Code::Gone),
        Err(error) => assert!(matches!(error, WriteError::Gone { .. }), "{error}"),
    }
}
