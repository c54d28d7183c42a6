//! What a struct says of itself is known to the compiler.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

/// A page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    /// First.
    title: String,
    pairs: Vec<(u8, Option<[u8; 4]>)>,
}

const FIRST: &str = Document::INFO.fields[0].docs;
static PAIRS: &str = Document::FIELDS[1].type_name;

pub fn main() {
    assert_eq!((FIRST, PAIRS), ("First.", "Vec<(u8, Option<[u8; 4]>)>"));
}
