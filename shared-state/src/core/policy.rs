//! The trait [`MergePolicy`], which every merge policy implements, and [`Overlap`], how two operations on one
//! field relate.

use std::fmt::{Debug, DebugStruct};

use serde::de::MapAccess;
use serde::ser::SerializeMap;
use serde::{Deserializer, Serializer};

use crate::core::{
    Author, Backend, Field, FieldPath, FieldPathBuf, Invalid, OpVisitor, PolicyInfo, SharedState, Timing,
    UpdateError, Versions, Watch, patch_copy, patch_read_op, patch_show, patch_write_op,
};

/// The policy of a field without a policy attribute: the last writer wins. An operation is the new value, and
/// costs as much as the value.
#[derive(Clone, Copy, Debug)]
pub struct Lww;

/// How a pending operation relates to a remote operation that is applied beneath it.
///
/// The app sees the confirmed state with the pending operations on top. A remote operation changes the
/// confirmed state. The overlap tells the replica what to do with the value that the app sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// The remote operation is not visible: the pending operation gives the same value with it beneath as
    /// without it.
    Shadowed,
    /// The two operations give the same value in either order, so the replica applies the remote one on top.
    Commutes,
    /// Neither holds. The replica rebuilds the value from the confirmed state and the pending operations.
    Conflicts,
}

/// Which later writes of others keep an operation from being undone, because undoing it would take them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoGuard {
    /// Those that replaced the value. The operation is undone beneath what others did at the same time, as an
    /// addition to a counter is.
    Replaced,
    /// Those that put, replaced or removed the part that the operation put or removed. Writes inside the part
    /// do not count.
    Part,
    /// All writes to the part that the operation changed, or inside it.
    Anything,
}

