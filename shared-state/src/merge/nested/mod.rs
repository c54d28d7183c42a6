//! The policy [`Nested`]: a field whose type derives `SharedState` too.
//!
//! An update inside the nested struct is sent as its path and the inner field's own operation. Only
//! concurrent updates of the same inner field affect each other.

mod handle;

pub use handle::{HandleOf, NestedHandle, PatchOf};

use std::fmt;

use serde::{Deserializer, Serializer};

use crate::core::reading::reads_as;
use crate::core::{
    Author, FieldInfo, FieldPath, FieldPathBuf, Invalid, PolicyInfo, SharedState, Timing, UpdateError,
    has_change_rule, schema,
};
use crate::core::{MergePolicy, Overlap, UndoGuard, Versions};

/// The policy of `#[shared(nested)]`. An operation costs as much as the inner field's.
#[derive(Clone, Copy, Debug)]
pub struct Nested;

/// An operation on a nested struct.
#[derive(Clone)]
pub enum NestedOp<N: SharedState> {
    /// Replaces the whole value.
    Set(N),
    /// Changes one field inside.
    In(Box<N::Update>),
}

impl<N: SharedState> PartialEq for NestedOp<N> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Set(a), Self::Set(b)) => N::diff(a, b).is_empty(),
            (Self::In(a), Self::In(b)) => a == b,
            (Self::Set(_), Self::In(_)) | (Self::In(_), Self::Set(_)) => false,
        }
    }
}

impl<N: SharedState> fmt::Debug for NestedOp<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(value) => {
                let mut whole = f.debug_list();
                for field in 0..N::FIELDS.len() {
                    whole.entry(&value.current(field));
                }
                whole.finish()
            }
            Self::In(update) => f.debug_tuple("In").field(update).finish(),
        }
    }
}

impl<N: SharedState> MergePolicy<N> for Nested {
    type Op = NestedOp<N>;

    const NAME: &'static str = "nested";

    const INFO: PolicyInfo = PolicyInfo::new("nested")
        .fields(|| N::FIELDS)
        .change_rule(N::HAS_CHANGE_RULE)
        .schema(|depth| schema::fields::<N>(N::FIELDS, &FieldPathBuf::new(), depth));

    fn set(value: N) -> NestedOp<N> {
        NestedOp::Set(value)
    }

    fn into_set(op: NestedOp<N>) -> Result<N, NestedOp<N>> {
        match op {
            NestedOp::Set(value) => Ok(value),
            NestedOp::In(_) => Err(op),
        }
    }

    fn apply(value: &mut N, op: NestedOp<N>) -> NestedOp<N> {
        match op {
            NestedOp::Set(new) => NestedOp::Set(std::mem::replace(value, new)),
            NestedOp::In(update) => NestedOp::In(Box::new(value.apply(*update))),
        }
    }

    fn diff(old: &N, new: &N, each: &mut dyn FnMut(NestedOp<N>)) {
        for update in N::diff(old, new) {
            each(NestedOp::In(Box::new(update)));
        }
    }

    fn overlap(pending: &NestedOp<N>, remote: &NestedOp<N>) -> Overlap {
        match (pending, remote) {
            (NestedOp::Set(_), _) => Overlap::Shadowed,
            (NestedOp::In(_), NestedOp::Set(_)) => Overlap::Conflicts,
            (NestedOp::In(pending), NestedOp::In(remote)) => N::overlap(pending, remote),
        }
    }

    fn coalesce(earlier: &mut NestedOp<N>, later: &NestedOp<N>) -> bool {
        match (earlier, later) {
            (earlier, NestedOp::Set(_)) => {
                earlier.clone_from(later);
                true
            }
            (NestedOp::In(earlier), NestedOp::In(later)) => {
                N::field(earlier) == N::field(later) && N::coalesce(earlier, later)
            }
            (NestedOp::Set(_), NestedOp::In(_)) => false,
        }
    }

    fn undo_guard(op: &NestedOp<N>) -> UndoGuard {
        match op {
            NestedOp::Set(_) => UndoGuard::Anything,
            NestedOp::In(update) => N::undo_guard(update),
        }
    }

    fn has_effect(value: &N, op: &NestedOp<N>) -> bool {
        match op {
            NestedOp::Set(new) => !N::diff(value, new).is_empty(),
            NestedOp::In(update) => value.has_effect(update),
        }
    }

    fn undo(value: &N, op: &NestedOp<N>, inverse: &NestedOp<N>) -> Option<NestedOp<N>> {
        match (op, inverse) {
            (NestedOp::In(update), NestedOp::In(inverse)) => {
                value.undo(update, inverse).map(|update| NestedOp::In(Box::new(update)))
            }
            (NestedOp::Set(to), _) => reads_as::<N, Self>(value, to).then(|| inverse.clone()),
            (NestedOp::In(_), NestedOp::Set(_)) => None,
        }
    }

