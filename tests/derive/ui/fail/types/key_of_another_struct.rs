use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::merge::MergePolicy;
use shared_state::Field;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    font_size: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Game {
    score: u8,
}

fn get<T: Clone, P: MergePolicy<T>>(document: &Document, field: Field<Document, T, P>) -> T {
    field.get(document).clone()
}

fn main() {
    get(&Document { title: String::new(), font_size: 1 }, Game::SCORE);
}
