//! G7: an item that moves from one list to another, and what others do with it at the same time.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::proto::Code;
use shared_state::proto::replica::WriteId;
use shared_state::{List, SharedState, Text, WriteError};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    columns: Vec<Column>,
    #[shared(map(list(key = id, nested)))]
    lanes: BTreeMap<String, Vec<Card>>,
    #[shared(list(key = id, nested))]
    archive: List<Card>,
    #[shared(list(key = id))]
    notes: Vec<Note>,
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
    done: bool,
    #[shared(counter)]
    votes: i64,
    #[shared(text)]
    text: Text,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Note {
    id: u32,
}

type Handle = SharedBoard<User<Board>>;

fn card(id: u32) -> Card {
    Card { id, ..Card::default() }
}

/// Column 1 has the cards 1 to 3, column 2 has card 4, column 3 and the others have none.
fn begin() -> Board {
    let column = |id, cards: &[u32]| Column {
        id,
        cards: cards.iter().map(|id| card(*id)).collect(),
        ..Column::default()
    };
    Board { columns: vec![column(1, &[1, 2, 3]), column(2, &[4]), column(3, &[])], ..Board::default() }
}

fn move_card(board: &Handle, id: u32, from: u32, to: u32, position: usize) {
    let (from, to) = (board.columns().at(&from).cards(), board.columns().at(&to).cards());
    from.move_between(&id, &to, position).unwrap();
}

fn cards(board: &Board, column: usize) -> Vec<u32> {
    board.columns[column - 1].cards.iter().map(|card| card.id).collect()
}

/// The board after two users acted while disconnected; the first one reconnects first. Everybody sees the same.
fn meet<A, B>(
    first: impl Fn(&Handle) -> A,
    second: impl Fn(&Handle) -> B,
) -> (Board, [Vec<Option<Code>>; 2]) {
    let mut world = World::new(begin());
    let users = [world.join(), world.join(), world.join()];
    users[..2].iter().for_each(User::leave);
    world.settle();
    first(&users[0].handle());
    second(&users[1].handle());
    for user in &users[..2] {
        user.come_back();
        world.settle();
    }
    let state = world.state();
    users.iter().for_each(|user| assert_eq!(user.state(), state));
    assert_eq!(world.join_and_see(), state);
    let answers = |user: &User<Board>| {
        user.answers().into_iter().map(|(_, answer)| answer.err().map(|error| error.code())).collect()
    };
    (state, [answers(&users[0]), answers(&users[1])])
}

trait Latecomer {
    fn join_and_see(&mut self) -> Board;
}

impl Latecomer for World<Board> {
    fn join_and_see(&mut self) -> Board {
        let latecomer = self.join();
        self.settle();
        latecomer.state()
    }
}

#[test]
fn an_item_moves_between_lists_of_every_kind_as_one_change() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    let board = ann.handle();
    let column = |id: u32| board.columns().at(&id).cards();
    column(1).move_between(&2, &column(2), 0).unwrap();
    column(2).move_between(&4, &board.archive(), 9).unwrap();
    board.archive().move_between(&4, &board.lanes().at(&"a/b".into()), 0).unwrap();
    board.lanes().at(&"a/b".into()).move_between(&4, &column(3), 0).unwrap();
    column(1).move_between(&3, &column(1), 0).unwrap();
    assert_eq!(ann.answers().len(), 0);
    let seen = ann.state();
    world.settle();
    assert_eq!(ann.answers().len(), 5);
    assert_eq!((cards(&seen, 1), cards(&seen, 2), cards(&seen, 3)), (vec![3, 1], vec![2], vec![4]));
    assert_eq!((ann.state(), bob.state()), (seen.clone(), seen));
    assert!(world.state().archive.is_empty());
}

