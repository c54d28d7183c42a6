use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    #[serde(rename = "title")]
    heading: String,
    #[serde(alias = "heading")]
    head: String,
    #[serde(rename = "heading")]
    other: String,
}

fn main() {}
