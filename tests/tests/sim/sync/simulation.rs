//! The guarantees under random faults, from seeds.

#![allow(missing_docs)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::{IndexMap, IndexSet};
use serde::{Deserialize, Serialize};
use shared_state::testing::Simulation;
use shared_state::{List, SharedState, Text};
use shared_state_tests::seeds;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Layout {
    columns: u8,
    #[shared(counter)]
    moves: i64,
    title: Option<String>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
enum Theme {
    #[default]
    Light,
    Dark,
    Custom {
        accent: String,
        contrast: f64,
    },
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(debounce = "300ms", validate(length(max = 12)))]
    title: String,
    theme: Theme,
    #[shared(validate(range(min = 0, max = 24)))]
    #[serde(rename = "font/size")]
    font_size: i8,
    tags: Vec<Option<String>>,
    #[shared(counter)]
    views: i64,
    #[shared(counter)]
    stars: u8,
    #[shared(nested)]
    layout: Layout,
    #[shared(read_only)]
    edited: u64,
    #[shared(throttle = "100ms")]
    cursor: (u16, u16),
    #[shared(skip)]
    #[serde(skip)]
    cached: usize,
}

/// A struct with a rule over the whole state: a client sends the states it shows, in the order in which they
/// were written.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[shared(validate = Span::check)]
struct Span {
    #[shared(debounce = "200ms")]
    start: u8,
    #[shared(debounce = "100ms")]
    end: u8,
    label: String,
}

impl Span {
    fn check(&self) -> Result<(), String> {
        if self.start > self.end && self.end > 0 {
            return Err(format!("starts at {} and ends at {}", self.start, self.end));
        }
        Ok(())
    }
}

