//! The streams of generated handles, such as `watch_title()`: at a client, in the server's program, and
//! inside a nested struct.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use futures_util::{FutureExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::server::Server;
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
