//! G7: an item that moves from one list to another, and what others do with it at the same time.

#![allow(clippy::unwrap_used, missing_docs)]

mod undone;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::proto::Code;
use shared_state::testing::Pair;
use shared_state::{List, SharedState, Text, WriteError};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    columns: Vec<Column>,
    #[shared(list(key = id, nested))]
    shelved: Vec<Column>,
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
fn g4_a_list_that_was_removed_and_put_again_is_shown_without_a_card_that_has_moved_away() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    let lanes = ann.handle().lanes();
    lanes.put("x".into(), vec![card(5)]).unwrap();
    world.settle();
    lanes.remove(&"x".into()).unwrap();
    lanes.put("x".into(), vec![Card { title: "again".into(), ..card(5) }]).unwrap();
    ann.cut_off();
    bob.handle().lanes().at(&"x".into()).move_between(&5, &bob.handle().archive(), 0).unwrap();
    world.settle();
    ann.come_back();
    while world.exchange(&ann) {
        assert_eq!(ann.state().lanes.get("x").map(Vec::len), Some(0));
    }
    world.settle();
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
    assert_eq!(world.state().lanes["x"], []);
    assert_eq!(world.state().archive.len(), 1);
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

/// The titles of all cards, each with the path of its list.
fn titles(board: &Board) -> Vec<String> {
    let lists = [("columns", &board.columns), ("shelved", &board.shelved)];
    let columns = lists.into_iter().flat_map(|(name, list)| list.iter().map(move |column| (name, column)));
    let cards = columns.flat_map(|(name, column)| column.cards.iter().map(move |card| (name, column, card)));
    cards.map(|(name, column, card)| format!("{name}/{} {}={}", column.id, card.id, card.title)).collect()
}

