//! What generated code names. Not for anybody else: it changes without notice.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::merge::{MergePolicy, Track};
use crate::state::{FieldId, Path, SharedState};

pub use regex_lite::Regex;
pub use serde;
pub use std::sync::LazyLock;

pub use crate::state::{deserialize_update, serialize_update};

/// A rule's pattern, which the derive has compiled before.
#[must_use]
pub fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the derive refuses a pattern that does not compile")
}

/// Writes a patch's field, if it is given.
pub fn patch_entry<M: SerializeMap, T: Serialize>(
    map: &mut M,
    name: &'static str,
    value: &Option<T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(name, value),
        None => Ok(()),
    }
}

/// Reads a patch's next name as the index of the field; `usize::MAX` if no field has it.
pub fn patch_key<'de, S: SharedState, M: MapAccess<'de>>(map: &mut M) -> Result<Option<FieldId>, M::Error> {
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

    map.next_key_seed(Name::<S>(PhantomData))
}

/// Writes a patch's field, if it is given, as serde was told to.
pub fn patch_entry_with<P: MergePolicy<T, Op = T>, M: SerializeMap, T>(
    map: &mut M,
    name: &'static str,
    value: &Option<T>,
) -> Result<(), M::Error> {
    struct With<'a, P, T>(&'a T, PhantomData<P>);

    impl<P: MergePolicy<T, Op = T>, T> Serialize for With<'_, P, T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            P::encode(self.0, serializer)
        }
    }

    match value {
        Some(value) => map.serialize_entry(name, &With::<P, T>(value, PhantomData)),
        None => Ok(()),
    }
}

/// Reads a patch's field as serde was told to.
pub fn patch_value_with<'de, P: MergePolicy<T, Op = T>, M: MapAccess<'de>, T>(
    map: &mut M,
) -> Result<Option<T>, M::Error> {
    struct With<P, T>(PhantomData<(P, T)>);

    impl<'de, P: MergePolicy<T, Op = T>, T> DeserializeSeed<'de> for With<P, T> {
        type Value = T;

        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            P::decode(Path::END, None, deserializer).map_err(serde::de::Error::custom)
        }
    }

    map.next_value_seed(With::<P, T>(PhantomData)).map(Some)
}

/// What a patch can do beside what it is: read one field.
pub trait PatchFields: Default {
    /// The state it is a part of.
    type State: SharedState;

    /// Reads the value of a field, or over what is not a field.
    ///
    /// # Errors
    /// The value does not have the field's type.
    fn read_field<'de, M: MapAccess<'de>>(&mut self, field: FieldId, map: &mut M) -> Result<(), M::Error>;
}

/// Reads a patch, an object with the fields to change.
pub fn deserialize_patch<'de, P: PatchFields, D: Deserializer<'de>>(deserializer: D) -> Result<P, D::Error> {
    struct Fields<P>(PhantomData<P>);

    impl<'de, P: PatchFields> Visitor<'de> for Fields<P> {
        type Value = P;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with the fields to change")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<P, M::Error> {
            let mut patch = P::default();
            while let Some(field) = patch_key::<P::State, M>(&mut map)? {
                patch.read_field(field, &mut map)?;
            }
            Ok(patch)
        }
    }

    deserializer.deserialize_map(Fields(PhantomData))
}

/// Reads a patch's field: present means given, even when it is `null`.
pub fn patch_value<'de, M: MapAccess<'de>, T: Deserialize<'de>>(map: &mut M) -> Result<Option<T>, M::Error> {
    map.next_value().map(Some)
}

/// Reads over what is not a field.
pub fn patch_unknown<'de, M: MapAccess<'de>>(map: &mut M) -> Result<(), M::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// Whether two updates change the same field.
pub fn same_field<S: SharedState>(a: &S::Update, b: &S::Update) -> bool {
    S::field(a) == S::field(b)
}

/// Puts a later update in the place of an earlier one, if they set the same field; says whether it did.
pub fn supersede<S: SharedState>(earlier: &mut S::Update, later: &S::Update) -> bool {
    let same = same_field::<S>(earlier, later);
    if same {
        earlier.clone_from(later);
    }
    same
}

/// Visits the parts of `track` that changed after `since`.
pub fn delta(track: &Track, since: u64, mut visit: impl FnMut(FieldId, &Track)) {
    for field in 0.. {
        match track.part(field) {
            Some(part) if part.changed() > since => visit(field, part),
            Some(_) => {}
            None => break,
        }
    }
}

/// A field index that the struct does not have.
pub fn no_field(state: &str, field: usize) -> ! {
    panic!("`{state}` has no field of index {field}: an index is valid for the struct it came from only")
}
