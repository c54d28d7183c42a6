use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    #[shared(skip, counter)]
    views: i64,
    #[shared(read_only)]
    #[serde(skip)]
    cached: i64,
}

fn main() {}
