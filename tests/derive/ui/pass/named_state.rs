//! A struct named `State`, whose handle cannot be named after the trait.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct State {
    value: u8,
}

pub fn main() {
    let _ = std::mem::size_of::<StateHandle<()>>();
}
