//! A deserializer of one JSON value that is kept as text.

use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

/// Reads a value from its JSON text and refuses what is left over after it.
///
/// The deserializer that `serde_json` has for a [`RawValue`] leaves the rest of the text alone, so it reads
/// `0.5` as the `i128` 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JsonText<'de>(pub(crate) &'de str);

impl<'de> JsonText<'de> {
    pub(crate) fn of(json: &'de RawValue) -> Self {
        Self(json.get())
    }
}

macro_rules! to_the_end {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> serde_json::Result<V::Value> {
            let mut text = serde_json::Deserializer::from_str(self.0);
            let value = text.$method($($argument,)* visitor)?;
            text.end()?;
            Ok(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for JsonText<'de> {
    type Error = serde_json::Error;

    to_the_end! {
        deserialize_any()
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_str()
        deserialize_string()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
        deserialize_ignored_any()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    fn is_read<T: DeserializeOwned>(text: &str) -> bool {
        let json: Box<RawValue> = serde_json::from_str(text).expect("it is JSON");
        T::deserialize(JsonText::of(&json)).is_ok()
    }

    #[derive(Deserialize)]
    struct Id(#[allow(dead_code)] u128);

    #[test]
    fn g10_a_number_is_read_to_its_end() {
        for text in ["0.5", "1e3", "1E3", "-0.5", "10.0"] {
            assert!(!is_read::<i128>(text), "{text}");
            assert!(!is_read::<u128>(text), "{text}");
            assert!(!is_read::<Id>(text), "{text}");
            assert!(!is_read::<Option<i128>>(text), "{text}");
            assert!(!is_read::<u8>(text), "{text}");
        }
        assert!(is_read::<i128>("-170141183460469231731687303715884105728"));
        assert!(is_read::<Option<Id>>("340282366920938463463374607431768211455"));
        assert!(is_read::<f64>("1e3") && is_read::<serde_json::Value>("{\"a\":[0.5]}"));
        assert!(is_read::<Box<RawValue>>("[1, 2]"));
    }
}
