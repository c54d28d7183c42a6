use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[serde(rename(serialize = "a", deserialize = "b"))]
    renamed: u8,
}

fn main() {}
