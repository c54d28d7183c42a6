//! A struct written by a macro, whose types come as fragments.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

macro_rules! state {
    ($name:ident { $($field:ident: $ty:ty = $most:expr),* }) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        struct $name { $(#[shared(validate(range(max = $most)))] $field: $ty),* }
    };
}

state!(Document { a: u8 = 3, b: Option<i64> = 1 + 2 });

pub fn main() {
    assert!(Document { a: 4, b: None }.validate().is_err());
}
