//! What the methods of [`SharedState`](crate::core::SharedState) do where nothing is special about a struct, and small
//! parts of generated code that would otherwise be compiled again for every field.

use regex_lite::Regex;

use crate::core::{FieldId, Overlap, SharedState, Versions};

/// A rule's pattern, which the derive has compiled before.
#[must_use]
pub fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the derive refuses a pattern that does not compile")
}

/// Puts a value into a patch. The old one is dropped here and not in every caller.
pub fn put<T>(slot: &mut Option<T>, value: T) {
    *slot = Some(value);
}

/// Adds the update for a field that a patch has, and takes the value out of it. A patch that is moved out of field by
/// field would cost the compiler a mark for each, whether it is still there.
pub fn push<T, U>(out: &mut Vec<U>, slot: &mut Option<T>, make: fn(T) -> U) {
    if let Some(value) = slot.take() {
        out.push(make(value));
    }
}

/// Whether two updates change the same field.
pub fn same_field<S: SharedState>(a: &S::Update, b: &S::Update) -> bool {
    S::field(a) == S::field(b)
}

/// Sets a field to what it is in `from`.
pub fn set_from<S: SharedState>(state: &mut S, from: &S, field: FieldId) {
    state.apply(from.current(field));
}

/// What a set of one field means for a set of another, or of the same.
pub fn overlap_of_sets<S: SharedState>(pending: &S::Update, remote: &S::Update) -> Overlap {
    if same_field::<S>(pending, remote) { Overlap::Shadowed } else { Overlap::Commutes }
}

/// What takes a set back, if nobody has set the field since.
pub fn undo_set<S: SharedState>(state: &S, update: &S::Update, inverse: &S::Update) -> Option<S::Update> {
    let still = same_field::<S>(update, inverse) && state.current(S::field(update)) == *update;
    still.then(|| inverse.clone())
}

/// Puts a later update in the place of an earlier one, if they set the same field; says whether it did.
pub fn supersede<S: SharedState>(earlier: &mut S::Update, later: &S::Update) -> bool {
    let same = same_field::<S>(earlier, later);
    if same {
        earlier.clone_from(later);
    }
    same
}

/// Visits the parts of `versions` that changed after `since`.
pub fn delta(versions: &Versions, since: u64, mut visit: impl FnMut(FieldId, &Versions)) {
    for field in 0.. {
        match versions.part(field) {
            Some(part) if part.changed() > since => visit(field, part),
            Some(_) => {}
            None => break,
        }
    }
}

/// A field index that the struct does not have.
pub fn no_field(state: &str, field: usize) -> ! {
    panic!("`{state}` has no field of index {field}: an index is valid for the struct it came from only")
}
