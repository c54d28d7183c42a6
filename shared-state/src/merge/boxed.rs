//! Boxed: a field in a `Box`, with the policy of what is in it.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserializer, Serializer};

use crate::core::{Author, Invalid, Path, PathBuf, PolicyInfo, Timing, UpdateError};
use crate::core::{MergePolicy, Overlap, Track};

/// The policy of a `Box<T>` whose `T` has the policy `P`: the same operations, the same on the wire.
pub struct Boxed<P>(PhantomData<fn() -> P>);

impl<P> fmt::Debug for Boxed<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Boxed")
    }
}

impl<T: 'static, P: MergePolicy<T>> MergePolicy<Box<T>> for Boxed<P> {
    type Op = P::Op;

    const NAME: &'static str = P::NAME;

    const ABOUT: PolicyInfo = P::ABOUT;

    fn set(value: Box<T>) -> P::Op {
        P::set(*value)
    }

    fn whole(op: P::Op) -> Result<Box<T>, P::Op> {
        P::whole(op).map(Box::new)
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

    fn take_back(value: &Box<T>, op: &P::Op, inverse: &P::Op) -> Option<P::Op> {
        P::take_back(value, op, inverse)
    }

    fn expand(value: &Box<T>, op: &P::Op) -> Option<Vec<P::Op>> {
        P::expand(value, op)
    }

    fn settle(value: &Box<T>, track: &Track, op: &P::Op) -> Option<P::Op> {
        P::settle(value, track, op)
    }

    fn admit(value: &Box<T>, op: &P::Op) -> Result<(), Invalid> {
        P::admit(value, op)
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

    fn touch(track: &mut Track, touched: &P::Op, version: u64) {
        P::touch(track, touched, version);
    }

    fn delta(value: &Box<T>, track: &Track, since: u64, each: &mut dyn FnMut(P::Op)) {
        P::delta(value, track, since, each);
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

    fn guarded() -> bool {
        P::guarded()
    }

    fn address(op: &P::Op, path: &mut PathBuf) -> Option<&'static str> {
        P::address(op, path)
    }

    fn encode<S: Serializer>(op: &P::Op, serializer: S) -> Result<S::Ok, S::Error> {
        P::encode(op, serializer)
    }

    fn decode<'de, D: Deserializer<'de>>(
        path: Path<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<P::Op, UpdateError> {
        P::decode(path, op, value)
    }
}
