//! The state that the users write, with a field of every policy, and random values for its fields.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use shared_state::{SharedState, Text};

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub(crate) struct Page {
    #[shared(validate(length(max = 6)))]
    title: String,
    size: u8,
    theme: Option<Theme>,
    #[shared(counter)]
    hits: i64,
    #[shared(nested)]
    inner: Inner,
    #[shared(list(key = id))]
    items: Vec<Item>,
    #[shared(map)]
    votes: BTreeMap<String, u8>,
    #[shared(text)]
    body: Text,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Inner {
    columns: u8,
    #[shared(counter)]
    moves: i64,
}

#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Item {
    id: u8,
    label: String,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
struct Theme {
    colour: String,
    #[serde(default)]
    dark: bool,
}

/// The fields whose value is that of their last write.
pub(crate) const PLAIN: [&str; 3] = ["title", "size", "theme"];

pub(crate) fn initial() -> Page {
    Page { title: "begin".to_owned(), size: 14, body: "text".into(), ..Page::default() }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { panic!("expected an object, found {value}") };
    map
}

/// The initial state of a legacy page, which has no types.
pub(crate) fn page() -> Map<String, Value> {
    object(serde_json::to_value(initial()).unwrap())
}

/// A field and a value for it. With `wild` also values that a typed room may refuse or reads differently.
pub(crate) fn sample(rng: &mut Rng, wild: bool) -> (String, Value) {
    let word = |rng: &mut Rng| {
        let words = ["", "a", "bc", "déf", "longer"];
        words[rng.usize(..words.len())].to_owned()
    };
    if wild && rng.u8(..5) == 0 {
        let values = [json!("much too long"), json!(null), json!(-1), json!([1]), json!({"a": 1})];
        let keys = ["title", "size", "hits", "items", "colour", "a/b", "__proto__"];
        return (keys[rng.usize(..keys.len())].to_owned(), values[rng.usize(..values.len())].clone());
    }
    let items = |rng: &mut Rng| {
        let mut ids: Vec<u8> = (0..rng.u8(..4)).collect();
        rng.shuffle(&mut ids);
        json!(ids.iter().map(|id| json!({"id": id, "label": word(rng)})).collect::<Vec<_>>())
    };
    let (key, value) = match rng.u8(..9) {
        0 | 1 => ("title", json!(word(rng))),
        2 => ("size", json!(rng.u8(..))),
        3 => match rng.u8(..3) {
            0 => ("theme", json!(null)),
            // A typed program does not read back what was written.
            1 if wild => ("theme", json!({"colour": word(rng), "beyond": 1})),
            _ => ("theme", json!({"colour": word(rng), "dark": rng.bool()})),
        },
        4 => ("hits", json!(rng.i64(-5..5))),
        5 => ("inner", json!({"columns": rng.u8(..9), "moves": rng.i64(..9) % 9})),
        6 => ("items", items(rng)),
        7 => ("votes", json!({word(rng): rng.u8(..)})),
        _ => ("body", json!(word(rng))),
    };
    (key.to_owned(), value)
}
