//! The empty value of a type: what a handle reads as while its entry does not exist.
//!
//! It is found by letting the type deserialize itself from nothing: numbers are zero, texts and collections
//! are empty, options are absent, an enum is its first variant. A type that accepts none of that has no empty
//! value.

use serde::de::value::{Error, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::core::key::KeyText;

/// How deep an empty value may be. A type that contains itself has no empty value.
const DEPTH: u32 = 32;

/// The empty value of `T`, a struct whose field `key.0` has the key `key.1`.
pub(crate) fn blank<T: DeserializeOwned>(key: Option<(&'static str, &str)>) -> Option<T> {
    let read = |text| T::deserialize(Blank { depth: 0, key, text }).ok();
    read(false).or_else(|| read(true))
}

#[derive(Clone, Copy)]
struct Blank<'k> {
    depth: u32,
    /// The name and the key of the field that is not empty.
    key: Option<(&'static str, &'k str)>,
    /// What a type reads that takes values of several kinds: an empty text, or nothing.
    text: bool,
}

impl Blank<'_> {
    fn inner(self) -> Result<Blank<'static>, Error> {
        if self.depth >= DEPTH {
            return Err(serde::de::Error::custom("too deep"));
        }
        Ok(Blank { depth: self.depth + 1, key: None, text: self.text })
    }
}

macro_rules! zeros {
    ($($method:ident $visit:ident $value:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Blank<'_> {
    type Error = Error;

    zeros! {
        deserialize_bool visit_bool false;
        deserialize_i8 visit_i8 0;
        deserialize_i16 visit_i16 0;
        deserialize_i32 visit_i32 0;
        deserialize_i64 visit_i64 0;
        deserialize_i128 visit_i128 0;
        deserialize_u8 visit_u8 0;
        deserialize_u16 visit_u16 0;
        deserialize_u32 visit_u32 0;
        deserialize_u64 visit_u64 0;
        deserialize_u128 visit_u128 0;
        deserialize_f32 visit_f32 0.0;
        deserialize_f64 visit_f64 0.0;
        deserialize_char visit_char ' ';
        deserialize_str visit_str "";
        deserialize_string visit_str "";
        deserialize_bytes visit_bytes &[];
        deserialize_byte_buf visit_bytes &[];
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.text { visitor.visit_str("") } else { visitor.visit_unit() }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_none()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self.inner()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { of: self.inner()?, left: 0 })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Parts { of: self.inner()?, left: len })
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { of: self.inner()?, key: None, names: [].iter(), name: "" })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields { of: self.inner()?, key: self.key, names: fields.iter(), name: "" })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let first = variants.first().ok_or_else(|| serde::de::Error::custom("no variant"))?;
        visitor.visit_enum(Variant { of: self.inner()?, name: first })
    }

    forward_to_deserialize_any! { unit unit_struct identifier ignored_any }
}

struct Parts {
    of: Blank<'static>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Parts {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(self.of).map(Some)
    }
}

struct Fields<'k> {
    of: Blank<'static>,
    key: Option<(&'static str, &'k str)>,
    names: std::slice::Iter<'static, &'static str>,
    name: &'static str,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(name) = self.names.next() else { return Ok(None) };
        self.name = name;
        seed.deserialize(StrDeserializer::<Error>::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match self.key {
            Some((name, key)) if name == self.name => seed.deserialize(KeyText(key)),
            _ => seed.deserialize(self.of),
        }
    }
}

struct Variant {
    of: Blank<'static>,
    name: &'static str,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Error;
    type Variant = Blank<'static>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Blank<'static>), Error> {
        Ok((seed.deserialize(StrDeserializer::<Error>::new(self.name))?, self.of))
    }
}

impl<'de> VariantAccess<'de> for Blank<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Item {
        id: u32,
        title: String,
        place: (u8, Option<char>),
        kind: Kind,
        parts: Vec<Item>,
        notes: BTreeMap<u8, String>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Kind {
        Round { radius: f64 },
        Flat,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code)]
    struct Endless {
        inner: Box<Endless>,
    }

    #[test]
    fn an_empty_value_has_nothing_but_its_key() {
        let item = Item {
            id: 7,
            title: String::new(),
            place: (0, None),
            kind: Kind::Round { radius: 0.0 },
            parts: Vec::new(),
            notes: BTreeMap::new(),
        };
        assert_eq!(blank(Some(("id", "7"))), Some(item));
        assert!(blank::<Item>(Some(("id", "x"))).is_none());
        assert!(blank::<std::num::NonZeroU8>(None).is_none());
        assert!(blank::<Endless>(None).is_none());
    }
}
