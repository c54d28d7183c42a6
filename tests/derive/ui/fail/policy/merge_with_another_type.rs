use serde::{Deserialize, Serialize};
use shared_state::SharedState;

struct Max;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(merge = Max)]
    a: u8,
}

fn main() {}
