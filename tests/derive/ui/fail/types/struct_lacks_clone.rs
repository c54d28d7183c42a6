use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
}

fn main() {}
