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
    let mut document = Document { title: String::new(), font_size: 1 };
    document.apply(Game::SCORE.set(1));
}
