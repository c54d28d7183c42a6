use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[serde(transparent)]
struct Document {
    title: String,
}

fn main() {}
