//! Reading, writing and showing patches, for the generated patch types.
//!
//! A patch is a JSON object with the fields to change. `null` is a value; an absent field is left alone.

use std::fmt::{self, Debug, DebugStruct};
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::core::MergePolicy;
use crate::core::{FieldId, FieldPath, SharedState};

/// Reads and writes single fields of a patch for the struct `S`. The derive implements it.
pub trait PatchFields<S>: Default {
    /// Writes the field's entry, if the patch has a value for the field.
    ///
    /// # Errors
    /// The serializer, or the value's `Serialize`, failed.
    fn write_field<M: SerializeMap>(&self, field: FieldId, name: &str, map: &mut M) -> Result<(), M::Error>;

    /// Reads the field's value. Skips the value if `field` is not an index of a field.
    ///
    /// # Errors
    /// The value does not have the field's type.
    fn read_field<'de, M: MapAccess<'de>>(&mut self, field: FieldId, map: &mut M) -> Result<(), M::Error>;
}

/// Serializes a patch as an object with the fields to change.
///
/// # Errors
/// The serializer, or a value's `Serialize`, failed.
pub fn serialize_patch<S: SharedState, P: PatchFields<S>, Z: Serializer>(
    patch: &P,
    serializer: Z,
) -> Result<Z::Ok, Z::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (field, info) in S::FIELDS.iter().enumerate() {
        patch.write_field(field, info.name, &mut map)?;
    }
    map.end()
}

/// Deserializes a patch from an object with the fields to change.
///
/// # Errors
/// The input is not an object, or a value does not have its field's type.
pub fn deserialize_patch<'de, S: SharedState, P: PatchFields<S>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<P, D::Error> {
    struct Fields<S, P>(PhantomData<(S, P)>);

    impl<'de, S: SharedState, P: PatchFields<S>> Visitor<'de> for Fields<S, P> {
        type Value = P;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with the fields to change")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<P, M::Error> {
            let mut patch = P::default();
            while let Some(field) = map.next_key_seed(Name::<S>(PhantomData))? {
                patch.read_field(field, &mut map)?;
            }
            Ok(patch)
        }
    }

    deserializer.deserialize_map(Fields::<S, P>(PhantomData))
}

/// Deserializes a name as the index of its field, or as `FieldId::MAX` if no field has this name.
struct Name<S>(PhantomData<S>);

impl<'de, S: SharedState> DeserializeSeed<'de> for Name<S> {
    type Value = FieldId;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldId, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl<S: SharedState> Visitor<'_> for Name<S> {
    type Value = FieldId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name of a field of `{}`", S::NAME)
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<FieldId, E> {
        Ok(S::field_named(name).unwrap_or(FieldId::MAX))
    }
}

/// Writes a field's entry, if there is a value.
///
/// # Errors
/// The serializer, or the value's `Serialize`, failed.
pub fn patch_write<M: SerializeMap, T: Serialize>(
    value: &Option<T>,
    name: &str,
    map: &mut M,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    }
}

/// Reads a field's value. A field that is present has a value, even if that is `null`.
///
/// # Errors
/// The value does not have the field's type.
pub fn patch_read<'de, M: MapAccess<'de>, T: DeserializeOwned>(
    value: &mut Option<T>,
    map: &mut M,
) -> Result<(), M::Error> {
    *value = Some(map.next_value()?);
    Ok(())
}

/// Writes a field's entry, if there is a value, in the form in which the policy encodes its operation. For
/// policies whose operation is the new value.
///
/// # Errors
/// The serializer, or the policy's `encode`, failed.
pub(crate) fn patch_write_op<P: MergePolicy<T>, T, M: SerializeMap>(
    value: &Option<P::Op>,
    name: &str,
    map: &mut M,
) -> Result<(), M::Error> {
    struct Written<'a, P: MergePolicy<T>, T>(&'a P::Op);

    impl<P: MergePolicy<T>, T> Serialize for Written<'_, P, T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            P::encode(self.0, serializer)
        }
    }

    match value {
        Some(value) => map.serialize_entry(name, &Written::<P, T>(value)),
        None => Ok(()),
    }
}

/// Reads a field's value in the form in which the policy encodes its operation. For policies whose operation
/// is the new value.
///
/// # Errors
/// The value does not have the field's type.
pub(crate) fn patch_read_op<'de, P: MergePolicy<T>, T, M: MapAccess<'de>>(
    value: &mut Option<P::Op>,
    map: &mut M,
) -> Result<(), M::Error> {
    struct Reading<P, T>(PhantomData<(P, T)>);

    impl<'de, P: MergePolicy<T>, T> DeserializeSeed<'de> for Reading<P, T> {
        type Value = P::Op;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<P::Op, D::Error> {
            P::decode(FieldPath::END, None, deserializer).map_err(serde::de::Error::custom)
        }
    }

    *value = Some(map.next_value_seed(Reading::<P, T>(PhantomData))?);
    Ok(())
}

/// Skips the value of an unknown field.
///
/// # Errors
/// The deserializer failed.
pub fn patch_skip<'de, M: MapAccess<'de>>(map: &mut M) -> Result<(), M::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// Copies a field's value into an existing patch. If the copy were built as one expression of two hundred
/// fields, the compiler would generate code to drop each of them in case a later clone panics.
pub fn patch_copy<T: Clone>(value: &Option<T>, copy: &mut Option<T>) {
    copy.clone_from(value);
}

/// Shows a field, if there is a value.
pub fn patch_show<T: Debug>(value: &Option<T>, name: &str, out: &mut DebugStruct<'_, '_>) {
    if let Some(value) = value {
        out.field(name, value);
    }
}
