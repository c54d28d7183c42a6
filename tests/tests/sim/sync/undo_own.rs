//! G14, in random histories: a user who is not disturbed sees after each undo and redo what was there before.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use shared_state::merge::{Splice, TextOp};
use shared_state::{List, SharedState, Text};
use shared_state_tests::{User, World, seeds};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Desk {
    /// Of the first user alone, as everything else that is not a list or map.
    #[shared(debounce = "60m")]
    title: String,
    size: u32,
    #[shared(text)]
    body: Text,
    labels: Vec<u32>,
    #[shared(set)]
    tags: BTreeSet<u8>,
    #[shared(nested)]
    layout: Layout,
    #[shared(map)]
    seats: BTreeMap<u8, u32>,
    #[shared(map(counter))]
    tally: BTreeMap<u8, i64>,
    #[shared(list(key = id, nested))]
    lanes: List<Lane>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    #[shared(counter)]
    moves: i64,
    theme: Option<u32>,
}

/// A lane and its cards are of one user. The number of a user's lanes and cards begins with the user's own.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Lane {
    id: u32,
    #[shared(debounce = "60m")]
    name: u32,
    #[shared(list(key = id, nested))]
    cards: List<Card>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u32,
    title: u32,
    #[shared(counter)]
    votes: i64,
    #[shared(text)]
    note: Text,
}

const USERS: u32 = 2;

fn is_own(id: u32, user: u32) -> bool {
    id / 1_000 == user
}

/// The part of the state that is the user's.
fn own(desk: &Desk, user: u32) -> Desk {
    let mut desk = desk.clone();
    if user != 1 {
        desk = Desk { seats: desk.seats, tally: desk.tally, lanes: desk.lanes, ..Desk::default() };
    }
    desk.seats.retain(|seat, _| u32::from(*seat) % USERS == user % USERS);
    // An entry that an addition has begun stays when that is taken back.
    desk.tally.retain(|seat, votes| u32::from(*seat) % USERS == user % USERS && *votes != 0);
    desk.lanes = desk.lanes.iter().filter(|lane| is_own(lane.id, user)).cloned().collect();
    desk
}

/// Makes one random change of what is the user's. `next` is a number that was not used before.
fn change(rng: &mut Rng, ann: &User<Desk>, user: u32, next: u32) {
    let (h, state) = (ann.handle(), own(&ann.state(), user));
    let seat = rng.u8(..8) / 2 * 2 + (user % USERS) as u8;
    let lane = state.lanes.iter().nth(rng.usize(..state.lanes.len().max(1))).cloned();
    let card =
        lane.as_ref().and_then(|lane| lane.cards.iter().nth(rng.usize(..lane.cards.len().max(1)))).cloned();
    // A place in a text, and how much is deleted there.
    let place = |text: &Text, rng: &mut Rng| {
        let at = rng.usize(..=text.len());
        (at, rng.usize(..=(text.len() - at).min(3)))
    };
    let typed = format!("{next}é");
    let which = rng.u8(..if user == 1 { 20 } else { 12 });
    let written = match (which, lane, card) {
        (0, ..) => h.seats().put(seat, next),
        (1, ..) => h.seats().remove(&seat),
        (2, ..) => h.tally().add(seat, i64::from(next)),
        (3, ..) => h.lanes().insert_at(0, Lane { id: user * 1_000 + next, ..Lane::default() }),
        (4, Some(lane), _) => h.lanes().at(&lane.id).set_name(next),
        (5, Some(lane), _) if state.lanes.len() > 2 => h.lanes().remove(&lane.id),
        (6, Some(lane), Some(card)) => h.lanes().at(&lane.id).cards().remove(&card.id),
        (7, Some(lane), Some(card)) => h.lanes().at(&lane.id).cards().at(&card.id).set_title(next),
        (8, Some(lane), Some(card)) => h.lanes().at(&lane.id).cards().at(&card.id).add_votes(i64::from(next)),
        (9, Some(lane), Some(card)) => {
            let (at, count) = place(&card.note, rng);
            let lanes = h.lanes();
            let lane = lanes.at(&lane.id);
            let cards = lane.cards();
            let note = cards.at(&card.id).note();
            if count > 0 { note.delete(at, count) } else { note.insert(at, &typed) }
        }
        (10, Some(lane), Some(card)) => {
            let to = state.lanes.iter().nth(rng.usize(..state.lanes.len())).map_or(lane.id, |to| to.id);
            let (from, to) = (h.lanes().at(&lane.id).cards(), h.lanes().at(&to).cards());
            // Nothing moves if there is one list.
            let _ = from.move_between(&card.id, &to, 0);
            return;
        }
        (3..=11, Some(lane), _) => {
            let id = user * 1_000 + next;
            h.lanes().at(&lane.id).cards().push(Card { id, title: next, ..Card::default() })
        }
        (12, ..) => h.set_title(next.to_string()),
        (13, ..) => h.set_size(next),
        (14, ..) => {
            let (at, count) = place(&state.body, rng);
            if count > 0 { h.body().delete(at, count) } else { h.body().insert(at, &typed) }
        }
        (15, ..) => h.update_labels(|labels| labels.push(next)),
        (16, ..) => h.tags().insert(rng.u8(..4)),
        (17, ..) => h.tags().remove(&rng.u8(..4)),
        (18, ..) => h.layout().add_moves(i64::from(next)),
        _ => h.layout().set_theme(rng.bool().then_some(next)),
    };
    let _ = written;
}

