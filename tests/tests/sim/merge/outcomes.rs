//! G15: a write that found nothing to act on says so.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::Backend as _;
use shared_state::merge::{ListOp, MapOp, NestedOp, Place};
use shared_state::proto::Code;
use shared_state::{SharedState, Text, WriteError};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    #[shared(list(key = id, nested))]
    items: Vec<Item>,
    #[shared(list(key = id))]
    plain: Vec<Item>,
    #[shared(map(nested))]
    people: BTreeMap<String, Item>,
    #[shared(map)]
    seats: BTreeMap<u8, String>,
    #[shared(map(counter))]
    tally: BTreeMap<String, i64>,
    #[shared(set)]
    tags: BTreeSet<String>,
    #[shared(nested)]
    maybe: Option<Item>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Item {
    id: u32,
    title: String,
    #[shared(list(key = id, nested))]
    parts: Vec<Part>,
    #[shared(counter)]
    votes: i64,
    #[shared(text)]
    body: Text,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Part {
    id: u32,
    done: bool,
}

type Handle = SharedBoard<User<Board>>;
type Write = fn(&Handle) -> Result<shared_state::proto::replica::WriteId, WriteError>;

fn item(id: u32) -> Item {
    Item { id, parts: vec![Part { id: 1, done: false }], ..Item::default() }
}

fn begin() -> Board {
    Board {
        items: vec![item(1), item(2)],
        plain: vec![item(1), item(2)],
        people: BTreeMap::from([("ann".to_owned(), item(1))]),
        seats: BTreeMap::from([(1, "ann".to_owned())]),
        maybe: Some(item(1)),
        ..Board::default()
    }
}

/// Writes that act on something, what removes it, and the path that an error names.
const WRITES: &[(Write, Write, &str)] = &[
    (|h| h.items().edit(&2, |item| item.title = "x".into()), |h| h.items().remove(&2), "items/2"),
    (|h| h.items().at(&2).set_title("x"), |h| h.items().clear(), "items/2"),
    (|h| h.items().move_to(&2, 0), |h| h.items().remove(&2), "items/2"),
    (|h| h.items().move_after(&1, &2), |h| h.items().remove(&1), "items/1"),
    (
        |h| h.items().write_in(&2, NestedOp::In(Box::new(Item::TITLE.set("x".into())))),
        |h| h.items().remove(&2),
        "items/2",
    ),
    (
        |h| h.items().at(&2).parts().at(&1).set_done(true),
        |h| h.items().at(&2).parts().remove(&1),
        "items/2/parts/1",
    ),
    (|h| h.items().at(&2).parts().push(Part { id: 9, done: true }), |h| h.items().remove(&2), "items/2"),
    (|h| h.items().at(&2).add_votes(1), |h| h.items().remove(&2), "items/2"),
    (|h| h.items().at(&2).body().push("x"), |h| h.items().remove(&2), "items/2"),
    (|h| h.people().at(&"ann".into()).add_votes(1), |h| h.people().remove(&"ann".into()), "people/ann"),
    (|h| h.people().at(&"ann".into()).body().push("x"), |h| h.people().clear(), "people/ann"),
    (|h| h.plain().edit(&2, |item| item.title = "x".into()), |h| h.plain().remove(&2), "plain/2"),
    (
        |h| h.people().edit(&"ann".into(), |item| item.title = "x".into()),
        |h| h.people().remove(&"ann".into()),
        "people/ann",
    ),
    (|h| h.people().at(&"ann".into()).set_title("x"), |h| h.set_people(BTreeMap::new()), "people/ann"),
    (|h| h.edit_maybe(Item::TITLE.set("x".into())), |h| h.set_maybe(None), "maybe"),
    // One change of several updates is refused as a whole.
    (
        |h| {
            h.update(|board| {
                board.title = "x".into();
                board.items[1].title = "x".into();
            })
        },
        |h| h.items().remove(&2),
        "items/2",
    ),
];

/// Adds `update` to the handle of a user.
trait Update {
    fn update(
        &self,
        change: impl FnOnce(&mut Board),
    ) -> Result<shared_state::proto::replica::WriteId, WriteError>;
}

impl Update for Handle {
    fn update(
        &self,
        change: impl FnOnce(&mut Board),
    ) -> Result<shared_state::proto::replica::WriteId, WriteError> {
        self.write_with(|old| {
            let mut new = old.clone();
            change(&mut new);
            Board::diff(old, &new)
        })
    }
}

#[test]
fn g15_a_write_in_what_was_removed_at_the_same_time_is_refused_as_gone() {
    for (at, (write, remove, path)) in WRITES.iter().enumerate() {
        let mut world = World::new(begin());
        let (ann, bob) = (world.join(), world.join());
        world.settle();
        ann.leave();
        write(&ann.handle()).unwrap();
        remove(&bob.handle()).unwrap();
        world.settle();
        ann.come_back();
        world.settle();
        let answers = ann.answers();
        let rejected = answers[0].1.as_ref().unwrap_err();
        assert_eq!((rejected.code(), rejected.field()), (Code::Gone, Some(*path)));
        assert_eq!(ann.state(), world.state(), "{path}");
        assert_eq!(world.state().title, "");
        assert!(bob.answers().iter().all(|(_, answer)| answer.is_ok()));
        // What is seen to be gone is refused at once. A function on the whole state does not find it either.
        if at + 1 < WRITES.len() {
            assert!(
                matches!(write(&ann.handle()), Err(WriteError::Gone { path: gone }) if *gone == **path),
                "{path}"
            );
        }
    }
}

#[test]
fn g15_a_write_in_what_was_never_there_is_refused_at_once() {
    let mut world = World::new(Board::default());
    let board = world.join().handle();
    world.settle();
    for (write, _, path) in &WRITES[..WRITES.len() - 1] {
        let gone = match write(&board) {
            Err(WriteError::Gone { path }) => path,
            other => panic!("{path}: {other:?}"),
        };
        assert!(path.starts_with(&*gone) && !gone.is_empty(), "{path}: {gone}");
    }
}

#[test]
fn g15_an_item_whose_key_another_has_is_refused_and_the_same_item_is_not() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    let push =
        |user: &User<Board>, title: &str| user.handle().items().push(Item { title: title.into(), ..item(9) });
    ann.leave();
    push(&ann, "ann's").unwrap();
    push(&bob, "bob's").unwrap();
    world.settle();
    ann.come_back();
    world.settle();
    let rejected = ann.answers()[0].1.clone().unwrap_err();
    assert_eq!((rejected.code(), rejected.field()), (Code::Exists, Some("items/9")));
    assert_eq!(ann.state(), world.state());
    assert!(matches!(push(&ann, "ann's"), Err(WriteError::Exists { path }) if &*path == "items/9"));
    push(&ann, "bob's").unwrap();
    world.settle();
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
    assert_eq!(world.state().items.len(), 3);
}

