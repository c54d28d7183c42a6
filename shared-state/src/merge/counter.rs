//! The policy [`Counter`]: additions and subtractions commute, so that concurrent ones all count. A set
//! replaces the value and takes its place in the server's order.
//!
//! Integers saturate at the bounds of their type on every replica alike, so `apply` never fails. An addition that
//! meets the bound adds what it can; one that finds the counter at the bound adds nothing, and the server refuses
//! it. Floats are added by the rules of IEEE 754 in the server's order, so every replica gets the same bits. A
//! number that is not finite is refused before it is sent.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserializer, Serialize, Serializer};

use crate::core::{FieldPath, FieldPathBuf, Invalid, UpdateError};
use crate::core::{MergePolicy, Overlap, UndoGuard, Versions, no_parts};

/// The policy of `#[shared(counter)]`. An operation costs O(1).
#[derive(Clone, Copy, Debug)]
pub struct Counter;

/// An operation on a counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CounterOp<T> {
    /// Adds to the value.
    Add(T),
    /// Subtracts from the value. A counter of an unsigned type has no negative number to add.
    Sub(T),
    /// Replaces the value.
    Set(T),
}

/// A number that a counter can hold: every integer and float type of up to 64 bits.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a `#[shared(counter)]`",
    label = "not a number that counts",
    note = "counters are integers or floats of up to 64 bits, `i64` for example"
)]
pub trait Number: Copy + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The value of a counter that does not exist yet.
    const ZERO: Self;
    /// The smallest value of the type, for floats the smallest finite one.
    const MIN: Self;
    /// The largest value of the type, for floats the largest finite one.
    const MAX: Self;

    /// The sum, saturating at the type's bounds.
    #[must_use]
    fn plus(self, other: Self) -> Self;
    /// The difference, saturating at the type's bounds.
    #[must_use]
    fn less(self, other: Self) -> Self;
    /// The number that has to be added to `from` to get `self`, if there is one.
    fn minus(self, from: Self) -> Option<Self>;
    /// Whether the number can be sent: not if it is infinite or NaN.
    fn is_finite_number(self) -> bool;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Number for $integer {
            const ZERO: Self = 0;
            const MIN: Self = <$integer>::MIN;
            const MAX: Self = <$integer>::MAX;

            fn plus(self, other: Self) -> Self {
                self.saturating_add(other)
            }
            fn less(self, other: Self) -> Self {
                self.saturating_sub(other)
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
            const MIN: Self = $float::MIN;
            const MAX: Self = $float::MAX;

            fn plus(self, other: Self) -> Self {
                (self + other).clamp($float::MIN, $float::MAX)
            }
            fn less(self, other: Self) -> Self {
                (self - other).clamp($float::MIN, $float::MAX)
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

/// How many steps [`steps`] takes at most. An integer needs three, from one bound of its type to the other. A
/// float needs two, because the second one corrects what the first one rounded, or three between the bounds.
const MAX_STEPS: usize = 4;

/// The additions and subtractions that lead from `from` to `to`, one after another. `None` if one of the two
/// is not finite.
fn steps<T: Number>(from: T, to: T) -> Option<Vec<CounterOp<T>>> {
    let (mut at, mut steps) = (from, Vec::with_capacity(1));
    while at != to && steps.len() < MAX_STEPS {
        let op = match (to.minus(at), at.minus(to)) {
            (Some(by), _) => CounterOp::Add(by),
            (None, Some(by)) => CounterOp::Sub(by),
            // The difference is no number of the type: as much of it as is one.
            (None, None) => CounterOp::Add(to.less(at)),
        };
        Counter::apply(&mut at, op);
        steps.push(op);
    }
    (at == to && to.is_finite_number() && from.is_finite_number()).then_some(steps)
}

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
            CounterOp::Add(_) | CounterOp::Sub(_) => Err(op),
        }
    }

    fn apply(value: &mut T, op: CounterOp<T>) -> CounterOp<T> {
        let before = *value;
        *value = match op {
            CounterOp::Add(by) => before.plus(by),
            CounterOp::Sub(by) => before.less(by),
            CounterOp::Set(to) => to,
        };
        CounterOp::Set(before)
    }

    fn diff(old: &T, new: &T, each: &mut dyn FnMut(CounterOp<T>)) {
        if old != new {
            // `state.views += 1` in a closure means an addition of 1, whatever others add at the same time, and
            // `state.stock -= 1` a subtraction.
            match steps(*old, *new) {
                Some(steps) => steps.into_iter().for_each(each),
                None => each(CounterOp::Set(*new)),
            }
        }
    }

    fn overlap(pending: &CounterOp<T>, remote: &CounterOp<T>) -> Overlap {
        match pending {
            _ if matches!(remote, CounterOp::Add(by) | CounterOp::Sub(by) if *by == T::ZERO) => {
                Overlap::Commutes
            }
            CounterOp::Set(_) => Overlap::Shadowed,
            // Additions commute only as long as none of them saturates.
            CounterOp::Add(_) | CounterOp::Sub(_) => Overlap::Conflicts,
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
            CounterOp::Add(_) | CounterOp::Sub(_) => false,
        }
    }

    fn undo_guard(op: &CounterOp<T>) -> UndoGuard {
        match op {
            CounterOp::Add(_) | CounterOp::Sub(_) => UndoGuard::Replaced,
            CounterOp::Set(_) => UndoGuard::Anything,
        }
    }

    fn has_effect(value: &T, op: &CounterOp<T>) -> bool {
        let mut after = *value;
        Self::apply(&mut after, *op);
        after != *value
    }

    fn check_op(value: &T, op: &CounterOp<T>) -> Result<(), Invalid> {
        let (CounterOp::Add(by) | CounterOp::Sub(by)) = op else { return Ok(()) };
        // A float between its bounds may be too large for a small number to change it. That is rounding.
        let is_bound = *value == T::MIN || *value == T::MAX;
        if is_bound && *by != T::ZERO && !Self::has_effect(value, op) {
            return Err(Invalid::at_bound());
        }
        Ok(())
    }

    fn undo(value: &T, op: &CounterOp<T>, inverse: &CounterOp<T>) -> Option<CounterOp<T>> {
        let by = match (op, inverse) {
            (CounterOp::Set(to), _) => return (value == to).then_some(*inverse),
            (CounterOp::Add(by) | CounterOp::Sub(by), CounterOp::Set(before)) => {
                let mut after = *before;
                Self::apply(&mut after, *op);
                // What was really added: less than `by` if the sum met a bound.
                match (op, after.minus(*before), before.minus(after)) {
                    (CounterOp::Add(_), Some(by), _) => by,
                    (CounterOp::Sub(_), _, Some(by)) => by,
                    _ => *by,
                }
            }
            (CounterOp::Add(by) | CounterOp::Sub(by), _) => *by,
        };
        let undo = if matches!(op, CounterOp::Add(_)) { subtraction(by) } else { addition(by) };
        // What others did meanwhile may leave nothing of it.
        undo.filter(|undo| Self::check_op(value, undo).is_ok())
    }

    fn delta(value: &T, versions: &Versions, since: u64, each: &mut dyn FnMut(CounterOp<T>)) {
        if versions.changed() > since {
            each(CounterOp::Set(*value));
        }
    }

    fn address(op: &CounterOp<T>, _path: &mut FieldPathBuf) -> Option<&'static str> {
        match op {
            CounterOp::Add(_) => Some("add"),
            CounterOp::Sub(_) => Some("sub"),
            CounterOp::Set(_) => None,
        }
    }

    fn encode<S: Serializer>(op: &CounterOp<T>, serializer: S) -> Result<S::Ok, S::Error> {
        let (CounterOp::Add(number) | CounterOp::Sub(number) | CounterOp::Set(number)) = op;
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
            Some("sub") => CounterOp::Sub,
            Some(op) => return Err(UpdateError::unknown_op("counter", op)),
        };
        let number = T::deserialize(value).map_err(|error| UpdateError::wrong_type(&error))?;
        if !number.is_finite_number() {
            return Err(UpdateError::wrong_type(&format_args!("a counter cannot be {number:?}")));
        }
        Ok(make(number))
    }
}

/// The operation that adds `by`, if that is not nothing.
fn addition<T: Number>(by: T) -> Option<CounterOp<T>> {
    (by != T::ZERO).then_some(CounterOp::Add(by))
}

/// The operation that takes `by` away, if that is not nothing: an addition where the type has the negative
/// number, as programs that know no subtraction write it.
fn subtraction<T: Number>(by: T) -> Option<CounterOp<T>> {
    (by != T::ZERO).then(|| T::ZERO.minus(by).map_or(CounterOp::Sub(by), CounterOp::Add))
}
