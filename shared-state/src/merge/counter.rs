//! The policy [`Counter`]: additions commute, so that concurrent additions all count. A set replaces the
//! value and takes its place in the server's order.
//!
//! Integers saturate at the bounds of their type on every replica alike, so `apply` never fails. Floats are
//! added by the rules of IEEE 754 in the server's order, so every replica gets the same bits. A number that
//! is not finite is refused before it is sent.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};

use crate::core::{FieldPath, FieldPathBuf, UpdateError};
use crate::core::{MergePolicy, Overlap, Versions, no_parts};

/// The policy of `#[shared(counter)]`. An operation costs O(1).
#[derive(Clone, Copy, Debug)]
pub struct Counter;

/// An operation on a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CounterOp<T> {
    /// Adds to the value.
    Add(T),
    /// Replaces the value.
    Set(T),
}

/// A number that a counter can hold: every integer and float type of up to 64 bits.
///
/// A counter of an unsigned type can be increased and set, but not decreased.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `#[shared(counter)]`",
    label = "not a number that counts",
    note = "counters are integers or floats of up to 64 bits, `i64` for example"
)]
pub trait Number: Copy + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The value of a counter that does not exist yet.
    const ZERO: Self;

    /// The sum, saturating at the type's bounds.
    #[must_use]
    fn plus(self, other: Self) -> Self;
    /// The number that has to be added to `from` to get `self`, if there is one.
    fn minus(self, from: Self) -> Option<Self>;
    /// Whether the number can be sent: not if it is infinite or NaN.
    fn is_finite_number(self) -> bool;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Number for $integer {
            const ZERO: Self = 0;

            fn plus(self, other: Self) -> Self {
                self.saturating_add(other)
            }
            fn minus(self, from: Self) -> Option<Self> {
                self.checked_sub(from)
            }
            fn is_finite_number(self) -> bool {
                true
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

macro_rules! floats {
    ($($float:ident)*) => {$(
        impl Number for $float {
            const ZERO: Self = 0.0;

            fn plus(self, other: Self) -> Self {
                (self + other).clamp($float::MIN, $float::MAX)
            }
            fn minus(self, from: Self) -> Option<Self> {
                Some(self - from).filter(|by| by.is_finite() && from + by == self)
            }
            fn is_finite_number(self) -> bool {
                self.is_finite()
            }
        }
    )*};
}

floats!(f32 f64);

impl<T: Number> MergePolicy<T> for Counter {
    type Op = CounterOp<T>;

    const NAME: &'static str = "counter";

    fn start() -> Option<T> {
        Some(T::ZERO)
    }

    fn set(value: T) -> CounterOp<T> {
        CounterOp::Set(value)
    }

    fn into_set(op: CounterOp<T>) -> Result<T, CounterOp<T>> {
        match op {
            CounterOp::Set(value) => Ok(value),
            CounterOp::Add(_) => Err(op),
        }
    }

    fn apply(value: &mut T, op: CounterOp<T>) -> CounterOp<T> {
        let before = *value;
        *value = match op {
            CounterOp::Add(by) => before.plus(by),
            CounterOp::Set(to) => to,
        };
        CounterOp::Set(before)
    }

    fn diff(old: &T, new: &T, each: &mut dyn FnMut(CounterOp<T>)) {
        if old != new {
            // `state.views += 1` in a closure means an addition of 1, whatever others add at the same time.
            each(new.minus(*old).map_or(CounterOp::Set(*new), CounterOp::Add));
        }
    }

    fn overlap(pending: &CounterOp<T>, _remote: &CounterOp<T>) -> Overlap {
        match pending {
            CounterOp::Set(_) => Overlap::Shadowed,
            // Additions commute only as long as none of them saturates.
            CounterOp::Add(_) => Overlap::Conflicts,
        }
    }

    fn coalesce(earlier: &mut CounterOp<T>, later: &CounterOp<T>) -> bool {
        // Two additions are not folded: where one of them saturates, their sum has another effect than the
        // two in sequence.
        match later {
            CounterOp::Set(_) => {
                *earlier = *later;
                true
            }
            CounterOp::Add(_) => false,
        }
    }

    fn undo(value: &T, op: &CounterOp<T>, inverse: &CounterOp<T>) -> Option<CounterOp<T>> {
        match op {
            CounterOp::Set(to) => (value == to).then_some(*inverse),
            CounterOp::Add(by) => match T::ZERO.minus(*by) {
                Some(by) => Some(CounterOp::Add(by)),
                // An unsigned type has no negative number to add.
                None => value.minus(*by).map(CounterOp::Set),
            },
        }
    }

    fn delta(value: &T, versions: &Versions, since: u64, each: &mut dyn FnMut(CounterOp<T>)) {
        if versions.changed() > since {
            each(CounterOp::Set(*value));
        }
    }

    fn address(op: &CounterOp<T>, _path: &mut FieldPathBuf) -> Option<&'static str> {
        match op {
            CounterOp::Add(_) => Some("add"),
            CounterOp::Set(_) => None,
        }
    }

    fn encode<S: Serializer>(op: &CounterOp<T>, serializer: S) -> Result<S::Ok, S::Error> {
        let (CounterOp::Add(number) | CounterOp::Set(number)) = op;
        if !number.is_finite_number() {
            return Err(serde::ser::Error::custom(format_args!("a counter cannot be {number:?}")));
        }
        number.serialize(serializer)
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<CounterOp<T>, UpdateError> {
        if !path.is_end() {
            return Err(no_parts("counter", path));
        }
        let make = match op {
            None => CounterOp::Set,
            Some("add") => CounterOp::Add,
            Some(op) => return Err(UpdateError::unknown_op("counter", op)),
        };
        let number = T::deserialize(value).map_err(|error| UpdateError::wrong_type(&error))?;
        if !number.is_finite_number() {
            return Err(UpdateError::wrong_type(&format_args!("a counter cannot be {number:?}")));
        }
        Ok(make(number))
    }
}