#[test]
fn g7_two_moves_of_one_item_leave_one_and_the_later_wins() {
    let (board, answers) = meet(|a| move_card(a, 2, 1, 2, 0), |b| move_card(b, 2, 1, 3, 0));
    assert_eq!((cards(&board, 1), cards(&board, 2), cards(&board, 3)), (vec![1, 3], vec![4], vec![2]));
    assert_eq!(answers, [[None], [None]]);
    let (board, answers) = meet(|a| move_card(a, 2, 1, 2, 0), |b| move_card(b, 2, 1, 2, 9));
    assert_eq!((cards(&board, 1), cards(&board, 2)), (vec![1, 3], vec![4, 2]));
    assert_eq!(answers, [[None], [None]]);
}

#[test]
fn g7_a_move_and_an_edit_are_both_kept_in_either_order() {
    let moving = |h: &Handle| move_card(h, 2, 1, 2, 0);
    let editing = |h: &Handle| {
        let cards = h.columns().at(&1).cards();
        cards.edit(&2, |card| card.done = true).unwrap();
        cards.at(&2).add_votes(3).unwrap();
        cards.at(&2).text().push("typed").unwrap();
    };
    for (board, answers) in [meet(moving, editing), meet(editing, moving)] {
        assert_eq!((cards(&board, 1), cards(&board, 2)), (vec![1, 3], vec![2, 4]));
        let card = &board.columns[1].cards[0];
        assert_eq!((card.done, card.votes, card.text.as_str()), (true, 3, "typed"));
        assert!(answers.iter().flatten().all(Option::is_none), "{answers:?}");
    }
}

#[test]
fn g7_an_edit_reaches_an_item_that_moved_on_and_whose_list_is_gone() {
    let (board, answers) = meet(
        |a| {
            move_card(a, 2, 1, 2, 0);
            a.columns().remove(&1).unwrap();
            move_card(a, 2, 2, 3, 0);
            a.columns().at(&3).cards().move_between(&2, &a.archive(), 0).unwrap();
        },
        |b| b.columns().at(&1).cards().at(&2).set_title("here").unwrap(),
    );
    assert_eq!(board.archive[0].title, "here");
    assert!(answers.iter().flatten().all(Option::is_none), "{answers:?}");
}

#[test]
fn g7_a_removal_reaches_an_item_that_has_moved_and_a_removed_item_does_not_move() {
    let moving = |h: &Handle| move_card(h, 2, 1, 2, 0);
    let removing = |h: &Handle| h.columns().at(&1).cards().remove(&2).unwrap();
    let (board, answers) = meet(moving, removing);
    assert_eq!((cards(&board, 1), cards(&board, 2)), (vec![1, 3], vec![4]));
    assert_eq!(answers, [[None], [None]]);
    let (board, answers) = meet(removing, moving);
    assert_eq!((cards(&board, 1), cards(&board, 2)), (vec![1, 3], vec![4]));
    assert_eq!(answers, [[None], [Some(Code::Gone)]]);
}

#[test]
fn g15_an_item_does_not_move_to_a_list_that_is_gone() {
    let (board, answers) = meet(|a| a.columns().remove(&2).unwrap(), |b| move_card(b, 2, 1, 2, 0));
    assert_eq!(cards(&board, 1), [1, 2, 3]);
    assert_eq!(answers, [[None], [Some(Code::Gone)]]);
    // Another item has the same key there.
    let (board, answers) = meet(
        |a| a.archive().push(Card { done: true, ..card(2) }).unwrap(),
        |b| b.columns().at(&1).cards().move_between(&2, &b.archive(), 0).unwrap(),
    );
    assert_eq!(cards(&board, 1), [1, 2, 3]);
    assert_eq!(answers, [[None], [Some(Code::Exists)]]);
}

