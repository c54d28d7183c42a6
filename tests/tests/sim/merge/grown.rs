//! Changes of more parts than are written one by one: what is set as a whole is the innermost list, map or set.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::{List, SharedState};
use shared_state_tests::World;

/// More than are written one by one.
const MANY: u32 = 5_000;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested))]
    columns: Vec<Column>,
    #[shared(map(list(key = id, nested)))]
    lanes: BTreeMap<String, List<Card>>,
    #[shared(map(set))]
    marks: BTreeMap<String, BTreeSet<u32>>,
    #[shared(map(map(counter)))]
    tally: BTreeMap<String, BTreeMap<u32, i64>>,
    #[shared(nested)]
    page: Page,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Column {
    id: u32,
    title: String,
    #[shared(list(key = id, nested))]
    cards: List<Card>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Page {
    title: String,
    #[shared(list(key = id, nested))]
    cards: List<Card>,
    #[shared(read_only)]
    seen: u32,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Card {
    id: u32,
    title: String,
}

fn card(id: u32) -> Card {
    Card { id, ..Card::default() }
}

fn begin() -> Board {
    let cards = || (0..MANY).map(card).collect::<List<_>>();
    let both = |many: List<Card>| BTreeMap::from([("a".to_owned(), many), ("b".to_owned(), List::new())]);
    Board {
        columns: vec![
            Column { id: 1, cards: cards(), ..Column::default() },
            Column { id: 2, ..Column::default() },
        ],
        lanes: both(cards()),
        marks: BTreeMap::from([("a".into(), (0..MANY).collect()), ("b".into(), BTreeSet::new())]),
        tally: BTreeMap::from([
            ("a".into(), (0..MANY).map(|at| (at, 1)).collect()),
            ("b".into(), BTreeMap::new()),
        ]),
        page: Page { cards: cards(), seen: 7, ..Page::default() },
    }
}

#[test]
fn g7_what_is_set_as_a_whole_because_it_is_long_leaves_what_is_beside_it() {
    let mut world = World::new(begin());
    let (ann, bob) = (world.join(), world.join());
    world.settle();
    let (ann_has, bob_has) = (ann.handle(), bob.handle());
    // Bob writes beside what Ann clears, and is first.
    ann.leave();
    bob_has.columns().at(&2).cards().push(card(1)).unwrap();
    bob_has.columns().at(&1).set_title("kept").unwrap();
    bob_has.lanes().at(&"b".into()).push(card(2)).unwrap();
    bob_has.marks().at(&"b".into()).insert(3).unwrap();
    bob_has.tally().at(&"b".into()).add(4, 4).unwrap();
    bob_has.page().set_title("kept").unwrap();
    world.settle();
    ann_has.columns().at(&1).cards().clear().unwrap();
    ann_has.lanes().at(&"a".into()).clear().unwrap();
    ann_has.marks().at(&"a".into()).clear().unwrap();
    ann_has.tally().at(&"a".into()).clear().unwrap();
    ann_has.page().cards().clear().unwrap();
    ann.come_back();
    world.settle();
    assert!(ann.answers().iter().all(|(_, answer)| answer.is_ok()));
    let expected = Board {
        columns: vec![
            Column { id: 1, title: "kept".into(), ..Column::default() },
            Column { id: 2, cards: [card(1)].into_iter().collect(), ..Column::default() },
        ],
        lanes: BTreeMap::from([("a".into(), List::new()), ("b".into(), [card(2)].into_iter().collect())]),
        marks: BTreeMap::from([("a".into(), BTreeSet::new()), ("b".into(), BTreeSet::from([3]))]),
        tally: BTreeMap::from([("a".into(), BTreeMap::new()), ("b".into(), BTreeMap::from([(4, 4)]))]),
        page: Page { title: "kept".into(), seen: 7, ..Page::default() },
    };
    assert_eq!(world.state(), expected);
    assert_eq!((ann.state(), bob.state()), (expected.clone(), expected));
    // What others write beside it does not stop the undo.
    bob_has.lanes().at(&"b".into()).push(card(5)).unwrap();
    world.settle();
    for cleared in ["page", "tally", "marks", "lanes", "columns"] {
        assert!(ann.undo(), "{cleared}");
        world.settle();
    }
    let state = world.state();
    let lengths = [state.columns[0].cards.len(), state.lanes["a"].len(), state.page.cards.len()];
    assert_eq!(lengths, [MANY as usize; 3]);
    assert_eq!((state.marks["a"].len(), state.tally["a"].len()), (MANY as usize, MANY as usize));
    assert_eq!((state.lanes["b"].len(), &*state.page.title), (2, "kept"));
}
