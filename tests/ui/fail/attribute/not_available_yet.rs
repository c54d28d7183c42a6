use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(text)]
    body: String,
}

fn main() {}
