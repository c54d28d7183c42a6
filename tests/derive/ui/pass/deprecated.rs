//! A deprecated field: its items are deprecated too, and the generated code does not complain.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    /// As it was.
    #[deprecated = "use the title"]
    heading: String,
    #[deprecated(since = "1.0.0", note = "counted elsewhere")]
    #[shared(counter)]
    views: u8,
}

pub fn main() {
    let _ = DocumentPatch::new().title("x");
}
