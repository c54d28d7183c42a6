use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(length(max = 3)))]
    size: u8,
    #[shared(validate(range(max = 3)))]
    title: String,
    #[shared(validate(pattern("x")))]
    tags: Vec<String>,
    #[shared(validate(range(max = 300)))]
    small: f64,
}

fn main() {}
