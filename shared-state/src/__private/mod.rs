//! Re-exports for the code that `#[derive(SharedState)]` generates. Not part of the public API: it changes
//! without notice.

pub use regex_lite::Regex;
pub use serde;
pub use serde_json::Value as Json;
pub use std::string::String;
pub use std::sync::LazyLock;

pub use crate::core::defaults::*;
pub use crate::core::rules;
pub use crate::core::*;
pub use crate::merge::{self, HandleOf, NestedHandle, PatchOf, push_in};
