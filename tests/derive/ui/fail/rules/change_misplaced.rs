use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(validate_change)]
struct WithoutValue {
    size: u32,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(validate_changes = Self::grows)]
struct Misspelled {
    #[shared(validate_change = grows)]
    size: u32,
}

fn main() {}
