use serde::{Deserialize, Serialize};
use shared_state::SharedState;

struct NoName;

impl std::fmt::Display for NoName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no name")
    }
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version = 3, migrate = Self::migrated)]
struct Person {
    name: String,
}

impl Person {
    fn migrated(from: u32, mut value: serde_json::Value) -> Result<serde_json::Value, NoName> {
        if from == 1 {
            value["name"] = value.get("title").cloned().ok_or(NoName)?;
        }
        Ok(value)
    }
}

#[derive(Clone, Serialize, Deserialize, SharedState)]
#[shared(version = 1)]
struct First {
    name: String,
}

pub fn main() {
    assert_eq!((Person::VERSION, First::VERSION), (3, 1));
    let migrated = Person::migrate(1, serde_json::json!({"title": "Ann"}));
    assert_eq!(migrated, Ok(serde_json::json!({"title": "Ann", "name": "Ann"})));
    assert_eq!(Person::migrate(1, serde_json::json!({})), Err("no name".to_owned()));
    assert!(First::migrate(1, serde_json::json!({})).is_err());
}
