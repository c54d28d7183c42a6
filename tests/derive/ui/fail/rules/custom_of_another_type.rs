use serde::{Deserialize, Serialize};
use shared_state::SharedState;

fn check(_: &u32) -> Result<(), String> {
    Ok(())
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(validate = Self::rule)]
struct Document {
    #[shared(validate(custom = check))]
    size: u8,
}

impl Document {
    fn rule(&self) -> bool {
        true
    }
}

fn main() {}
