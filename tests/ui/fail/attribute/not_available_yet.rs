use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(list(key = id))]
    comments: Vec<u8>,
    #[shared(text)]
    body: String,
    #[shared(map)]
    votes: u8,
}

fn main() {}
