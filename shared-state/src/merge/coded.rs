//! The policy [`Coded`]: the last writer wins, for a field with `#[serde(with = "..")]`.

use std::fmt::Debug;
use std::marker::PhantomData;

use serde::{Deserializer, Serializer};

use crate::core::{FieldPath, UpdateError};
use crate::core::{MergePolicy, no_parts};
use crate::merge::lww::set_as_a_whole;

/// How a value is serialized and deserialized: the functions of `#[serde(with = "..")]`, as a type.
pub trait Codec<T>: 'static {
    /// Serializes a value.
    ///
    /// # Errors
    /// The serializer or the function failed.
    fn serialize<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error>;

    /// Deserializes a value.
    ///
    /// # Errors
    /// The deserializer or the function failed.
    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>;
}

/// The policy [`Lww`](crate::merge::Lww) for values that `C` serializes and deserializes.
#[derive(Clone, Copy, Debug)]
pub struct Coded<C>(PhantomData<fn() -> C>);

impl<T, C> MergePolicy<T> for Coded<C>
where
    T: Clone + PartialEq + Debug + Send + Sync + 'static,
    C: Codec<T>,
{
    set_as_a_whole!(T);

    fn encode<S: Serializer>(op: &T, serializer: S) -> Result<S::Ok, S::Error> {
        C::serialize(op, serializer)
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
            None => C::deserialize(value).map_err(|error| UpdateError::wrong_type(&error)),
            Some(op) => Err(UpdateError::unknown_op(<Self as MergePolicy<T>>::NAME, op)),
        }
    }
}
