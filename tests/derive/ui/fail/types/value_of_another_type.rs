use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    font_size: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Game {
    score: u8,
}

fn main() {
    Document::FONT_SIZE.set("large");
}