#[test]
fn a_move_that_cannot_be_made_is_refused_at_once() {
    let mut world = World::new(begin());
    let board = world.join().handle();
    world.settle();
    let path = |written: Result<_, WriteError>| match written {
        Err(WriteError::Gone { path } | WriteError::Exists { path }) => path.into_string(),
        other => panic!("{other:?}"),
    };
    let column = |id: u32| board.columns().at(&id).cards();
    assert_eq!(path(column(1).move_between(&9, &column(2), 0)), "columns/1/cards/9");
    assert_eq!(path(column(9).move_between(&1, &column(2), 0)), "columns/9");
    assert_eq!(path(column(1).move_between(&1, &column(9), 0)), "columns/9");
    column(2).push(Card { done: true, ..card(1) }).unwrap();
    assert_eq!(path(column(1).move_between(&1, &column(2), 0)), "columns/2/cards/1");
}

#[test]
fn g14_undo_moves_an_item_back_with_what_others_changed_in_it() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    move_card(&ann.handle(), 2, 1, 2, 0);
    world.settle();
    bob.handle().columns().at(&2).cards().at(&2).set_title("bob's").unwrap();
    world.settle();
    assert!(ann.undo());
    world.settle();
    let state = world.state();
    assert_eq!((cards(&state, 1), cards(&state, 2)), (vec![1, 2, 3], vec![4]));
    assert_eq!(state.columns[0].cards[1].title, "bob's");
    assert!(ann.redo());
    // An edit at the same time reaches the item in the list that redo moves it to.
    bob.handle().columns().at(&1).cards().at(&2).set_done(true).unwrap();
    world.settle();
    let state = world.state();
    assert_eq!((cards(&state, 1), cards(&state, 2)), (vec![1, 3], vec![2, 4]));
    assert!(state.columns[1].cards[0].done);
    // Somebody has moved it on.
    move_card(&bob.handle(), 2, 2, 3, 0);
    world.settle();
    assert!(!ann.undo());
    assert_eq!(cards(&world.state(), 3), [2]);
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
}

/// Where the cards with this key are: the columns' numbers, and 0 for the lane `x`.
fn places(board: &Board, id: u32) -> Vec<u32> {
    let is_here = |cards: &[Card]| cards.iter().any(|card| card.id == id);
    let columns = board.columns.iter().filter(|column| is_here(&column.cards)).map(|column| column.id);
    columns.chain(board.lanes.get("x").filter(|lane| is_here(lane)).map(|_| 0)).collect()
}

#[test]
fn g14_a_move_is_undone_and_redone_as_a_whole_or_not_at_all() {
    // What Bob does after Ann's move and before she undoes it.
    let column_gone = |bob: &Handle| bob.columns().remove(&1).unwrap();
    let other = || Card { title: "other".into(), ..card(2) };
    let key_taken = |bob: &Handle| bob.columns().at(&1).cards().push(other()).unwrap();
    for (is_offline, others) in [
        (false, &column_gone as &dyn Fn(&Handle) -> WriteId),
        (false, &key_taken),
        (true, &column_gone),
        (true, &key_taken),
    ] {
        let mut world = World::new(begin());
        let (ann, bob) = (world.join(), world.join());
        move_card(&ann.handle(), 2, 1, 2, 0);
        world.settle();
        if is_offline {
            ann.leave();
            assert!(ann.undo());
        }
        others(&bob.handle());
        world.settle();
        if is_offline {
            ann.come_back();
        } else {
            assert!(!ann.undo());
        }
        world.settle();
        assert!(places(&world.state(), 2).contains(&2), "{is_offline}: {:?}", world.state());
        assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
    }
    // The list that redo would move it to is gone.
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    move_card(&ann.handle(), 2, 1, 3, 0);
    assert!(ann.undo());
    world.settle();
    bob.handle().columns().remove(&3).unwrap();
    world.settle();
    assert!(!ann.redo());
    assert_eq!(places(&world.state(), 2), [1]);
}

