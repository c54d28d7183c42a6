//! Enums, tuples, arrays, unit structs, boxes and newtypes as values.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

use std::collections::{BTreeMap, HashSet};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Dot,
    Circle(u8),
    Box { width: u8 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Newtype(u8);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Document {
    shape: Shape,
    newtype: Newtype,
    tuple: (u8, Newtype),
    array: [u8; 3],
    unit: (),
    boxed: Box<Shape>,
    slice: Box<[u8]>,
    map: BTreeMap<u8, Vec<Shape>>,
    set: HashSet<String>,
    own: Option<Box<Self>>,
}

pub fn main() {}
