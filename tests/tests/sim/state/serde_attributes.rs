//! Each of serde's attributes on a field of its own: a field is serialized alone exactly as within the whole
//! state, and both forms are read alike.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared_state::SharedState;
use shared_state::proto::{WireUpdate, decode_update, encode_update};

/// A number as its decimal text, for `with`.
mod text {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A type without serde's traits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Foreign(u64);

fn write_foreign<S: serde::Serializer>(value: &Foreign, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(value.0)
}

fn read_foreign<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Foreign, D::Error> {
    u64::deserialize(deserializer).map(Foreign)
}

fn read_loosely<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    Option::<u8>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn seven() -> u8 {
    7
}

/// Serialized as the number alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Transparent {
    only: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "SCREAMING-KEBAB-CASE")]
enum Tagged {
    #[default]
    NotYet,
    SinceThen {
        #[serde(flatten)]
        more: BTreeMap<String, u8>,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Inner {
    #[serde(alias = "column-count")]
    columns_shown: u8,
    #[serde(with = "text", rename = "w")]
    width: u64,
    #[shared(skip)]
    #[serde(skip)]
    here_only: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, SharedState)]
#[serde(rename_all = "camelCase", default)]
struct State {
    plain_name: u8,
    #[serde(rename = "re/named~")]
    renamed: u8,
    #[serde(rename(serialize = "both", deserialize = "both"))]
    renamed_twice: u8,
    #[serde(alias = "old", alias = "older")]
    aliased: u8,
    #[serde(default = "seven")]
    defaulted: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    sometimes: Option<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sometimes_many: Vec<u8>,
    #[serde(with = "text")]
    with: u64,
    #[serde(serialize_with = "text::serialize", deserialize_with = "text::deserialize", alias = "was")]
    with_two: u64,
    #[serde(serialize_with = "write_foreign", deserialize_with = "read_foreign")]
    foreign: Foreign,
    #[serde(deserialize_with = "read_loosely")]
    loosely: u8,
    transparent: Transparent,
    tagged: Tagged,
    r#type: u8,
    #[shared(nested)]
    inner: Inner,
    #[serde(skip)]
    skipped: u8,
}

fn state() -> State {
    State {
        plain_name: 1,
        renamed: 2,
        renamed_twice: 3,
        aliased: 4,
        defaulted: 5,
        sometimes: Some(6),
        sometimes_many: vec![7],
        with: 8,
        with_two: 9,
        foreign: Foreign(10),
        loosely: 11,
        transparent: Transparent { only: 12 },
        tagged: Tagged::SinceThen { more: BTreeMap::from([("x".to_owned(), 13)]) },
        r#type: 14,
        inner: Inner { columns_shown: 15, width: 16, here_only: 17 },
        skipped: 18,
    }
}

/// The last segment of the key, unescaped, and the value of an update.
fn written<S: SharedState>(update: &S::Update) -> (String, Value) {
    let text = encode_update::<S>(update).unwrap();
    let mut object: serde_json::Map<String, Value> = serde_json::from_str(text.as_str()).unwrap();
    let key = object["key"].as_str().unwrap().replace("~1", "/").replace("~0", "~");
    (key, object.remove("value").unwrap())
}

fn read<S: SharedState>(key: &str, value: &Value) -> Result<S::Update, String> {
    let text = json!({ "key": key, "value": value }).to_string();
    let wire: WireUpdate<'_> = serde_json::from_str(&text).unwrap();
    decode_update::<S>(&wire).map_err(|error| error.to_string())
}

struct Alone<'a, S>(&'a S, usize);

impl<S: SharedState> Serialize for Alone<'_, S> {
    fn serialize<Ser: serde::Serializer>(&self, serializer: Ser) -> Result<Ser::Ok, Ser::Error> {
        self.0.encode_field(self.1, serializer)
    }
}

