use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(read_only, read_only)]
    title: String,
    #[shared(throttle = "1s")]
    #[shared(throttle = "2s")]
    body: String,
    #[shared(validate(length(max = 1, max = 2)))]
    theme: String,
}

fn main() {}
