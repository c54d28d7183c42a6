//! Names of the user's that generated code must not run into.
#![allow(dead_code, non_upper_case_globals, non_camel_case_types)]

use serde::{Deserialize, Serialize};

struct Option;
struct Result;
struct Vec;
struct Box;
struct Clone;
struct Lww;
struct Field;
struct Backend;
struct FieldInfo;
enum Shadow {
    Some,
    None,
    Ok,
    Err,
}
#[allow(unused_imports)]
use Shadow::*;
const state: u8 = 0;
const op: u8 = 0;
const update: u8 = 0;
mod merge {}
mod shared_state_update {}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct L(u8);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, shared_state::SharedState)]
struct Document {
    name: String,
    fields: u8,
    update: u8,
    patch: u8,
    handle: u8,
    has_rule: bool,
    state: L,
    r#type: u8,
    r#match: u8,
    read: u8,
    write: u8,
    self_: u8,
    _1: u8,
}

pub fn main() {
    let _ = DocumentUpdate::Self_(1);
    let _ = DocumentUpdate::Field1(1);
    let _ = (Document::NAME, Document::FIELDS, Document::TYPE, Document::SELF_, Document::_1);
}
