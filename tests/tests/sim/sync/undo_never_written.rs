//! G14: what somebody else has written and taken back counts as never written, additions and typing too.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::{SharedState, Text};
use shared_state_tests::{User, World};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Sheet {
    #[shared(counter)]
    views: i64,
    #[shared(counter)]
    small: u8,
    #[shared(text)]
    body: Text,
    #[shared(list(key = id, nested))]
    rows: Vec<Row>,
    #[shared(map(counter))]
    tally: BTreeMap<u8, i64>,
    #[shared(map(nested))]
    cells: BTreeMap<u8, Cell>,
    #[shared(map(text))]
    notes: BTreeMap<u8, Text>,
    #[shared(nested)]
    cell: Cell,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Row {
    id: u8,
    title: String,
    done: bool,
    #[shared(text)]
    note: Text,
    #[shared(map(counter))]
    tally: BTreeMap<u8, i64>,
    #[shared(nested)]
    cell: Cell,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Cell {
    color: u8,
    #[shared(counter)]
    size: i64,
    #[shared(text)]
    note: Text,
}

type Handle = SharedSheet<User<Sheet>>;
type Act = fn(&Handle) -> bool;

fn row(id: u8) -> Row {
    Row { id, ..Row::default() }
}

fn begin() -> Sheet {
    Sheet {
        views: 1,
        small: 100,
        rows: vec![row(1)],
        tally: BTreeMap::from([(1, 1)]),
        cells: BTreeMap::from([(1, Cell::default())]),
        ..Sheet::default()
    }
}

/// The sheet without entries that an undone addition has begun.
fn as_read(mut sheet: Sheet) -> Sheet {
    sheet.tally.retain(|_, count| *count != 0);
    sheet.rows.iter_mut().for_each(|row| row.tally.retain(|_, count| *count != 0));
    sheet.notes.retain(|_, note| !note.is_empty());
    sheet
}

fn three() -> (World<Sheet>, [User<Sheet>; 3], [Handle; 3]) {
    let mut world = World::new(begin());
    let users = [world.join(), world.join(), world.join()];
    world.settle();
    let handles = [users[0].handle(), users[1].handle(), users[2].handle()];
    (world, users, handles)
}

/// What the first user writes, and what others then add to it or type into it.
fn pairs() -> Vec<(&'static str, Act, Act)> {
    let add_row: Act = |h| h.rows().push(row(9)).is_ok();
    let set_row: Act = |h| h.rows().at(&1).replace(Row { title: "r".into(), ..row(1) }).is_ok();
    let put: Act = |h| h.cells().put(1, Cell { color: 1, ..Cell::default() }).is_ok();
    let put_new: Act = |h| h.cells().put(2, Cell::default()).is_ok();
    let set: Act = |h| h.cell().replace(Cell { color: 2, ..Cell::default() }).is_ok();
    vec![
        ("set / add", |h| h.set_views(3).is_ok(), |h| h.add_views(4).is_ok()),
        ("set / subtract", |h| h.set_views(3).is_ok(), |h| h.sub_views(4).is_ok()),
        ("set / add beyond the bound", |h| h.set_small(90).is_ok(), |h| h.add_small(200).is_ok()),
        ("put / add", |h| h.tally().put(1, 7).is_ok(), |h| h.tally().add(1, 2).is_ok()),
        ("remove / add", |h| h.tally().remove(&1).is_ok(), |h| h.tally().add(1, 2).is_ok()),
        ("clear / add", |h| h.tally().clear().is_ok(), |h| h.tally().add(1, 2).is_ok()),
        ("push / add", add_row, |h| h.rows().at(&9).cell().add_size(3).is_ok()),
        ("push / add in a map", add_row, |h| h.rows().at(&9).tally().add(1, 3).is_ok()),
        ("push / type", add_row, |h| h.rows().at(&9).note().push("abc").is_ok()),
        ("replace / add", set_row, |h| h.rows().at(&1).cell().add_size(3).is_ok()),
        ("replace / add in a map", set_row, |h| h.rows().at(&1).tally().add(1, 3).is_ok()),
        ("replace / type", set_row, |h| h.rows().at(&1).note().push("abc").is_ok()),
        ("put over / add", put, |h| h.cells().at(&1).add_size(3).is_ok()),
        ("put over / type", put, |h| h.cells().at(&1).note().push("abc").is_ok()),
        ("put / type", put_new, |h| h.cells().at(&2).note().push("abc").is_ok()),
        ("struct / add", set, |h| h.cell().add_size(3).is_ok()),
        ("struct / type", set, |h| h.cell().note().push("abc").is_ok()),
        (
            "put a text / type",
            |h| h.notes().put(1, "q".into()).is_ok(),
            |h| h.notes().at(&1).push("x").is_ok(),
        ),
        ("type / set", |h| h.body().push("hello").is_ok(), |h| h.set_body("bye".into()).is_ok()),
        ("type / delete", |h| h.body().push("hello").is_ok(), |h| h.body().delete(1, 3).is_ok()),
        (
            "type in an entry / put",
            |h| h.notes().at(&1).push("hello").is_ok(),
            |h| h.notes().put(1, "q".into()).is_ok(),
        ),
        (
            "type in an item / set the list",
            |h| h.rows().at(&1).note().push("hello").is_ok(),
            |h| h.set_rows(vec![row(1), row(2)]).is_ok(),
        ),
    ]
}

#[test]
fn g14_an_addition_or_an_edit_that_somebody_undid_counts_as_never_written() {
    for (name, first, second) in pairs() {
        let (mut world, [a, b, _], [ha, hb, _]) = three();
        assert!(first(&ha), "{name}");
        world.settle();
        let of_first = as_read(world.state());
        for _ in 0..2 {
            assert!(second(&hb), "{name}");
            world.settle();
            let both = as_read(world.state());
            assert!(b.undo() && b.redo(), "{name}");
            world.settle();
            assert_eq!(as_read(world.state()), both, "{name}");
            assert!(b.undo(), "{name}");
            world.settle();
            assert_eq!(as_read(world.state()), of_first, "{name}");
        }
        for _ in 0..2 {
            assert!(a.undo(), "{name}");
            world.settle();
            assert_eq!(as_read(world.state()), begin(), "{name}");
            assert!(a.redo(), "{name}");
            world.settle();
            assert_eq!(as_read(world.state()), of_first, "{name}");
        }
    }
}

#[test]
fn g14_additions_and_edits_are_taken_back_whatever_others_added_and_typed_meanwhile() {
    for (name, first, second) in pairs() {
        if name.starts_with("type") || name.ends_with("bound") {
            // A second one has nothing to delete, or to add.
            continue;
        }
        let (mut world, [a, b, c], [ha, hb, hc]) = three();
        assert!(first(&ha), "{name}");
        world.settle();
        for h in [&hb, &hc, &ha, &hb] {
            assert!(second(h), "{name}");
            world.settle();
        }
        // The first one to write is not the last one to undo.
        for user in [&b, &c, &a, &b] {
            assert!(user.undo(), "{name}");
            world.settle();
        }
        assert!(a.undo(), "{name}");
        world.settle();
        assert_eq!(as_read(world.state()), begin(), "{name}");
    }
}

#[test]
fn g14_what_is_left_of_an_authors_writes_still_counts() {
    for (name, first, second) in pairs() {
        if name.starts_with("type") || name.ends_with("bound") {
            continue;
        }
        let (mut world, [a, b, _], [ha, hb, _]) = three();
        assert!(first(&ha), "{name}");
        world.settle();
        for _ in 0..2 {
            assert!(second(&hb), "{name}");
            world.settle();
        }
        assert!(b.undo(), "{name}");
        world.settle();
        let left = world.state();
        assert!(!a.undo(), "{name}: one of the two is left");
        world.settle();
        assert_eq!(world.state(), left, "{name}");
    }
}

#[test]
fn g14_a_write_beside_one_that_was_taken_back_still_counts() {
    let (mut world, [a, ..], [ha, hb, _]) = three();
    ha.rows().push(row(9)).unwrap();
    world.settle();
    let rows = hb.rows();
    let nine = rows.at(&9);
    nine.set_title("by bob").unwrap();
    nine.set_done(true).unwrap();
    nine.set_title("").unwrap();
    world.settle();
    assert!(!a.undo(), "it is done");
    nine.set_done(false).unwrap();
    world.settle();
    assert!(!world.state().rows[1].done);
}

#[test]
fn g14_what_somebody_types_over_what_they_deleted_is_theirs() {
    let (mut world, [a, ..], [ha, hb, _]) = three();
    ha.body().push("cat").unwrap();
    world.settle();
    hb.body().delete(0, 3).unwrap();
    for (at, typed) in ["c", "u", "t"].into_iter().enumerate() {
        hb.body().insert(at, typed).unwrap();
        world.settle();
    }
    a.undo();
    world.settle();
    assert_eq!(world.state().body, "cut");
}

#[test]
fn g14_what_was_typed_and_comes_back_by_an_undo_is_taken_back_by_who_typed_it() {
    for is_own in [false, true] {
        let (mut world, [a, b, c], [ha, hb, hc]) = three();
        ha.notes().put(1, "q".into()).unwrap();
        world.settle();
        hb.notes().at(&1).push("xyz").unwrap();
        world.settle();
        // Somebody deletes it all, and types it again by an undo, as other characters.
        let (deletes, h) = if is_own { (&a, &ha) } else { (&c, &hc) };
        h.notes().at(&1).delete(0, 4).unwrap();
        world.settle();
        assert!(deletes.undo());
        world.settle();
        assert_eq!(world.state().notes[&1], "qxyz");
        assert!(b.undo());
        world.settle();
        assert_eq!(world.state().notes[&1], "q");
        assert!(a.undo(), "by the first user: {is_own}");
        world.settle();
        assert_eq!(as_read(world.state()), begin());
    }
}
