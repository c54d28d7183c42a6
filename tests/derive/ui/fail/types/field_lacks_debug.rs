use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Theme;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    theme: Theme,
}

fn main() {}
