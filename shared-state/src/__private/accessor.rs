//! What the accessors of a field that is set as a whole do, each in one call: every argument that generated code does not
//! spell is one that the compiler need not resolve for each field.

use crate::merge::MergePolicy;
use crate::state::{Field, Live, SharedState, Watch};

/// A copy of the field's value.
pub fn get<S: SharedState, T, P: MergePolicy<T, Op = T>, L: Live<S>>(live: &L, field: Field<S, T, P>) -> T {
    P::__with(live, field, P::__copy)
}

/// What `look` makes of the field's value.
pub fn look<S: SharedState, T, P: MergePolicy<T, Op = T>, L: Live<S>, R>(
    live: &L,
    field: Field<S, T, P>,
    look: impl FnOnce(&T) -> R,
) -> R {
    P::__with(live, field, look)
}

/// Changes a copy of the field's value and sets it.
///
/// # Errors
/// What the backend reports of the write.
pub fn change<S: SharedState, T, P: MergePolicy<T, Op = T>, L: Live<S>>(
    live: &L,
    field: Field<S, T, P>,
    change: impl FnOnce(&mut T),
) -> Result<L::Receipt, L::Error> {
    P::__change(live, field, P::__copy, change)
}

/// The field's values: the one it has now, and each new one.
pub fn watch<S: SharedState, T, P, L: Watch<S>>(live: &L, field: Field<S, T, P>) -> L::Stream<T>
where
    T: Send + 'static,
    P: MergePolicy<T, Op = T> + 'static,
{
    P::__watch(live, field, P::__copy)
}
