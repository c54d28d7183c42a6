//! Writes to what is around a place: what holds it is changed, removed or moved to another list.

use fastrand::Rng;

use crate::core::json_text::JsonText;
use crate::core::{FieldPath, FieldPathBuf, SharedState, update_path};
use crate::testing::sample::{sample_transfer, sample_update};

/// How many updates are drawn for one near the place.
const TRIES: usize = 6;

/// The segments of the path that an update is addressed to.
pub(super) fn place_of<S: SharedState>(update: &S::Update) -> Vec<String> {
    let path = update_path::<S>(update);
    let mut path = FieldPath::new(path.as_str());
    std::iter::from_fn(|| path.next_segment().map(std::borrow::Cow::into_owned)).collect()
}

/// A random update of what is at a place, inside it, or around it.
pub(super) fn propose_around<S: SharedState>(
    rng: &mut Rng,
    state: &S,
    place: &[String],
) -> Option<S::Update> {
    match rng.u8(..5) {
        0 if place.len() > 1 => removal::<S>(&place[..2 + rng.usize(..place.len() - 1)]),
        1 => nearest::<S>(place, (0..TRIES).filter_map(|_| sample_transfer(rng, state))),
        _ => nearest::<S>(place, (0..TRIES).filter_map(|_| sample_update(rng, state))),
    }
}

/// The removal of the item or entry at a place.
fn removal<S: SharedState>(place: &[String]) -> Option<S::Update> {
    let mut path = FieldPathBuf::new();
    place.iter().for_each(|segment| path.push(segment));
    S::decode(FieldPath::new(path.as_str()), Some("delete"), JsonText("null")).ok()
}

/// The update whose path has the most in common with a place.
fn nearest<S: SharedState>(place: &[String], updates: impl Iterator<Item = S::Update>) -> Option<S::Update> {
    let common =
        |update: &S::Update| place_of::<S>(update).iter().filter(|segment| place.contains(segment)).count();
    updates.max_by_key(common)
}
