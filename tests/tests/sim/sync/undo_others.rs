//! Undo and redo never take back what somebody else wrote, even where it reads the same.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::merge::{CounterOp, NestedOp, Place};
use shared_state::{Backend as _, List, SharedState, Text};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    open: bool,
    #[shared(counter)]
    views: i64,
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(list(key = id))]
    plain: Vec<Todo>,
    #[shared(map)]
    seats: BTreeMap<u8, String>,
    #[shared(map(counter))]
    tally: BTreeMap<String, i64>,
    #[shared(map(nested))]
    cards: BTreeMap<u8, Layout>,
    #[shared(map(list(key = id)))]
    lanes: BTreeMap<u8, Vec<Todo>>,
    #[shared(map(set))]
    marks: BTreeMap<u8, BTreeSet<u8>>,
    #[shared(map(text))]
    notes: BTreeMap<u8, Text>,
    #[shared(set)]
    tags: BTreeSet<u8>,
    #[shared(nested)]
    layout: Layout,
    #[shared(nested)]
    panel: Option<Layout>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    done: bool,
    title: String,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
    #[shared(counter)]
    moves: i64,
}

type Handle = SharedBoard<User<Board>>;
type Write = (&'static str, fn() -> BoardUpdate);

fn todo(id: u32) -> Todo {
    Todo { id, ..Todo::default() }
}

fn begin() -> Board {
    Board {
        title: "old".into(),
        todos: (1..=4).map(todo).collect(),
        plain: (1..=4).map(todo).collect(),
        seats: BTreeMap::from([(1, "old".into()), (2, "old".into())]),
        cards: BTreeMap::from([(1, Layout::default())]),
        tags: BTreeSet::from([1]),
        panel: Some(Layout::default()),
        ..Board::default()
    }
}

fn two() -> (World<Board>, User<Board>, User<Board>, Handle, Handle) {
    let mut world = World::new(begin());
    let (a, b) = (world.join(), world.join());
    let (ha, hb) = (a.handle(), b.handle());
    (world, a, b, ha, hb)
}

fn in_layout(update: LayoutUpdate) -> NestedOp<Layout> {
    NestedOp::In(Box::new(update))
}

fn in_todo(update: TodoUpdate) -> NestedOp<Todo> {
    NestedOp::In(Box::new(update))
}

/// A write of each kind that two people can make alike.
const WRITES: [Write; 18] = {
    use shared_state::merge::{ListOp, MapOp, OptionalOp, SetOp};
    [
        ("title", || Board::TITLE.set("agreed".into())),
        ("bool", || Board::OPEN.set(true)),
        ("counter", || Board::VIEWS.set(7)),
        ("item's field", || {
            Board::TODOS.op(ListOp::In("2".into(), in_todo(TodoUpdate::Title("agreed".into()))))
        }),
        ("item", || Board::PLAIN.op(ListOp::In("2".into(), Todo { done: true, ..todo(2) }))),
        ("insert", || Board::TODOS.op(ListOp::Insert(Place::End, todo(9)))),
        ("remove", || Board::TODOS.op(ListOp::Delete("3".into()))),
        ("move", || Board::TODOS.op(ListOp::Move("4".into(), Place::Front))),
        ("put", || Board::SEATS.op(MapOp::Put(5, "agreed".into()))),
        ("replace", || Board::SEATS.op(MapOp::Put(1, "agreed".into()))),
        ("delete", || Board::SEATS.op(MapOp::Delete(2))),
        ("entry's counter", || Board::TALLY.op(MapOp::In("x".into(), CounterOp::Set(3)))),
        ("entry's field", || Board::CARDS.op(MapOp::In(1, in_layout(LayoutUpdate::Columns(4))))),
        ("member", || Board::TAGS.op(SetOp::Insert(5))),
        ("no member", || Board::TAGS.op(SetOp::Remove(1))),
        ("nested field", || Board::LAYOUT.op(in_layout(LayoutUpdate::Columns(4)))),
        ("nested struct", || Board::LAYOUT.set(Layout { columns: 6, moves: 1 })),
        ("optional field", || {
            Board::PANEL.op(OptionalOp::In(in_layout(LayoutUpdate::Moves(CounterOp::Set(2)))))
        }),
    ]
};

/// Both write the same at the same time; the second one's write comes last.
fn both_write(world: &mut World<Board>, ha: &Handle, hb: &Handle, write: &Write) -> Board {
    ha.write(write.1()).unwrap();
    hb.write(write.1()).unwrap();
    world.settle();
    let agreed = world.state();
    assert_ne!(agreed, begin(), "{}", write.0);
    agreed
}

#[test]
fn g14_what_both_wrote_stays_when_the_first_one_undoes() {
    for write in &WRITES {
        let (mut world, a, _, ha, hb) = two();
        let agreed = both_write(&mut world, &ha, &hb, write);
        assert!(!a.undo(), "{}", write.0);
        world.settle();
        assert_eq!(world.state(), agreed, "{}", write.0);
    }
}

#[test]
fn g14_what_both_wrote_stays_when_the_second_one_undoes() {
    for write in &WRITES {
        let (mut world, a, b, ha, hb) = two();
        let agreed = both_write(&mut world, &ha, &hb, write);
        b.undo();
        world.settle();
        assert_eq!(world.state(), agreed, "{}: the first one wrote it too", write.0);
        // An item that was there already was not inserted by the second one.
        let sends_nothing = matches!(write.0, "insert" | "remove" | "delete" | "member" | "no member");
        assert!(a.undo() || sends_nothing, "{}: the second one's write counts no more", write.0);
        world.settle();
        assert_eq!(world.state() == begin(), !sends_nothing, "{}", write.0);
    }
}

#[test]
fn g14_what_somebody_wrote_over_and_undid_counts_as_never_written() {
    type Over = (&'static str, fn() -> BoardUpdate, fn() -> BoardUpdate);
    use shared_state::merge::{ListOp, MapOp, SetOp};
    let over: [Over; 6] = [
        ("title", || Board::TITLE.set("a".into()), || Board::TITLE.set("b".into())),
        ("counter", || Board::VIEWS.set(3), || Board::VIEWS.set(4)),
        ("put", || Board::SEATS.op(MapOp::Put(5, "a".into())), || Board::SEATS.op(MapOp::Put(5, "b".into()))),
        ("deleted", || Board::SEATS.op(MapOp::Put(5, "a".into())), || Board::SEATS.op(MapOp::Delete(5))),
        ("member", || Board::TAGS.op(SetOp::Insert(5)), || Board::TAGS.op(SetOp::Remove(5))),
        (
            "inserted",
            || Board::TODOS.op(ListOp::Insert(Place::End, todo(9))),
            || Board::TODOS.op(ListOp::Delete("9".into())),
        ),
    ];
    for (name, first, second) in over {
        let (mut world, a, b, ha, hb) = two();
        ha.write(first()).unwrap();
        world.settle();
        let of_first = world.state();
        hb.write(second()).unwrap();
        world.settle();
        assert!(b.undo());
        world.settle();
        assert_eq!(world.state(), of_first, "{name}");
        assert!(a.undo(), "{name}");
        world.settle();
        assert_eq!(world.state(), begin(), "{name}");
        assert!(a.redo() && !a.redo());
        world.settle();
        assert_eq!(world.state(), of_first, "{name}");
        assert!(b.redo() || name == "counter" || name == "title" || name == "put");
    }
}

#[test]
fn g14_redo_takes_nothing_back_either() {
    for write in &WRITES {
        let (mut world, a, _, ha, hb) = two();
        ha.write(write.1()).unwrap();
        world.settle();
        let written = world.state();
        assert!(a.undo());
        world.settle();
        assert_eq!(world.state(), begin(), "{}", write.0);
        // Somebody else writes it, and then what was there before.
        hb.write(write.1()).unwrap();
        world.settle();
        assert_eq!(world.state(), written, "{}", write.0);
        assert!(!a.redo(), "{}", write.0);
    }
}

#[test]
fn g14_additions_of_others_do_not_keep_an_addition_from_being_undone() {
    let (mut world, a, _, ha, hb) = two();
    ha.add_views(5).unwrap();
    ha.tally().add("x".into(), 5).unwrap();
    world.settle();
    for _ in 0..20 {
        hb.add_views(1).unwrap();
        hb.tally().add("x".into(), 1).unwrap();
    }
    world.settle();
    assert!(a.undo() && a.undo());
    world.settle();
    assert_eq!((world.state().views, world.state().tally["x"]), (20, 20));
    ha.add_views(5).unwrap();
    world.settle();
    hb.set_views(100).unwrap();
    world.settle();
    assert!(!a.undo(), "the addition was overwritten");
    world.settle();
    assert_eq!(world.state().views, 100);
}

#[test]
fn g14_what_changed_in_a_delta_was_somebody_elses_unless_it_was_this_clients() {
    for write in &WRITES {
        let (mut world, a, _, ha, hb) = two();
        ha.write(write.1()).unwrap();
        world.settle();
        let agreed = world.state();
        a.leave();
        // Somebody else takes it away and writes it again.
        hb.write(inverse_of(write)).unwrap();
        hb.write(write.1()).unwrap();
        world.deliver();
        a.come_back();
        world.settle();
        assert_eq!(world.state().seats, agreed.seats, "{}", write.0);
        let before = world.state();
        assert!(!a.undo(), "{}", write.0);
        world.settle();
        assert_eq!(world.state(), before, "{}", write.0);
    }
}

fn inverse_of(write: &Write) -> BoardUpdate {
    begin().apply(write.1())
}

#[test]
fn an_own_change_whose_answer_comes_with_a_delta_can_be_undone() {
    for write in &WRITES {
        let (mut world, a, _, ha, hb) = two();
        ha.write(write.1()).unwrap();
        world.send(&a);
        a.leave();
        hb.set_open(true).unwrap();
        hb.set_open(false).unwrap();
        world.deliver();
        a.come_back();
        world.settle();
        assert!(a.undo() || write.0 == "bool", "{}", write.0);
        world.settle();
        assert!(world.state() == begin() || write.0 == "bool", "{}", write.0);
    }
}

#[test]
fn g14_an_undo_made_offline_leaves_what_others_wrote_meanwhile() {
    for write in &WRITES {
        let (mut world, a, _, ha, hb) = two();
        ha.write(write.1()).unwrap();
        world.settle();
        let agreed = world.state();
        a.leave();
        assert!(a.undo());
        assert_eq!(a.state(), begin());
        hb.write(inverse_of(write)).unwrap();
        world.deliver();
        hb.write(write.1()).unwrap();
        world.deliver();
        a.come_back();
        world.settle();
        assert_eq!(world.state(), agreed, "{}", write.0);
        assert!(a.answers().iter().all(|(_, answer)| answer.is_ok()));
    }
}

#[test]
fn g14_what_lay_beneath_a_write_in_flight_comes_back_when_it_is_undone() {
    let (mut world, a, _, ha, hb) = two();
    hb.set_title("theirs").unwrap();
    hb.seats().put(1, "theirs".into()).unwrap();
    world.send(&world.user(1));
    // Written before the others' writes arrive, and undone before the answer.
    ha.set_title("mine").unwrap();
    ha.seats().put(1, "mine".into()).unwrap();
    world.send(&a);
    assert!(a.undo() && a.undo());
    world.settle();
    assert_eq!((&*world.state().title, &*world.state().seats[&1]), ("theirs", "theirs"));
    assert!(a.redo() && a.redo());
    world.settle();
    assert_eq!((&*world.state().title, &*world.state().seats[&1]), ("mine", "mine"));
}

#[test]
fn g14_a_refused_write_that_was_undone_in_flight_is_undone_by_nothing() {
    let (mut world, a, _, ha, hb) = two();
    a.leave();
    hb.set_title("theirs").unwrap();
    hb.add_views(1).unwrap();
    world.deliver();
    ha.set_open(true).unwrap();
    let _ = a.transact(|tx| {
        let _ = *tx.get(Board::VIEWS);
        tx.set(Board::TITLE, "mine".into());
    });
    assert!(a.undo());
    a.come_back();
    world.settle();
    assert_eq!(world.state().title, "theirs");
}

/// Ann undoes what she wrote, and does not know yet that bob has written over it meanwhile.
fn undone_in_flight(ann_writes: impl Fn(&Handle), bob_writes: impl Fn(&Handle)) {
    let (mut world, ann, bob, a, b) = two();
    world.settle();
    ann_writes(&a);
    world.settle();
    bob_writes(&b);
    world.send(&bob);
    let of_bob = world.state();
    assert!(ann.undo());
    world.send(&ann);
    world.settle();
    assert_eq!(world.state(), of_bob);
    assert_eq!((ann.state(), bob.state()), (of_bob.clone(), of_bob));
    assert!(!ann.undo(), "it was overwritten");
}

#[test]
fn g14_an_undo_that_crosses_what_somebody_writes_leaves_it() {
    undone_in_flight(|a| drop(a.set_title("ann")), |b| drop(b.set_title("bob")));
    undone_in_flight(|a| drop(a.set_title("ann")), |b| drop(b.set_title("ann!")));
    undone_in_flight(|a| drop(a.seats().put(1, "ann".into())), |b| drop(b.seats().put(1, "bob".into())));
    undone_in_flight(|a| drop(a.seats().put(9, "ann".into())), |b| drop(b.seats().put(9, "bob".into())));
    undone_in_flight(|a| drop(a.seats().remove(&1)), |b| drop(b.seats().put(1, "bob".into())));
    undone_in_flight(|a| drop(a.todos().move_to(&4, 0)), |b| drop(b.todos().move_to(&4, 1)));
    undone_in_flight(|a| drop(a.todos().push(todo(9))), |b| drop(b.todos().at(&9).set_done(true)));
    undone_in_flight(|a| drop(a.todos().at(&1).set_done(true)), |b| drop(b.todos().remove(&1)));
    undone_in_flight(|a| drop(a.layout().set_columns(1)), |b| drop(b.layout().set_columns(2)));
    undone_in_flight(
        |a| drop(a.set_panel(None)),
        |b| drop(b.set_panel(Some(Layout { columns: 7, moves: 0 }))),
    );
    undone_in_flight(|a| drop(a.tags().remove(&1)), |b| drop(b.tags().insert(1)));
}

#[test]
fn g14_an_undo_that_crosses_what_somebody_else_writes_beside_it_is_sent_again() {
    let (mut world, ann, bob, a, b) = two();
    world.settle();
    a.todos().at(&1).set_title("ann").unwrap();
    a.seats().put(1, "ann".into()).unwrap();
    world.settle();
    b.todos().at(&1).set_title("bob").unwrap();
    world.send(&bob);
    assert!(ann.undo());
    world.send(&ann);
    // What ann writes after her undo stays after it.
    a.seats().put(1, "later".into()).unwrap();
    world.settle();
    let state = world.state();
    assert_eq!((state.todos[0].title.as_str(), state.seats[&1].as_str()), ("bob", "later"));
    assert!(ann.undo());
    world.settle();
    assert_eq!(world.state().seats[&1], "old");
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
}

#[test]
fn g14_a_redo_that_crosses_what_somebody_writes_leaves_it() {
    let (mut world, ann, bob, a, b) = two();
    world.settle();
    a.set_title("ann").unwrap();
    world.settle();
    assert!(ann.undo());
    world.settle();
    b.set_title("bob").unwrap();
    world.send(&bob);
    assert!(ann.redo());
    world.send(&ann);
    world.settle();
    assert_eq!((world.state().title.as_str(), ann.state().title.as_str()), ("bob", "bob"));
}

#[test]
fn g14_an_undo_whose_answer_was_lost_leaves_what_somebody_wrote_before_it() {
    let (mut world, ann, bob, a, b) = two();
    world.settle();
    a.set_title("ann").unwrap();
    world.settle();
    b.set_title("bob").unwrap();
    world.send(&bob);
    assert!(ann.undo());
    world.send(&ann);
    ann.leave();
    world.settle();
    ann.come_back();
    world.settle();
    assert_eq!((world.state().title.as_str(), ann.state().title.as_str()), ("bob", "bob"));
}

#[test]
fn g14_repeating_a_removal_that_was_never_sent_leaves_what_others_changed() {
    let (mut world, ann, _, a, b) = two();
    world.settle();
    ann.leave();
    a.todos().remove(&1).unwrap();
    assert!(ann.undo());
    b.todos().at(&1).set_title("bob").unwrap();
    world.settle();
    ann.come_back();
    world.settle();
    assert!(!ann.redo());
    assert_eq!(world.state().todos[0].title, "bob");
}

#[test]
fn g14_the_undo_of_a_redo_that_came_to_nothing_comes_to_nothing() {
    let (mut world, ann, bob, a, b) = two();
    world.settle();
    ann.leave();
    a.set_title("ann").unwrap();
    assert!(ann.undo());
    ann.come_back();
    world.settle();
    b.set_title("bob").unwrap();
    world.send(&bob);
    // The server has bob's title already, so nothing is left of the redo.
    assert!(ann.redo());
    world.send(&ann);
    assert!(ann.undo());
    world.settle();
    assert_eq!((world.state().title.as_str(), ann.state().title.as_str()), ("bob", "bob"));
}

#[test]
fn g14_what_began_an_entry_of_a_map_is_undone_and_what_others_wrote_there_stays() {
    let begins = |handle: &Handle, by: u8| {
        handle.tally().add("k".into(), by.into()).unwrap();
        handle.lanes().at(&1).push(todo(by.into())).unwrap();
        handle.marks().at(&1).insert(by).unwrap();
        handle.notes().at(&1).push(&by.to_string()).unwrap();
    };
    let found = |state: &Board| {
        let ids: Vec<_> = state.lanes[&1].iter().map(|todo| todo.id).collect();
        let marks: Vec<_> = state.marks[&1].iter().copied().collect();
        (ids, marks, state.notes[&1].as_str().to_owned())
    };
    for is_away in [false, true] {
        let (mut world, ann, _, a, b) = two();
        world.settle();
        ann.group(|| begins(&a, 3));
        world.settle();
        if is_away {
            ann.leave();
            assert!(ann.undo());
        }
        begins(&b, 4);
        world.settle();
        if is_away {
            ann.come_back();
        } else {
            assert!(ann.undo());
        }
        world.settle();
        assert_eq!(found(&world.state()), (vec![4], vec![4], "4".to_owned()), "away: {is_away}");
        // A delta does not tell an addition to an entry from a put.
        assert_eq!(world.state().tally["k"], if is_away { 7 } else { 4 });
        assert!(ann.redo());
        world.settle();
        assert_eq!(world.state().tally["k"], 7, "away: {is_away}");
        assert_eq!(world.state().lanes[&1].len(), 2, "away: {is_away}");
    }
}

/// A delta contains a write of this client, and one of others inside of what it has written.
#[test]
fn g14_what_others_wrote_inside_an_own_write_counts_when_both_come_in_one_delta() {
    let (mut world, ann, bob, a, b) = two();
    a.set_layout(Layout { columns: 1, moves: 1 }).unwrap();
    a.lanes().at(&1).push(todo(9)).unwrap();
    world.send(&ann);
    ann.leave();
    world.settle();
    b.layout().set_columns(7).unwrap();
    b.lanes().at(&1).push(todo(8)).unwrap();
    world.settle();
    ann.come_back();
    world.settle();
    let written = world.state();
    ann.undo();
    world.settle();
    assert_eq!(world.state().layout, written.layout);
    assert_eq!(world.state().lanes.get(&1), Some(&vec![todo(8)]));
    users_agree(&world, &[&ann, &bob]);
}

/// Bob makes the title what it was before he wrote to it, and somebody has written to it meanwhile: Ann, or Carol while Ann
/// was away and saw only the result.
#[test]
fn g14_who_brings_back_an_old_value_after_others_have_written_takes_nothing_back() {
    for is_away in [false, true] {
        let (mut world, ann, bob, a, b) = two();
        let carol = world.join();
        a.set_title("a").unwrap();
        world.settle();
        b.set_title("b").unwrap();
        world.settle();
        if is_away {
            a.add_views(1).unwrap();
            world.send(&ann);
            ann.leave();
            carol.handle().set_title("c").unwrap();
            world.settle();
            b.set_title("b").unwrap();
            world.settle();
            ann.come_back();
        } else {
            a.set_title("c").unwrap();
        }
        world.settle();
        b.set_title("a").unwrap();
        world.settle();
        ann.undo();
        world.settle();
        assert_eq!(world.state().title, "a", "away: {is_away}");
        users_agree(&world, &[&ann, &bob, &carol]);
    }
}

/// Somebody has begun an entry and deleted what they typed there before it was sent: the entry is what they have written.
#[test]
fn g14_an_entry_that_others_have_begun_with_an_empty_text_stays() {
    let (mut world, ann, bob, a, b) = two();
    b.notes().at(&1).push("old").unwrap();
    world.settle();
    a.notes().remove(&1).unwrap();
    world.settle();
    bob.leave();
    b.notes().at(&1).push("typo").unwrap();
    b.notes().at(&1).delete(0, 4).unwrap();
    bob.come_back();
    world.settle();
    let written = world.state();
    assert_eq!(written.notes.get(&1).map(|note| note.as_str()), Some(""));
    assert!(!ann.undo(), "{:?}", ann.state());
    world.settle();
    assert_eq!(world.state(), written);
    users_agree(&world, &[&ann, &bob]);
}

/// An entry was removed, somebody has begun it again, and a third one has taken out what was put in.
#[test]
fn g14_an_entry_that_others_have_begun_again_and_emptied_stays_as_it_is() {
    let begins = |handle: &Handle| {
        handle.tally().add("k".into(), 5).unwrap();
        handle.lanes().at(&1).push(todo(9)).unwrap();
        handle.marks().at(&1).insert(9).unwrap();
        handle.notes().at(&1).push("x").unwrap();
    };
    let empties = |handle: &Handle| {
        handle.tally().sub("k".into(), 5).unwrap();
        handle.lanes().at(&1).remove(&9).unwrap();
        handle.marks().at(&1).remove(&9).unwrap();
        handle.notes().at(&1).delete(0, 1).unwrap();
    };
    for is_away in [false, true] {
        let (mut world, ann, bob, a, b) = two();
        let carol = world.join();
        world.settle();
        bob.group(|| begins(&b));
        world.settle();
        ann.group(|| {
            a.tally().remove(&"k".into()).unwrap();
            a.lanes().remove(&1).unwrap();
            a.marks().remove(&1).unwrap();
            a.notes().remove(&1).unwrap();
        });
        world.settle();
        if is_away {
            ann.leave();
            assert!(ann.undo());
        }
        begins(&b);
        world.settle();
        empties(&carol.handle());
        world.settle();
        let emptied = world.state();
        if is_away {
            ann.come_back();
        } else {
            assert!(!ann.undo(), "{:?}", ann.state());
        }
        world.settle();
        assert_eq!(world.state(), emptied, "away: {is_away}");
        users_agree(&world, &[&ann, &bob, &carol]);
    }
}

fn users_agree(world: &World<Board>, users: &[&User<Board>]) {
    users.iter().for_each(|user| assert_eq!(user.state(), world.state()));
}
