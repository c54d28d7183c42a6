use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[serde(transparent)]
struct Document {
    #[serde(with = "hex")]
    id: Vec<u8>,
    #[serde(flatten)]
    rest: Vec<u8>,
    #[serde(rename(serialize = "a", deserialize = "b"))]
    renamed: u8,
}

fn main() {}
