use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(map)]
    cells: BTreeMap<(u8, u8), u8>,
    #[shared(map(counter))]
    counts: HashMap<Vec<u8>, i64>,
}

fn main() {}
