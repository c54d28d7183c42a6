use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(max_wait = "3s")]
    alone: String,
    #[shared(debounce = "2s", max_wait = "500ms")]
    shorter: String,
}

fn main() {}
