//! Fields named like anything that is generated.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    get: u8,
    set: u8,
    with: u8,
    with_get: u8,
    update_get: u8,
    new: u8,
    version: u8,
    watch: u8,
    state: u8,
    look: u8,
    value: u8,
    change: u8,
    live: u8,
    apply: u8,
    diff: u8,
    validate: u8,
    field: u8,
    encode: u8,
    about: u8,
    from: u8,
    deref: u8,
    clone: u8,
    fmt: u8,
    eq: u8,
    default: u8,
    serialize: u8,
}

pub fn main() {
    let patch = <DocumentPatch as Default>::default().new(1).default(2);
    assert_eq!((patch.new, patch.default), (Some(1), Some(2)));
}
