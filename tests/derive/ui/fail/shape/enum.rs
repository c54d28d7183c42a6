use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
enum Theme {
    Light,
    Dark,
}

fn main() {}
