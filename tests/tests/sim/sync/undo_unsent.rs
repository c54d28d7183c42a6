//! What is undone before it is sent leaves no trace, and can be redone.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::{List, SharedState, Text};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    title: String,
    #[shared(debounce = "300ms")]
    delayed: String,
    #[shared(counter)]
    views: u8,
    #[shared(list(key = id, nested))]
    todos: List<Todo>,
    #[shared(map)]
    seats: BTreeMap<u8, String>,
    #[shared(set)]
    tags: BTreeSet<u8>,
    #[shared(text)]
    body: Text,
    #[shared(validate(range(max = 10)))]
    small: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u32,
    title: String,
}

type Handle = SharedBoard<User<Board>>;

fn todo(id: u32, title: &str) -> Todo {
    Todo { id, title: title.into() }
}

fn two() -> (World<Board>, User<Board>, User<Board>, Handle, Handle) {
    let begin =
        Board { title: "old".into(), todos: [todo(1, "old")].into_iter().collect(), ..Board::default() };
    let mut world = World::new(begin);
    let (a, c) = (world.join(), world.join());
    let (ha, hc) = (a.handle(), c.handle());
    (world, a, c, ha, hc)
}

/// Writes everywhere; returns how many steps that is.
fn write_all(h: &Handle, value: &str) -> usize {
    let receipts = [
        h.set_title(value),
        h.set_title(format!("{value} again")),
        h.set_delayed(value),
        h.add_views(200),
        h.todos().push(todo(9, value)),
        h.todos().edit(&9, |todo| todo.title.push('!')),
        h.todos().edit(&1, |todo| todo.title = value.into()),
        h.todos().move_to(&9, 0),
        h.seats().put(1, value.into()),
        h.tags().insert(4),
        h.body().insert(0, value),
        h.set_small(7),
    ];
    receipts.into_iter().map(Result::unwrap).count()
}

#[test]
fn g13_what_is_undone_offline_leaves_all_of_the_others_values() {
    for grouped in [false, true] {
        let (mut world, a, c, ha, hc) = two();
        c.leave();
        let steps = match grouped {
            true => {
                c.group(|| assert!(write_all(&hc, "c's") > 0));
                1
            }
            false => write_all(&hc, "c's"),
        };
        let _ = c.answers();
        (0..steps).for_each(|_| assert!(c.undo()));
        assert!(!c.undo());
        assert!(c.answers().iter().all(|(_, answer)| answer.is_ok()));
        write_all(&ha, "a's");
        a.flush();
        world.deliver();
        let written = world.state();
        c.come_back();
        let _ = (a.traffic(), c.traffic());
        world.settle();
        assert_eq!(world.state(), written);
        let (received, _) = a.traffic();
        assert_eq!(received, 0, "c has sent no change");
    }
}

#[test]
fn g13_its_receipts_are_answered_with_the_current_version() {
    let (mut world, _, c, ha, hc) = two();
    ha.set_small(1).unwrap();
    world.settle();
    c.leave();
    let ids = [hc.set_title("c's").unwrap(), hc.set_delayed("c's").unwrap()];
    assert!(c.undo() && c.undo());
    let answers = c.answers();
    for id in ids {
        assert!(answers.contains(&(id, Ok(1))), "{answers:?}");
    }
}

#[test]
fn g13_redo_writes_it_anew() {
    let (mut world, _, c, ha, hc) = two();
    c.leave();
    let before = c.state();
    let steps = write_all(&hc, "c's");
    let written = c.state();
    (0..steps).for_each(|_| assert!(c.undo()));
    assert_eq!(c.state(), before);
    (0..steps).for_each(|_| assert!(c.redo()));
    assert!(!c.redo());
    assert_eq!(c.state(), written);
    ha.seats().put(2, "a's".into()).unwrap();
    c.come_back();
    c.flush();
    world.settle();
    let mut both = written;
    both.seats.insert(2, "a's".into());
    assert_eq!(world.state(), both);
    (0..steps).for_each(|_| assert!(c.undo()));
    c.flush();
    world.settle();
    assert_eq!(world.state().title, "old");
    assert_eq!(world.state().seats, BTreeMap::from([(2, "a's".to_owned())]));
}

