use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Layout {
    columns: u8,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    #[shared(nested)]
    layout: Layout,
}

fn main() {}
