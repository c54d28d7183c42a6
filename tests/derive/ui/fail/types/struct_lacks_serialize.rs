use serde::Deserialize;
use shared_state::SharedState;

#[derive(Clone, Deserialize, SharedState)]
struct Document {
    title: String,
}

fn main() {}
