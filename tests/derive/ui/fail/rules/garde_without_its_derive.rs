use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(garde)]
struct Document {
    title: String,
}

fn main() {}