#[test]
fn g14_a_move_that_was_undone_unsent_is_made_again_as_a_move() {
    let moved = |bob: &Handle| {
        move_card(bob, 2, 1, 3, 0);
        bob.columns().at(&3).cards().at(&2).set_done(true).unwrap()
    };
    let removed = |bob: &Handle| bob.columns().at(&1).cards().remove(&2).unwrap();
    let list_gone = |bob: &Handle| bob.columns().remove(&2).unwrap();
    let edited = |bob: &Handle| bob.columns().at(&1).cards().at(&2).set_title("bob's").unwrap();
    for (others, expected) in [
        (&moved as &dyn Fn(&Handle) -> WriteId, &[3][..]),
        (&removed, &[]),
        (&list_gone, &[1]),
        (&edited, &[2]),
    ] {
        let mut world = World::new(begin());
        let (ann, bob) = (world.join(), world.join());
        ann.leave();
        move_card(&ann.handle(), 2, 1, 2, 0);
        assert!(ann.undo());
        others(&bob.handle());
        world.settle();
        ann.come_back();
        world.settle();
        let redone = ann.redo();
        assert_eq!(redone, expected == [2]);
        assert!(!redone || ann.state().columns[1].cards[0].title == "bob's", "shown at once");
        world.settle();
        assert_eq!(places(&world.state(), 2), expected);
        assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
    }
}

#[test]
fn g14_a_move_to_a_new_entry_is_undone_with_the_rest_of_its_group() {
    let mut world = World::new(begin());
    let ann = world.join();
    let board = ann.handle();
    for id in [2, 3] {
        board.columns().at(&1).cards().move_between(&id, &board.lanes().at(&"x".into()), 0).unwrap();
    }
    world.settle();
    assert_eq!(places(&ann.state(), 2), [0]);
    assert!(ann.undo() && ann.undo());
    world.settle();
    assert_eq!(cards(&world.state(), 1), [1, 2, 3]);
}

#[test]
fn g7_an_update_of_an_item_that_came_inside_another_does_not_reach_one_that_moved_away() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    let board = ann.handle();
    move_card(&board, 2, 1, 2, 0);
    board.columns().remove(&1).unwrap();
    board.columns().push(Column { id: 1, cards: vec![card(2)], ..Column::default() }).unwrap();
    world.settle();
    bob.leave();
    bob.handle().columns().at(&1).cards().at(&2).set_title("of the second").unwrap();
    board.columns().at(&1).cards().remove(&2).unwrap();
    world.settle();
    let _ = bob.answers();
    bob.come_back();
    world.settle();
    assert_eq!(bob.answers()[0].1.as_ref().unwrap_err().code(), Code::Gone);
    assert!(world.state().columns.iter().all(|column| column.cards.iter().all(|card| card.title.is_empty())));
}

#[test]
fn a_room_opened_again_knows_where_items_have_moved() {
    for snapshot in [false, true] {
        let mut world = World::new(begin());
        let (ann, bob) = (world.join(), world.join());
        world.settle();
        bob.leave();
        move_card(&ann.handle(), 2, 1, 2, 0);
        bob.handle().columns().at(&1).cards().at(&2).set_title("late").unwrap();
        world.settle();
        if snapshot {
            world.snapshot();
        }
        world.restart();
        [&ann, &bob].into_iter().for_each(User::come_back);
        world.settle();
        assert_eq!(world.state().columns[1].cards[0].title, "late", "{snapshot}");
        assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
    }
}

#[test]
fn a_client_that_missed_a_move_is_sent_the_item_and_not_the_lists() {
    let mut state = begin();
    state.columns[0].cards = (1..500).map(card).collect();
    let mut world = World::new(state);
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    bob.leave();
    move_card(&ann.handle(), 250, 1, 2, 0);
    world.settle();
    let _ = bob.traffic();
    bob.come_back();
    world.settle();
    assert_eq!(bob.state(), world.state());
    let (received, _) = bob.traffic();
    assert!(received < 700, "{received} bytes");
}