/// Nested collections, two deep, each with its own policy.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Board {
    #[shared(list(key = id, nested), validate(length(max = 9)))]
    todos: List<Todo>,
    #[shared(list(key = name), debounce = "100ms")]
    columns: Vec<Column>,
    #[shared(map)]
    owners: BTreeMap<u8, Option<String>>,
    #[shared(map(counter), throttle = "50ms")]
    tally: HashMap<String, i8>,
    #[shared(map(list(key = id, nested)))]
    lanes: BTreeMap<String, Vec<Todo>>,
    #[shared(set)]
    tags: BTreeSet<u8>,
    #[shared(nested)]
    inside: Inside,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Todo {
    id: u8,
    #[shared(validate(length(max = 12)))]
    title: String,
    #[shared(counter)]
    votes: i64,
    #[shared(set)]
    labels: BTreeSet<bool>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Column {
    name: String,
    width: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Inside {
    #[shared(map(map(set)))]
    seats: BTreeMap<u8, BTreeMap<bool, BTreeSet<u8>>>,
    #[shared(map(set))]
    rows: IndexMap<u8, IndexSet<u8>>,
    #[shared(list(key = id))]
    order: Vec<Todo>,
}

/// Lists of lists: items move from list to list, and lists come and go with what they hold.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Kanban {
    #[shared(list(key = id, nested))]
    columns: Vec<Lane>,
    #[shared(list(key = id, nested))]
    parked: List<Lane>,
    #[shared(map(list(key = id, nested)))]
    shelves: BTreeMap<u8, List<Footnote>>,
    #[shared(list(key = id, nested))]
    archive: List<Footnote>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Lane {
    id: u8,
    #[shared(list(key = id, nested))]
    cards: Vec<Footnote>,
}

/// Lists between which items move, and which not everybody may read or write.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Desk {
    #[shared(list(key = id, nested))]
    open: List<Footnote>,
    #[shared(list(key = id, nested), write = "editor")]
    accepted: Vec<Footnote>,
    #[shared(list(key = id, nested), read = "editor", write = "editor")]
    hidden: Vec<Footnote>,
    #[shared(map(list(key = id)))]
    filed: BTreeMap<u8, Vec<Footnote>>,
}

/// Fields of every kind that not everybody may read or write.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Office {
    open: u8,
    #[shared(read = "staff", debounce = "200ms")]
    plan: String,
    #[shared(text, read = "staff", write = "editor")]
    memo: Text,
    #[shared(text, write = "editor")]
    notice: Text,
    #[shared(map(counter), read = "staff")]
    tally: BTreeMap<u8, i64>,
    #[shared(set, write = "editor")]
    tags: BTreeSet<u8>,
    #[shared(nested)]
    desk: Drawer,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Drawer {
    #[shared(read = "staff")]
    code: u8,
    #[shared(write = "editor")]
    label: Option<String>,
    #[shared(counter)]
    opened: u8,
}

/// Mostly positions: clients insert and move items next to items that others remove.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Order {
    #[shared(list(key = id, nested))]
    tracks: List<Versions>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Versions {
    id: u8,
    muted: bool,
}

/// Texts, as fields and inside other values.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Article {
    #[shared(text, validate(length(max = 30)))]
    title: Text,
    #[shared(text, debounce = "300ms")]
    body: Text,
    #[shared(nested)]
    notes: Notes,
    likes: u8,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Notes {
    #[shared(text)]
    margin: Text,
    #[shared(map(text))]
    by_person: BTreeMap<u8, Text>,
    #[shared(list(key = id, nested))]
    footnotes: List<Footnote>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Footnote {
    id: u8,
    #[shared(text, validate(length(bytes, max = 20)))]
    text: Text,
}

/// A single text.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Line {
    #[shared(text, validate(length(max = 12)))]
    line: Text,
}

#[test]
fn g1_to_g8_hold_for_one_text() {
    seeds::simulate(&Simulation::new(Line { line: "begin".into() }), 300);
}

#[test]
fn g1_to_g8_hold_for_texts_in_other_values() {
    seeds::simulate(&Simulation::new(Article::default()), 300);
}

#[test]
fn g1_to_g7_hold_for_places_in_a_list() {
    seeds::simulate(&Simulation::new(Order::default()).clients(4), 700);
}

#[test]
fn g1_to_g7_and_g15_hold_for_items_that_move_between_lists() {
    // As a program moves a card that is given the whole state to change.
    let simulation = Simulation::new(Kanban::default()).operation("move a card", |kanban, rng| {
        let (from, to) = (rng.usize(..6), rng.usize(..6));
        kanban.update(|Kanban { columns, archive, .. }| {
            let card = match columns.get_mut(from) {
                Some(column) => column.cards.pop(),
                None => archive.remove(0),
            };
            match (card, columns.get_mut(to)) {
                (Some(card), Some(column)) => column.cards.insert(0, card),
                (Some(card), None) => archive.push(card),
                (None, _) => {}
            }
        })
    });
    let report = seeds::simulate(&simulation, 500);
    let did = report.moves > 0 && report.undos > 0 && report.transactions > 0;
    assert!(seeds::given().is_some() || did, "{report:?}");
}

#[test]
fn g1_to_g7_and_g12_hold_for_items_that_move_between_lists_with_roles() {
    let report = seeds::simulate(&Simulation::new(Desk::default()), 300);
    let did = report.moves > 0 && report.undos > 0 && report.role_changes > 0;
    assert!(seeds::given().is_some() || did, "{report:?}");
}

#[test]
fn g1_to_g8_and_g12_hold_for_fields_with_roles() {
    let report = seeds::simulate(&Simulation::new(Office::default()), 300);
    let did = report.undos > 0 && report.role_changes > 0;
    assert!(seeds::given().is_some() || did, "{report:?}");
}

#[test]
fn g1_to_g7_hold_for_entries_in_entries() {
    seeds::simulate(&Simulation::new(Board::default()), 700);
}

#[test]
fn g1_to_g6_and_g8_hold_for_fields_of_every_kind() {
    let report = seeds::simulate(&Simulation::new(Document::default()), 1500);
    assert!(report.versions > 0 && report.acknowledged > 0, "{report:?}");
    assert!(report.disconnects > 0 && report.crashes > 0, "{report:?}");
}

#[test]
fn g1_to_g6_and_g8_hold_with_a_rule_over_the_whole_state() {
    seeds::simulate(&Simulation::new(Span::default()).clients(2), 300);
}

#[test]
fn g1_to_g6_and_g8_hold_for_many_clients_of_few_fields() {
    seeds::simulate(&Simulation::new(Layout::default()).clients(8).steps(600), 200);
}
