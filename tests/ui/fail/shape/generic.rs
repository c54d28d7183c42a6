use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document<T, const N: usize> {
    value: T,
}

fn main() {}
