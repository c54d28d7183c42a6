use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(lenght(max = 3), range(maximum = 4)))]
    title: String,
}

fn main() {}
