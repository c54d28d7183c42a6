use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(list(id))]
    items: Vec<Item>,
    #[shared(list("id", nested))]
    others: Vec<Item>,
    #[shared(list(nestd))]
    more: Vec<Item>,
    #[shared(map("id"))]
    votes: BTreeMap<u8, u8>,
    #[shared("300ms")]
    slow: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    id: u8,
}

fn main() {}
