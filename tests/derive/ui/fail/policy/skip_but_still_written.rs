use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    #[shared(skip)]
    cached: usize,
}

fn main() {}
