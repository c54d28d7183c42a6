use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(range(max = 1.5)))]
    field: u8,
}

fn main() {}
