use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(validate(inner(rang(max = 3))))]
    field: Vec<u8>,
}

fn main() {}
