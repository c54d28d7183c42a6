//! The policy [`Lww`](crate::merge::Lww): the last writer wins. The value is set as a whole, and the last set
//! in the server's order stays.

use serde::{Deserializer, Serializer};

use crate::core::{FieldPath, Lww, UpdateError, Value};
use crate::core::{MergePolicy, no_parts};

/// The methods of a policy whose operation is the new value, except `encode` and `decode`.
macro_rules! set_as_a_whole {
    ($T:ident) => {
        type Op = $T;

        const NAME: &'static str = "lww";

        fn set(value: $T) -> $T {
            value
        }

        fn into_set(op: $T) -> Result<$T, $T> {
            Ok(op)
        }

        fn apply(value: &mut $T, op: $T) -> $T {
            std::mem::replace(value, op)
        }

        fn diff(old: &$T, new: &$T, each: &mut dyn FnMut($T)) {
            if old != new {
                each(new.clone());
            }
        }

        fn overlap(_pending: &$T, _remote: &$T) -> $crate::core::Overlap {
            $crate::core::Overlap::Shadowed
        }

        fn coalesce(earlier: &mut $T, later: &$T) -> bool {
            earlier.clone_from(later);
            true
        }

        fn has_effect(value: &$T, op: &$T) -> bool {
            value != op
        }

        fn undo(value: &$T, op: &$T, inverse: &$T) -> Option<$T> {
            (value == op).then(|| inverse.clone())
        }

        fn delta(value: &$T, versions: &$crate::core::Versions, since: u64, each: &mut dyn FnMut($T)) {
            if versions.changed() > since {
                each(value.clone());
            }
        }

        fn address(_op: &$T, _path: &mut $crate::core::FieldPathBuf) -> Option<&'static str> {
            None
        }
    };
}

pub(super) use set_as_a_whole;

impl<T: Value> MergePolicy<T> for Lww {
    set_as_a_whole!(T);

    fn encode<S: Serializer>(op: &T, serializer: S) -> Result<S::Ok, S::Error> {
        op.serialize(serializer)
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<T, UpdateError> {
        if !path.is_end() {
            return Err(no_parts(<Self as MergePolicy<T>>::NAME, path));
        }
        match op {
            None => T::deserialize(value).map_err(|error| UpdateError::wrong_type(&error)),
            Some(op) => Err(UpdateError::unknown_op(<Self as MergePolicy<T>>::NAME, op)),
        }
    }
}
