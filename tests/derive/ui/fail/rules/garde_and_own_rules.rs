use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState, garde::Validate)]
#[shared(garde, validate = Self::check)]
struct Document {
    #[shared(validate(length(max = 200)))]
    #[garde(ascii)]
    title: String,
}

impl Document {
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Misplaced {
    #[shared(garde)]
    title: String,
}

fn main() {}
