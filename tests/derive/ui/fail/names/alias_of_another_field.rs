use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    #[serde(alias = "title")]
    heading: String,
}

fn main() {}
