//! The proof that a value reads back from its JSON as what was written.
//!
//! JSON has one `null` for `None`, for `()` and for a float that is not finite, and no types. So a value such as
//! `Some(f64::NAN)` or `Some(None)` is written without an error and read as another value. To notice that, the value
//! and what was read back are both serialized into a [`Fingerprint`], a form in which these differ. What a type's
//! `Serialize` leaves out or rounds on purpose is the same in both.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::ser::{self, Serialize, SerializeMap as _, Serializer};

/// Checks that `read`, which was decoded from the JSON of `written`, is the same value.
///
/// # Errors
/// It is another value, or one of the two cannot be serialized.
pub(crate) fn check_read_back<T: Serialize + ?Sized>(written: &T, read: &T) -> Result<(), serde_json::Error> {
    let same = written
        .serialize(Fingerprint::default())
        .and_then(|written| Ok(written == read.serialize(Fingerprint::default())?));
    match same {
        Ok(true) => Ok(()),
        Ok(false) => Err(ser::Error::custom(
            "it reads back from JSON as another value; `null` stands for `None`, for `()` and for a float that is not finite",
        )),
        Err(error) => Err(ser::Error::custom(error)),
    }
}

/// Encodes a value as JSON and reads it back. Returns both.
///
/// # Errors
/// The value has no JSON form, or it reads back as another value or not at all.
pub(crate) fn encode_checked<T: Serialize + DeserializeOwned>(
    value: &T,
) -> Result<(String, T), serde_json::Error> {
    let json = serde_json::to_string(value)?;
    let read = serde_json::from_str(&json)?;
    check_read_back(value, &read)?;
    Ok((json, read))
}

/// Encodes a value as JSON, whose type need not be one that is read.
///
/// # Errors
/// The value has no JSON form, or `null` stands in it for more than `None` and `()`, which no reader can tell from these.
#[cfg(feature = "server")]
pub(crate) fn encode_lossless<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    value.serialize(Fingerprint { is_lossless: true }).map_err(ser::Error::custom)?;
    serde_json::to_string(value)
}

/// A serializer into a hash that tells apart what JSON does not. The elements of a sequence and the entries of a map
/// count in any order, because a hash set or map that was read back has another one.
#[derive(Clone, Copy, Default)]
struct Fingerprint {
    /// Whether it is an error that JSON does not tell something apart.
    is_lossless: bool,
}

/// What cannot be serialized.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unserializable(String);

impl ser::Error for Unserializable {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// What a hash begins with, for each kind of value.
#[derive(Clone, Copy)]
enum Kind {
    Null = 1,
    Some,
    Bool,
    Int,
    Float,
    Char,
    Str,
    Bytes,
    Variant,
    Seq,
    Map,
}

/// Combines two words. The multiplication of FxHash with the finish of SplitMix64.
const fn mix(hash: u64, word: u64) -> u64 {
    let mut mixed = (hash.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 27)
}

fn bytes(kind: Kind, bytes: &[u8]) -> u64 {
    let mut hash = mix(kind as u64, bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash
}

fn int(value: i128) -> u64 {
    mix(mix(Kind::Int as u64, value as u64), (value >> 64) as u64)
}

macro_rules! ints {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, value: $type) -> Result<u64, Unserializable> {
            Ok(int(value.into()))
        })+
    };
}

impl Serializer for Fingerprint {
    type Ok = u64;
    type Error = Unserializable;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Elements;
    type SerializeStruct = Elements;
    type SerializeStructVariant = Elements;

    ints! {
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_i128: i128,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
    }

    fn serialize_u128(self, value: u128) -> Result<u64, Unserializable> {
        Ok(mix(mix(Kind::Int as u64, value as u64), (value >> 64) as u64))
    }

    fn serialize_bool(self, value: bool) -> Result<u64, Unserializable> {
        Ok(mix(Kind::Bool as u64, value.into()))
    }

    fn serialize_f32(self, value: f32) -> Result<u64, Unserializable> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<u64, Unserializable> {
        if self.is_lossless && !value.is_finite() {
            return Err(ser::Error::custom("a float that is not finite has no JSON form"));
        }
        // `-0.0` and `0.0` are equal, and some types read the one as the other.
        Ok(mix(Kind::Float as u64, (value + 0.0).to_bits()))
    }

    fn serialize_char(self, value: char) -> Result<u64, Unserializable> {
        Ok(mix(Kind::Char as u64, value.into()))
    }