/// A user who is connected, the user's handle, and a second user.
fn two() -> (World<Desk>, User<Desk>, SharedDesk<User<Desk>>, User<Desk>) {
    let mut world =
        World::new(Desk { lanes: vec![Lane { id: 1, ..Lane::default() }].into(), ..Desk::default() });
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    let handle = ann.handle();
    (world, ann, handle, bob)
}

#[test]
fn g14_characters_that_an_undo_has_inserted_again_go_with_what_inserted_them_first() {
    let (mut world, ann, h, bob) = two();
    h.body().insert(0, "abcd").unwrap();
    world.settle();
    // The later ones first, so that each is inserted again beside others that are still deleted.
    for at in [3, 1, 0] {
        h.body().delete(at, 1).unwrap();
        world.settle();
    }
    bob.handle().body().push("!").unwrap();
    world.settle();
    for shown in ["ac!", "abc!", "abcd!", "!"] {
        assert!(ann.undo());
        assert_eq!(ann.state().body, shown);
        world.settle();
    }
    for shown in ["abcd!", "abc!", "ac!", "c!"] {
        assert!(ann.redo());
        assert_eq!(ann.state().body, shown);
        world.settle();
    }
    while ann.undo() {}
    world.settle();
    assert_eq!(world.state().body, "!");
}

#[test]
fn g13_steps_that_share_a_change_are_redone_one_by_one() {
    let (mut world, ann, h, _) = two();
    ann.leave();
    h.body().push("one").unwrap();
    h.body().push(" two").unwrap();
    assert!(ann.undo() && ann.undo());
    assert_eq!((ann.state().body.as_str(), ann.pending()), ("", 0));
    assert!(ann.redo() && ann.redo() && !ann.redo());
    assert_eq!(ann.state().body, "one two");
    assert!(ann.undo());
    ann.come_back();
    world.settle();
    assert_eq!(world.state().body, "one");
    assert!(ann.redo());
    world.settle();
    assert_eq!(world.state().body, "one two");
}

#[test]
fn what_repeats_an_undo_is_redone_with_it() {
    let (mut world, ann, h, _) = two();
    h.tags().insert(2).unwrap();
    world.settle();
    ann.leave();
    assert!(ann.undo() && ann.redo() && ann.undo());
    // There is nothing to remove, unless the undo is refused.
    h.tags().remove(&2).unwrap();
    assert!(ann.redo());
    assert_eq!(ann.state().tags, BTreeSet::from([2]));
    ann.come_back();
    world.settle();
    assert_eq!(world.state().tags, BTreeSet::from([2]));
}

