#![deny(missing_docs, clippy::pedantic, clippy::all, warnings)]
#![forbid(unsafe_code)]
//! Lists, maps and sets, and policies inside them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use shared_state::{List, SharedState};

/// A board.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Board<T> {
    /// What has to be done.
    #[shared(list(key = id, nested), validate(length(max = 100)))]
    pub todos: List<Todo>,
    /// Any item.
    #[shared(list(key = r#type))]
    pub others: Vec<Other<T>>,
    /// Lists in a map.
    #[shared(map(list(key = id)))]
    lanes: BTreeMap<Lane, Vec<Todo>>,
    /// Counters in a map.
    #[shared(map(counter), throttle = "50ms")]
    tally: HashMap<String, u32>,
    /// Structs in a map in a map.
    #[shared(map(map(nested)))]
    seats: HashMap<u8, BTreeMap<bool, Todo>>,
    /// Members.
    #[shared(set)]
    tags: BTreeSet<String>,
    /// Members again.
    #[shared(set, debounce = "10ms")]
    hashed: HashSet<u8>,
}

/// One.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Todo {
    id: Id,
    #[shared(set)]
    labels: BTreeSet<String>,
}

/// An id of one's own.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Id(u64);

/// Anything.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Other<T> {
    r#type: String,
    value: T,
}

/// A key that is an enum.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// Left.
    Left,
    /// Right.
    Right,
}

/// What the test runs.
///
/// # Panics
/// If something is not as it should be.
pub fn main() {
    let board = Board::<u8>::default();
    assert!(Board::diff(&board, &board).is_empty());
    assert_eq!(Board::<u8>::FIELDS[0].policy, "list");
}
