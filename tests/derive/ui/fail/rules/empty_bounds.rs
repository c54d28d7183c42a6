use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(length(min = 3, max = 2)))]
    title: String,
    #[shared(validate(range(min = -1.0, max = -2.5)))]
    ratio: f64,
}

fn main() {}
