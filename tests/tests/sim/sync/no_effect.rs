//! A write that changes nothing is not sent, is no event and no step of the undo history.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::merge::{CounterOp, Place};
use shared_state::{Backend as _, List, SharedState, Text};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    #[shared(validate(range(max = 10)))]
    small: u8,
    #[shared(counter)]
    views: u8,
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(map)]
    seats: BTreeMap<u8, String>,
    #[shared(map(counter))]
    tally: BTreeMap<String, i64>,
    #[shared(map(list(key = id, nested)))]
    lanes: BTreeMap<String, Vec<Todo>>,
    #[shared(map(map(set)))]
    halls: BTreeMap<String, BTreeMap<u8, BTreeSet<u8>>>,
    #[shared(map(text))]
    notes: BTreeMap<String, Text>,
    #[shared(set)]
    tags: BTreeSet<u8>,
    #[shared(text)]
    body: Text,
    #[shared(nested)]
    layout: Layout,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    done: bool,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
}

type Handle = SharedBoard<User<Board>>;

fn begin() -> Board {
    Board {
        title: "one".into(),
        views: 255,
        todos: (1..=3).map(|id| Todo { id, done: true }).collect(),
        seats: BTreeMap::from([(1, "ann".to_owned())]),
        tally: BTreeMap::from([("x".to_owned(), 2)]),
        halls: BTreeMap::from([("hall".to_owned(), BTreeMap::from([(2, BTreeSet::new())]))]),
        tags: BTreeSet::from([7]),
        body: "hello".into(),
        layout: Layout { columns: 3 },
        ..Board::default()
    }
}

fn two() -> (World<Board>, User<Board>, User<Board>, Handle, Handle) {
    let mut world = World::new(begin());
    let (a, b) = (world.join(), world.join());
    let (ha, hb) = (a.handle(), b.handle());
    let _ = (a.events(), b.events());
    (world, a, b, ha, hb)
}

/// Every kind of write that leaves the board as it is.
fn without_effect(h: &Handle) -> Vec<shared_state::proto::replica::WriteId> {
    let set = |update| h.write(update).unwrap();
    vec![
        h.set_title("one").unwrap(),
        h.update_title(|_| {}).unwrap(),
        h.set_views(255).unwrap(),
        h.add_views(0).unwrap(),
        h.sub_views(0).unwrap(),
        h.add_views(1).unwrap(),
        h.todos().insert_at(0, Todo { id: 2, done: true }).unwrap(),
        h.todos().edit(&1, |todo| todo.done = true).unwrap(),
        h.todos().remove(&9).unwrap(),
        h.todos().move_to(&2, 1).unwrap(),
        h.todos().move_after(&2, &1).unwrap(),
        set(Board::TODOS.op(shared_state::merge::ListOp::Move("3".into(), Place::End))),
        set(Board::TODOS.op(shared_state::merge::ListOp::Move("1".into(), Place::Front))),
        set(Board::TODOS.set(begin().todos)),
        h.seats().put(1, "ann".into()).unwrap(),
        h.seats().remove(&4).unwrap(),
        set(Board::SEATS.set(begin().seats)),
        h.tally().add("x".into(), 0).unwrap(),
        h.tally().add("none".into(), 0).unwrap(),
        h.tally().write_in("x".into(), CounterOp::Set(2)).unwrap(),
        // Inside an entry that is absent.
        h.lanes().at(&"none".into()).remove(&1).unwrap(),
        h.lanes().at(&"none".into()).clear().unwrap(),
        h.halls().at(&"none".into()).remove(&1).unwrap(),
        h.halls().at(&"none".into()).at(&1).remove(&2).unwrap(),
        h.halls().at(&"hall".into()).at(&1).remove(&2).unwrap(),
        h.notes().at(&"none".into()).insert(0, "").unwrap(),
        h.tags().insert(7).unwrap(),
        h.tags().remove(&8).unwrap(),
        h.body().insert(2, "").unwrap(),
        h.layout().set_columns(3).unwrap(),
        set(Board::LAYOUT.set(Layout { columns: 3 })),
        h.write_with(|board| Board::diff(board, board)).unwrap(),
        h.write_with(|_| vec![Board::TITLE.set("one".into()), Board::TAGS.set(BTreeSet::from([7]))]).unwrap(),
    ]
}

