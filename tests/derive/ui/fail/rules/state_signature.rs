use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(validate = by_value, validate_change = Self::by_value, version = 2, migrate = Self::migrated)]
struct Document {
    a: u8,
}

fn by_value(_: Document) -> Result<(), String> {
    Ok(())
}

impl Document {
    fn by_value(_: Self, _: Self) -> Result<(), String> {
        Ok(())
    }
    fn migrated(_: u32, value: serde_json::Value) -> serde_json::Value {
        value
    }
}

fn main() {}
