//! A patch built by name, nested ones too.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Layout {
    columns: u8,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    title: String,
    tags: Option<Vec<String>>,
    #[shared(nested)]
    layout: Layout,
}

pub fn main() {
    let patch = DocumentPatch::new().title("Plans").tags(None).layout(LayoutPatch::new().columns(2));
    let json = serde_json::to_string(&patch).expect("a patch is JSON");
    assert_eq!(json, r#"{"title":"Plans","tags":null,"layout":{"columns":2}}"#);
    assert_eq!(Document::patch_updates(patch).len(), 3);
}