#[test]
fn each_field_alone_is_written_as_within_the_whole_state() {
    fn every<S: SharedState>(state: &S) {
        let whole = serde_json::to_value(state).unwrap();
        for (index, info) in S::FIELDS.iter().enumerate() {
            let update = state.current(index);
            let (key, value) = written::<S>(&update);
            assert_eq!((key.as_str(), Some(&value)), (info.name, whole.get(info.name)), "{}", info.name);
            assert_eq!(serde_json::to_value(Alone(state, index)).unwrap(), value, "{}", info.name);
            let key = info.name.replace('~', "~0").replace('/', "~1");
            assert_eq!(read::<S>(&key, &value), Ok(update), "{}", info.name);
        }
        assert_eq!(whole.as_object().unwrap().len(), S::FIELDS.len(), "nothing else is written");
    }
    every(&state());
    every(&state().inner);
}

#[test]
fn a_patch_is_written_and_read_as_the_whole_state_is() {
    let state = state();
    let mut whole = serde_json::to_value(&state).unwrap();
    // A nested value in a patch is itself a patch, with the same fields.
    let patch: StatePatch = serde_json::from_value(whole.clone()).unwrap();
    assert_eq!(serde_json::to_value(&patch).unwrap(), whole);
    let mut patched = State::default();
    State::patch_updates(patch).into_iter().for_each(|update| drop(patched.apply(update)));
    let here = State { skipped: 0, inner: Inner { here_only: 0, ..state.inner.clone() }, ..state.clone() };
    assert_eq!(patched, here);
    // The whole state can be read from the fields that were serialized one by one.
    let object = whole.as_object_mut().unwrap();
    for (index, info) in State::FIELDS.iter().enumerate() {
        object.insert(info.name.to_owned(), serde_json::to_value(Alone(&state, index)).unwrap());
    }
    assert_eq!(serde_json::from_value::<State>(whole).unwrap(), here);
}

#[test]
fn an_old_alias_is_read_wherever_the_name_is() {
    for old in ["old", "older", "aliased"] {
        assert_eq!(read::<State>(old, &json!(9)), Ok(StateUpdate::Aliased(9)));
        let patch: StatePatch = serde_json::from_value(json!({ old: 9 })).unwrap();
        assert_eq!(patch.aliased, Some(9));
        assert_eq!(serde_json::from_value::<State>(json!({ old: 9 })).unwrap().aliased, 9);
    }
    assert_eq!(read::<State>("was", &json!("9")), Ok(StateUpdate::WithTwo(9)));
    assert!(read::<State>("inner/column-count", &json!(3)).is_ok());
}

#[test]
fn an_absent_field_is_what_serde_says_it_is() {
    let empty: State = serde_json::from_value(json!({})).unwrap();
    assert_eq!((empty.defaulted, empty.sometimes, empty.with), (7, None, 0));
    let none = State { sometimes: None, sometimes_many: vec![], ..state() };
    let whole = serde_json::to_value(&none).unwrap();
    assert_eq!((whole.get("sometimes"), whole.get("sometimesMany")), (None, None));
    // Alone, the field is always serialized, because an absent field would mean unchanged.
    assert_eq!(written::<State>(&State::SOMETIMES.set(None)), ("sometimes".to_owned(), Value::Null));
    assert_eq!(written::<State>(&State::SOMETIMES_MANY.set(vec![])), ("sometimesMany".to_owned(), json!([])));
    assert_eq!(serde_json::from_value::<State>(whole).unwrap().sometimes_many, Vec::<u8>::new());
}

#[test]
fn a_nested_whole_set_neither_carries_nor_takes_what_is_not_shared() {
    let inner = state().inner;
    let (key, value) = written::<State>(&State::INNER.set(inner));
    assert_eq!((key.as_str(), value), ("inner", json!({ "columns-shown": 15, "w": "16" })));
    let refused =
        read::<State>("inner", &json!({ "columns-shown": 1, "w": "2", "hereOnly": 3 })).unwrap_err();
    assert!(refused.starts_with("unknown field `hereOnly`"), "{refused}");
    for unshared in ["skipped", "inner/here_only", "inner/here-only"] {
        assert!(read::<State>(unshared, &json!(1)).is_err());
    }
}

#[test]
fn a_value_that_a_function_refuses_names_its_field() {
    let text = r#"{"key":"inner/w","value":"x"}"#;
    let error = decode_update::<State>(&serde_json::from_str(text).unwrap()).unwrap_err();
    assert_eq!(error.field, "inner/w");
    assert!(error.message.starts_with("invalid digit found in string"), "{error}");
    assert!(serde_json::from_value::<StatePatch>(json!({ "with": 8 })).is_err());
}