#[test]
fn it_is_no_change_no_event_and_no_step_and_is_answered_at_once() {
    let (mut world, a, b, ha, _) = two();
    ha.set_small(1).unwrap();
    world.settle();
    let _ = (a.events(), b.events(), a.answers(), a.traffic(), b.traffic());
    let answers: Vec<_> = without_effect(&ha).into_iter().map(|id| (id, Ok(1))).collect();
    assert_eq!(a.answers(), answers);
    world.settle();
    assert_eq!((a.traffic(), b.traffic()), ((0, 0), (0, 0)));
    assert!(a.events().is_empty() && b.events().is_empty());
    assert!(a.undo(), "the write before");
    world.settle();
    assert_eq!(world.state(), begin());
    assert!(!a.undo());
}

#[test]
fn it_does_not_end_what_can_be_redone() {
    let (mut world, a, _, ha, _) = two();
    ha.set_title("two").unwrap();
    world.settle();
    assert!(a.undo());
    world.settle();
    ha.set_title("one").unwrap();
    assert!(a.redo());
    world.settle();
    assert_eq!(world.state().title, "two");
}

#[test]
fn the_same_value_twice_is_one_step_before_and_after_the_answer() {
    for is_answered in [true, false] {
        let (mut world, a, b, ha, _) = two();
        for _ in 0..2 {
            ha.set_title("two").unwrap();
            ha.tags().insert(9).unwrap();
            if is_answered {
                world.settle();
            }
        }
        world.settle();
        assert_eq!((a.events().len(), b.events().len()), (2, 2));
        assert!(a.undo() && a.undo() && !a.undo());
        world.settle();
        assert_eq!(world.state(), begin());
    }
}

#[test]
fn of_a_change_only_what_has_an_effect_is_sent() {
    let (mut world, a, b, _, _) = two();
    a.write_all(vec![Board::TITLE.set("one".into()), Board::SMALL.set(4)]);
    let [local] = &a.events()[..] else { panic!("one event") };
    assert_eq!(local.updates, [Board::SMALL.set(4)]);
    world.settle();
    let [remote] = &b.events()[..] else { panic!("one event") };
    assert_eq!(remote.updates, [Board::SMALL.set(4)]);
}

#[test]
fn a_change_of_somebody_else_that_changes_nothing_here_is_no_event() {
    let (mut world, a, b, ha, hb) = two();
    a.leave();
    b.leave();
    for handle in [&ha, &hb] {
        handle.set_title("same").unwrap();
        handle.tags().insert(1).unwrap();
        handle.seats().put(2, "eve".into()).unwrap();
        handle.todos().edit(&1, |todo| todo.done = false).unwrap();
        handle.todos().push(Todo { id: 8, done: false }).unwrap();
        handle.layout().set_columns(9).unwrap();
    }
    let own = (a.events().len(), b.events().len());
    assert_eq!(own, (6, 6));
    a.come_back();
    world.deliver();
    b.come_back();
    world.settle();
    assert!(a.events().is_empty() && b.events().is_empty());
    assert_eq!(a.version(), 12, "the versions rise all the same");
}

#[test]
fn a_write_that_repeats_one_that_may_be_refused_is_sent() {
    let (mut world, a, _, ha, hb) = two();
    // The room's value has changed, so the transaction will be refused.
    a.leave();
    hb.set_small(2).unwrap();
    world.deliver();
    let _ = a.transact(|tx| {
        let _ = *tx.get(Board::SMALL);
        tx.set(Board::TITLE, "two".into());
    });
    ha.set_title("two").unwrap();
    a.come_back();
    world.settle();
    assert_eq!(world.state().title, "two");
    assert!(a.answers().iter().any(|(_, answer)| answer.is_err()));
}

#[test]
fn before_the_rooms_state_is_known_every_write_is_sent() {
    let mut world = World::new(begin());
    let late = world.join_offline_as(Board::default());
    let handle = late.handle();
    handle.set_title("").unwrap();
    late.come_back();
    world.settle();
    assert_eq!(world.state().title, "");
}

#[test]
fn a_transaction_without_effect_still_checks_what_it_read() {
    let (mut world, a, _, _, hb) = two();
    hb.set_small(2).unwrap();
    world.deliver();
    a.leave();
    hb.set_small(3).unwrap();
    world.deliver();
    let id = a.transact(|tx| {
        let _ = *tx.get(Board::SMALL);
        tx.set(Board::TITLE, "one".into());
    });
    a.come_back();
    world.settle();
    let (_, answer) = a.answers().into_iter().find(|(of, _)| *of == id).unwrap();
    assert!(answer.is_err());
}
