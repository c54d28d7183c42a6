//! The default behaviour of [`SharedState`](crate::core::SharedState)'s methods, for structs and fields that
//! need nothing special, and small functions of generated code that would otherwise be compiled anew for
//! every field.

use regex_lite::Regex;

use crate::core::{FieldId, Overlap, SharedState, Versions};

/// Compiles a rule's pattern, which the derive has checked already.
///
/// # Panics
/// If the pattern does not compile.
#[must_use]
pub fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the derive refuses a pattern that does not compile")
}

/// Puts a value into a patch. The old value is dropped here, so that the code that drops it is not repeated
/// at every call.
pub fn put<T>(slot: &mut Option<T>, value: T) {
    *slot = Some(value);
}

/// Takes a field's value out of a patch, if there is one, and pushes the update that sets it. The patch is
/// emptied through references rather than moved out of field by field: a partial move would make the compiler
/// track for each field whether it is still there.
pub fn push<T, U>(out: &mut Vec<U>, slot: &mut Option<T>, make: fn(T) -> U) {
    if let Some(value) = slot.take() {
        out.push(make(value));
    }
}

/// Whether two updates change the same field.
pub fn same_field<S: SharedState>(a: &S::Update, b: &S::Update) -> bool {
    S::field(a) == S::field(b)
}

/// Sets a field to the value it has in `from`.
pub fn set_from<S: SharedState>(state: &mut S, from: &S, field: FieldId) {
    state.apply(from.current(field));
}

/// The [`Overlap`] of two sets: sets of one field shadow each other, sets of different fields commute.
pub fn overlap_of_sets<S: SharedState>(pending: &S::Update, remote: &S::Update) -> Overlap {
    if same_field::<S>(pending, remote) { Overlap::Shadowed } else { Overlap::Commutes }
}

/// The update that undoes a set, if nobody has set the field to another value since.
pub fn undo_set<S: SharedState>(state: &S, update: &S::Update, inverse: &S::Update) -> Option<S::Update> {
    let still = same_field::<S>(update, inverse) && state.current(S::field(update)) == *update;
    still.then(|| inverse.clone())
}

/// Whether an update sets a field to another value than it has.
pub fn differs<S: SharedState>(state: &S, update: &S::Update) -> bool {
    state.current(S::field(update)) != *update
}

/// Replaces an earlier update by a later one if both set the same field. Returns whether it did.
pub fn supersede<S: SharedState>(earlier: &mut S::Update, later: &S::Update) -> bool {
    let same = same_field::<S>(earlier, later);
    if same {
        earlier.clone_from(later);
    }
    same
}

/// Calls `visit` with each field that changed after `since`, and with the field's own versions.
pub fn delta(versions: &Versions, since: u64, mut visit: impl FnMut(FieldId, &Versions)) {
    for field in 0.. {
        match versions.part(field) {
            Some(part) if part.changed() > since => visit(field, part),
            Some(_) => {}
            None => break,
        }
    }
}

/// Panics because a field index is not one of the struct's.
pub fn no_field(state: &str, field: usize) -> ! {
    panic!("`{state}` has no field of index {field}: an index is valid for the struct it came from only")
}
