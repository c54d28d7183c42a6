use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(skip)]
    #[serde(skip)]
    cached: u8,
}

fn main() {}
