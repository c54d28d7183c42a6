use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(list)]
    comments: Vec<Comment>,
    #[shared(list())]
    replies: Vec<Comment>,
    #[shared(list(nested))]
    notes: Vec<Comment>,
    #[shared(list(key = "id"))]
    marks: Vec<Comment>,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Comment {
    id: u32,
}

fn main() {}