    fn serialize_str(self, value: &str) -> Result<u64, Unserializable> {
        Ok(bytes(Kind::Str, value.as_bytes()))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<u64, Unserializable> {
        Ok(bytes(Kind::Bytes, value))
    }

    fn serialize_none(self) -> Result<u64, Unserializable> {
        Ok(Kind::Null as u64)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<u64, Unserializable> {
        let hash = value.serialize(self)?;
        if self.is_lossless && hash == Kind::Null as u64 {
            return Err(ser::Error::custom(
                "`Some(None)` and `Some(())` are the `null` that stands for `None`",
            ));
        }
        Ok(mix(Kind::Some as u64, hash))
    }

    fn serialize_unit(self) -> Result<u64, Unserializable> {
        Ok(Kind::Null as u64)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<u64, Unserializable> {
        Ok(Kind::Null as u64)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<u64, Unserializable> {
        Ok(bytes(Kind::Variant, variant.as_bytes()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<u64, Unserializable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<u64, Unserializable> {
        Ok(mix(bytes(Kind::Variant, variant.as_bytes()), value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Elements, Unserializable> {
        Ok(Elements::new(self, Kind::Seq as u64))
    }

    fn serialize_tuple(self, _: usize) -> Result<Elements, Unserializable> {
        Ok(Elements::new(self, Kind::Seq as u64))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Elements, Unserializable> {
        Ok(Elements::new(self, Kind::Seq as u64))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements, Unserializable> {
        Ok(Elements::new(self, bytes(Kind::Variant, variant.as_bytes())))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Elements, Unserializable> {
        Ok(Elements::new(self, Kind::Map as u64))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Elements, Unserializable> {
        Ok(Elements::new(self, Kind::Map as u64))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Elements, Unserializable> {
        Ok(Elements::new(self, bytes(Kind::Variant, variant.as_bytes())))
    }
}

/// The elements of a sequence, or the entries of a map.
struct Elements {
    of: Fingerprint,
    kind: u64,
    sum: u64,
    count: u64,
    key: u64,
}

impl Elements {
    const fn new(of: Fingerprint, kind: u64) -> Self {
        Self { of, kind, sum: 0, count: 0, key: 0 }
    }

    const fn add(&mut self, element: u64) {
        self.sum = self.sum.wrapping_add(element);
        self.count += 1;
    }

    const fn hash(&self) -> u64 {
        mix(mix(self.kind, self.count), self.sum)
    }
}

macro_rules! elements {
    ($($trait:ident::$method:ident,)+) => {
        $(impl ser::$trait for Elements {
            type Ok = u64;
            type Error = Unserializable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
                self.add(value.serialize(self.of)?);
                Ok(())
            }

            fn end(self) -> Result<u64, Unserializable> {
                Ok(self.hash())
            }
        })+
    };
}

elements! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

impl ser::SerializeMap for Elements {
    type Ok = u64;
    type Error = Unserializable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unserializable> {
        self.key = key.serialize(self.of)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unserializable> {
        let entry = mix(self.key, value.serialize(self.of)?);
        self.add(entry);
        Ok(())
    }

    fn end(self) -> Result<u64, Unserializable> {
        Ok(self.hash())
    }
}

macro_rules! members {
    ($($trait:ident,)+) => {
        $(impl ser::$trait for Elements {
            type Ok = u64;
            type Error = Unserializable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unserializable> {
                self.serialize_entry(name, value)
            }

            fn end(self) -> Result<u64, Unserializable> {
                Ok(self.hash())
            }
        })+
    };
}

members! {
    SerializeStruct,
    SerializeStructVariant,
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};

    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Dot,
        Circle(f64),
        Line { from: Option<Option<u32>>, to: (i8, char) },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Named { name: Option<String> },
        Empty {},
    }

    #[cfg(feature = "server")]
    #[test]
    fn what_no_reader_can_tell_apart_is_noticed_without_a_reader() {
        let is_lossless = |shape: &Shape| encode_lossless(shape).is_ok();
        assert!(!is_lossless(&Shape::Circle(f64::NAN)));
        assert!(!is_lossless(&Shape::Line { from: Some(None), to: (1, 'x') }));
        assert!(is_lossless(&Shape::Circle(-0.5)) && is_lossless(&Shape::Dot));
        assert!(is_lossless(&Shape::Line { from: None, to: (1, 'x') }));
        assert!(encode_lossless(&BTreeMap::from([("a", Some(()))])).is_err());
        assert!(encode_lossless(&("text", [f32::INFINITY])).is_err());
    }

    fn reads_back<T: Serialize + DeserializeOwned>(value: T) -> bool {
        encode_checked(&value).is_ok()
    }

    #[test]
    fn g15_values_that_json_cannot_tell_apart_are_noticed_at_any_depth() {
        assert!(!reads_back(Some(f64::NAN)) && !reads_back(Some(f32::INFINITY)) && !reads_back(f64::NAN));
        assert!(
            !reads_back(Some(None::<u32>)) && !reads_back(Some(Some(None::<u32>))) && !reads_back(Some(()))
        );
        assert!(!reads_back(BTreeMap::from([("a".to_owned(), Some(()))])));
        assert!(
            !reads_back(Shape::Line { from: Some(None), to: (1, 'x') })
                && !reads_back(Shape::Circle(f64::NAN))
        );
        assert!(!reads_back(Either::Empty {}), "it reads back as the other variant");
    }

    #[test]
    fn what_reads_back_is_accepted() {
        assert!(reads_back(None::<f64>) && reads_back(()) && reads_back(Some(Some(7_u128))));
        assert!(
            reads_back(-0.0) && reads_back(f64::MIN_POSITIVE) && reads_back(0.1_f32) && reads_back(i128::MIN)
        );
        assert!(reads_back(Shape::Dot) && reads_back(Shape::Circle(1.0)));
        assert!(reads_back(Shape::Line { from: Some(Some(1)), to: (-1, 'x') }));
        assert!(reads_back(Either::Named { name: Some("x".to_owned()) }));
        assert!(reads_back((0..100).map(|n| (n, n.to_string())).collect::<HashMap<_, _>>()));
        assert!(reads_back((0..100).collect::<HashSet<u64>>()));
        assert!(reads_back(
            serde_json::json!({"a": [1, -1, 1.5, null, "x", 18_446_744_073_709_551_615_u64]})
        ));
        assert!(reads_back(serde_json::value::RawValue::from_string("[1, 2]".to_owned()).expect("JSON")));
    }
}
