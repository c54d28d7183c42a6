use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(read_only, write = "owner")]
    draft: String,
    #[shared(skip, read = "owner")]
    #[serde(skip)]
    cache: String,
}

fn main() {}
