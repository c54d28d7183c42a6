//! G7: concurrent operations of several disconnected users, and the result they expect.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::Backend as _;
use shared_state::merge::{MapOp, SetOp};
use shared_state::proto::Code;
use shared_state::{List, SharedState};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(map)]
    seats: BTreeMap<u8, String>,
    #[shared(map(counter))]
    tally: BTreeMap<String, i64>,
    #[shared(map(set))]
    marks: BTreeMap<u8, BTreeSet<u8>>,
    #[shared(set)]
    tags: BTreeSet<String>,
    #[shared(counter)]
    views: i64,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    title: String,
    done: bool,
}

type Handle = SharedBoard<User<Board>>;

fn todo(id: u32) -> Todo {
    Todo { id, ..Todo::default() }
}

/// Three users of a board with the todos 1 to 4.
fn three() -> (World<Board>, [User<Board>; 3], [Handle; 3]) {
    let begin = Board { todos: (1..=4).map(todo).collect(), ..Board::default() };
    let mut world = World::new(begin);
    let users = [world.join(), world.join(), world.join()];
    let handles = users.clone().map(|user| user.handle());
    (world, users, handles)
}

/// The board after the first two users acted while disconnected; the first one reconnects first.
fn meet<A, B>(first: impl Fn(&Handle) -> A, second: impl Fn(&Handle) -> B) -> Board {
    let (mut world, users, [a, b, _]) = three();
    users[..2].iter().for_each(User::leave);
    world.settle();
    first(&a);
    second(&b);
    for user in &users[..2] {
        user.come_back();
        world.settle();
    }
    users[2].state()
}

fn ids(board: &Board) -> Vec<u32> {
    board.todos.iter().map(|todo| todo.id).collect()
}

#[test]
fn g7_two_inserts_at_one_place_keep_each_writers_run_together() {
    let board = meet(
        |a| [0, 1, 2].map(|at| a.todos().insert_at(1 + at, todo(10 + at as u32)).unwrap()),
        |b| [0, 1, 2].map(|at| b.todos().insert_at(1 + at, todo(20 + at as u32)).unwrap()),
    );
    assert_eq!(ids(&board), [1, 20, 21, 22, 10, 11, 12, 2, 3, 4]);
}

#[test]
fn g7_what_two_people_add_at_the_end_is_all_there_in_the_order_it_came() {
    let board = meet(|a| a.todos().push(todo(10)).unwrap(), |b| b.todos().push(todo(20)).unwrap());
    assert_eq!(ids(&board), [1, 2, 3, 4, 10, 20]);
}

#[test]
fn g7_an_item_is_moved_and_edited_at_once() {
    for swapped in [false, true] {
        let moving = |h: &Handle| h.todos().move_to(&4, 0).unwrap();
        let editing = |h: &Handle| h.todos().edit(&4, |todo| todo.done = true).unwrap();
        let board = if swapped { meet(editing, moving) } else { meet(moving, editing) };
        assert_eq!(ids(&board), [4, 1, 2, 3]);
        assert!(board.todos[0].done);
    }
}

#[test]
fn g7_of_two_moves_of_one_item_the_later_wins_and_it_is_there_once() {
    let board = meet(|a| a.todos().move_to(&4, 0).unwrap(), |b| b.todos().move_to(&4, 1).unwrap());
    assert_eq!(ids(&board), [1, 4, 2, 3]);
}

#[test]
fn g7_an_edit_of_an_item_that_is_removed_does_nothing() {
    for swapped in [false, true] {
        let removing = |h: &Handle| h.todos().remove(&2).unwrap();
        let editing = |h: &Handle| h.todos().edit(&2, |todo| todo.done = true).unwrap();
        let board = if swapped { meet(editing, removing) } else { meet(removing, editing) };
        assert_eq!(ids(&board), [1, 3, 4]);
    }
}

#[test]
fn g7_two_people_edit_two_fields_of_one_item() {
    let board = meet(
        |a| a.todos().edit(&2, |todo| todo.done = true).unwrap(),
        |b| b.todos().edit(&2, |todo| todo.title = "milk".into()).unwrap(),
    );
    assert_eq!(board.todos[1], Todo { id: 2, title: "milk".into(), done: true });
}

