//! A JSON value whose integers are exact to 128 bits.
//!
//! [`serde_json::Value`] turns an integer beyond 64 bits into a float. Two keys that differ in their last digits would
//! become one.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

use crate::authority::state::items::Items;
use crate::core::json_text::JsonText;

/// A JSON value.
#[derive(Clone, Debug, Default)]
pub(crate) enum Json {
    #[default]
    Null,
    Bool(bool),
    /// An integer of up to 64 bits, or a float.
    Number(Number),
    /// An integer above those of 64 bits.
    Above(u128),
    /// An integer below those of 64 bits.
    Below(i128),
    String(String),
    Array(Vec<Self>),
    /// An array that operations are editing.
    Items(Box<Items>),
    Object(BTreeMap<String, Self>),
}

impl Json {
    /// Reads a JSON text.
    ///
    /// # Errors
    /// It is not JSON, or has a number that no program can represent.
    pub(crate) fn read(text: &str) -> serde_json::Result<Self> {
        if has_wide_integers(text) {
            return serde_json::from_str::<Exact>(text).map(|Exact(json)| json);
        }
        serde_json::from_str::<Plain>(text).map(|Plain(json)| json)
    }

    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) const fn is_array(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Items(_))
    }

    pub(crate) const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The member of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    pub(crate) fn as_object_mut(&mut self) -> Option<&mut BTreeMap<String, Self>> {
        match self {
            Self::Object(members) => Some(members),
            _ => None,
        }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Above(one), Self::Above(other)) => one == other,
            (Self::Below(one), Self::Below(other)) => one == other,
            (Self::String(one), Self::String(other)) => one == other,
            (Self::Array(one), Self::Array(other)) => one == other,
            (Self::Items(one), Self::Items(other)) => one == other,
            (Self::Items(items), Self::Array(array)) | (Self::Array(array), Self::Items(items)) => {
                items.iter().eq(array)
            }
            (Self::Object(one), Self::Object(other)) => one == other,
            _ => false,
        }
    }
}

/// Whether a text has so many digits in sequence that an integer could have more than 64 bits.
fn has_wide_integers(text: &str) -> bool {
    let mut digits = 0;
    text.bytes().any(|byte| {
        digits = if byte.is_ascii_digit() { digits + 1 } else { 0 };
        digits > 18
    })
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every value here has a JSON form.
        f.write_str(&serde_json::to_string(self).unwrap_or_default())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => number.serialize(serializer),
            Self::Above(integer) => serializer.serialize_u128(*integer),
            Self::Below(integer) => serializer.serialize_i128(*integer),
            Self::String(text) => serializer.serialize_str(text),
            Self::Array(items) => items.serialize(serializer),
            Self::Items(items) => serializer.collect_seq(items.iter()),
            Self::Object(members) => members.serialize(serializer),
        }
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(truth),
            Value::Number(number) => Self::Number(number),
            Value::String(text) => Self::String(text),
            Value::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.into_iter().map(|(name, value)| (name, value.into())).collect())
            }
        }
    }
}

impl From<Json> for Value {
    /// An integer of more than 64 bits becomes a float.
    fn from(json: Json) -> Self {
        #[allow(clippy::cast_precision_loss)]
        match json {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(truth),
            Json::Number(number) => Self::Number(number),
            Json::Above(integer) => Self::from(integer as f64),
            Json::Below(integer) => Self::from(integer as f64),
            Json::String(text) => Self::String(text),
            Json::Array(items) => Self::Array(items.into_iter().map(Self::from).collect()),
            Json::Items(items) => Self::Array(items.iter().cloned().map(Self::from).collect()),
            Json::Object(members) => {
                Self::Object(members.into_iter().map(|(name, json)| (name, json.into())).collect())
            }
        }
    }
}

/// Read as `serde_json` reads a value.
struct Plain(Json);

/// Each value is read from its own text, so that the digits of an integer are seen.
struct Exact(Json);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Parts(|Self(json)| json)).map(Self)
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&'de RawValue>::deserialize(deserializer)?;
        let text = json.get();
        let wide =
            match (text.parse::<u64>(), text.parse::<i64>(), text.parse::<u128>(), text.parse::<i128>()) {
                (Ok(_), ..) | (_, Ok(_), ..) => None,
                (.., Ok(integer), _) => Some(Json::Above(integer)),
                (.., Ok(integer)) => Some(Json::Below(integer)),
                _ => None,
            };
        let json = match wide {
            Some(json) => Ok(json),
            None => JsonText(text).deserialize_any(Parts(|Self(json)| json)),
        };
        json.map(Self).map_err(serde::de::Error::custom)
    }
}

/// Builds a value of parts that are read as `T`.
struct Parts<T>(fn(T) -> Json);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Parts<T> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Json, E> {
        Ok(Json::Bool(truth))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Json, E> {
        Ok(Json::Number(integer.into()))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Json, E> {
        Ok(Json::Number(integer.into()))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Json, E> {
        Ok(Number::from_f64(float).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(part) = parts.next_element()? {
            items.push((self.0)(part));
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut parts: A) -> Result<Json, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, part)) = parts.next_entry()? {
            members.insert(name, (self.0)(part));
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_to_128_bits() {
        for text in [
            "18446744073709551616",
            "340282366920938463463374607431768211455",
            "-9223372036854775809",
            "-170141183460469231731687303715884105728",
            r#"{"a":[340282366920938463463374607431768211454,1.5,"x"],"b":18446744073709551615}"#,
            r#"[-1,null,true,"12345678901234567890"]"#,
        ] {
            assert_eq!(Json::read(text).expect("JSON").to_string(), text);
        }
        assert_ne!(Json::read("18446744073709551617").ok(), Json::read("18446744073709551618").ok());
        assert!(Json::read("1e999").is_err() && Json::read("[1e999,12345678901234567890]").is_err());
        assert!(Json::read("12345678901234567890 1").is_err());
    }

    #[test]
    fn a_value_is_what_serde_json_reads() {
        for text in
            [r#"{"b":1,"a":[1.0,-0,1e3,{"c":""}]}"#, "12345678901234567890", "0.12345678901234567890", "-0"]
        {
            let value: Value = serde_json::from_str(text).expect("JSON");
            let json = Json::read(text).expect("JSON");
            assert_eq!(json, Json::from(value.clone()), "{text}");
            assert_eq!(json.to_string(), value.to_string(), "{text}");
            assert_eq!(Value::from(json), value);
        }
    }
}
