//! Undo and redo: a user's own changes are undone, and nobody else's.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use shared_state::{List, SharedState};
use shared_state_tests::{User, World, seeds};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    #[shared(counter)]
    views: i64,
    #[shared(counter)]
    stock: u8,
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(map)]
    seats: BTreeMap<u8, String>,
    #[shared(map(counter))]
    tally: BTreeMap<String, i64>,
    #[shared(set)]
    tags: BTreeSet<u8>,
    #[shared(validate(range(max = 10)))]
    small: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    title: String,
    done: bool,
    place: u32,
}

type Handle = SharedBoard<User<Board>>;

fn todo(id: u32) -> Todo {
    Todo { id, ..Todo::default() }
}

fn two() -> (World<Board>, User<Board>, User<Board>, Handle, Handle) {
    let begin = Board { todos: (1..=4).map(todo).collect(), stock: 5, ..Board::default() };
    let mut world = World::new(begin);
    let (a, b) = (world.join(), world.join());
    let (ha, hb) = (a.handle(), b.handle());
    (world, a, b, ha, hb)
}

fn ids(board: &Board) -> Vec<u32> {
    board.todos.iter().map(|todo| todo.id).collect()
}

#[test]
fn undo_takes_back_own_changes_the_last_first_and_redo_makes_them_again() {
    let (mut world, ann, _, a, b) = two();
    a.set_title("one").unwrap();
    a.set_title("two").unwrap();
    world.settle();
    b.add_views(5).unwrap();
    a.add_views(2).unwrap();
    world.settle();
    assert!(ann.undo() && ann.undo());
    world.settle();
    assert_eq!((world.state().views, world.state().title.as_str()), (5, "one"));
    assert!(ann.undo() && !ann.undo());
    world.settle();
    assert_eq!(world.state().title, "");
    assert!(ann.redo() && ann.redo() && ann.redo() && !ann.redo());
    world.settle();
    assert_eq!((world.state().views, world.state().title.as_str()), (7, "two"));
    assert!(ann.undo());
    a.set_title("three").unwrap();
    assert!(!ann.redo(), "something was written since");
}

#[test]
fn what_others_have_overwritten_is_skipped() {
    let (mut world, ann, _, a, b) = two();
    a.seats().put(1, "ann".into()).unwrap();
    a.set_title("ann's").unwrap();
    world.settle();
    b.set_title("bob's").unwrap();
    world.settle();
    assert!(ann.undo(), "the change before it");
    world.settle();
    assert_eq!(world.state().title, "bob's");
    assert!(world.state().seats.is_empty());
}

#[test]
fn an_insert_is_undone_unless_somebody_has_changed_the_item() {
    let (mut world, ann, bob, a, b) = two();
    a.todos().insert_at(2, todo(9)).unwrap();
    world.settle();
    b.todos().edit(&9, |todo| todo.done = true).unwrap();
    world.settle();
    assert!(!ann.undo(), "bob's edit would be lost");
    a.todos().insert_at(2, todo(8)).unwrap();
    world.settle();
    b.todos().edit(&8, |todo| todo.done = true).unwrap();
    assert!(bob.undo());
    world.settle();
    assert!(ann.undo(), "bob has undone his edit");
    world.settle();
    assert_eq!(ids(&world.state()), [1, 2, 9, 3, 4]);
}

#[test]
fn a_removed_item_comes_back_as_it_was_to_the_nearest_place() {
    let (mut world, ann, _, a, b) = two();
    a.todos().edit(&3, |todo| todo.title = "milk".into()).unwrap();
    a.todos().remove(&3).unwrap();
    world.settle();
    b.todos().remove(&2).unwrap();
    b.todos().push(todo(8)).unwrap();
    world.settle();
    assert!(ann.undo());
    world.settle();
    assert_eq!(ids(&world.state()), [1, 3, 4, 8]);
    assert_eq!(world.state().todos[1].title, "milk");
}