/// How the operations on a field of type `T` combine.
///
/// A policy is a type without values that a field's attribute names. It defines the operations on the field
/// ([`Op`](Self::Op)), what each does to a value, how concurrent operations relate, and how an operation is
/// written on the wire. [`merge`](crate::merge) has the policies of this crate; `#[shared(merge = Policy)]`
/// gives a field one of your own.
///
/// # Where the methods are called
/// * When the app writes, its replica replaces the operation by the parts that [`decompose`](Self::decompose)
///   returns, if any, asks [`check_op`](Self::check_op), [applies](Self::apply) the operation to the state
///   that the app sees and asks [`check`](Self::check). The operation is then pending.
/// * Until a pending operation is sent, later ones may be folded into it by [`coalesce`](Self::coalesce).
///   [`timing`](Self::timing) decides when it is sent; [`address`](Self::address) and
///   [`encode`](Self::encode) write it.
/// * The server [decodes](Self::decode) the operation, asks `check_op`, replaces the operation by what
///   [`resolve`](Self::resolve) returns, if anything, applies it and asks `check`. If it accepts the change,
///   it [records](Self::record) the version and sends the operation to every replica in the room.
/// * Another replica applies the operation beneath its own pending ones. [`overlap`](Self::overlap) tells
///   what the app sees of it.
/// * A client that fell behind is sent the [`delta`](Self::delta) since its last version.
/// * When the app undoes a change, its replica asks [`undo_guard`](Self::undo_guard) and writes what
///   [`undo`](Self::undo) returns.
///
/// # What an implementation guarantees
/// * [`apply`](Self::apply) is deterministic and total: the same operation on the same value gives the same
///   value on every machine, and it never fails. Applying the operation that it returned restores the old
///   value exactly.
/// * [`set`](Self::set) replaces the value, whatever the value was.
/// * [`decode`](Self::decode) reads what [`address`](Self::address) and [`encode`](Self::encode) wrote.
///
/// # A policy of your own
/// The following policy is a register that keeps the greatest value offered: of several high scores the
/// highest stays, in whatever order they arrive. The methods that it does not implement have defaults that
/// are right for every value without parts.
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

    /// The policy's name, for metadata and messages.
    const NAME: &'static str;

    /// The description of the policy at run time.
    const INFO: PolicyInfo = PolicyInfo::new(Self::NAME);

    /// The value from which an operation on an absent map entry starts. With `None`, a write in an absent entry is
    /// refused as [`Gone`](crate::core::WriteError::Gone).
    fn start() -> Option<T> {
        None
    }

    /// The operation that replaces the whole value.
    fn set(value: T) -> Self::Op;

    /// The new value, if the operation is one that [`set`](Self::set) makes.
    ///
    /// # Errors
    /// Returns the operation itself if it is another one.
    fn into_set(op: Self::Op) -> Result<T, Self::Op>;

    /// Applies an operation and returns its inverse, the operation that restores the old value.
    fn apply(value: &mut T, op: Self::Op) -> Self::Op;

    /// Calls `each` with the operations that turn `old` into `new`: with none if the two are equal.
    fn diff(old: &T, new: &T, each: &mut dyn FnMut(Self::Op));

    /// How `pending` relates to `remote`, which is applied beneath it. [`Overlap::Conflicts`] is always
    /// correct, but makes the replica rebuild the value.
    fn overlap(pending: &Self::Op, remote: &Self::Op) -> Overlap;

    /// Folds `later` into `earlier` if one operation has the effect of both in sequence. Returns whether it
    /// did; if not, `earlier` must be unchanged.
    fn coalesce(earlier: &mut Self::Op, later: &Self::Op) -> bool {
        let _ = (earlier, later);
        false
    }

    /// The operation by which the author of `op` undoes it. `value` is what the author sees now, and
    /// `inverse` is what [`apply`](Self::apply) returned when `op` was applied. The operation keeps what
    /// others have done since; it is `None` if others have overwritten the effect of `op`.
    fn undo(value: &T, op: &Self::Op, inverse: &Self::Op) -> Option<Self::Op>;

    /// Which later writes of others keep `op` from being undone. The replica asks before
    /// [`undo`](Self::undo), which then need not know who wrote what.
    fn undo_guard(op: &Self::Op) -> UndoGuard {
        let _ = op;
        UndoGuard::Anything
    }

    /// Whether `op` changes `value`. A write that changes nothing is not sent, is no event and no step of the
    /// undo history.
    fn has_effect(value: &T, op: &Self::Op) -> bool {
        let Ok(new) = Self::into_set(op.clone()) else { return true };
        let mut differs = false;
        Self::diff(value, &new, &mut |_| differs = true);
        differs
    }

    /// The smaller operations that replace `op`, if `op` sets the value or a part of it as a whole: the
    /// difference between the new value and `value`, which the author sees. Concurrent operations on other
    /// parts are then kept. `None` if `op` is sent as it is.
    ///
    /// The author's replica asks, and the server does for the changes of a legacy client.
    fn decompose(value: &T, op: &Self::Op) -> Option<Vec<Self::Op>> {
        let _ = (value, op);
        None
    }

    /// The operation with its references resolved against the server's value: for example, a place in a list
    /// beside an item that was removed becomes a place beside one that exists. The server asks for every
    /// operation before it applies the operation, and stores and sends the result to everyone, the author
    /// included. `None` if the operation stays as it is.
    ///
    /// `versions` tells which versions changed which parts of the value.
    fn resolve(value: &T, versions: &Versions, op: &Self::Op) -> Option<Self::Op> {
        let _ = (value, versions, op);
        None
    }

    /// Checks what the operation itself requires of the value, before it is applied. The client asks before a
    /// write, the server before it applies a change.
    ///
    /// # Errors
    /// What is wrong with the operation.
    fn check_op(value: &T, op: &Self::Op) -> Result<(), Invalid> {
        let _ = (value, op);
        Ok(())
    }

    /// Checks that everything in the value can be addressed: each item of a list has a key of its own, and no key is too
    /// long. Policies ask this in [`check_op`](Self::check_op) for a value that an operation puts somewhere: what has no
    /// address could not be changed, not even by the rest of the same change.
    ///
    /// # Errors
    /// What has no address of its own.
    fn check_keys(value: &T) -> Result<(), Invalid> {
        let _ = value;
        Ok(())
    }

    /// Records in `versions` that an operation was applied at `version`. `touched` is the operation's
    /// inverse, as [`apply`](Self::apply) returned it.
    fn record(versions: &mut Versions, touched: &Self::Op, version: u64) {
        let _ = touched;
        versions.set_whole(version);
    }

    /// Calls `each` with the operations that bring a value of version `since` to this one. If `versions` does
    /// not reach back to `since`, that is one operation which sets the whole value.
    fn delta(value: &T, versions: &Versions, since: u64, each: &mut dyn FnMut(Self::Op));

    /// Checks the rules of the parts of the value that an operation changed, after it was applied. `touched`
    /// is the operation's inverse. Nested structs and their containers have such rules.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn check(value: &T, touched: &Self::Op) -> Result<(), Invalid> {
        let _ = (value, touched);
        Ok(())
    }

    /// Checks the rules of all parts of the value.
    ///
    /// # Errors
    /// The first rule that does not hold.
    fn validate(value: &T) -> Result<(), Invalid> {
        let _ = value;
        Ok(())
    }

    /// Checks the rule about the value as a whole (of a nested struct).
    ///
    /// # Errors
    /// The rule's error.
    fn check_rule(value: &T) -> Result<(), Invalid> {
        let _ = value;
        Ok(())
    }

    /// Checks the rule about changes (of nested structs): a change by `author` turned `before` into `after`.
    /// Only the server asks.
    ///
    /// # Errors
    /// The rule's error.
    fn check_change(before: &T, after: &T, author: &Author) -> Result<(), Invalid> {
        let _ = (before, after, author);
        Ok(())
    }

    /// When an operation is sent. `field` is the timing of the field's own attributes.
    fn timing(op: &Self::Op, field: Timing) -> Timing {
        let _ = op;
        field
    }

    /// Whether the operation changes a part that only the server may write.
    fn read_only(op: &Self::Op) -> bool {
        let _ = op;
        false
    }

    /// Whether values of this type have a part that only the server may write.
    fn has_read_only() -> bool {
        false
    }

    /// Appends the rest of the operation's path, below the field, and returns the operation's name. `None`
    /// stands for a plain set.
    fn address(op: &Self::Op, path: &mut FieldPathBuf) -> Option<&'static str>;

    /// Writes the operation's value, without its path and name.
    ///
    /// # Errors
    /// The serializer, or the value's `Serialize`, failed.
    fn encode<S: Serializer>(op: &Self::Op, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads an operation. `path` is the rest of the path below the field, `op` the operation's name and
    /// `value` its value, as [`address`](Self::address) and [`encode`](Self::encode) wrote them.
    ///
    /// # Errors
    /// The path names an unknown part, the operation is unknown, or the value has the wrong form.
    fn decode<'de, D: Deserializer<'de>>(
        path: FieldPath<'_>,
        op: Option<&str>,
        value: D,
    ) -> Result<Self::Op, UpdateError>;

    // The remaining methods are for generated code. They are methods of the trait and not functions beside
    // it, so that a trait which the field's type lacks is reported as one error, whichever of them the
    // compiler checks first.

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
        backend: &L,
        field: Field<S, T, Self>,
        look: impl FnOnce(&T) -> R,
    ) -> R {
        backend.read(|state| look(field.get(state)))
    }

    #[doc(hidden)]
    fn __write<S: SharedState, L: Backend<S>>(
        backend: &L,
        field: Field<S, T, Self>,
        value: T,
    ) -> Result<L::Receipt, L::Error> {
        backend.write(field.set(value))
    }

    #[doc(hidden)]
    fn __change<S: SharedState, L: Backend<S>>(
        backend: &L,
        field: Field<S, T, Self>,
        copy: fn(&T) -> T,
        change: impl FnOnce(&mut T),
    ) -> Result<L::Receipt, L::Error> {
        let mut value = Self::__with(backend, field, copy);
        change(&mut value);
        Self::__write(backend, field, value)
    }

    #[doc(hidden)]
    fn __watch<S: SharedState, L: Watch<S>>(
        backend: &L,
        field: Field<S, T, Self>,
        copy: fn(&T) -> T,
    ) -> L::Stream<T>
    where
        T: Send + 'static,
    {
        let mut last = None;
        backend.watch(field.id(), move |state| {
            let value = field.get(state);
            let mut new = last.is_none();
            if let Some(last) = &last {
                Self::diff(last, value, &mut |_| new = true);
            }
            new.then(|| copy(last.insert(copy(value))))
        })
    }

    // For fields whose operation is the new value.

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

/// The error of a path that continues below the value, for policies whose values have no addressable parts.
pub(crate) fn no_parts(policy: &str, mut path: FieldPath<'_>) -> UpdateError {
    UpdateError::no_parts(policy, &path.next_segment().unwrap_or_default())
}
