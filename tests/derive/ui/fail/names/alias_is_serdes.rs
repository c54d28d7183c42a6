use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(alias = "size")]
    font_size: u8,
    #[shared(default)]
    title: String,
}

fn main() {}
