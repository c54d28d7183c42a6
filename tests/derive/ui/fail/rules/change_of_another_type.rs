use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(validate_change = Self::grows)]
struct Document {
    size: u32,
}

impl Document {
    fn grows(before: &Self, after: &Self) -> Result<(), String> {
        if after.size >= before.size { Ok(()) } else { Err("it only grows".into()) }
    }
}

fn main() {}
