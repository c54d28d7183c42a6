use serde::{Deserialize, Deserializer, Serialize};
use shared_state::SharedState;

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u8>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plain: Option<Option<u8>>,
    #[serde(default, deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    with: Option<Option<u8>>,
}

fn main() {}
