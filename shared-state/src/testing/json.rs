//! States as JSON, in the form that the model and the sampler compare.

use crate::authority::{RoomState as _, Typed};
use crate::core::SharedState;

/// The state with everything that the model needs, such as the history of texts.
pub(super) fn json<S: SharedState>(state: &S) -> serde_json::Value {
    written(state, Typed::write_data)
}

/// The state as serde shows it to a reader.
pub(super) fn plain<S: SharedState>(state: &S) -> serde_json::Value {
    written(state, Typed::write_plain)
}

fn written<S: SharedState>(state: &S, write: impl FnOnce(&Typed<S>, &mut String)) -> serde_json::Value {
    let mut text = String::new();
    write(&Typed::new(state.clone()), &mut text);
    let mut state = serde_json::from_str(&text).unwrap_or_default();
    crate::testing::model::normalize_fields(&mut state, S::FIELDS);
    state
}
