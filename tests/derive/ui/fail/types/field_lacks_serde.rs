use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq)]
struct Cursor;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    cursor: Cursor,
}

fn main() {}
