use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(length(min = 1), length(max = 3)))]
    field: String,
}

fn main() {}
