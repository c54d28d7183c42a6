use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version = 2)]
struct Version {
    a: String,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(migrate = migrated)]
struct Migrate {
    a: String,
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version = 1, migrate = migrated)]
struct First {
    a: String,
}

fn migrated(_: u32, value: serde_json::Value) -> Result<serde_json::Value, String> {
    Ok(value)
}

fn main() {}
