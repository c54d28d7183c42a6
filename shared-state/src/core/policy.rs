//! The trait that every merge policy implements, and what two operations on one field can mean for each other.

use std::fmt::{Debug, DebugStruct};

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserializer, Serializer};

use crate::core::{
    Author, Backend, Field, FieldPath, FieldPathBuf, Invalid, OpVisitor, PolicyInfo, SharedState, Timing,
    UpdateError, Versions, Watch, patch_copy, patch_read_op, patch_show, patch_write_op,
};

/// The policy of a field without a policy attribute. An update is the new value itself; it costs the value.
#[derive(Clone, Copy, Debug)]
pub struct Lww;

/// What a pending operation and a remote one that is put underneath it mean for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// With the remote operation underneath, the value is what it was without it.
    Shadowed,
    /// In either order the two make the same value.
    Commutes,
    /// The value has to be worked out.
    Conflicts,
}

/// How the updates of a field of type `T` combine.
///
/// # What an implementation promises
/// * [`apply`](Self::apply) is deterministic and total, and what it returns takes it back exactly.
/// * [`set`](Self::set) replaces the value, whatever it was.
/// * [`decode`](Self::decode) reads what [`address`](Self::address) and [`encode`](Self::encode) wrote.
///
/// # A policy of one's own
/// A register that only a greater value changes, so that of several high scores the highest stays, in whatever order they
/// come. Everything that is not here has a default that is right for a value without parts.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Deserializer, Serialize, Serializer};
/// use shared_state::SharedState;
/// use shared_state::merge::{MergePolicy, Overlap, Versions};
/// use shared_state::merge::{FieldPath, FieldPathBuf, UpdateError, Value};
///
/// struct Greatest;
///
/// #[derive(Clone, Debug, PartialEq)]
/// enum GreatestOp<T> {
///     Set(T),
///     Offer(T),
/// }
/// use GreatestOp::{Offer, Set};
///
/// impl<T: Value + Ord> MergePolicy<T> for Greatest {
///     type Op = GreatestOp<T>;
///     const NAME: &'static str = "greatest";
///
///     fn set(value: T) -> GreatestOp<T> {
///         Set(value)
///     }
///
///     fn into_set(op: GreatestOp<T>) -> Result<T, GreatestOp<T>> {
///         if let Set(value) = op { Ok(value) } else { Err(op) }
///     }
///
///     fn apply(value: &mut T, op: GreatestOp<T>) -> GreatestOp<T> {
///         match op {
///             Offer(offer) if offer <= *value => Set(value.clone()),
///             Offer(new) | Set(new) => Set(std::mem::replace(value, new)),
///         }
///     }
///
///     fn diff(old: &T, new: &T, each: &mut dyn FnMut(GreatestOp<T>)) {
///         if new > old {
///             each(Offer(new.clone()));
///         } else if new < old {
///             each(Set(new.clone()));
///         }
///     }
///
///     fn overlap(pending: &GreatestOp<T>, remote: &GreatestOp<T>) -> Overlap {
///         match (pending, remote) {
///             (Set(_), _) => Overlap::Shadowed,
///             (Offer(_), Offer(_)) => Overlap::Commutes,
///             (Offer(_), Set(_)) => Overlap::Conflicts,
///         }
///     }
///
///     fn undo(value: &T, op: &GreatestOp<T>, inverse: &GreatestOp<T>) -> Option<GreatestOp<T>> {
///         let (Set(to) | Offer(to)) = op;
///         (value == to).then(|| inverse.clone())
///     }
///
///     fn delta(value: &T, versions: &Versions, since: u64, each: &mut dyn FnMut(GreatestOp<T>)) {
///         if versions.changed() > since {
///             each(Set(value.clone()));
///         }
///     }
///
///     fn address(op: &GreatestOp<T>, _path: &mut FieldPathBuf) -> Option<&'static str> {
///         matches!(op, Offer(_)).then_some("offer")
///     }
///
///     fn encode<S: Serializer>(op: &GreatestOp<T>, serializer: S) -> Result<S::Ok, S::Error> {
///         let (Set(value) | Offer(value)) = op;
///         value.serialize(serializer)
///     }
///
///     fn decode<'de, D: Deserializer<'de>>(
///         mut path: FieldPath<'_>,
///         op: Option<&str>,
///         value: D,
///     ) -> Result<GreatestOp<T>, UpdateError> {
///         if let Some(part) = path.next_segment() {
///             return Err(UpdateError::no_parts("greatest", &part));
///         }
///         let make = match op {
///             None => Set,
///             Some("offer") => Offer,
///             Some(op) => return Err(UpdateError::unknown_op("greatest", op)),
///         };
///         T::deserialize(value).map(make).map_err(|error| UpdateError::wrong_type(&error))
///     }
/// }
///
/// #[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
/// struct Game {
///     #[shared(merge = Greatest)]
///     high_score: u32,
/// }
///
/// # use shared_state::Backend;
/// # fn example<L: Backend<Game>>(game: &SharedGame<L>) -> Result<(), L::Error> {
/// game.write(Game::HIGH_SCORE.op(GreatestOp::Offer(4_200)))?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a merge policy for a field of type `{T}`",
    label = "the field's policy does not take this type",
    note = "write an `impl MergePolicy<{T}> for {Self}` if it is a policy of your own; the type of a `text` is \
            `shared_state::Text`; without a policy, a field is set as a whole"
)]
pub trait MergePolicy<T>: Sized + 'static {
    /// One operation on the field.
    type Op: Clone + PartialEq + Debug + Send + Sync + 'static;

    /// The policy's name, in metadata and messages.
    const NAME: &'static str;

    /// What is known of the policy at run time.
    const INFO: PolicyInfo = PolicyInfo::new(Self::NAME);

    /// The value that an operation on an entry that is not there starts from; `None`: it does nothing.
    fn start() -> Option<T> {
        None
    }

    /// The operation that replaces the whole value.
    fn set(value: T) -> Self::Op;

    /// The value, if the operation is one that [`set`](Self::set) makes.
    ///
    /// # Errors
    /// Gives the operation back if it is another.
    fn into_set(op: Self::Op) -> Result<T, Self::Op>;

    /// Applies an operation and returns the one that takes it back.
    fn apply(value: &mut T, op: Self::Op) -> Self::Op;

    /// The operations that turn `old` into `new`; none if they are equal.
    fn diff(old: &T, new: &T, each: &mut dyn FnMut(Self::Op));

    /// What `pending` means for `remote`, put underneath it. [`Overlap::Conflicts`] is always right, and costs the
    /// value.
    fn overlap(pending: &Self::Op, remote: &Self::Op) -> Overlap;

    /// Folds `later` into `earlier` if both in sequence equal one operation; says whether it did.
    fn coalesce(earlier: &mut Self::Op, later: &Self::Op) -> bool {
        let _ = (earlier, later);
        false
    }

    /// The operation that takes `op` back for its author, who sees `value` now; `inverse` would have taken it back
    /// at once. What others have done since stays: `None` if they have overwritten it.
    fn undo(value: &T, op: &Self::Op, inverse: &Self::Op) -> Option<Self::Op>;

    /// What an operation that sets the whole value means, to somebody who sees `value`, as operations on its
    /// parts. `None`: it means what it says.
    fn decompose(value: &T, op: &Self::Op) -> Option<Vec<Self::Op>> {
        let _ = (value, op);
        None
    }

    /// The operation with what it refers to looked up: the server asks this of every operation before it applies
    /// it, and what it gives is what is stored and sent to everybody, the author too. `None`: it needs nothing.
    fn resolve(value: &T, versions: &Versions, op: &Self::Op) -> Option<Self::Op> {
        let _ = (value, versions, op);
        None
    }

    /// Checks what an operation demands of the value before it is applied.
    ///
    /// # Errors
    /// What is wrong with the operation itself.
    fn check_op(value: &T, op: &Self::Op) -> Result<(), Invalid> {
        let _ = (value, op);
        Ok(())
    }

    /// Notes in `versions` that an operation was applied at `version`; `touched` is what takes it back.
    fn record(versions: &mut Versions, touched: &Self::Op, version: u64) {
        let _ = touched;
        versions.set_whole(version);
    }

    /// The operations that bring a value at version `since` to this one.
    fn delta(value: &T, versions: &Versions, since: u64, each: &mut dyn FnMut(Self::Op));

    /// Checks what the value itself demands of its parts after an operation was applied (nested structs do);
    /// `touched` is what takes it back.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn check(value: &T, touched: &Self::Op) -> Result<(), Invalid> {
        let _ = (value, touched);
        Ok(())
    }

    /// Checks what the value itself demands of all of its parts.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn validate(value: &T) -> Result<(), Invalid> {
        let _ = value;
        Ok(())
    }

    /// Checks the rules over the whole of the value.
    ///
    /// # Errors
    /// What the rule says.
    fn check_rule(value: &T) -> Result<(), Invalid> {
        let _ = value;
        Ok(())
    }

    /// Checks what the value itself demands of a change that made `after` of `before` (nested structs do).
    ///
    /// # Errors
    /// What the rule says.
    fn check_change(before: &T, after: &T, author: &Author) -> Result<(), Invalid> {
        let _ = (before, after, author);
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
    fn has_read_only() -> bool {
        false
    }

    /// Appends the path below the field and returns the operation's name; `None` is a plain set.
    fn address(op: &Self::Op, path: &mut FieldPathBuf) -> Option<&'static str>;

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
        path: FieldPath<'_>,
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
    fn __decompose<U>(value: &T, op: &Self::Op, make: fn(Self::Op) -> U) -> Option<Vec<U>> {
        Self::decompose(value, op).map(|ops| ops.into_iter().map(make).collect())
    }

    #[doc(hidden)]
    fn __delta<U>(value: &T, versions: &Versions, since: u64, out: &mut Vec<U>, make: fn(Self::Op) -> U) {
        Self::delta(value, versions, since, &mut |op| out.push(make(op)));
    }

    #[doc(hidden)]
    fn __decode<'de, D: Deserializer<'de>, U>(
        path: FieldPath<'_>,
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
    fn __with<S: SharedState, L: Backend<S>, R>(
        live: &L,
        field: Field<S, T, Self>,
        look: impl FnOnce(&T) -> R,
    ) -> R {
        live.read(|state| look(field.get(state)))
    }

    #[doc(hidden)]
    fn __write<S: SharedState, L: Backend<S>>(
        live: &L,
        field: Field<S, T, Self>,
        value: T,
    ) -> Result<L::Receipt, L::Error> {
        live.write(field.set(value))
    }

    #[doc(hidden)]
    fn __change<S: SharedState, L: Backend<S>>(
        live: &L,
        field: Field<S, T, Self>,
        copy: fn(&T) -> T,
        change: impl FnOnce(&mut T),
    ) -> Result<L::Receipt, L::Error> {
        let mut value = Self::__with(live, field, copy);
        change(&mut value);
        Self::__write(live, field, value)
    }

    #[doc(hidden)]
    fn __watch<S: SharedState, L: Watch<S>>(
        live: &L,
        field: Field<S, T, Self>,
        copy: fn(&T) -> T,
    ) -> L::Stream<T>
    where
        T: Send + 'static,
    {
        let mut last = None;
        live.watch(field.id(), move |state| {
            let value = field.get(state);
            let mut new = last.is_none();
            if let Some(last) = &last {
                Self::diff(last, value, &mut |_| new = true);
            }
            new.then(|| copy(last.insert(copy(value))))
        })
    }

    // Of a field whose operation is its new value.

    #[doc(hidden)]
    fn __copy(value: &Self::Op) -> Self::Op {
        value.clone()
    }

    #[doc(hidden)]
    fn __patch_copy(value: &Option<Self::Op>, copy: &mut Option<Self::Op>) {
        patch_copy(value, copy);
    }

    #[doc(hidden)]
    fn __patch_show(value: &Option<Self::Op>, name: &str, out: &mut DebugStruct<'_, '_>) {
        patch_show(value, name, out);
    }

    #[doc(hidden)]
    fn __patch_write<M: SerializeMap>(
        value: &Option<Self::Op>,
        name: &str,
        map: &mut M,
    ) -> Result<(), M::Error> {
        patch_write_op::<Self, T, M>(value, name, map)
    }

    #[doc(hidden)]
    fn __patch_read<'de, M: MapAccess<'de>>(
        value: &mut Option<Self::Op>,
        map: &mut M,
    ) -> Result<(), M::Error> {
        patch_read_op::<Self, T, M>(value, map)
    }
}

/// The operations that turn `old` into `new`.
pub(crate) fn differences<T, P: MergePolicy<T>>(old: &T, new: &T) -> Vec<P::Op> {
    let mut ops = Vec::new();
    P::diff(old, new, &mut |op| ops.push(op));
    ops
}

/// For policies whose values have no addressable parts: refuses a path that goes on.
pub(crate) fn whole(policy: &str, mut path: FieldPath<'_>) -> Result<(), UpdateError> {
    match path.next_segment() {
        Some(segment) => Err(UpdateError::no_parts(policy, &segment)),
        None => Ok(()),
    }
}
