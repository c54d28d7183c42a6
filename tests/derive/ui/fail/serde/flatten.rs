use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[serde(flatten)]
    rest: Layout,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Layout {
    columns: u8,
}

fn main() {}