#[test]
fn a_move_is_written_as_what_it_is_made_of() {
    let mut world = World::new(begin());
    let ann = world.join();
    world.settle();
    world.write(
        r#"[{"key":"columns/1/cards/2","op":"transfer","value":{"to":"columns/2/cards","after":null}}]"#,
    );
    world.settle();
    let state = ann.state();
    assert_eq!((cards(&state, 1), cards(&state, 2)), (vec![1, 3], vec![2, 4]));
    assert_eq!(state, world.state());
}

#[test]
fn g7_an_untyped_room_keeps_an_edit_that_comes_before_a_move_and_refuses_one_that_comes_after() {
    for edit_first in [true, false] {
        let mut world = World::untyped(Board::default());
        let (ann, bob) = (world.join(), world.join());
        ann.handle().archive().push(card(1)).unwrap();
        world.settle();
        let _ = (ann.answers(), bob.answers());
        [&ann, &bob].into_iter().for_each(User::leave);
        let lane = ann.handle().lanes().at(&"a".into());
        ann.handle().archive().move_between(&1, &lane, 0).unwrap();
        bob.handle().archive().at(&1).set_title("bob's").unwrap();
        for user in if edit_first { [&bob, &ann] } else { [&ann, &bob] } {
            user.come_back();
            world.settle();
        }
        let state = ann.state();
        assert!(state.archive.is_empty() && state == bob.state());
        assert_eq!(state.lanes["a"][0].title, if edit_first { "bob's" } else { "" });
        let code = bob.answers()[0].1.as_ref().err().map(|error| error.code());
        assert_eq!(code, (!edit_first).then_some(Code::Gone));
        assert!(ann.answers()[0].1.is_ok());
    }
}

#[test]
fn g7_an_edit_reaches_an_item_however_often_it_has_moved() {
    let mut state = begin();
    state.columns = (1..=40).map(|id| Column { id, ..Column::default() }).collect();
    state.columns[0].cards = vec![card(2)];
    let mut world = World::new(state);
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    bob.leave();
    bob.handle().columns().at(&1).cards().at(&2).set_title("late").unwrap();
    for to in 2..=40 {
        move_card(&ann.handle(), 2, to - 1, to, 0);
    }
    world.settle();
    world.snapshot();
    world.restart();
    [&ann, &bob].into_iter().for_each(User::come_back);
    world.settle();
    assert!(bob.answers().iter().all(|(_, answer)| answer.is_ok()));
    assert_eq!(world.state().columns[39].cards[0].title, "late");
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
}

#[test]
fn g7_a_column_that_is_replaced_does_not_bring_back_a_card_that_has_moved_away() {
    let moving = |board: &Handle| move_card(board, 2, 1, 2, 0);
    let replacing = |board: &Handle| {
        let column = Column { id: 1, title: "new".into(), cards: vec![card(1), card(2), card(3)] };
        board.columns().at(&1).replace(column).unwrap()
    };
    for (board, answers) in [meet(moving, replacing), meet(replacing, moving)] {
        assert_eq!((cards(&board, 1), cards(&board, 2)), (vec![1, 3], vec![2, 4]));
        assert_eq!(board.columns[0].title, "new");
        assert!(answers.iter().flatten().all(Option::is_none), "{answers:?}");
    }
    // Who knows of the move inserts another card with the same key.
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    moving(&ann.handle());
    world.settle();
    replacing(&bob.handle());
    world.settle();
    assert_eq!((cards(&ann.state(), 1), cards(&ann.state(), 2)), (vec![1, 2, 3], vec![2, 4]));
}

macro_rules! card_two {
    ($board:expr) => {
        $board.columns().at(&1).cards().at(&2)
    };
}