#[test]
fn g15_what_is_as_it_was_asked_to_be_is_accepted() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    ann.leave();
    let both: &[Write] = &[
        |h| h.items().remove(&2),
        |h| h.people().remove(&"ann".into()),
        |h| h.tags().insert("x".into()),
        |h| h.seats().put(1, "bob".into()),
        |h| h.plain().clear(),
    ];
    for user in [&ann, &bob] {
        for write in both {
            write(&user.handle()).unwrap();
        }
        user.handle().tags().remove(&"y".into()).unwrap();
        // An entry that can begin empty is made.
        user.handle().tally().add("new".into(), 2).unwrap();
    }
    world.settle();
    ann.come_back();
    world.settle();
    for user in [&ann, &bob] {
        let answers = user.answers();
        assert!(answers.iter().all(|(_, answer)| answer.is_ok()), "{answers:?}");
        assert_eq!(user.state(), world.state());
    }
    assert_eq!(world.state().tally["new"], 4);
}

#[test]
fn g15_an_undo_of_what_is_gone_by_then_says_so() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    ann.handle().items().edit(&2, |item| item.title = "x".into()).unwrap();
    world.settle();
    let _ = ann.answers();
    ann.leave();
    assert!(ann.undo());
    bob.handle().items().remove(&2).unwrap();
    world.settle();
    ann.come_back();
    world.settle();
    assert_eq!(ann.answers()[0].1.as_ref().unwrap_err().code(), Code::Gone);
    assert!(!ann.undo() && !ann.redo());
    assert_eq!(ann.state(), world.state());
}

#[test]
fn g15_an_untyped_room_says_it_too() {
    let mut world = World::untyped(Board::default());
    let (ann, bob) = (world.join(), world.join());
    let handle = ann.handle();
    handle.items().push(item(3)).unwrap();
    handle.people().put("bob".into(), item(3)).unwrap();
    world.settle();
    let _ = ann.answers();
    ann.leave();
    handle.items().edit(&3, |item| item.title = "x".into()).unwrap();
    handle.people().edit(&"bob".into(), |item| item.title = "x".into()).unwrap();
    handle.items().push(item(4)).unwrap();
    handle.items().move_to(&3, 9).unwrap();
    bob.handle().items().remove(&3).unwrap();
    bob.handle().items().push(Item { title: "bob's".into(), ..item(4) }).unwrap();
    bob.handle().people().remove(&"bob".into()).unwrap();
    world.settle();
    ann.come_back();
    world.settle();
    let codes: Vec<_> = ann.answers().into_iter().map(|(_, answer)| answer.unwrap_err().code()).collect();
    assert_eq!(codes, [Code::Gone, Code::Gone, Code::Exists, Code::Gone]);
    assert_eq!(ann.state(), bob.state());
    world.restart();
    [&ann, &bob].into_iter().for_each(User::come_back);
    world.settle();
    assert_eq!(ann.state(), bob.state());
}

#[test]
fn g15_the_server_is_told_as_well() {
    let mut world = World::new(begin());
    let user = world.join();
    world.settle();
    let edit = Board::ITEMS
        .op(ListOp::In(9.to_string().as_str().into(), NestedOp::In(Box::new(Item::TITLE.set("x".into())))));
    assert!(matches!(user.write(edit), Err(WriteError::Gone { .. })));
    let absent = MapOp::In("eve".into(), NestedOp::In(Box::new(Item::TITLE.set("x".into()))));
    assert!(matches!(user.write(Board::PEOPLE.op(absent)), Err(WriteError::Gone { .. })));
    let end = ListOp::Insert(Place::End, item(1));
    user.write(Board::PLAIN.op(end)).unwrap();
}
