//! Attributes, names, paths and literals that a macro passes on.
#![deny(warnings)]
#![allow(dead_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
struct Item {
    id: u8,
    n: i64,
}

macro_rules! by_attribute {
    ($name:ident, $($attr:meta),*; $field:ident: $ty:ty) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        struct $name {
            $(#[$attr])*
            $field: $ty,
        }
    };
}

by_attribute!(One, shared(list(key = id, nested)); items: Vec<Item>);
by_attribute!(Two, doc = "Several.", shared(map(list(key = id)), validate(length(max = 3))); items: BTreeMap<u8, Vec<Item>>);

macro_rules! inside_attribute {
    ($name:ident, $attr:meta, $on_struct:meta, $wire:literal) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        #[shared($on_struct)]
        struct $name {
            #[shared($attr)]
            #[serde(rename = $wire)]
            items: Vec<Item>,
        }
    };
}

inside_attribute!(Three, list(key = id), validate = few, "things");

fn few(state: &Three) -> Result<(), String> {
    if state.items.len() < 3 { Ok(()) } else { Err("too many".into()) }
}

macro_rules! fragments {
    ($name:ident, $key:ident, $wait:literal, $role:literal, $max:literal, $pattern:literal, $check:path, $again:expr,
     $policy:ty, $version:literal, $migrate:path) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        #[shared(version = $version, migrate = $migrate)]
        struct $name {
            #[shared(list(key = $key, nested), debounce = $wait, max_wait = $wait, write = $role, read = $role)]
            items: Vec<Item>,
            #[shared(validate(length(chars, max = $max), pattern($pattern), custom = $check), throttle = $wait)]
            text: String,
            #[shared(validate(range(min = -$max, max = $max), custom = $again))]
            number: i64,
            #[shared(merge = $policy)]
            own: u8,
        }
    };
}

fragments!(
    Four,
    id,
    "300ms",
    "editor",
    3,
    "^[a-z]*$",
    checked,
    self::positive,
    shared_state::merge::Counter,
    2,
    Four::older
);

fn checked(text: &str) -> Result<(), String> {
    if text == "no" { Err("no".into()) } else { Ok(()) }
}

fn positive(number: &i64) -> Result<(), String> {
    if *number < 0 { Err("negative".into()) } else { Ok(()) }
}

impl Four {
    fn older(_: u32, value: serde_json::Value) -> Result<serde_json::Value, String> {
        Ok(value)
    }
}

macro_rules! written_inside {
    ($name:ident) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
        struct $name {
            #[shared(list(key = id), validate(custom = within))]
            items: Vec<Item>,
            #[shared(counter, validate(range(max = 3)))]
            count: u8,
        }

        fn within(items: &[Item]) -> Result<(), String> {
            if items.is_empty() { Ok(()) } else { Err("none".into()) }
        }
    };
}

written_inside!(Five);

pub fn main() {
    let four = |text: &str, number| Four { items: vec![], text: text.into(), number, own: 0 };
    assert!(four("abc", 3).validate().is_ok());
    for wrong in [four("abcd", 0), four("no", 0), four("A", 0), four("", 4), four("", -1)] {
        assert!(wrong.validate().is_err(), "{wrong:?}");
    }
    let info = Four::FIELDS[0];
    assert_eq!((info.read, info.write, Four::VERSION), (Some("editor"), Some("editor"), 2));
    assert_eq!(info.timing, shared_state::__private::Timing::debounce(300, 300));
    assert_eq!(Three::FIELDS[0].name, "things");
    let mut one = One { items: vec![] };
    one.apply(One::ITEMS.set(vec![Item { id: 1, n: 2 }]));
    assert!(Five { items: one.items, count: 0 }.validate().is_err());
    let _ = (Two::ITEMS, Five::COUNT);
}
