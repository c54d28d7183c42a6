use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(pattern("(unclosed")))]
    title: String,
}

fn main() {}