    fn decompose(value: &N, op: &NestedOp<N>) -> Option<Vec<NestedOp<N>>> {
        let NestedOp::In(update) = op else { return None };
        let updates = value.decompose(update)?;
        Some(updates.into_iter().map(|update| NestedOp::In(Box::new(update))).collect())
    }

    fn resolve(value: &N, versions: &Versions, op: &NestedOp<N>) -> Option<NestedOp<N>> {
        let NestedOp::In(update) = op else { return None };
        value.resolve(versions, update).map(|update| NestedOp::In(Box::new(update)))
    }

    fn check_op(value: &N, op: &NestedOp<N>) -> Result<(), Invalid> {
        match op {
            NestedOp::Set(value) => value.check_keys(),
            NestedOp::In(update) => value.check_op(update),
        }
    }

    fn check_keys(value: &N) -> Result<(), Invalid> {
        value.check_keys()
    }

    fn record(versions: &mut Versions, touched: &NestedOp<N>, version: u64) {
        match touched {
            NestedOp::Set(_) => versions.set_whole(version),
            NestedOp::In(update) => N::record(versions, update, version),
        }
    }

    fn delta(value: &N, versions: &Versions, since: u64, each: &mut dyn FnMut(NestedOp<N>)) {
        if versions.whole() > since {
            each(NestedOp::Set(value.clone()));
        } else if versions.changed() > since {
            let mut inside = Vec::new();
            value.delta(versions, since, &mut inside);
            inside.into_iter().for_each(|update| each(NestedOp::In(Box::new(update))));
        }
    }

    fn check(value: &N, touched: &NestedOp<N>) -> Result<(), Invalid> {
        match touched {
            NestedOp::Set(_) => value.validate(),
            NestedOp::In(update) => value.check(update),
        }
    }

    fn validate(value: &N) -> Result<(), Invalid> {
        value.validate()
    }

    fn check_rule(value: &N) -> Result<(), Invalid> {
        value.check_rule()
    }

    fn check_change(before: &N, after: &N, author: &Author) -> Result<(), Invalid> {
        // The change may have been to another part of the state.
        match has_change_rule::<N>() && !N::diff(before, after).is_empty() {
            true => after.check_change(before, author),
            false => Ok(()),
        }
    }

    fn timing(op: &NestedOp<N>, field: Timing) -> Timing {
        match op {
            NestedOp::Set(_) => field,
            NestedOp::In(update) => N::timing(update),
        }
    }

    fn read_only(op: &NestedOp<N>) -> bool {
        match op {
            NestedOp::Set(value) => (0..N::FIELDS.len()).any(|field| N::read_only(&value.current(field))),
            NestedOp::In(update) => N::read_only(update),
        }
    }

    fn has_read_only() -> bool {
        /// `seen` ends the search in a struct that contains itself.
        fn any(fields: &'static [FieldInfo], seen: &mut Vec<*const FieldInfo>) -> bool {
            if seen.contains(&fields.as_ptr()) {
                return false;
            }
            seen.push(fields.as_ptr());
            fields.iter().any(|field| field.read_only || field.parts.is_some_and(|parts| any(parts(), seen)))
        }
        any(N::FIELDS, &mut Vec::new())
    }

    fn address(op: &NestedOp<N>, path: &mut FieldPathBuf) -> Option<&'static str> {
        match op {
            NestedOp::Set(_) => None,
            NestedOp::In(update) => N::address(update, path),
        }
    }

    fn encode<S: Serializer>(op: &NestedOp<N>, serializer: S) -> Result<S::Ok, S::Error> {
        match op {
            NestedOp::Set(value) => value.serialize(serializer),
            NestedOp::In(update) => N::encode(update, serializer),
        }
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<NestedOp<N>, UpdateError> {
        if !path.is_end() {
            return N::decode(path, op, value).map(|update| NestedOp::In(Box::new(update)));
        }
        match op {
            None => N::deserialize(value).map(NestedOp::Set).map_err(|error| UpdateError::wrong_type(&error)),
            Some(op) => Err(UpdateError::unknown_op("nested", op)),
        }
    }
}

/// Takes a nested struct's patch out of a patch, if there is one, and pushes its updates.
pub fn push_in<N: SharedState, U>(out: &mut Vec<U>, slot: &mut Option<N::Patch>, make: fn(NestedOp<N>) -> U) {
    if let Some(patch) = slot.take() {
        out.extend(N::patch_updates(patch).into_iter().map(|update| make(NestedOp::In(Box::new(update)))));
    }
}
