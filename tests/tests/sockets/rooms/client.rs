//! The rooms of one client: opened, reopened, left.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shared_state::client::{Client, StateError};
use shared_state::proto::Code;
use shared_state::{SharedState, WriteError};
use shared_state_tests::soon;

use crate::common::rig::{Document, Loose, Rig, joined, live, quick, until};

#[tokio::test]
async fn a_room_has_one_replica_and_one_type() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let document = joined(&client).await;
    let again =
        client.room("document-1").state(Document { title: "not looked at".into(), ..Document::default() });
    document.set_title("one").unwrap();
    assert_eq!(again.title(), "one");

    let room = client.room("document-1");
    let other = room.try_state(Loose::default()).err();
    let (held, asked) = (Document::NAME, Loose::NAME);
    assert_eq!(other, Some(StateError::OtherType { room: "document-1".into(), held, asked }));
    let closed = room.state(Loose { title: "alone".into(), size: 1 });
    assert_eq!(closed.title(), "alone");
    assert_eq!(closed.set_size(2).map(drop), Err(WriteError::Closed));
    assert!(matches!(client.room("").try_state(Document::default()), Err(StateError::Name { .. })));
    client.close().await;
    assert!(matches!(room.try_state(Document::default()), Err(StateError::Ended { .. })));
}

#[tokio::test]
async fn a_room_is_left_with_its_last_handle_and_can_be_joined_again() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let witness = quick(rig.address).connect();
    let seen = joined(&witness).await;
    let mut states = client.on("state:sync");
    for n in 1..=3 {
        // An unanswered change is not lost when the handle is dropped.
        joined(&client).await.add_views(1).unwrap();
        until(&seen, Document::VIEWS, n).await;
        assert!(soon("a state", states.next()).await.is_some(), "each time a replica of its own");
    }
    assert_eq!(seen.version(), 3);
}

#[tokio::test]
async fn a_room_that_is_not_to_be_had_says_so_and_leaves_the_others_alone() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let nowhere = client.room("nowhere").state(Document::default());
    let violation = soon("the error", nowhere.errors().next()).await.unwrap();
    assert_eq!(violation.code, Code::UnknownRoom);
    assert_eq!(nowhere.error(), Some(violation));
    let document = joined(&client).await;
    assert_eq!(document.error(), None);
    document.set_title("well").unwrap();
    until(&document, Document::TITLE, "well".into()).await;
}

#[tokio::test]
async fn many_rooms_share_a_connection() {
    let rig = Rig::start().await;
    let client = quick(rig.address).connect();
    let documents: Vec<_> =
        (0..20).map(|n| client.room(format!("document-{n}")).state(Document::default())).collect();
    for document in &documents {
        live(document).await;
        assert_eq!(soon("the answer", document.set_title("x").unwrap()).await, Ok(1));
    }
}

#[tokio::test]
async fn a_handle_inside_a_closure_that_was_given_its_value_panics_and_goes_on_afterwards() {
    let client = Client::builder("ws://127.0.0.1:9/ws").connect();
    let document = client.room("document-1").state(Document::default());
    let presence = client.room("document-1").presence(String::new(), 0_u32);
    let inside: [&dyn Fn(); 4] = [
        &|| drop(document.update(|_| drop(document.set_size(1)))),
        &|| document.read(|_| drop(document.title())),
        &|| {
            drop(document.transact(|_| {
                document.set_size(1)?;
                Ok::<_, WriteError>(())
            }));
        },
        &|| drop(presence.update(|_| drop(presence.set(1)))),
    ];
    for uses_handle in inside {
        let panic = catch_unwind(AssertUnwindSafe(uses_handle)).unwrap_err();
        let message = panic.downcast::<&str>().unwrap();
        assert!(message.contains("use what the closure is given"), "{message}");
    }
    document.update(|document| document.size = 2).unwrap();
    presence.update(|shown| *shown = 3).unwrap();
    assert_eq!((document.size(), *presence.me()), (2, 3));
}
