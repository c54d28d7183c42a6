//! A policy given by a path with arguments.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::merge::Codec;

struct Same;

impl<T: serde::Serialize + serde::de::DeserializeOwned> Codec<T> for Same {
    fn serialize<S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }
    fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    #[shared(merge = shared_state::merge::Coded<Same>)]
    title: String,
    #[shared(merge = shared_state::merge::Lww, read_only)]
    body: Option<String>,
}

pub fn main() {
    let _ = DocumentPatch::new().title("x").body(None);
}
