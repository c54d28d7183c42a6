//! The policy [`Boxed`]: a value in a `Box`, with the policy of the value itself.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserializer, Serializer};

use crate::core::{Author, FieldPath, FieldPathBuf, Invalid, PolicyInfo, Timing, UpdateError};
use crate::core::{MergePolicy, Overlap, UndoGuard, Versions};

/// The policy of a `Box<T>` whose `T` has the policy `P`. The operations and their form on the wire are those
/// of `P`.
pub struct Boxed<P>(PhantomData<fn() -> P>);

impl<P> fmt::Debug for Boxed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Boxed")
    }
}

impl<T: 'static, P: MergePolicy<T>> MergePolicy<Box<T>> for Boxed<P> {
    type Op = P::Op;

    const NAME: &'static str = P::NAME;

    const INFO: PolicyInfo = P::INFO;

    fn set(value: Box<T>) -> P::Op {
        P::set(*value)
    }

    fn into_set(op: P::Op) -> Result<Box<T>, P::Op> {
        P::into_set(op).map(Box::new)
    }

    fn start() -> Option<Box<T>> {
        P::start().map(Box::new)
    }

    fn apply(value: &mut Box<T>, op: P::Op) -> P::Op {
        P::apply(value, op)
    }

    fn diff(old: &Box<T>, new: &Box<T>, each: &mut dyn FnMut(P::Op)) {
        P::diff(old, new, each);
    }

    fn overlap(pending: &P::Op, remote: &P::Op) -> Overlap {
        P::overlap(pending, remote)
    }

    fn undo_guard(op: &P::Op) -> UndoGuard {
        P::undo_guard(op)
    }

    fn has_effect(value: &Box<T>, op: &P::Op) -> bool {
        P::has_effect(value, op)
    }

    fn undo(value: &Box<T>, op: &P::Op, inverse: &P::Op) -> Option<P::Op> {
        P::undo(value, op, inverse)
    }

    fn decompose(value: &Box<T>, op: &P::Op) -> Option<Vec<P::Op>> {
        P::decompose(value, op)
    }

    fn resolve(value: &Box<T>, versions: &Versions, op: &P::Op) -> Option<P::Op> {
        P::resolve(value, versions, op)
    }

    fn check_op(value: &Box<T>, op: &P::Op) -> Result<(), Invalid> {
        P::check_op(value, op)
    }

    fn check_keys(value: &Box<T>) -> Result<(), Invalid> {
        P::check_keys(value)
    }

    fn validate(value: &Box<T>) -> Result<(), Invalid> {
        P::validate(value)
    }

    fn check_rule(value: &Box<T>) -> Result<(), Invalid> {
        P::check_rule(value)
    }

    fn check_change(before: &Box<T>, after: &Box<T>, author: &Author) -> Result<(), Invalid> {
        P::check_change(before, after, author)
    }

    fn coalesce(earlier: &mut P::Op, later: &P::Op) -> bool {
        P::coalesce(earlier, later)
    }

    fn record(versions: &mut Versions, touched: &P::Op, version: u64) {
        P::record(versions, touched, version);
    }

    fn delta(value: &Box<T>, versions: &Versions, since: u64, each: &mut dyn FnMut(P::Op)) {
        P::delta(value, versions, since, each);
    }

    fn check(value: &Box<T>, touched: &P::Op) -> Result<(), Invalid> {
        P::check(value, touched)
    }

    fn timing(op: &P::Op, field: Timing) -> Timing {
        P::timing(op, field)
    }

    fn read_only(op: &P::Op) -> bool {
        P::read_only(op)
    }

    fn has_read_only() -> bool {
        P::has_read_only()
    }

    fn address(op: &P::Op, path: &mut FieldPathBuf) -> Option<&'static str> {
        P::address(op, path)
    }

    fn encode<S: Serializer>(op: &P::Op, serializer: S) -> Result<S::Ok, S::Error> {
        P::encode(op, serializer)
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<P::Op, UpdateError> {
        P::decode(path, op, value)
    }
}
