use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(counter, validate(length(max = 3)))]
struct Document {
    #[shared(crate = shared_state, validate = check)]
    title: String,
}

fn main() {}
