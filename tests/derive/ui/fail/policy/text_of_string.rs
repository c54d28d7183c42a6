use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(text)]
    body: String,
    #[shared(text)]
    notes: Vec<String>,
    #[shared(text = "markdown")]
    summary: shared_state::Text,
}

fn main() {}
