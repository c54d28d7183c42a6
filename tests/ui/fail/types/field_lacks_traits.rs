use serde::{Deserialize, Serialize};
use shared_state::SharedState;

struct Opaque;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    secret: Opaque,
}

fn main() {}
