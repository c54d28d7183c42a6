use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: &'static str,
    tags: Vec<&'static str>,
    bytes: Option<&'static [u8]>,
    map: std::collections::BTreeMap<&'static str, u8>,
}

fn main() {}
