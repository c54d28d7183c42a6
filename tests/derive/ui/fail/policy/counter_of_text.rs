use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(counter)]
    title: String,
    #[shared(counter)]
    done: bool,
    #[shared(counter)]
    items: std::vec::Vec<u8>,
    #[shared(counter)]
    wide: u128,
}

fn main() {}