/// What Ann writes in card 2 of column 1, and what it is before and after.
type Write = (fn(&Handle), fn(&Card) -> String, [&'static str; 2]);

const WRITES: [Write; 5] = [
    (|board| _ = card_two!(board).set_title("ann").unwrap(), |card| card.title.clone(), ["", "ann"]),
    (|board| _ = card_two!(board).set_done(true).unwrap(), |card| card.done.to_string(), ["false", "true"]),
    (|board| _ = card_two!(board).add_votes(3).unwrap(), |card| card.votes.to_string(), ["0", "3"]),
    (|board| _ = card_two!(board).text().push("ann").unwrap(), |card| card.text.to_string(), ["", "ann"]),
    (
        |board| {
            let cards = board.columns().at(&1).cards();
            cards.edit(&2, |card| card.title = "edited".into()).unwrap();
        },
        |card| card.title.clone(),
        ["", "edited"],
    ),
];

fn the(board: &Board, id: u32) -> Card {
    let mut all = board.columns.iter().flat_map(|column| &column.cards).chain(&board.archive);
    all.find(|card| card.id == id).unwrap().clone()
}

fn two() -> (World<Board>, User<Board>, User<Board>) {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    (world, ann, bob)
}

#[test]
fn g14_an_edit_is_undone_and_redone_where_others_have_moved_the_item() {
    for (write, read, [before, after]) in WRITES {
        for was_away in [false, true] {
            for to_archive in [false, true] {
                let (mut world, ann, bob) = two();
                write(&ann.handle());
                world.settle();
                if was_away {
                    ann.leave();
                }
                let move_it = || {
                    let cards = |id: u32| bob.handle().columns().at(&id).cards();
                    move_card(&bob.handle(), 2, 1, 2, 0);
                    if to_archive {
                        cards(2).move_between(&2, &bob.handle().archive(), 0).unwrap();
                    }
                };
                move_it();
                world.settle();
                ann.come_back();
                world.settle();
                assert!(ann.undo(), "{after} {was_away} {to_archive}");
                assert_eq!(read(&the(&ann.state(), 2)), before, "at once");
                world.settle();
                assert_eq!(read(&the(&world.state(), 2)), before);
                assert!(ann.redo());
                world.settle();
                assert_eq!(read(&the(&world.state(), 2)), after);
                assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
                // It comes back where it was.
                if !to_archive {
                    move_card(&bob.handle(), 2, 2, 1, 0);
                    world.settle();
                    assert!(ann.undo());
                    world.settle();
                    assert_eq!(read(&the(&world.state(), 2)), before);
                }
            }
        }
    }
}

#[test]
fn g14_an_edit_that_others_have_overwritten_where_they_moved_the_item_is_not_undone() {
    for was_away in [false, true] {
        let (mut world, ann, bob) = two();
        card_two!(ann.handle()).set_title("ann's").unwrap();
        world.settle();
        if was_away {
            ann.leave();
        }
        move_card(&bob.handle(), 2, 1, 2, 0);
        let title = bob.handle().columns().at(&2).cards().at(&2);
        title.set_title("bob's").unwrap();
        world.settle();
        ann.come_back();
        world.settle();
        assert!(!ann.undo());
        assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
    }
}

#[test]
fn g14_a_move_that_others_made_and_undid_counts_as_never_made() {
    let (mut world, ann, bob) = two();
    move_card(&ann.handle(), 2, 1, 2, 0);
    world.settle();
    move_card(&bob.handle(), 2, 2, 3, 0);
    world.settle();
    assert!(bob.undo());
    world.settle();
    assert_eq!(places(&world.state(), 2), [2]);
    assert!(ann.undo());
    world.settle();
    assert_eq!(places(&world.state(), 2), [1]);
    assert!(ann.redo());
    world.settle();
    assert_eq!(places(&world.state(), 2), [2]);
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
}

#[test]
fn g14_an_edit_before_a_move_that_others_moved_on_is_undone_where_the_item_is() {
    let (mut world, ann, bob) = two();
    card_two!(ann.handle()).set_title("ann").unwrap();
    world.settle();
    move_card(&ann.handle(), 2, 1, 2, 0);
    world.settle();
    move_card(&bob.handle(), 2, 2, 3, 0);
    world.settle();
    assert!(ann.undo(), "the edit");
    world.settle();
    let state = world.state();
    assert_eq!((places(&state, 2), state.columns[2].cards[0].title.as_str()), (vec![3], ""));
    assert!(!ann.undo());
}

/// How Bob's write meets Ann's undo.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meeting {
    /// Ann knows it.
    Known,
    /// Ann has undone while she was away.
    Away,
    /// The two cross on the way.
    Crossing,
}

#[test]
fn g14_what_others_wrote_where_one_has_moved_the_item_oneself_is_not_undone() {
    use Meeting::{Away, Crossing, Known};
    for meeting in [Known, Away, Crossing] {
        for is_group in [false, true] {
            for of_column in [false, true] {
                let (mut world, ann, bob) = two();
                let board = ann.handle();
                let write = |world: &mut World<Board>| {
                    card_two!(board).set_title("ann").unwrap();
                    if !is_group {
                        world.settle();
                    }
                    if of_column {
                        move_card(&board, 1, 1, 3, 0);
                    }
                    move_card(&board, 2, 1, 2, 0);
                };
                if is_group {
                    ann.group(|| write(&mut world))
                } else {
                    write(&mut world)
                }
                world.settle();
                let undo_all = || while ann.undo() {};
                if meeting == Away {
                    ann.leave();
                    undo_all();
                }
                bob.handle().columns().at(&2).cards().at(&2).set_title("bob").unwrap();
                if meeting == Crossing {
                    undo_all();
                    world.send(&bob);
                    world.send(&ann);
                }
                world.settle();
                ann.come_back();
                world.settle();
                undo_all();
                world.settle();
                let case = (meeting, is_group, of_column);
                assert_eq!(the(&world.state(), 2).title, "bob", "{case:?}");
                // The move is undone with what others have changed in the item.
                assert_eq!(places(&world.state(), 2), [1], "{case:?}");
                assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
                while ann.redo() {}
                world.settle();
                assert_eq!(
                    (the(&world.state(), 2).title.as_str(), places(&world.state(), 2)),
                    ("bob", vec![2])
                );
            }
        }
    }
}

#[test]
fn g14_an_edit_is_undone_and_redone_wherever_one_has_moved_the_item_oneself() {
    for (write, read, [before, after]) in WRITES {
        for sends in [true, false] {
            for is_away in [true, false] {
                let (mut world, ann, bob) = two();
                let settle = |world: &mut World<Board>| {
                    if sends {
                        world.settle()
                    }
                };
                if is_away && !sends {
                    ann.leave();
                }
                write(&ann.handle());
                settle(&mut world);
                move_card(&ann.handle(), 2, 1, 2, 0);
                settle(&mut world);
                move_card(&ann.handle(), 2, 2, 3, 0);
                settle(&mut world);
                for (found, place) in [(after, 2), (after, 1), (before, 1)] {
                    assert!(ann.undo(), "{after}");
                    settle(&mut world);
                    let state = ann.state();
                    assert_eq!((read(&the(&state, 2)).as_str(), places(&state, 2)), (found, vec![place]));
                }
                for (found, place) in [(after, 1), (after, 2), (after, 3)] {
                    assert!(ann.redo(), "{after}");
                    settle(&mut world);
                    let state = ann.state();
                    assert_eq!((read(&the(&state, 2)).as_str(), places(&state, 2)), (found, vec![place]));
                }
                ann.come_back();
                world.settle();
                assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
                for _ in 0..3 {
                    assert!(ann.undo());
                }
                world.settle();
                assert_eq!(
                    (read(&the(&world.state(), 2)).as_str(), places(&world.state(), 2)),
                    (before, vec![1])
                );
            }
        }
    }
}

#[test]
fn g14_an_edit_in_a_card_that_others_moved_into_a_column_that_one_moves_back_is_undone() {
    let (mut world, ann, bob) = two();
    card_two!(ann.handle()).add_votes(1).unwrap();
    world.settle();
    move_card(&ann.handle(), 1, 1, 3, 0);
    world.settle();
    ann.handle().columns().at(&3).cards().move_between(&1, &ann.handle().archive(), 0).unwrap();
    world.settle();
    move_card(&bob.handle(), 2, 1, 3, 0);
    world.settle();
    assert!(ann.undo() && ann.undo() && ann.undo());
    world.settle();
    let state = world.state();
    assert_eq!((the(&state, 2).votes, places(&state, 2), places(&state, 1)), (0, vec![3], vec![1]));
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
}

#[test]
fn g14_undoing_an_insertion_leaves_what_others_put_where_the_item_had_moved() {
    for is_group in [true, false] {
        let (mut world, ann, bob) = two();
        let write = || {
            ann.handle().columns().at(&1).cards().push(card(9)).unwrap();
            move_card(&ann.handle(), 9, 1, 2, 0);
        };
        if is_group {
            ann.group(write)
        } else {
            write()
        }
        world.settle();
        let column = bob.handle().columns().at(&2).cards();
        column.remove(&9).unwrap();
        column.push(Card { title: "bob".into(), ..card(9) }).unwrap();
        world.settle();
        let before = world.state();
        assert!(!ann.undo(), "in a group: {is_group}");
        world.settle();
        assert_eq!((world.state(), ann.state()), (before.clone(), before));
    }
}

#[test]
fn g4_a_pending_edit_is_shown_where_others_have_moved_the_item() {
    for (write, read, [_, after]) in WRITES {
        // Not sent yet, or sent and not answered, or sent over a connection that was lost.
        for how in 0..3 {
            let (mut world, ann, bob) = two();
            if how == 0 {
                ann.leave();
            }
            write(&ann.handle());
            if how == 2 {
                ann.leave();
            }
            move_card(&bob.handle(), 2, 1, 2, 0);
            bob.handle().columns().at(&2).cards().move_between(&2, &bob.handle().archive(), 0).unwrap();
            world.exchange(&bob);
            if how != 1 {
                world.settle();
                ann.come_back();
                world.exchange(&ann);
            }
            if ann.state().archive.len() == 1 {
                assert_eq!(read(&the(&ann.state(), 2)), after, "{how}");
            }
            world.settle();
            assert_eq!(read(&the(&world.state(), 2)), after);
            assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
            assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
            assert!(ann.undo());
            world.settle();
            assert_ne!(read(&the(&world.state(), 2)), after);
        }
    }
}

#[test]
fn g14_a_move_within_a_list_is_undone_whatever_was_inserted_beside_the_item() {
    let ids = |world: &World<Board>| cards(&world.state(), 1);
    let (mut world, ann, bob) = two();
    ann.handle().columns().at(&1).cards().move_to(&3, 0).unwrap();
    world.settle();
    bob.handle().columns().at(&1).cards().insert_at(0, card(90)).unwrap();
    bob.handle().columns().at(&1).cards().insert_after(&3, card(91)).unwrap();
    world.settle();
    assert_eq!(ids(&world), [90, 3, 91, 1, 2]);
    assert!(ann.undo());
    world.settle();
    assert_eq!(ids(&world), [90, 91, 1, 2, 3]);
    assert!(ann.redo());
    world.settle();
    assert_eq!(ids(&world), [90, 3, 91, 1, 2]);
    // Somebody else moves the same item, and undoes that.
    bob.handle().columns().at(&1).cards().move_to(&3, 9).unwrap();
    world.settle();
    let moved = ids(&world);
    assert!(bob.undo());
    world.settle();
    assert!(ann.undo());
    world.settle();
    assert_eq!(ids(&world), [90, 91, 1, 2, 3]);
    assert!(ann.redo());
    world.settle();
    bob.handle().columns().at(&1).cards().move_to(&3, 9).unwrap();
    world.settle();
    assert_eq!(ids(&world), moved);
    assert!(!ann.undo());
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
}