#[test]
fn g7_an_item_whose_anchor_was_removed_stands_where_the_anchor_stood() {
    let board = meet(
        |a| {
            a.todos().remove(&2).unwrap();
            a.todos().remove(&3).unwrap();
        },
        |b| {
            b.todos().insert_after(&3, todo(9)).unwrap();
            b.todos().insert_after(&9, todo(10)).unwrap();
            b.todos().move_after(&1, &3).unwrap();
        },
    );
    assert_eq!(ids(&board), [1, 9, 10, 4], "right of what was left of 3");
}

#[test]
fn g7_a_whole_list_that_is_set_leaves_what_others_insert_and_edit() {
    let setting = |h: &Handle| h.set_todos([4, 1].map(todo).into_iter().collect::<List<_>>()).unwrap();
    let adding = |h: &Handle| {
        h.todos().insert_after(&1, todo(9)).unwrap();
        h.todos().edit(&4, |todo| todo.done = true).unwrap();
    };
    for board in [meet(setting, adding), meet(adding, setting)] {
        assert_eq!(ids(&board), [4, 1, 9]);
        assert!(board.todos[0].done);
    }
}

#[test]
fn g7_sorting_leaves_what_others_insert() {
    let board = meet(
        |a| a.todos().sort_by(|x, y| y.id.cmp(&x.id)).unwrap(),
        |b| b.todos().insert_at(2, todo(9)).unwrap(),
    );
    assert_eq!(ids(&board), [4, 3, 2, 9, 1], "after 2, as it was meant");
}

#[test]
fn g7_clearing_a_map_leaves_what_others_put_meanwhile() {
    let (mut world, users, [a, b, _]) = three();
    a.seats().put(1, "ann".into()).unwrap();
    a.seats().put(2, "ann".into()).unwrap();
    world.settle();
    users.iter().for_each(User::leave);
    a.seats().clear().unwrap();
    b.seats().put(3, "bob".into()).unwrap();
    b.seats().put(2, "bob".into()).unwrap();
    for user in &users {
        user.come_back();
        world.settle();
    }
    let seats = BTreeMap::from([(2, "bob".to_owned()), (3, "bob".to_owned())]);
    assert_eq!(users[2].state().seats, seats);
}

#[test]
fn g7_what_is_added_to_a_counter_before_and_after_a_set_counts_as_ordered() {
    let board = meet(|a| a.set_views(100).unwrap(), |b| b.add_views(1).unwrap());
    assert_eq!(board.views, 101);
    let board = meet(|a| a.add_views(1).unwrap(), |b| b.set_views(100).unwrap());
    assert_eq!(board.views, 100);
}

#[test]
fn g7_the_first_two_votes_for_a_new_name_both_count() {
    let vote = |h: &Handle| h.tally().add("yes".into(), 1).unwrap();
    assert_eq!(meet(vote, vote).tally, BTreeMap::from([("yes".to_owned(), 2)]));
}

#[test]
fn g7_members_of_a_set_are_independent() {
    let board = meet(|a| a.tags().insert("x".into()).unwrap(), |b| b.tags().insert("y".into()).unwrap());
    assert_eq!(board.tags.len(), 2);
}

#[test]
fn g4_an_entry_that_somebody_begins_is_seen_by_who_removes_the_member_that_began_it() {
    let (mut world, [ann, bob, _], [a, b, _]) = three();
    a.write(BoardUpdate::Marks(MapOp::In(1, SetOp::Insert(7)))).unwrap();
    world.settle();
    a.write(BoardUpdate::Marks(MapOp::In(1, SetOp::Remove(7)))).unwrap();
    b.write(BoardUpdate::Marks(MapOp::Delete(1))).unwrap();
    b.write(BoardUpdate::Marks(MapOp::In(1, SetOp::Insert(7)))).unwrap();
    // The server receives bob's changes first.
    while world.exchange(&bob) {}
    world.settle();
    assert_eq!(world.state().marks, BTreeMap::from([(1, BTreeSet::new())]));
    assert_eq!(ann.state().marks, world.state().marks);
}

