use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(nested)]
    first: Option<Item>,
    others: Vec<Item>,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Item {
    id: u32,
}

fn main() {}