/// What the first user has seen of what is their own: after each step, the undone ones last.
struct Seen {
    states: Vec<Desk>,
    at: usize,
}

#[test]
fn g14_each_undo_and_redo_shows_what_was_there_before() {
    'seeds: for seed in seeds::range(300) {
        let _replay = seeds::Replay::of(seed);
        let mut rng = Rng::with_seed(seed);
        let lane = |user: u32, n: u32| Lane { id: user * 1_000 + n, ..Lane::default() };
        let lanes = (1..=2).flat_map(|user| [lane(user, 1), lane(user, 2)]).collect();
        let mut world = World::new(Desk { lanes, ..Desk::default() });
        let (ann, bob) = (world.join(), world.join());
        let mut seen = Seen { states: vec![own(&ann.state(), 1)], at: 0 };
        let mut next = 10;
        for step in 0..60 {
            let what = rng.u8(..20);
            match what {
                0 => ann.leave(),
                1 => ann.cut_off(),
                2 | 3 => ann.come_back(),
                4 => ann.flush(),
                5 | 6 => world.deliver(),
                7 => drop(world.exchange(&ann)),
                8 | 9 => {
                    next += 1;
                    change(&mut rng, &bob, 2, next);
                }
                10..=12 => {
                    assert_eq!(ann.undo(), seen.at > 0, "step {step} of seed {seed}");
                    seen.at = seen.at.saturating_sub(1);
                }
                13 | 14 => {
                    assert_eq!(ann.redo(), seen.at + 1 < seen.states.len(), "step {step} of seed {seed}");
                    seen.at = (seen.at + 1).min(seen.states.len() - 1);
                }
                _ => {
                    let begin = own(&ann.state(), 1);
                    let is_group = rng.u8(..4) == 0;
                    if is_group {
                        ann.begin_group();
                    }
                    let mut has_changed = false;
                    for _ in 0..if is_group { 1 + rng.usize(..3) } else { 1 } {
                        let before = own(&ann.state(), 1);
                        next += 1;
                        change(&mut rng, &ann, 1, next);
                        has_changed |= own(&ann.state(), 1) != before;
                    }
                    if is_group {
                        ann.end_group();
                    }
                    if has_changed && own(&ann.state(), 1) == begin {
                        // What comes to nothing is a step, or none.
                        continue 'seeds;
                    }
                    if has_changed {
                        seen.states.truncate(seen.at + 1);
                        seen.states.push(own(&ann.state(), 1));
                        seen.at += 1;
                    }
                }
            }
            assert_eq!(own(&ann.state(), 1), seen.states[seen.at], "step {step} ({what}) of seed {seed}");
        }
        ann.come_back();
        ann.flush();
        bob.flush();
        world.settle();
        assert_eq!(own(&world.state(), 1), seen.states[seen.at], "the end of seed {seed}");
        assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()), "seed {seed}");
    }
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Shelf {
    #[shared(map(nested))]
    boxes: BTreeMap<u8, Crate>,
    #[shared(list(key = id, nested))]
    books: Vec<Book>,
    #[shared(nested)]
    cover: Crate,
    #[shared(nested)]
    spare: Option<Crate>,
    #[shared(map(counter))]
    tally: BTreeMap<u8, i64>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Crate {
    size: u8,
    #[shared(text)]
    note: Text,
    #[shared(map(counter))]
    tally: BTreeMap<u8, i64>,
    #[shared(map(set))]
    marks: BTreeMap<u8, BTreeSet<u8>>,
    #[shared(map(list(key = id, nested)))]
    books: BTreeMap<u8, Vec<Book>>,
    #[shared(map(text))]
    notes: BTreeMap<u8, Text>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Book {
    id: u8,
    #[shared(counter)]
    votes: i64,
    #[shared(text)]
    note: Text,
}

/// The shelf without what an undone write leaves behind.
fn as_read(shelf: &Shelf) -> Shelf {
    let mut shelf = shelf.clone();
    shelf.tally.retain(|_, count| *count != 0);
    let boxes = shelf.boxes.values_mut().chain([&mut shelf.cover]).chain(&mut shelf.spare);
    for inside in boxes {
        inside.tally.retain(|_, count| *count != 0);
        inside.marks.retain(|_, marks| !marks.is_empty());
        inside.books.retain(|_, books| !books.is_empty());
        inside.notes.retain(|_, note| !note.is_empty());
    }
    shelf
}

#[test]
fn g14_what_an_undone_write_leaves_behind_keeps_nothing_from_being_undone() {
    type Act = fn(&SharedShelf<User<Shelf>>) -> bool;
    let book = |id| Book { id, ..Book::default() };
    let begin = Shelf {
        books: vec![book(1)],
        spare: Some(Crate::default()),
        tally: BTreeMap::from([(1, 5), (2, 6)]),
        ..Shelf::default()
    };
    let put: Act = |h| h.boxes().put(1, Crate::default()).is_ok();
    let set_book: Act = |h| h.books().at(&1).replace(Book { id: 1, votes: 3, ..Book::default() }).is_ok();
    let set_cover: Act = |h| h.cover().replace(Crate { size: 3, ..Crate::default() }).is_ok();
    let set_spare: Act = |h| h.set_spare(Some(Crate { size: 3, ..Crate::default() })).is_ok();
    let pairs: [(&str, Act, Act); 15] = [
        ("counter", put, |h| h.boxes().at(&1).tally().add(7, 1).is_ok()),
        ("set", put, |h| h.boxes().at(&1).marks().at(&7).insert(1).is_ok()),
        ("list", put, |h| h.boxes().at(&1).books().at(&7).push(Book::default()).is_ok()),
        ("text of a map", put, |h| h.boxes().at(&1).notes().at(&7).push("a").is_ok()),
        ("text", put, |h| h.boxes().at(&1).note().push("a").is_ok()),
        ("item", set_book, |h| h.books().at(&1).note().push("a").is_ok()),
        ("struct", set_cover, |h| h.cover().note().push("a").is_ok()),
        ("struct's counter", set_cover, |h| h.cover().tally().add(7, 1).is_ok()),
        ("option", set_spare, |h| {
            let typed = Splice { at: 0, delete: 0, insert: "a".into() };
            h.edit_spare(CrateUpdate::Note(TextOp::Splice(vec![typed]))).is_ok()
        }),
        ("typing, item", |h| h.books().at(&1).note().push("a").is_ok(), set_book),
        ("typing, struct", |h| h.cover().note().push("a").is_ok(), set_cover),
        ("removed", |h| h.tally().remove(&1).is_ok(), |h| h.tally().add(1, 1).is_ok()),
        ("cleared", |h| h.tally().clear().is_ok(), |h| h.tally().add(1, 1).is_ok()),
        ("list set", |h| h.set_books(vec![]).is_ok(), |h| h.books().push(Book::default()).is_ok()),
        (
            "item pushed",
            |h| h.books().push(Book { id: 2, ..Book::default() }).is_ok(),
            |h| h.books().at(&2).note().push("a").is_ok(),
        ),
    ];
    for (name, first, second) in pairs {
        for is_settled in [true, false] {
            let mut world = World::new(begin.clone());
            let ann = world.join();
            let h = ann.handle();
            let mut seen = vec![as_read(&ann.state())];
            // An older step, which is none of the two that are undone.
            let older: Act = |h| h.tally().add(2, 1).is_ok();
            for act in [older, first, second] {
                assert!(act(&h), "{name}");
                if is_settled {
                    world.settle();
                }
                seen.push(as_read(&ann.state()));
            }
            let mut follow = |does: bool, shown: &Shelf| {
                assert!(does, "{name}, settled: {is_settled}");
                if is_settled {
                    world.settle();
                }
                assert_eq!(as_read(&ann.state()), *shown, "{name}, settled: {is_settled}");
            };
            for _ in 0..2 {
                seen[..3].iter().rev().for_each(|shown| follow(ann.undo(), shown));
                seen[1..].iter().for_each(|shown| follow(ann.redo(), shown));
            }
            world.settle();
            assert_eq!(as_read(&world.state()), seen[3], "{name}");
        }
    }
}
