use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[serde(rename_all(serialize = "camelCase", deserialize = "snake_case"))]
struct Document {
    font_size: u8,
}

fn main() {}
