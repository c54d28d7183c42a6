use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(list(key = id))]
    votes: BTreeMap<String, u8>,
    #[shared(map)]
    tags: BTreeSet<String>,
    #[shared(set)]
    names: Vec<String>,
    #[shared(map)]
    title: String,
}

fn main() {}
