use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<u8>,
}

fn main() {}
