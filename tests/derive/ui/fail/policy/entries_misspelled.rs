use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(list(kye = id))]
    comments: Vec<Comment>,
    #[shared(map(countr))]
    votes: BTreeMap<String, i64>,
    #[shared(map(counter, nested))]
    more_votes: BTreeMap<String, i64>,
    #[shared(map = counter)]
    other_votes: BTreeMap<String, i64>,
    #[shared(set(nested))]
    tags: std::collections::BTreeSet<String>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Comment {
    id: u32,
}

fn main() {}
