use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Document {
    #[shared(set)]
    tags: Tags,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Tags(Vec<String>);

fn main() {}
