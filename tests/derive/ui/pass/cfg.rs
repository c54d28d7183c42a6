//! Fields that are there only under a condition.
#![deny(warnings)]
#![allow(dead_code, clippy::non_minimal_cfg)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[allow(clippy::non_minimal_cfg)]
    #[cfg(all())]
    here: u8,
    #[cfg(any())]
    #[shared(counter)]
    gone: NoSuchType,
    #[cfg_attr(all(), shared(counter))]
    counted: u8,
    #[cfg_attr(any(), shared(no_such_attribute))]
    plain: u8,
}

pub fn main() {
    assert_eq!(Document::FIELDS.len(), 3);
    assert_eq!(Document::FIELDS[1].policy, "counter");
}
