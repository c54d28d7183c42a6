//! The policy [`Optional`]: a value that may be absent, with the policy of the value itself while it is
//! present.
//!
//! An operation inside the value applies to the value that is present at its place in the server's order, and
//! is refused if there is none. So if one client removes the value while another edits it, the order
//! decides: an edit before the removal is removed with the rest, an edit after it finds no value. If one
//! client sets a new value while another edits the old one, the edit applies to whichever is present.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

use crate::core::reading::reads_as;
use crate::core::{Author, FieldPath, FieldPathBuf, Invalid, PolicyInfo, Timing, UpdateError, Value};
use crate::core::{MergePolicy, Overlap, UndoGuard, Versions};

/// The policy of an `Option<T>` whose `T` has the policy `P`. An operation inside costs as much as `P`'s.
pub struct Optional<P>(PhantomData<fn() -> P>);

impl<P> fmt::Debug for Optional<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Optional")
    }
}

/// An operation on an optional value. `O` is the operation of the policy inside.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionalOp<T, O> {
    /// Replaces the value, present or absent, by another one or by none.
    Set(Option<T>),
    /// Changes the value if it is present.
    In(O),
}

impl<T: Value, P: MergePolicy<T>> MergePolicy<Option<T>> for Optional<P> {
    type Op = OptionalOp<T, P::Op>;

    const NAME: &'static str = P::NAME;

    const INFO: PolicyInfo = P::INFO;

    fn set(value: Option<T>) -> Self::Op {
        OptionalOp::Set(value)
    }

    fn into_set(op: Self::Op) -> Result<Option<T>, Self::Op> {
        match op {
            OptionalOp::Set(value) => Ok(value),
            OptionalOp::In(_) => Err(op),
        }
    }

    fn apply(value: &mut Option<T>, op: Self::Op) -> Self::Op {
        match (value, op) {
            (value, OptionalOp::Set(new)) => OptionalOp::Set(std::mem::replace(value, new)),
            (Some(value), OptionalOp::In(op)) => OptionalOp::In(P::apply(value, op)),
            // The operation had no effect, so its inverse must have none either. The same operation has none.
            (None, op) => op,
        }
    }

    fn diff(old: &Option<T>, new: &Option<T>, each: &mut dyn FnMut(Self::Op)) {
        match (old, new) {
            (Some(old), Some(new)) => P::diff(old, new, &mut |op| each(OptionalOp::In(op))),
            (None, None) => {}
            (Some(_), None) | (None, Some(_)) => each(OptionalOp::Set(new.clone())),
        }
    }

    fn overlap(pending: &Self::Op, remote: &Self::Op) -> Overlap {
        match (pending, remote) {
            (OptionalOp::Set(_), _) => Overlap::Shadowed,
            (OptionalOp::In(_), OptionalOp::Set(_)) => Overlap::Conflicts,
            (OptionalOp::In(pending), OptionalOp::In(remote)) => P::overlap(pending, remote),
        }
    }

    fn undo_guard(op: &Self::Op) -> UndoGuard {
        match op {
            OptionalOp::Set(_) => UndoGuard::Anything,
            OptionalOp::In(op) => P::undo_guard(op),
        }
    }

    fn has_effect(value: &Option<T>, op: &Self::Op) -> bool {
        match (value, op) {
            (value, OptionalOp::Set(new)) => value != new,
            (Some(value), OptionalOp::In(op)) => P::has_effect(value, op),
            (None, OptionalOp::In(_)) => false,
        }
    }

    fn undo(value: &Option<T>, op: &Self::Op, inverse: &Self::Op) -> Option<Self::Op> {
        match (value, op, inverse) {
            (Some(value), OptionalOp::In(op), OptionalOp::In(inverse)) => {
                P::undo(value, op, inverse).map(OptionalOp::In)
            }
            (value, OptionalOp::Set(to), _) => {
                reads_as::<Option<T>, Self>(value, to).then(|| inverse.clone())
            }
            _ => None,
        }
    }

    fn decompose(value: &Option<T>, op: &Self::Op) -> Option<Vec<Self::Op>> {
        let (Some(value), OptionalOp::In(op)) = (value, op) else { return None };
        P::decompose(value, op).map(|ops| ops.into_iter().map(OptionalOp::In).collect())
    }

