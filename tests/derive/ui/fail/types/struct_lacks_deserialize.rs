use serde::Serialize;
use shared_state::SharedState;

#[derive(Clone, Serialize, SharedState)]
struct Document {
    title: String,
}

fn main() {}
