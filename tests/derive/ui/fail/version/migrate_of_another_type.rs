use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version = 2, migrate = Self::migrated)]
struct Document {
    a: String,
}

impl Document {
    fn migrated(value: serde_json::Value) -> Result<serde_json::Value, String> {
        Ok(value)
    }
}

fn main() {}