#[test]
fn g7_an_update_reaches_the_item_that_is_at_its_path_after_the_updates_before_it() {
    let new =
        |id: u32, title: &str| serde_json::to_string(&Card { title: title.into(), ..card(id) }).unwrap();
    let column = |id: u32, cards: &str| format!(r#"{{"id":{id},"title":"","cards":[{cards}]}}"#);
    let set = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{value}}}"#);
    let op = |key: &str, op: &str, value: &str| format!(r#"{{"key":"{key}","op":"{op}","value":{value}}}"#);
    let insert = |key: &str, item: &str| op(key, "insert", &format!(r#"{{"item":{item}}}"#));
    let title = set("columns/1/cards/2/title", r#""x""#);
    let delete = op("columns/1/cards/2", "delete", "null");
    let (moved, gone) = ("columns/2 2=moved", "columns/2 2=x");
    // Card 2 has moved from column 1 to column 2. The change, and the cards after it.
    let cases: [(&[String], &[&str]); 9] = [
        (
            &[set("columns/1/cards", &format!("[{}]", new(2, "new"))), title.clone()],
            &["columns/1 2=x", moved],
        ),
        (&[set("columns/1/cards", &format!("[{}]", new(2, "new"))), delete.clone()], &[moved]),
        (&[set("columns/1/cards", "[]"), title.clone()], &[gone]),
        (&[set("columns/1", &column(1, &new(2, "new"))), title.clone()], &["columns/1 2=x", moved]),
        (&[set("columns/1", &column(1, &new(2, "new"))), delete.clone()], &[moved]),
        (
            &[
                op("columns/1", "delete", "null"),
                insert("columns", &column(1, &new(2, "new"))),
                title.clone(),
            ],
            &[moved, "columns/1 2=x"],
        ),
        (&[insert("columns/1/cards", &new(9, "new")), title.clone()], &["columns/1 9=new", gone]),
        (
            &[op("columns/2/cards/2", "transfer", r#"{"to":"columns/1/cards"}"#), title.clone()],
            &["columns/1 2=x"],
        ),
        (
            &[
                op("columns/2/cards/2", "take", r#"{"to":"columns/1/cards"}"#),
                insert("columns/1/cards", &new(2, "old")),
                title.clone(),
            ],
            &["columns/1 2=x"],
        ),
    ];
    for (updates, expected) in cases {
        let mut state = begin();
        state.columns.truncate(2);
        state.columns[0].cards = vec![Card { title: "moved".into(), ..card(2) }];
        state.columns[1].cards.clear();
        let mut world = World::new(state);
        let ann = world.join();
        move_card(&ann.handle(), 2, 1, 2, 0);
        world.settle();
        let updates = format!("[{}]", updates.join(","));
        world.write(&updates);
        world.settle();
        assert_eq!(titles(&world.state()), expected, "{updates}");
        assert_eq!(ann.state(), world.state(), "{updates}");
    }
}

#[test]
fn g7_an_item_moves_to_a_list_that_has_moved() {
    let mut world = World::new(begin());
    world.write(r#"[{"key":"columns/2","op":"transfer","value":{"to":"shelved"}}]"#);
    world.write(
        r#"[{"key":"columns/1/cards/2","op":"transfer","value":{"to":"columns/2/cards","after":null}}]"#,
    );
    assert_eq!(titles(&world.state()), ["columns/1 1=", "columns/1 3=", "shelved/2 2=", "shelved/2 4="]);
}

#[test]
fn g7_an_item_that_update_takes_from_a_list_and_puts_into_another_has_moved() {
    let to_second = |board: &mut Board| {
        let mut card = board.columns[0].cards.remove(1);
        card.votes += 1;
        board.columns[1].cards.insert(0, card);
    };
    // What somebody else does at the same time, before or after.
    for is_first in [false, true] {
        let mut pair = Pair::new(begin());
        let (ann, bob) = (pair.client(0), pair.client(1));
        let moves = || ann.update(to_second).unwrap();
        let edits = || {
            bob.columns().at(&1).cards().at(&2).set_title("bob's").unwrap();
            bob.columns().at(&1).cards().at(&2).add_votes(5).unwrap();
        };
        if is_first {
            moves();
            edits();
        } else {
            edits();
            moves();
        }
        pair.sync();
        let state = ann.state();
        assert_eq!((cards(&state, 1), cards(&state, 2)), (vec![1, 3], vec![2, 4]), "{is_first}");
        let moved = &state.columns[1].cards[0];
        assert_eq!((&*moved.title, moved.votes), ("bob's", 6), "{is_first}");
        assert!(ann.undo().unwrap().is_some());
        pair.sync();
        let state = ann.state();
        assert_eq!((cards(&state, 1), cards(&state, 2)), (vec![1, 2, 3], vec![4]), "{is_first}");
        assert_eq!((&*state.columns[0].cards[1].title, state.columns[0].cards[1].votes), ("bob's", 5));
        assert_eq!(bob.state(), state);
    }
    // The same in a transaction, and one that somebody else has removed.
    let mut pair = Pair::new(begin());
    let (ann, bob) = (pair.client(0), pair.client(1));
    bob.columns().at(&1).cards().at(&2).set_title("bob's").unwrap();
    ann.update(to_second).unwrap();
    let removal = bob.columns().at(&1).cards().remove(&1).unwrap();
    ann.transact(|draft| {
        draft.update(|board| {
            let card = board.columns[0].cards.remove(0);
            board.archive.push(card);
        });
        Ok::<_, WriteError>(())
    })
    .unwrap();
    pair.sync();
    let state = ann.state();
    assert_eq!((cards(&state, 1), cards(&state, 2)), (vec![3], vec![2, 4]));
    assert_eq!(state.columns[1].cards[0].title, "bob's");
    assert!(state.archive.is_empty(), "it was removed by {:?}: {state:?}", removal.answer());
}

#[test]
fn g8_an_item_is_not_taken_without_the_insertion_that_puts_it_into_the_other_list() {
    let take = |to: &str| format!(r#"{{"key":"columns/1/cards/2","op":"take","value":{{"to":"{to}"}}}}"#);
    let insert = |list: &str, id: u32| {
        let item = serde_json::to_string(&card(id)).unwrap();
        format!(r#"{{"key":"{list}","op":"insert","value":{{"item":{item}}}}}"#)
    };
    let other = r#"{"key":"columns/1/title","value":"x"}"#;
    let refused = [
        format!("[{}]", take("columns/2/cards")),
        format!("[{},{}]", take("columns/2/cards"), insert("columns/3/cards", 2)),
        format!("[{},{}]", take("columns/2/cards"), insert("columns/2/cards", 9)),
        format!("[{},{other},{}]", take("columns/2/cards"), insert("columns/2/cards", 2)),
        format!("[{},{}]", insert("columns/2/cards", 2), take("columns/2/cards")),
        format!("[{}]", take("no/such")),
    ];
    for untyped in [false, true] {
        for (number, change) in refused.iter().enumerate() {
            if untyped && number == 2 {
                // Without the struct, the room inserts what it has taken, whatever the insertion says.
                continue;
            }
            let mut world = if untyped { World::untyped(begin()) } else { World::new(begin()) };
            let (ann, bob) = (world.join(), world.join());
            world.settle();
            bob.leave();
            let session = world.connect("raw");
            assert!(!world.submit(session, 1, change), "{change}");
            // What others do with the item reaches it.
            bob.handle().columns().at(&1).cards().at(&2).set_title("late").unwrap();
            bob.come_back();
            world.settle();
            assert_eq!(ann.state().columns[0].cards[1].title, "late", "{change}");
        }
    }
}

#[test]
fn g2_what_its_own_author_puts_where_it_has_taken_an_item_from_stays() {
    for in_flight in [false, true] {
        let mut world = World::new(begin());
        let (ann, bob) = (world.join(), world.join());
        world.settle();
        let board = ann.handle();
        let before = board.columns().get().into_iter().find(|column| column.id == 1).unwrap();
        move_card(&board, 2, 1, 2, 0);
        if in_flight {
            world.send(&ann);
        }
        board.columns().at(&2).cards().remove(&2).unwrap();
        board.columns().at(&1).replace(before).unwrap();
        world.settle();
        assert_eq!((cards(&ann.state(), 1), cards(&ann.state(), 2)), (vec![1, 2, 3], vec![4]));
        assert_eq!((bob.state(), world.state()), (ann.state(), ann.state()));
    }
    // In one change, which takes the item back that somebody else has moved.
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    move_card(&ann.handle(), 2, 1, 3, 0);
    world.send(&ann);
    let mine = serde_json::to_string(&Card { title: "mine".into(), ..card(2) }).unwrap();
    let updates = [
        r#"{"key":"columns/1/cards/2","op":"transfer","value":{"to":"archive"}}"#.to_owned(),
        r#"{"key":"archive/2","op":"transfer","value":{"to":"columns/1/cards"}}"#.to_owned(),
        format!(r#"{{"key":"columns/1","value":{{"id":1,"title":"r","cards":[{mine}]}}}}"#),
    ];
    let updates = updates.iter().map(|update| {
        let update: shared_state::proto::WireUpdate<'_> = serde_json::from_str(update).unwrap();
        shared_state::proto::decode_update::<Board>(&update).unwrap()
    });
    bob.write_all(updates.collect());
    world.settle();
    assert_eq!(titles(&world.state()), ["columns/1 2=mine", "columns/2 4="]);
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
}

#[test]
fn g7_what_is_written_in_a_card_reaches_it_whoever_has_moved_the_column_that_it_left() {
    let take_out = |board: &Handle| move_card(board, 2, 1, 2, 0);
    let shelve = |board: &Handle| board.columns().move_between(&1, &board.shelved(), 0).unwrap();
    let edit = |board: &Handle| board.shelved().at(&1).cards().at(&2).set_title("edited").unwrap();
    let (board, answers) = meet(take_out, |board| {
        shelve(board);
        edit(board);
        board.shelved().at(&1).cards().at(&2).add_votes(2).unwrap();
    });
    assert!(answers.iter().flatten().all(Option::is_none), "{answers:?}");
    assert_eq!(titles(&board), ["columns/2 2=edited", "columns/2 4=", "shelved/1 1=", "shelved/1 3="]);
    assert_eq!(board.columns[0].cards[0].votes, 2);
    // A move that is made there is the later one.
    let (board, _) = meet(take_out, |board| {
        shelve(board);
        board.shelved().at(&1).cards().move_between(&2, &board.archive(), 0).unwrap();
    });
    assert_eq!((board.archive.len(), cards(&board, 1)), (1, vec![4]));
    // Another card with the same key is not mistaken for it.
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    take_out(&ann.handle());
    shelve(&ann.handle());
    ann.handle().shelved().at(&1).cards().push(card(2)).unwrap();
    world.settle();
    bob.leave();
    bob.handle().shelved().at(&1).cards().at(&2).set_title("the other").unwrap();
    ann.handle().shelved().at(&1).cards().remove(&2).unwrap();
    world.settle();
    bob.come_back();
    world.settle();
    assert_eq!(bob.answers().last().unwrap().1.as_ref().unwrap_err().code(), Code::Gone);
    assert!(titles(&world.state()).iter().all(|line| !line.ends_with("the other")));
}
