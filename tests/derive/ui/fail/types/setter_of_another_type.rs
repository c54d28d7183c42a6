use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::Backend;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    font_size: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Game {
    score: u8,
}

fn write<L: Backend<Document>>(document: &SharedDocument<L>) {
    let _ = document.set_font_size("large");
}

fn main() {}
