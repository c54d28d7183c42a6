use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version = "2", migrate = "Self::migrated")]
struct Text {
    a: String,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version = 0)]
struct Zero {
    a: String,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version, migrate)]
struct Alone {
    a: String,
}

fn main() {}
