use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(list(key = id))]
    comments: Vec<Comment>,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Comment {
    #[serde(skip)]
    id: Id,
}

#[derive(Clone, Debug, PartialEq, Default)]
struct Id(u32);

fn main() {}
