use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(list(key = 0))]
    pairs: Vec<(u8, String)>,
}

fn main() {}
