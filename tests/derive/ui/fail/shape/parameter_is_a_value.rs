use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::merge::Value;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document<T: Value> {
    value: T,
}

fn main() {}
