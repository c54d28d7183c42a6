//! Merge policies: how the concurrent updates of one field combine.
//!
//! One policy, one file, its rule at the top. The state machines never look inside a policy: what they need of
//! it is the trait [`MergePolicy`], reached through the derived struct.

mod boxed;
mod coded;
mod counter;
mod lww;
mod nested;
mod optional;
mod track;

pub use boxed::Boxed;
pub use coded::{Codec, Coded};
pub use counter::{Counter, CounterOp, Number};
pub use lww::Lww;
pub use nested::{Nested, NestedOp};
pub use optional::{Optional, OptionalOp};
pub use track::Track;

use std::fmt::{Debug, DebugStruct};

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserializer, Serializer};

use crate::__private::{self as private, OpVisitor};
use crate::state::{Field, Invalid, Live, Path, PathBuf, SharedState, Timing, UpdateError};

/// How the updates of a field of type `T` combine.
///
/// # What an implementation promises
/// * [`apply`](Self::apply) is deterministic and total, and what it returns takes it back exactly.
/// * [`set`](Self::set) replaces the value, whatever it was.
/// * [`decode`](Self::decode) reads what [`address`](Self::address) and [`encode`](Self::encode) wrote.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a merge policy for a field of type `{T}`",
    label = "the field's policy does not take this type",
    note = "`merge = {Self}` needs an `impl MergePolicy<{T}> for {Self}`; without a policy a field is set as a whole"
)]
pub trait MergePolicy<T>: Sized + 'static {
    /// One operation on the field.
    type Op: Clone + PartialEq + Debug + Send + Sync + 'static;

    /// The policy's name, in metadata and messages.
    const NAME: &'static str;

    /// The operation that replaces the whole value.
    fn set(value: T) -> Self::Op;

    /// Applies an operation and returns the one that takes it back.
    fn apply(value: &mut T, op: Self::Op) -> Self::Op;

    /// The operations that turn `old` into `new`; none if they are equal.
    fn diff(old: &T, new: &T, each: &mut dyn FnMut(Self::Op));

    /// Whether `remote`, applied underneath `pending`, leaves the visible value as it was.
    fn hides(pending: &Self::Op, remote: &Self::Op) -> bool;

    /// Folds `later` into `earlier` if both in sequence equal one operation; says whether it did.
    fn coalesce(earlier: &mut Self::Op, later: &Self::Op) -> bool {
        let _ = (earlier, later);
        false
    }

    /// Notes in `track` that `touched` was applied at `version`.
    fn touch(track: &mut Track, touched: &Self::Op, version: u64) {
        let _ = touched;
        track.set_whole(version);
    }

    /// The operations that bring a value at version `since` to this one.
    fn delta(value: &T, track: &Track, since: u64, each: &mut dyn FnMut(Self::Op));

    /// Checks what the value itself demands of its parts after `touched` was applied (nested structs do).
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn check(value: &T, touched: &Self::Op) -> Result<(), Invalid> {
        let _ = (value, touched);
        Ok(())
    }

    /// When an operation is sent; `field` is what the field's own attributes say.
    fn timing(op: &Self::Op, field: Timing) -> Timing {
        let _ = op;
        field
    }

    /// Whether the operation changes a part that only the server may write.
    fn read_only(op: &Self::Op) -> bool {
        let _ = op;
        false
    }

    /// Whether there is a part that only the server may write, in any value.
    fn guarded() -> bool {
        false
    }

    /// Appends the path below the field and returns the operation's name; `None` is a plain set.
    fn address(op: &Self::Op, path: &mut PathBuf) -> Option<&'static str>;

    /// Writes the operation's value.
    ///
    /// # Errors
    /// What the serializer or the value's `Serialize` reports.
    fn encode<S: Serializer>(op: &Self::Op, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads an operation: `path` is what is left below the field.
    ///
    /// # Errors
    /// Unknown part, unknown operation, or a value of the wrong form.
    fn decode<'de, D: Deserializer<'de>>(
        path: Path<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Op, UpdateError>;

    // What generated code asks of a policy. All of it is here and none in functions beside: what a field's type lacks is
    // then one error, whatever is asked first and however often.

    #[doc(hidden)]
    fn __diff<U>(old: &T, new: &T, out: &mut Vec<U>, make: fn(Self::Op) -> U) {
        Self::diff(old, new, &mut |op| out.push(make(op)));
    }

    #[doc(hidden)]
    fn __delta<U>(value: &T, track: &Track, since: u64, out: &mut Vec<U>, make: fn(Self::Op) -> U) {
        Self::delta(value, track, since, &mut |op| out.push(make(op)));
    }

    #[doc(hidden)]
    fn __decode<'de, D: Deserializer<'de>, U>(
        path: Path<'_>,
        op: Option<&str>,
        value: D,
        make: fn(Self::Op) -> U,
    ) -> Result<U, UpdateError> {
        Self::decode(path, op, value).map(make)
    }

    #[doc(hidden)]
    fn __visit<'a, U, V: OpVisitor<'a, U>>(
        op: &'a Self::Op,
        variant: &'static str,
        make: fn(Self::Op) -> U,
        visitor: V,
    ) -> V::Out {
        visitor.visit(op, variant, make)
    }

    #[doc(hidden)]
    fn __with<S: SharedState, L: Live<S>, R>(
        live: &L,
        field: Field<S, T, Self>,
        look: impl FnOnce(&T) -> R,
    ) -> R {
        live.read(|state| look(field.get(state)))
    }

    #[doc(hidden)]
    fn __change<S: SharedState, L: Live<S>>(
        live: &L,
        field: Field<S, T, Self>,
        copy: fn(&T) -> T,
        change: impl FnOnce(&mut T),
    ) -> Result<L::Receipt, L::Error> {
        let mut value = Self::__with(live, field, copy);
        change(&mut value);
        live.write(field.set(value))
    }

    // Of a field whose operation is its new value.

    #[doc(hidden)]
    fn __copy(value: &Self::Op) -> Self::Op {
        value.clone()
    }

    #[doc(hidden)]
    fn __patch_copy(value: &Option<Self::Op>) -> Option<Self::Op> {
        value.clone()
    }

    #[doc(hidden)]
    fn __patch_show(value: &Option<Self::Op>, name: &str, out: &mut DebugStruct<'_, '_>) {
        private::patch_show(value, name, out);
    }

    #[doc(hidden)]
    fn __patch_write<M: SerializeMap>(
        value: &Option<Self::Op>,
        name: &str,
        map: &mut M,
    ) -> Result<(), M::Error> {
        private::patch_write_op::<Self, T, M>(value, name, map)
    }

    #[doc(hidden)]
    fn __patch_read<'de, M: MapAccess<'de>>(
        value: &mut Option<Self::Op>,
        map: &mut M,
    ) -> Result<(), M::Error> {
        private::patch_read_op::<Self, T, M>(value, map)
    }
}

/// For policies whose values have no addressable parts: refuses a path that goes on.
fn whole(policy: &str, mut path: Path<'_>) -> Result<(), UpdateError> {
    match path.next_segment() {
        Some(segment) => Err(UpdateError::no_parts(policy, &segment)),
        None => Ok(()),
    }
}
