//! Bounds of one's own in place of those that the derive infers.
#![deny(warnings)]
#![allow(dead_code, clippy::multiple_bound_locations)]

use std::collections::BTreeMap;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use shared_state::merge::Value;
use shared_state::{Backend, SharedState};

pub trait Kind: Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    type Payload;
    type Id;
}

/// The kind itself has no serde implementation.
#[derive(Clone, Debug, PartialEq)]
pub struct Note;

impl Kind for Note {
    type Payload = String;
    type Id = u8;
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(bound = "K::Payload: Value, K::Id: Value + Ord")]
#[shared(bound = "K::Payload: Value, K::Id: Value + Ord")]
struct Document<K: Kind>
where
    K::Id: Ord,
{
    payload: K::Payload,
    #[shared(list(key = id))]
    items: Vec<Item<K::Id>>,
    #[shared(map)]
    by_id: BTreeMap<K::Id, K::Payload>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item<I> {
    id: I,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Mixed<K: Kind, T> {
    #[serde(bound(serialize = "K::Payload: Serialize", deserialize = "K::Payload: Deserialize<'de>"))]
    #[shared(bound = "K::Payload: Value", validate(custom = nothing))]
    payload: K::Payload,
    value: T,
}

fn nothing<T>(_: &T) -> Result<(), String> {
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(bound = "")]
#[shared(bound = "")]
struct Unbound<T: Clone + Send + Sync + 'static> {
    plain: u8,
    marker: PhantomData<fn() -> T>,
}

fn write<L: Backend<Document<Note>>>(document: &SharedDocument<Note, L>) -> Result<L::Receipt, L::Error> {
    document.set_payload(String::new())
}

pub fn main() {
    let mut document = Document::<Note> { payload: "a".into(), items: vec![], by_id: BTreeMap::new() };
    document.apply(Document::PAYLOAD.set("b".into()));
    assert_eq!(document.payload, "b");
    let patch: DocumentPatch<Note> = serde_json::from_str(r#"{"payload":"c"}"#).expect("a patch");
    assert_eq!(patch.payload.as_deref(), Some("c"));
    let _ = (Mixed::<Note, u8>::PAYLOAD, Unbound::<Note>::PLAIN);
}
