//! Plain fields are read with methods whose names handles of fields have too.
#![deny(warnings)]
#![allow(dead_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::merge::{Sequence, Side};
use shared_state::{Backend, FieldValue, SharedState, Text};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    items: Vec<u8>,
    votes: BTreeMap<u8, u8>,
    body: Text,
}

trait Reading {
    fn at(&self, index: usize) -> Option<u8>;
}

impl Reading for Vec<u8> {
    fn at(&self, index: usize) -> Option<u8> {
        self.get(index).copied()
    }
}

impl Reading for BTreeMap<u8, u8> {
    fn at(&self, index: usize) -> Option<u8> {
        self.values().nth(index).copied()
    }
}

fn read<L: Backend<Document>>(document: &SharedDocument<L>) -> Option<u8> {
    let body = document.body();
    let _ = body.position(&body.anchor(0, Side::Left));
    let _: Option<&u8> = document.items().item(0);
    document.items().at(0).or_else(|| document.votes().at(0))
}

pub fn main() {
    assert_eq!(FieldValue::new(vec![7]).at(0), Some(7));
}