#[test]
fn a_move_is_undone_unless_somebody_moved_the_item_on() {
    let (mut world, ann, bob, a, b) = two();
    a.todos().move_to(&4, 0).unwrap();
    world.settle();
    assert!(ann.undo());
    world.settle();
    assert_eq!(ids(&world.state()), [1, 2, 3, 4]);
    a.todos().move_to(&4, 0).unwrap();
    world.settle();
    b.todos().move_to(&4, 2).unwrap();
    world.settle();
    assert!(!ann.undo());
    assert!(bob.undo());
    world.settle();
    assert_eq!(ids(&world.state()), [4, 1, 2, 3]);
}

#[test]
fn a_group_is_undone_and_redone_together() {
    let (mut world, ann, _, a, b) = two();
    ann.group(|| {
        a.todos().edit(&1, |todo| todo.done = true).unwrap();
        a.tags().insert(7).unwrap();
        ann.group(|| assert!(a.tally().add("x".into(), 2).is_ok()));
        a.set_title("grouped").unwrap();
    });
    a.set_title("later").unwrap();
    world.settle();
    b.tally().add("x".into(), 1).unwrap();
    world.settle();
    assert!(ann.undo() && ann.undo() && !ann.undo());
    world.settle();
    let state = world.state();
    assert_eq!((state.title.as_str(), state.todos[0].done, state.tags.len()), ("", false, 0));
    assert_eq!(state.tally, BTreeMap::from([("x".to_owned(), 1)]));
    assert!(ann.redo());
    world.settle();
    let state = world.state();
    assert_eq!((state.title.as_str(), state.todos[0].done, state.tags.len()), ("grouped", true, 1));
    assert_eq!(state.tally["x"], 3);
}

#[test]
fn a_drag_is_taken_back_by_one_update_however_many_places_it_went_through() {
    let (mut world, ann, bob, a, b) = two();
    ann.group(|| {
        for place in 1..=2_000 {
            if place == 50 {
                // From here on each write is folded into the one before.
                ann.leave();
            }
            a.todos().edit(&1, |todo| todo.place = place).unwrap();
        }
    });
    ann.come_back();
    world.settle();
    b.todos().edit(&1, |todo| todo.done = true).unwrap();
    world.settle();
    let _ = bob.traffic();
    assert!(ann.undo());
    world.settle();
    assert_eq!(world.state().todos[0], Todo { done: true, ..todo(1) });
    let (received, _) = bob.traffic();
    assert!(received < 200, "{received} bytes");
    assert!(!ann.undo() && ann.redo());
    world.settle();
    assert_eq!((world.state().todos[0].place, bob.state().todos[0].place), (2_000, 2_000));
}

#[test]
fn what_a_drag_moved_and_somebody_else_moved_on_stays() {
    let (mut world, ann, _, a, b) = two();
    ann.group(|| {
        for place in 1..=3 {
            a.todos().edit(&1, |todo| todo.place = place).unwrap();
        }
    });
    world.settle();
    b.todos().edit(&1, |todo| todo.place = 9).unwrap();
    world.settle();
    assert!(!ann.undo());
    assert_eq!(world.state().todos[0].place, 9);
}

#[test]
fn undo_works_offline_and_is_merged_with_what_others_did_meanwhile() {
    let (mut world, ann, _, a, b) = two();
    a.todos().push(todo(9)).unwrap();
    world.settle();
    ann.leave();
    a.todos().push(todo(10)).unwrap();
    assert!(ann.undo() && ann.undo());
    assert_eq!(ids(&ann.state()), [1, 2, 3, 4]);
    b.todos().edit(&4, |todo| todo.done = true).unwrap();
    b.todos().push(todo(11)).unwrap();
    world.settle();
    ann.come_back();
    world.settle();
    assert_eq!(ids(&world.state()), [1, 2, 3, 4, 11]);
    ann.leave();
    assert!(ann.redo());
    ann.come_back();
    world.settle();
    assert_eq!(ids(&world.state()), [1, 2, 3, 4, 9, 11], "where it stood");
}

