//! Types that belong to a parameter, without a bound of the user's.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

pub trait Kind: Clone + std::fmt::Debug + PartialEq + 'static {
    type Payload;
}

/// The kind itself is no value.
#[derive(Clone, Debug, PartialEq)]
pub struct Note;

impl Kind for Note {
    type Payload = String;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item<I> {
    id: I,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document<K: Kind, T>
where
    K::Payload: Clone + std::fmt::Debug + PartialEq,
{
    payload: K::Payload,
    several: Vec<(T, Option<K::Payload>)>,
    #[shared(list(key = id))]
    list: Vec<Item<K::Payload>>,
}

pub fn main() {
    let mut document = Document::<Note, u8> { payload: "a".into(), several: vec![], list: vec![] };
    document.apply(Document::PAYLOAD.set("b".into()));
    assert_eq!(document.payload, "b");
    let _ = DocumentPatch::<Note, u8>::new().several(vec![(1, None)]);
}
