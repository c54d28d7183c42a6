use serde::{Deserialize, Serialize};
use shared_state::SharedState;

mod hex {}

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(counter)]
    #[serde(serialize_with = "hex::write")]
    views: u64,
}

fn main() {}