    fn resolve(value: &Option<T>, versions: &Versions, op: &Self::Op) -> Option<Self::Op> {
        let (Some(value), OptionalOp::In(op)) = (value, op) else { return None };
        P::resolve(value, versions, op).map(OptionalOp::In)
    }

    fn check_op(value: &Option<T>, op: &Self::Op) -> Result<(), Invalid> {
        match (value, op) {
            (Some(value), OptionalOp::In(op)) => P::check_op(value, op),
            (None, OptionalOp::In(_)) => Err(Invalid::gone()),
            (_, OptionalOp::Set(value)) => Self::check_keys(value),
        }
    }

    fn check_keys(value: &Option<T>) -> Result<(), Invalid> {
        value.as_ref().map_or(Ok(()), P::check_keys)
    }

    fn validate(value: &Option<T>) -> Result<(), Invalid> {
        value.as_ref().map_or(Ok(()), P::validate)
    }

    fn check_rule(value: &Option<T>) -> Result<(), Invalid> {
        value.as_ref().map_or(Ok(()), P::check_rule)
    }

    fn check_change(before: &Option<T>, after: &Option<T>, author: &Author) -> Result<(), Invalid> {
        match (before, after) {
            (Some(before), Some(after)) => P::check_change(before, after, author),
            // There is nothing to compare. Whether the value may be added or removed is for the struct around
            // it.
            _ => Ok(()),
        }
    }

    fn coalesce(earlier: &mut Self::Op, later: &Self::Op) -> bool {
        match (earlier, later) {
            (earlier, OptionalOp::Set(_)) => {
                earlier.clone_from(later);
                true
            }
            (OptionalOp::In(earlier), OptionalOp::In(later)) => P::coalesce(earlier, later),
            (OptionalOp::Set(_), OptionalOp::In(_)) => false,
        }
    }

    fn record(versions: &mut Versions, touched: &Self::Op, version: u64) {
        match touched {
            OptionalOp::Set(_) => versions.set_whole(version),
            OptionalOp::In(op) => P::record(versions, op, version),
        }
    }

    fn delta(value: &Option<T>, versions: &Versions, since: u64, each: &mut dyn FnMut(Self::Op)) {
        match value {
            _ if versions.changed() <= since => {}
            Some(value) if versions.whole() <= since => {
                P::delta(value, versions, since, &mut |op| each(OptionalOp::In(op)));
            }
            _ => each(OptionalOp::Set(value.clone())),
        }
    }

    fn check(value: &Option<T>, touched: &Self::Op) -> Result<(), Invalid> {
        match (value, touched) {
            (None, _) => Ok(()),
            (Some(value), OptionalOp::Set(_)) => P::validate(value),
            (Some(value), OptionalOp::In(op)) => P::check(value, op),
        }
    }

    fn timing(op: &Self::Op, field: Timing) -> Timing {
        match op {
            OptionalOp::Set(_) => field,
            OptionalOp::In(op) => P::timing(op, field),
        }
    }

    fn read_only(op: &Self::Op) -> bool {
        match op {
            // Replacing the value replaces the parts that only the server may write.
            OptionalOp::Set(_) => P::has_read_only(),
            OptionalOp::In(op) => P::read_only(op),
        }
    }

    fn has_read_only() -> bool {
        P::has_read_only()
    }

    fn address(op: &Self::Op, path: &mut FieldPathBuf) -> Option<&'static str> {
        match op {
            OptionalOp::Set(_) => None,
            OptionalOp::In(op) => P::address(op, path),
        }
    }

    fn encode<S: Serializer>(op: &Self::Op, serializer: S) -> Result<S::Ok, S::Error> {
        match op {
            OptionalOp::Set(value) => value.serialize(serializer),
            OptionalOp::In(op) => P::encode(op, serializer),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Op, UpdateError> {
        if path.is_end() && op.is_none() {
            let value = Option::deserialize(value).map_err(|error| UpdateError::wrong_type(&error))?;
            return Ok(OptionalOp::Set(value));
        }
        P::decode(path, op, value).map(OptionalOp::In)
    }
}
