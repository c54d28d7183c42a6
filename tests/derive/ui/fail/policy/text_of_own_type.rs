use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Body(String);

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(text)]
    body: Body,
}

fn main() {}
