//! G14 and G4: undo, and what waits for its answer, in items that move from one list to another.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::proto::Code;
use shared_state::proto::replica::WriteId;
use shared_state_tests::{User, World};

use super::{Board, Card, Handle, begin, card, cards, move_card};

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
    // Somebody else has put another card there, and a third user has removed that.
    let mut world = World::new(begin());
    let (ann, bob, carol) = (world.join(), world.join(), world.join());
    move_card(&ann.handle(), 2, 1, 2, 0);
    world.settle();
    key_taken(&bob.handle());
    world.settle();
    carol.handle().columns().at(&1).cards().remove(&2).unwrap();
    world.settle();
    assert!(!ann.undo());
    assert_eq!(places(&ann.state(), 2), [2]);
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

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Shelf {
    #[shared(list(key = id, nested))]
    open: Vec<Card>,
    /// Its cards are written as a whole.
    #[shared(list(key = id))]
    closed: Vec<Card>,
}

#[test]
fn g14_what_is_in_an_item_without_parts_is_not_undone_in_another_item_of_the_same_key() {
    for comes_back in [false, true] {
        let mut world = World::new(Shelf { open: vec![card(1)], ..Shelf::default() });
        let (ann, bob) = (world.join(), world.join());
        let shelf = bob.handle();
        ann.handle().open().at(&1).set_title("same").unwrap();
        world.settle();
        shelf.open().move_between(&1, &shelf.closed(), 0).unwrap();
        shelf.open().push(card(1)).unwrap();
        shelf.open().at(&1).set_title("same").unwrap();
        world.settle();
        if comes_back {
            shelf.open().remove(&1).unwrap();
            shelf.closed().move_between(&1, &shelf.open(), 0).unwrap();
            world.settle();
        }
        assert_eq!(ann.undo(), comes_back);
        world.settle();
        assert_eq!(world.state().open[0].title, if comes_back { "" } else { "same" });
    }
}

#[test]
fn g15_an_edit_in_an_item_that_has_moved_to_a_list_of_whole_items_is_refused_as_gone() {
    let mut world = World::new(Shelf { open: vec![card(1)], ..Shelf::default() });
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    ann.leave();
    ann.handle().open().at(&1).set_title("lost").unwrap();
    bob.handle().open().move_between(&1, &bob.handle().closed(), 0).unwrap();
    world.settle();
    ann.come_back();
    world.settle();
    let [(_, Err(rejected))] = &ann.answers()[..] else { panic!("accepted") };
    assert_eq!((rejected.code(), &*world.state().closed[0].title), (Code::Gone, ""));
    assert_eq!(ann.state(), world.state());
}

#[test]
fn g14_an_insertion_that_began_its_list_is_undone_where_the_item_is_now() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    let lane = ann.handle().lanes();
    lane.at(&"new".to_owned()).push(Card { title: "ann's".into(), ..card(9) }).unwrap();
    lane.at(&"new".to_owned()).move_between(&9, &ann.handle().archive(), 0).unwrap();
    world.settle();
    bob.handle().lanes().at(&"new".to_owned()).push(Card { title: "bob's".into(), ..card(9) }).unwrap();
    world.settle();
    while ann.undo() {
        world.settle();
    }
    let state = world.state();
    assert!(state.archive.is_empty(), "{state:?}");
    assert_eq!(state.lanes["new"].iter().map(|card| card.title.as_str()).collect::<Vec<_>>(), ["bob's"]);
}

/// An item has the key of another one that was there before, and moves on. What was written to the former one stays.
#[test]
fn g14_an_undo_does_not_follow_another_item_of_the_same_key() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    let (a, b) = (ann.handle(), bob.handle());
    a.archive().push(Card { title: "Ann's".into(), ..card(9) }).unwrap();
    a.archive().at(&9).set_done(true).unwrap();
    a.archive().remove(&9).unwrap();
    world.settle();
    b.columns().at(&3).cards().push(Card { title: "Bob's".into(), ..card(9) }).unwrap();
    world.settle();
    b.columns().at(&3).cards().move_between(&9, &b.archive(), 0).unwrap();
    world.settle();
    b.archive().move_between(&9, &b.columns().at(&3).cards(), 0).unwrap();
    world.settle();
    while ann.undo() {
        world.settle();
    }
    let state = world.state();
    let [left] = &state.columns[2].cards[..] else { panic!("{state:?}") };
    assert_eq!((&*left.title, left.done), ("Bob's", false));
    assert!(state.archive.is_empty(), "{state:?}");
    assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
}

/// The same while the room has not answered the move, and the undo of it.
#[test]
fn g14_a_removal_is_undone_where_another_item_of_the_same_key_was_moved_to() {
    for is_offline in [false, true] {
        let mut world = World::new(begin());
        let (ann, bob) = (world.join(), world.join());
        world.settle();
        let (a, b) = (ann.handle(), bob.handle());
        a.archive().push(Card { title: "Ann's".into(), ..card(9) }).unwrap();
        world.settle();
        b.columns().at(&3).cards().push(Card { title: "Bob's".into(), ..card(9) }).unwrap();
        world.settle();
        ann.begin_group();
        a.archive().remove(&9).unwrap();
        world.settle();
        a.columns().at(&3).cards().move_between(&9, &a.archive(), 0).unwrap();
        world.settle();
        ann.end_group();
        if is_offline {
            ann.leave();
        }
        let both = ["Ann's", "Bob's"].map(ToOwned::to_owned);
        let titles = |state: &Board| {
            let cards = state.archive.iter().chain(&state.columns[2].cards);
            cards.map(|card| card.title.clone()).collect::<Vec<_>>()
        };
        assert!(ann.undo());
        assert_eq!(titles(&ann.state()), both);
        assert!(ann.undo());
        assert_eq!(titles(&ann.state()), ["Bob's"]);
        if is_offline {
            ann.come_back();
        }
        world.settle();
        assert_eq!((titles(&world.state()), ann.state()), (vec!["Bob's".to_owned()], world.state()));
        assert!(ann.redo());
        world.settle();
        assert_eq!(titles(&world.state()), both);
        assert!(ann.redo());
        world.settle();
        assert_eq!(titles(&world.state()), ["Bob's"]);
        assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
    }
}