#[test]
fn a_refused_change_has_nothing_to_take_back() {
    let (mut world, ann, _, a, _) = two();
    a.set_title("kept").unwrap();
    ann.leave();
    let old = a.views();
    // The read is stale by the time it arrives, so the server refuses the transaction.
    let _ = ann.transact(|tx| {
        let views = *tx.get(Board::VIEWS);
        tx.set(Board::VIEWS, views + 1);
    });
    world.write(r#"[{"key":"views","value":50}]"#);
    ann.come_back();
    world.settle();
    assert_eq!(ann.state().views, 50, "not {}", old + 1);
    assert!(ann.undo());
    world.settle();
    assert_eq!((world.state().title.as_str(), world.state().views), ("", 50));
    assert!(!ann.undo());
}

#[test]
fn an_undo_that_breaks_a_rule_changes_nothing_and_can_be_tried_again() {
    let (mut world, ann, _, a, _) = two();
    world.write(r#"[{"key":"stock","value":250}]"#);
    world.settle();
    a.add_stock(100).unwrap();
    world.settle();
    assert!(ann.undo());
    world.settle();
    assert_eq!(world.state().stock, 250, "what was added, which is less than 100");
    a.set_small(3).unwrap();
    world.settle();
    assert!(ann.undo() && ann.redo());
    world.settle();
    assert_eq!(world.state().small, 3);
}

#[test]
fn g9_the_history_is_bounded() {
    let (mut world, ann, _, a, _) = two();
    for step in 0..1_010 {
        a.set_title(format!("{step}")).unwrap();
        world.settle();
    }
    let mut count = 0;
    while ann.undo() {
        count += 1;
        world.settle();
    }
    assert_eq!(count, 1_000);
    assert_eq!(world.state().title, "9");
}

/// One random change within the half of the board that is `mine`: a user's items are next to each other, and
/// so are the ones inserted after them.
fn random_change(rng: &mut Rng, h: &Handle, mine: u32, next: &mut u32) {
    let own: Vec<u32> =
        h.todos().read(|todos| todos.iter().map(|todo| todo.id).filter(|id| id / 1_000 == mine).collect());
    let any = |rng: &mut Rng| own[rng.usize(..own.len())];
    let place = mine as u8 * 10 + rng.u8(..5);
    *next += 1;
    let written = match rng.u8(..9) {
        0 => h.todos().insert_after(&any(rng), todo(mine * 1_000 + *next)),
        // Not the first one, because the other half ends at it.
        1 if own.len() > 3 => h.todos().remove(&own[1 + rng.usize(..own.len() - 1)]),
        2 if own.len() > 2 => {
            let id = own[1 + rng.usize(..own.len() - 1)];
            h.todos().move_after(&id, &any(rng))
        }
        3 => h.todos().edit(&any(rng), |todo| todo.title = format!("{next}")),
        4 => h.seats().put(place, format!("{next}")),
        5 => h.seats().remove(&place),
        6 => h.tags().insert(place),
        7 => h.tags().remove(&place),
        _ => h.add_views(i64::from(*next)),
    };
    written.unwrap();
}

#[test]
fn undoing_a_whole_session_leaves_exactly_the_others_edits() {
    for seed in seeds::range(300) {
        let _replay = seeds::Replay::of(seed);
        let begin = Board {
            todos: (0..5).map(|n| todo(1_000 + n)).chain((0..5).map(|n| todo(2_000 + n))).collect(),
            seats: (10..30).map(|n| (n, "first".to_owned())).collect(),
            ..Board::default()
        };
        // The same edits of the second user, with and without the first user.
        let ends = [true, false].map(|with_first| {
            let mut rng = Rng::with_seed(seed);
            let mut world = World::new(begin.clone());
            let (a, b) = (world.join(), world.join());
            let (ha, hb) = (a.handle(), b.handle());
            let (mut first, mut second) = (100, 100);
            for _ in 0..40 {
                let (of_first, mut of_second) = (rng.u64(..), Rng::with_seed(rng.u64(..)));
                let (away, settles) = (rng.u8(..10), rng.bool());
                if with_first {
                    match away {
                        0 => a.leave(),
                        1 => a.come_back(),
                        _ => {}
                    }
                    random_change(&mut Rng::with_seed(of_first), &ha, 1, &mut first);
                }
                random_change(&mut of_second, &hb, 2, &mut second);
                if settles {
                    world.settle();
                }
            }
            a.come_back();
            world.settle();
            while a.undo() {}
            world.settle();
            world.state()
        });
        assert_eq!(ends[0], ends[1], "seed {seed}");
    }
}
