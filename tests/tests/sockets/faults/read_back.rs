//! G15: a value that would read back from JSON as another one is refused where it is written, and a room does not begin
//! with one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::client::BroadcastError;
use shared_state::presence::{PresenceError, PresenceOptions, User};
use shared_state::proto::{Code, Reject};
use shared_state::server::{OpenRoomError, Server};
use shared_state::store::{RedbStore, RoomStore as _};
use shared_state::{SharedState, WriteError};
use shared_state_tests::{soon, start};

use crate::common::rig::quick;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Values {
    float: Option<f64>,
    twice: Option<Option<u32>>,
    unit: Option<()>,
    #[shared(counter)]
    sum: f64,
    #[shared(list(key = id))]
    items: Vec<Item>,
    #[shared(map)]
    entries: BTreeMap<String, Option<f32>>,
    #[shared(set)]
    members: BTreeSet<Option<Option<u8>>>,
    #[shared(nested)]
    inner: Inner,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Item {
    id: u32,
    weight: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Inner {
    level: Option<f64>,
}

fn is_unsendable<T>(written: Result<T, WriteError>) -> bool {
    matches!(written, Err(WriteError::Unsendable(_)))
}

#[tokio::test]
async fn g15_a_value_that_reads_back_as_another_is_refused_where_it_is_written() {
    let builder = Server::builder().rooms("values", Values::default).channel::<Option<f64>>("chat");
    let (server, address) = start(builder).await;
    let client = quick(address).connect();
    let room = client.room("values");
    let values = room.state(Values::default());
    assert!(soon("the state", values.live()).await);
    soon("the answer", values.items().push(Item { id: 1, weight: None }).unwrap()).await.unwrap();
    let before = (values.state(), values.version());

    assert!(is_unsendable(values.set_float(Some(f64::NAN))));
    assert!(is_unsendable(values.set_twice(Some(None))));
    assert!(is_unsendable(values.set_unit(Some(()))));
    assert!(is_unsendable(values.set_sum(f64::INFINITY)) && is_unsendable(values.add_sum(f64::NAN)));
    assert!(is_unsendable(values.items().push(Item { id: 2, weight: Some(f64::NAN) })));
    assert!(is_unsendable(values.items().edit(&1, |item| item.weight = Some(f64::NEG_INFINITY))));
    assert!(is_unsendable(values.entries().put("a".to_owned(), Some(f32::NAN))));
    assert!(is_unsendable(values.members().insert(Some(None))));
    assert!(is_unsendable(values.inner().set_level(Some(f64::NAN))));
    assert!(is_unsendable(values.update(|values| values.inner.level = Some(f64::NAN))));
    assert!(is_unsendable(values.merge(ValuesPatch { twice: Some(Some(None)), ..Default::default() })));
    assert_eq!((values.state(), values.version(), values.pending()), (before.0.clone(), before.1, 0));

    // The server is a writer too.
    let handle = server.room::<Values>("values").await.unwrap();
    assert!(is_unsendable(handle.set_float(Some(f64::NAN))) && is_unsendable(handle.set_unit(Some(()))));

    let chat = room.channel::<Option<f64>>("chat");
    assert!(soon("the channel", chat.live()).await);
    assert!(is_unsendable(chat.send(&Some(f64::NAN))));
    assert!(matches!(chat.broadcast(&Some(f64::NAN)), Err(BroadcastError::Unsendable(_))));

    let presence = room.presence(User::new("ann"), Some(1.0));
    let refused = presence.set(Some(f64::NAN));
    assert!(matches!(refused, Err(PresenceError::Unsendable(_))));
    assert_eq!(*presence.me(), Some(1.0));
    let other = client.room("other").try_presence(User::new("ann"), f64::NAN, PresenceOptions::default());
    assert!(matches!(other, Err(PresenceError::Unsendable(_))));

    // What reads back is written.
    values.set_float(Some(0.1)).unwrap();
    values.set_twice(Some(Some(7))).unwrap();
    values.set_float(None).unwrap();
    soon("the answers", values.flush()).await.unwrap();
    assert_eq!((values.float(), values.twice()), (None, Some(Some(7))));
}

/// Nothing is stored of a room that cannot begin, and the program that opens it is told which field is the cause.
#[tokio::test]
async fn g15_a_room_does_not_begin_with_a_value_that_cannot_be_stored() {
    let item = |weight| Item { id: 1, weight: Some(weight) };
    let initials: [(&str, Values); 7] = [
        ("sum", Values { sum: f64::INFINITY, ..Values::default() }),
        ("float", Values { float: Some(f64::NAN), ..Values::default() }),
        ("twice", Values { twice: Some(None), ..Values::default() }),
        ("unit", Values { unit: Some(()), ..Values::default() }),
        ("items", Values { items: vec![item(f64::NAN)], ..Values::default() }),
        ("members", Values { members: BTreeSet::from([Some(None)]), ..Values::default() }),
        ("inner", Values { inner: Inner { level: Some(f64::INFINITY) }, ..Values::default() }),
    ];
    for (field, initial) in initials {
        let dir = tempfile::tempdir().unwrap();
        let begin = move |initial: Values| {
            let store = RedbStore::open(dir.path()).unwrap();
            (Server::builder().rooms("values", move || initial.clone()).store(store), dir)
        };
        let (builder, dir) = begin(initial);
        let (server, address) = start(builder).await;
        let refused = server.room::<Values>("values").await;
        let is_of_field =
            |reject: &Reject| reject.field.as_deref().is_some_and(|path| path.starts_with(field));
        assert!(
            matches!(&refused, Err(OpenRoomError::BadInitial { reject, .. }) if is_of_field(reject)),
            "{field}: {refused:?}"
        );
        let client = quick(address).connect();
        let values = client.room("values").state(Values::default());
        let receipt = values.set_float(Some(1.0)).unwrap();
        let mut errors = values.errors();
        let violation = soon("the refusal", futures_util::StreamExt::next(&mut errors)).await.unwrap();
        assert_eq!(violation.code, Code::RulesFailed);
        client.close().await;
        drop(receipt);
        server.shutdown().await.unwrap();
        drop(server);
        // The program is mended and starts again.
        let store = RedbStore::open(dir.path()).unwrap();
        assert!(store.load("values".into()).await.unwrap().is_none(), "{field}");
        let (_server, address) = start(Server::builder().rooms("values", Values::default).store(store)).await;
        let client = quick(address).connect();
        let values = client.room("values").state(Values::default());
        soon("the answer", values.set_float(Some(1.0)).unwrap()).await.unwrap();
    }
}

/// A server's program sends messages by the same rule.
#[tokio::test]
async fn g15_the_servers_own_messages_read_back_too() {
    let builder = Server::builder().untyped_rooms(true).channel::<serde_json::Value>("chat");
    let (server, _) = start(builder).await;
    let chat = server.channel("lobby", "chat").await.unwrap();
    assert!(is_unsendable(chat.send(&Some(f64::NAN))) && is_unsendable(chat.send(&Some(()))));
    assert!(is_unsendable(chat.send(&Inner { level: Some(f64::INFINITY) })));
    assert_eq!(chat.last(), 0);
    assert_eq!(soon("the number", chat.send(&Inner { level: None }).unwrap()).await.unwrap(), 1);
}
