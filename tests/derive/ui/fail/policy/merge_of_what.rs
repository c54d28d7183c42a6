use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(merge)]
    a: u8,
    #[shared(merge = "Max")]
    b: u8,
}

fn main() {}
