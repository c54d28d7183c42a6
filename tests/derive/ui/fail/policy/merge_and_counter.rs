use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(counter, merge = shared_state::merge::Counter)]
    field: u8,
}

fn main() {}
