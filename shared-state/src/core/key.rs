//! Keys: the text by which a path names an entry of a map, an item of a list or a member of a set.
//!
//! A key is the text that `serde_json` writes for the value where JSON demands a string: a string is itself, a
//! number its digits, an enum variant without data the variant's name.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::de::value::StrDeserializer;
use serde::de::{self, IntoDeserializer as _, Visitor};
use serde::ser::{Impossible, Serializer};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};

use crate::core::{Invalid, UpdateError};

/// The text of a key. Cloning it is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of `value`.
    ///
    /// # Errors
    /// `value` is not a string, a finite number, a bool, a char or an enum variant without data.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, NotAKey> {
        with_key(value, |text| Self(Arc::from(text)))
    }

    /// Whether this is the key of `value`.
    pub fn is<T: Serialize + ?Sized>(&self, value: &T) -> bool {
        with_key(value, |text| *text == *self.0).unwrap_or(false)
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value that has this key.
    ///
    /// # Errors
    /// The text is not the key of any `T`.
    pub fn read<'de, T: Deserialize<'de>>(&self) -> Result<T, UpdateError> {
        T::deserialize(KeyText(&self.0)).map_err(|error| {
            UpdateError::wrong_type(&format_args!("`{}` is not a key here: {error}", self.0))
        })
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer).map(|text| Self::from(&*text))
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The error of a value that cannot be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAKey(pub(super) String);

impl serde::ser::Error for NotAKey {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The length limit of a key, in bytes. It leaves room in a path for the segments before and after the key.
pub const MAX_KEY: usize = 128;

/// Checks that a text is short enough to be a key.
///
/// # Errors
/// The text is longer than [`MAX_KEY`].
pub(crate) fn check_key(text: &str) -> Result<(), Invalid> {
    if text.len() <= MAX_KEY {
        return Ok(());
    }
    Err(Invalid::new("key", format!("a key has at most {MAX_KEY} bytes, found {}", text.len())))
}

/// Calls `look` with the key of `value`. Returns `None` if `value` cannot be a key.
pub fn key_text<T: Serialize + ?Sized, R>(value: &T, look: impl FnOnce(&str) -> R) -> Option<R> {
    with_key(value, look).ok()
}

/// Calls `look` with the key of `value`. A string is not copied for it.
pub(crate) fn with_key<T: Serialize + ?Sized, R>(
    value: &T,
    look: impl FnOnce(&str) -> R,
) -> Result<R, NotAKey> {
    value.serialize(KeyWriter(look))
}

struct KeyWriter<F>(F);

macro_rules! displayed {
    ($($method:ident $type:ty)*) => {$(
        fn $method(self, value: $type) -> Result<R, NotAKey> {
            Ok((self.0)(itoa::Buffer::new().format(value)))
        }
    )*};
}

macro_rules! floats {
    ($($method:ident $type:ty)*) => {$(
        fn $method(self, value: $type) -> Result<R, NotAKey> {
            match serde_json::to_string(&value) {
                Ok(text) if value.is_finite() => Ok((self.0)(&text)),
                _ => Err(not_a_key()),
            }
        }
    )*};
}

macro_rules! refused {
    ($($method:ident ($($type:ty),*) -> $result:ty;)*) => {$(
        fn $method(self, $(_: $type),*) -> Result<$result, NotAKey> {
            Err(not_a_key())
        }
    )*};
}

/// What a key is, for messages.
pub(crate) const A_KEY: &str =
    "a key is a string, a finite number, a bool, a char or an enum's variant without data";

fn not_a_key() -> NotAKey {
    NotAKey(A_KEY.to_owned())
}

impl<R, F: FnOnce(&str) -> R> Serializer for KeyWriter<F> {
    type Ok = R;
    type Error = NotAKey;
    type SerializeSeq = Impossible<R, NotAKey>;
    type SerializeTuple = Impossible<R, NotAKey>;
    type SerializeTupleStruct = Impossible<R, NotAKey>;
    type SerializeTupleVariant = Impossible<R, NotAKey>;
    type SerializeMap = Impossible<R, NotAKey>;
    type SerializeStruct = Impossible<R, NotAKey>;
    type SerializeStructVariant = Impossible<R, NotAKey>;

    displayed! {
        serialize_i8 i8
        serialize_i16 i16
        serialize_i32 i32
        serialize_i64 i64
        serialize_u8 u8
        serialize_u16 u16
        serialize_u32 u32
        serialize_u64 u64
        serialize_i128 i128
        serialize_u128 u128
    }

    floats! {
        serialize_f32 f32
        serialize_f64 f64
    }

    refused! {
        serialize_bytes(&[u8]) -> R;
        serialize_none() -> R;
        serialize_unit() -> R;
        serialize_unit_struct(&'static str) -> R;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_bool(self, value: bool) -> Result<R, NotAKey> {
        Ok((self.0)(if value { "true" } else { "false" }))
    }

    fn serialize_char(self, value: char) -> Result<R, NotAKey> {
        Ok((self.0)(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_str(self, value: &str) -> Result<R, NotAKey> {
        Ok((self.0)(value))
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<R, NotAKey> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<R, NotAKey> {
        Ok((self.0)(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<R, NotAKey> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _value: &T,
    ) -> Result<R, NotAKey> {
        Err(not_a_key())
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<R, NotAKey> {
        Ok((self.0)(&value.to_string()))
    }
}

/// A deserializer that reads a value from the text of its key.
pub(crate) struct KeyText<'a>(pub(crate) &'a str);

macro_rules! parsed {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.0.parse::<$type>() {
                // `007` is not the key of 7.
                Ok(value) if value.to_string() == self.0 => visitor.$visit(value),
                _ => visitor.visit_str(self.0),
            }
        }
    )*};
}

/// A float has several texts. A client in JavaScript writes `1` for the key `1.0`.
macro_rules! parsed_as_json {
    ($($method:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match serde_json::from_str(self.0) {
                Ok(value) => visitor.$visit(value),
                Err(_) => visitor.visit_str(self.0),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for KeyText<'_> {
    type Error = de::value::Error;

    parsed! {
        deserialize_bool visit_bool bool
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_i128 visit_i128 i128
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
        deserialize_u128 visit_u128 u128
    }

    parsed_as_json! {
        deserialize_f32 visit_f32
        deserialize_f64 visit_f64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let text: StrDeserializer<'_, Self::Error> = self.0.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

/// The key for a value that an app passes to a handle.
pub(crate) fn key_of<Q: Serialize + ?Sized>(id: &Q) -> Result<Key, Invalid> {
    Key::of(id).map_err(|error| Invalid::new("key", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Id(u32);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(transparent)]
    struct Exact(f64);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Seat {
        NorthEast,
        Bench(u8),
    }

    /// A float that can be a key of a map.
    #[derive(Serialize)]
    struct Bits(f64);

    impl PartialEq for Bits {
        fn eq(&self, other: &Self) -> bool {
            self.0.to_bits() == other.0.to_bits()
        }
    }

    impl Eq for Bits {}

    impl std::hash::Hash for Bits {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.to_bits().hash(state);
        }
    }

    #[track_caller]
    fn travels<T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug>(value: T, text: &str) {
        let key = Key::of(&value).expect("a key");
        assert_eq!(key.as_str(), text);
        assert!(key.is(&value));
        assert_eq!(key.read::<T>().expect("the same"), value);
    }

    #[test]
    fn a_key_is_what_json_writes_before_the_colon() {
        travels(Id(7), "7");
        travels(-3_i64, "-3");
        travels(u64::MAX, "18446744073709551615");
        travels(String::from("a/b~\"ü"), "a/b~\"ü");
        travels(Seat::NorthEast, "north_east");
        travels('x', "x");
        travels(true, "true");
        travels(Some(Id(1)), "1");
        travels(u128::MAX, "340282366920938463463374607431768211455");
        travels(i128::MIN, "-170141183460469231731687303715884105728");
        travels(Exact(0.1), "0.1");
        travels(1e300, "1e+300");
        travels(0.1_f32, "0.1");
    }

    #[test]
    fn the_key_is_the_text_that_serde_json_writes() {
        for float in [0.0, -0.0, 1.0, 1.5, 1e16, 1e21, 1e-7, f64::MIN_POSITIVE, f64::MAX] {
            let json = serde_json::to_string(&std::collections::HashMap::from([(Bits(float), ())]));
            let text = with_key(&float, |text| format!("{{\"{text}\":null}}"));
            assert_eq!(json.ok(), text.ok());
        }
    }

    #[test]
    fn what_json_cannot_write_before_a_colon_is_refused_both_ways() {
        assert!(Key::of(&(1, 2)).is_err());
        assert!(Key::of(&f64::NAN).is_err() && Key::of(&f32::INFINITY).is_err());
        assert!(Key::of(&None::<u8>).is_err() && Key::of(&()).is_err());
        assert!(Key::from("007").read::<u8>().is_err() && Key::from("+7").read::<i128>().is_err());
        assert!(Key::from("0.5").read::<u128>().is_err());
        assert_eq!(Key::from("1").read::<f64>().ok(), Some(1.0));
        assert!(Key::of(&Seat::Bench(1)).is_err());
        assert!(Key::from("x").read::<Id>().is_err());
        assert!(Key::from("300").read::<u8>().is_err());
        assert!(Key::from("bench").read::<Seat>().is_err());
    }
}
