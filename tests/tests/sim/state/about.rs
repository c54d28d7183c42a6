//! The description of a struct at run time, and the rules with units and items.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_state::SharedState;
use shared_state::schema::{RuleInfo, StructInfo};

const MOST: usize = 3;

fn calm(text: &str) -> Result<(), &'static str> {
    if text.contains('!') { Err("calm down") } else { Ok(()) }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(rename_all = "camelCase")]
struct Page {
    /// What everybody sees first.
    ///
    /// And more.
    #[shared(debounce = "300ms", validate(length(chars, max = 4), custom = calm))]
    main_title: String,
    #[shared(validate(length(bytes, max = 4)))]
    #[serde(alias = "nick")]
    short_name: Option<String>,
    #[shared(validate(length(items, min = 1, max = MOST), inner(length(max = 2), pattern("^[a-z]*$"), custom = calm)))]
    tags: Vec<String>,
    #[shared(validate(inner(inner(range(min = 1, max = 9)))))]
    grades: BTreeMap<String, Option<u8>>,
    #[shared(nested, read_only, read = "staff")]
    layout: Layout,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
struct Layout {
    #[shared(counter, throttle = "50ms", write = "painter")]
    redraws: i64,
}

#[test]
fn a_struct_is_described_for_people() {
    const INFO: StructInfo = Page::INFO;
    assert_eq!(
        INFO.to_string(),
        "Page\n  \
         mainTitle: String (lww, debounced 300ms to 3s) [length ..=4 chars] [checked by calm] -- What everybody sees first.\n  \
         shortName: Option<String> (lww, also nick) [length ..=4 bytes]\n  \
         tags: Vec<String> (lww) [length 1..=MOST items] [each item: [length ..=2] [pattern ^[a-z]*$] [checked by calm]]\n  \
         grades: BTreeMap<String, Option<u8>> (lww) [each item: [each item: [range 1..=9]]]\n  \
         layout: Layout (nested, read only, read by staff)\n    \
         redraws: i64 (counter, written by painter, throttled 50ms)"
    );
}

#[test]
fn a_struct_is_described_for_programs() {
    assert_eq!(
        serde_json::to_value(Page::INFO).unwrap(),
        json!({ "name": "Page", "fields": [
            {
                "name": "mainTitle", "type": "String", "policy": "lww", "debounce_ms": 300, "max_wait_ms": 3000,
                "rules": [{ "rule": "length", "unit": "chars", "max": "4" }, { "custom": "calm" }],
                "docs": "What everybody sees first.\n\nAnd more.",
            },
            {
                "name": "shortName", "type": "Option<String>", "policy": "lww", "aliases": ["nick"],
                "rules": [{ "rule": "length", "unit": "bytes", "max": "4" }],
            },
            {
                "name": "tags", "type": "Vec<String>", "policy": "lww",
                "rules": [
                    { "rule": "length", "unit": "items", "min": "1", "max": "MOST" },
                    { "inner": [{ "rule": "length", "max": "2" }, { "pattern": "^[a-z]*$" }, { "custom": "calm" }] },
                ],
            },
            {
                "name": "grades", "type": "BTreeMap<String, Option<u8>>", "policy": "lww",
                "rules": [{ "inner": [{ "inner": [{ "rule": "range", "min": "1", "max": "9" }] }] }],
            },
            {
                "name": "layout", "type": "Layout", "policy": "nested", "read_only": true, "read": "staff",
                "fields": [{ "name": "redraws", "type": "i64", "policy": "counter", "write": "painter", "throttle_ms": 50 }],
            },
        ]})
    );
    let rules = Page::FIELDS[Page::GRADES.id()].rules;
    assert_eq!(
        rules,
        [RuleInfo::Inner(&[RuleInfo::Inner(&[RuleInfo::Range { min: Some("1"), max: Some("9") }])])]
    );
}