#[test]
fn g13_an_undo_that_is_redone_before_it_is_sent_leaves_no_trace() {
    let (mut world, _, c, ha, hc) = two();
    hc.set_title("c's").unwrap();
    world.settle();
    c.leave();
    for _ in 0..3 {
        assert!(c.undo() && c.redo());
    }
    ha.set_title("a's").unwrap();
    c.come_back();
    world.settle();
    assert_eq!(world.state().title, "a's");
    assert!(!c.undo(), "somebody else has overwritten it");
}

#[test]
fn g13_writes_that_share_a_change_are_undone_one_by_one() {
    let (mut world, _, c, ha, hc) = two();
    c.leave();
    for value in ["one", "two", "three"] {
        hc.set_title(value).unwrap();
    }
    assert!(c.undo());
    assert_eq!(hc.title(), "two");
    assert!(c.undo());
    assert_eq!((hc.title().as_str(), c.pending()), ("one", 1));
    assert!(c.undo());
    assert_eq!((hc.title().as_str(), c.pending()), ("old", 0));
    assert!(c.redo() && c.redo());
    assert_eq!(hc.title(), "two");
    assert!(c.undo() && c.undo());
    ha.set_title("a's").unwrap();
    c.come_back();
    world.settle();
    assert_eq!(world.state().title, "a's");
}

#[test]
fn g13_a_group_that_wrote_again_to_what_was_never_sent_leaves_no_trace() {
    // Whether a transaction in between keeps the group's writes from being folded into the earlier ones.
    for is_between in [false, true] {
        let (mut world, _, c, ha, hc) = two();
        c.leave();
        let shown = || (hc.title(), hc.seats().get().remove(&1));
        let seat = |value: &str| Some(value.to_owned());
        hc.set_title("one").unwrap();
        hc.seats().put(1, "one".into()).unwrap();
        let steps = if is_between {
            let _ = c.transact(|tx| {
                let read = tx.get(Board::TITLE).len() + tx.get(Board::SEATS).len();
                tx.set(Board::SMALL, u8::try_from(read).unwrap());
            });
            4
        } else {
            3
        };
        c.group(|| {
            hc.set_title("two").unwrap();
            hc.seats().put(1, "two".into()).unwrap();
        });
        let written = c.state();
        for _ in 0..2 {
            assert!(c.undo());
            assert_eq!(shown(), ("one".into(), seat("one")));
            if is_between {
                assert!(c.undo());
            }
            assert!(c.undo());
            assert_eq!(shown(), ("one".into(), None));
            assert!(c.undo());
            assert_eq!((shown(), c.pending()), (("old".into(), None), 0));
            (0..steps).for_each(|_| assert!(c.redo()));
            assert!(!c.redo());
            assert_eq!(c.state(), written);
        }
        (0..steps).for_each(|_| assert!(c.undo()));
        ha.set_title("a's").unwrap();
        ha.seats().put(1, "a's".into()).unwrap();
        c.come_back();
        world.settle();
        assert_eq!(shown(), ("a's".into(), seat("a's")));
        assert!(c.answers().iter().all(|(_, answer)| answer.is_ok()));
    }
}

#[test]
fn g13_of_a_half_sent_group_the_unsent_half_leaves_no_trace() {
    let (mut world, _, c, ha, hc) = two();
    c.begin_group();
    hc.set_title("c's").unwrap();
    world.settle();
    c.leave();
    hc.seats().put(1, "c's".into()).unwrap();
    hc.todos().edit(&1, |todo| todo.title = "c's".into()).unwrap();
    c.end_group();
    assert!(c.undo() && !c.undo());
    assert_eq!((hc.title().as_str(), c.pending()), ("old", 1));
    ha.seats().put(1, "a's".into()).unwrap();
    ha.todos().edit(&1, |todo| todo.title = "a's".into()).unwrap();
    c.come_back();
    world.settle();
    let state = world.state();
    assert_eq!((&*state.title, &*state.seats[&1], &*state.todos[0].title), ("old", "a's", "a's"));
    assert!(c.redo());
    world.settle();
    let state = world.state();
    assert_eq!((&*state.title, &*state.seats[&1], &*state.todos[0].title), ("c's", "a's", "a's"));
}

