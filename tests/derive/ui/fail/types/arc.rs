use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: Arc<String>,
    parts: Vec<Arc<str>>,
}

fn main() {}
