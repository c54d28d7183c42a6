use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    set_title: String,
    font_size: u8,
    _font_size: u8,
}

fn main() {}