#[test]
fn g13_a_transaction_that_is_undone_before_it_is_sent_is_not_sent() {
    let (mut world, _, c, ha, hc) = two();
    c.leave();
    let _ = c.transact(|tx| {
        let views = *tx.get(Board::VIEWS);
        tx.set(Board::SMALL, views + 1);
        tx.set(Board::TITLE, "c's".into());
    });
    assert!(c.undo());
    assert_eq!((hc.small(), hc.title().as_str(), c.pending()), (0, "old", 0));
    ha.set_title("a's").unwrap();
    ha.set_small(3).unwrap();
    c.come_back();
    world.settle();
    assert_eq!((world.state().small, world.state().title.as_str()), (3, "a's"));
    assert!(c.answers().iter().all(|(_, answer)| answer.is_ok()));
}

#[test]
fn a_repeated_write_goes_with_the_one_that_it_repeats() {
    let (mut world, _, c, ha, hc) = two();
    c.leave();
    c.write_all(vec![Board::TITLE.set("c's".into()), Board::SMALL.set(3)]);
    hc.set_title("c's").unwrap();
    assert!(c.undo() && !c.undo());
    assert_eq!((hc.title().as_str(), c.pending()), ("old", 0));
    ha.set_title("a's").unwrap();
    c.come_back();
    world.settle();
    assert_eq!(world.state().title, "a's");
}

#[test]
fn what_cannot_be_undone_now_stays_as_it_was_and_can_be_undone_later() {
    let mut world = World::new(Board::default());
    let c = world.join_with(|config| config.max_changes = 2);
    let hc = c.handle();
    c.group(|| {
        hc.set_title("sent").unwrap();
        world.settle();
        c.leave();
        hc.set_small(5).unwrap();
    });
    hc.tags().insert(1).unwrap();
    // Undoing the group takes one change away and adds one, and there is no space for any.
    assert!(c.undo() && c.redo());
    hc.seats().put(1, "in the way".into()).unwrap_err();
    assert_eq!((hc.title().as_str(), hc.small(), c.pending()), ("sent", 5, 2));
    assert!(c.undo() && c.undo());
    assert_eq!((hc.title().as_str(), hc.small(), c.pending()), ("", 0, 1));
    c.come_back();
    world.settle();
    assert_eq!(world.state(), Board::default());
}

#[test]
fn the_newest_step_is_undone_however_many_updates_it_has() {
    let (mut world, _, c, _, hc) = two();
    hc.todos().clear().unwrap();
    world.settle();
    for id in 1..=3_000 {
        world.write(&format!(
            r#"[{{"key":"todos","op":"insert","value":{{"item":{{"id":{id},"title":"t"}}}}}}]"#
        ));
    }
    hc.set_title("before").unwrap();
    world.settle();
    hc.todos().clear().unwrap();
    world.settle();
    assert!(world.state().todos.is_empty());
    assert!(c.undo());
    world.settle();
    assert_eq!(world.state().todos.len(), 3_000);
    assert!(world.state().todos.iter().map(|todo| todo.id).eq(1..=3_000));
    assert!(!c.undo(), "the steps before it made room for it");
    assert!(c.redo());
    world.settle();
    assert!(world.state().todos.is_empty());
}

#[test]
fn g9_a_step_beyond_the_bound_of_bytes_is_not_kept() {
    let mut world = World::new(Board::default());
    let c = world.join_with(|config| {
        config.max_undo = 10;
        config.max_undo_bytes = 4_000;
    });
    let hc = c.handle();
    for (count, is_kept) in [(20, true), (200, false)] {
        let items = (1..=count).map(|id| todo(id, "t"));
        c.write_all(vec![Board::TODOS.set(items.collect())]);
        world.settle();
        hc.todos().clear().unwrap();
        world.settle();
        assert_eq!(c.undo(), is_kept, "{count}");
        world.settle();
        hc.todos().clear().unwrap();
        world.settle();
    }
}

#[test]
fn g14_a_refused_undo_can_be_undone_again() {
    let (mut world, _, c, _, hc) = two();
    hc.set_small(9).unwrap();
    hc.set_small(5).unwrap();
    world.settle();
    world.refuse_next();
    assert!(c.undo());
    world.deliver();
    assert!(c.answers().iter().any(|(_, answer)| answer.is_err()), "it was refused");
    world.settle();
    assert_eq!(world.state().small, 5);
    assert!(c.undo(), "the same step");
    world.settle();
    assert_eq!(world.state().small, 9);
    world.refuse_next();
    assert!(c.redo());
    world.settle();
    assert!(c.redo() && !c.redo());
    world.settle();
    assert_eq!(world.state().small, 5);
}
