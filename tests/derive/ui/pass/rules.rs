//! Every rule, in every place.
#![deny(warnings)]
#![allow(dead_code)]

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

const MOST: usize = 4;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(validate = check)]
struct Document {
    #[shared(validate(length(chars, max = MOST * 2), pattern(r"^\w+$"), custom = str_rule))]
    title: String,
    #[shared(validate(length(items, max = 3), inner(length(bytes, min = 1), pattern("a"), custom = str_rule)))]
    tags: Vec<String>,
    #[shared(validate(inner(inner(range(min = -1.5, max = 1.5)))))]
    points: [Option<f64>; 2],
}

fn str_rule(text: &str) -> Result<(), String> {
    if text.is_empty() { Err("empty".to_owned()) } else { Ok(()) }
}

fn check(document: &Document) -> Result<(), &'static str> {
    if document.tags.is_empty() { Err("no tags") } else { Ok(()) }
}

pub fn main() {
    let document = Document { title: "a".into(), tags: vec!["ba".into()], points: [None, Some(1.0)] };
    assert_eq!(document.validate(), Ok(()));
}
