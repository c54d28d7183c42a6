use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(list(key = id, nested))]
    comments: Vec<Comment>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Comment {
    id: u32,
}

fn main() {}
