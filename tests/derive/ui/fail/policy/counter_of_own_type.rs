use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Meters(u32);

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Trip {
    name: String,
    #[shared(counter)]
    length: Meters,
}

fn main() {}
