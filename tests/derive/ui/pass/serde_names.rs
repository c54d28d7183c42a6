//! Serde's own attributes decide the names.
use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, Serialize, Deserialize, SharedState)]
#[serde(rename_all = "camelCase", deny_unknown_fields, bound = "")]
struct Document {
    font_size: u8,
    #[serde(rename = "t", default = "String::new", skip_serializing_if = "String::is_empty")]
    title: String,
    #[serde(rename(serialize = "b", deserialize = "b"), alias = "body", alias = "b")]
    body_text: String,
    #[serde(rename = "wire")]
    other: u8,
}

pub fn main() {
    let names: Vec<_> = Document::FIELDS.iter().map(|info| info.name).collect();
    assert_eq!(names, ["fontSize", "t", "b", "wire"]);
}