#[test]
fn g6_a_transaction_on_one_item_does_not_mind_another() {
    let (mut world, users, [a, b, _]) = three();
    users.iter().for_each(User::leave);
    let claim = |user: &User<Board>, id: u32| {
        user.transact(|tx| {
            tx.edit_item(Board::TODOS, &id, |todo| todo.done = true);
        })
    };
    claim(&users[0], 1);
    claim(&users[1], 2);
    claim(&users[2], 2);
    b.todos().push(todo(9)).unwrap();
    a.todos().move_to(&4, 0).unwrap();
    users.iter().for_each(User::come_back);
    world.settle();
    let codes = users.each_ref().map(|user| {
        user.answers()
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().err().map(|e| e.code()))
            .collect::<Vec<_>>()
    });
    assert_eq!(codes, [vec![], vec![], vec![Code::Conflict]]);
}

#[test]
fn g6_two_people_who_insert_one_new_key_by_a_transaction_do_not_both_insert_it() {
    let (mut world, users, _) = three();
    users.iter().for_each(User::leave);
    for (user, (title, id)) in users.iter().zip([("ann's", 9), ("bob's", 9), ("cat's", 10)]) {
        user.transact(|tx| {
            if tx.item(Board::TODOS, &id).is_none() {
                tx.push(Board::TODOS, Todo { title: title.into(), ..todo(id) });
            }
            assert_eq!(tx.edit_item(Board::TODOS, &77, |todo| todo.done), None, "there is none");
        });
    }
    for user in &users {
        user.come_back();
        world.settle();
    }
    let titles: Vec<_> = world.state().todos.iter().skip(4).map(|todo| todo.title.clone()).collect();
    assert_eq!(titles, ["ann's", "cat's"]);
    let bob = users[1].answers();
    let reject = bob[0].1.as_ref().unwrap_err();
    assert_eq!((reject.code(), reject.field()), (Code::Conflict, Some("todos/9")));
}

#[test]
fn g6_two_people_who_claim_one_free_seat_do_not_both_get_it() {
    let (mut world, users, _) = three();
    users.iter().for_each(User::leave);
    for (user, (name, seat)) in users.iter().zip([("ann", 1), ("bob", 1), ("cat", 2)]) {
        user.transact(|tx| {
            if tx.entry(Board::SEATS, &seat).is_none() {
                tx.put(Board::SEATS, seat, name.into());
            }
        });
    }
    for user in &users {
        user.come_back();
        world.settle();
    }
    let seats = BTreeMap::from([(1, "ann".to_owned()), (2, "cat".to_owned())]);
    assert_eq!(world.state().seats, seats);
    let bob = users[1].answers();
    let reject = bob[0].1.as_ref().unwrap_err();
    assert_eq!((reject.code(), reject.field()), (Code::Conflict, Some("seats/1")));
}

#[test]
fn g6_an_entry_that_came_and_went_since_it_was_read_counts_as_changed() {
    let (mut world, users, [a, ..]) = three();
    users[1].leave();
    world.settle();
    a.seats().put(1, "ann".into()).unwrap();
    world.settle();
    a.seats().remove(&1).unwrap();
    users[1].transact(|tx| {
        assert!(tx.entry(Board::SEATS, &1).is_none() && !tx.has(Board::TAGS, &"x".into()));
        tx.put(Board::SEATS, 1, "bob".into());
    });
    users[1].come_back();
    world.settle();
    assert!(users[1].answers()[0].1.is_err());
    assert!(world.state().seats.is_empty());
}

#[test]
fn a_room_opened_again_knows_the_same_of_its_entries() {
    let (mut world, users, [a, b, _]) = three();
    users[2].leave();
    a.todos().remove(&2).unwrap();
    a.todos().push(todo(9)).unwrap();
    b.todos().move_to(&4, 0).unwrap();
    b.tally().add("x".into(), 1).unwrap();
    a.tags().insert("t".into()).unwrap();
    world.settle();
    world.restart();
    users[2].handle().todos().insert_after(&2, todo(5)).unwrap();
    users.iter().for_each(User::come_back);
    let _ = users[2].traffic();
    world.settle();
    assert_eq!(ids(&world.state()), [4, 1, 5, 3, 9]);
    let (received, _) = users[2].traffic();
    assert!(received < 900, "{received} bytes: a delta, not the state");
}
