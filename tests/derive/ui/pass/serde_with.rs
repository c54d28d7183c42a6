//! A type that serde knows nothing of, written by functions.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq)]
struct Foreign;

mod unit {
    pub(crate) fn serialize<S: serde::Serializer>(
        _: &super::Foreign,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<super::Foreign, D::Error> {
        serde::Deserialize::deserialize(deserializer).map(|()| super::Foreign)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(bound(deserialize = "T: serde::de::DeserializeOwned"))]
struct Document<T> {
    #[serde(with = "unit")]
    foreign: Foreign,
    #[serde(with = "self::unit", rename = "f")]
    #[shared(read_only)]
    other: Foreign,
    value: T,
}

pub fn main() {
    let patch = DocumentPatch::<u8>::new().foreign(Foreign);
    assert_eq!(serde_json::to_string(&patch).expect("a patch is JSON"), r#"{"foreign":null}"#);
}