/// One's own writes go with an item, wherever it goes and comes back to.
#[test]
fn g14_an_undo_follows_an_item_that_comes_back_to_where_it_was() {
    // Who moves the card, from which column to which.
    let (a, b) = (0, 1);
    let ways: [&[(usize, u32, u32)]; 4] = [
        &[(a, 1, 2), (a, 2, 1), (a, 1, 3)],
        &[(a, 1, 3), (b, 3, 1)],
        &[(a, 1, 2), (b, 2, 3), (b, 3, 1)],
        &[(b, 1, 2), (b, 2, 1), (b, 1, 3)],
    ];
    for way in ways {
        let mut world = World::new(begin());
        let (ann, bob) = (world.join(), world.join());
        world.settle();
        ann.handle().columns().at(&1).cards().at(&2).set_title("Ann's").unwrap();
        world.settle();
        for (who, from, to) in way {
            move_card(&[&ann, &bob][*who].handle(), 2, *from, *to, 0);
            world.settle();
        }
        while ann.undo() {
            world.settle();
        }
        let state = world.state();
        let mut all = state.columns.iter().flat_map(|column| &column.cards);
        assert_eq!(all.find(|card| card.id == 2).map(|card| &*card.title), Some(""), "{way:?}: {state:?}");
        assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
    }
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

/// The list that contains card 3: `columns`, `shelved` or `archive`, and the column's number.
fn place_of_three(board: &Board) -> (&'static str, u32) {
    let columns = board.columns.iter().map(|column| ("columns", column));
    let mut all = columns.chain(board.shelved.iter().map(|column| ("shelved", column)));
    let found = all.find(|(_, column)| column.cards.iter().any(|card| card.id == 3));
    found.map_or(("archive", 0), |(list, column)| (list, column.id))
}

#[test]
fn g14_a_move_is_undone_and_redone_where_its_lists_have_moved() {
    // Whether Bob himself moves the column, and whether the card comes from it or goes there.
    for (is_own, comes_from) in [(false, true), (true, true), (false, false), (true, false)] {
        for is_delta in [false, true] {
            let (mut world, ann, bob) = two();
            let board = bob.handle();
            let (from, to) = (board.columns().at(&1).cards(), board.archive());
            if comes_from {
                from.move_between(&3, &to, 0).unwrap();
            } else {
                from.move_between(&3, &board.columns().at(&2).cards(), 0).unwrap();
            }
            world.settle();
            let column = if comes_from { 1 } else { 2 };
            let mover = if is_own { &bob } else { &ann };
            if is_delta && !is_own {
                bob.leave();
            }
            let h = mover.handle();
            h.columns().move_between(&column, &h.shelved(), 0).unwrap();
            ann.handle().archive().push(card(50)).unwrap();
            world.settle();
            bob.come_back();
            world.settle();
            if is_own && comes_from {
                assert!(bob.undo() && bob.redo(), "the column's move");
                world.settle();
            }
            let case = (is_own, comes_from, is_delta);
            let moved = if comes_from { ("archive", 0) } else { ("shelved", 2) };
            assert_eq!(place_of_three(&world.state()), moved, "{case:?}");
            let list = if is_own { "columns" } else { "shelved" };
            let home = if comes_from { (list, 1) } else { ("columns", 1) };
            let away = if comes_from { ("archive", 0) } else { (list, 2) };
            if is_own {
                assert!(bob.undo(), "{case:?}: the column's move");
                world.settle();
            }
            for _ in 0..2 {
                assert!(bob.undo(), "{case:?}");
                world.settle();
                assert_eq!(place_of_three(&world.state()), home, "{case:?}");
                assert!(bob.redo(), "{case:?}");
                world.settle();
                assert_eq!(place_of_three(&world.state()), away, "{case:?}");
            }
            assert!(bob.undo(), "{case:?}");
            world.settle();
            let first: Vec<u32> = match comes_from && !is_own {
                true => world.state().shelved[0].cards.iter().map(|card| card.id).collect(),
                false => cards(&world.state(), 1),
            };
            assert_eq!(first, [1, 2, 3], "{case:?}");
            assert_eq!((ann.state(), bob.state()), (world.state(), world.state()));
        }
    }
}

#[test]
fn g14_a_move_to_a_list_that_has_the_same_item_is_undone_by_putting_it_back() {
    let (mut world, ann, _) = two();
    let board = ann.handle();
    board.archive().push(card(3)).unwrap();
    world.settle();
    board.columns().at(&1).cards().move_between(&3, &board.archive(), 0).unwrap();
    world.settle();
    assert_eq!(cards(&world.state(), 1), [1, 2]);
    assert!(ann.undo());
    world.settle();
    assert_eq!((cards(&world.state(), 1), world.state().archive.len()), (vec![1, 2, 3], 1));
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
}
