//! Whole values of fields as JSON, as legacy clients are sent them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use crate::authority::change::{self, Change, Update};
use crate::authority::order::Head;
use crate::authority::state::RoomState;

/// The field's value in the state, as JSON.
pub(super) fn written(state: &dyn RoomState, field: &str) -> String {
    let mut text = String::new();
    state.write_field(field, &mut text);
    text
}

/// Whether every field that a change sets as a whole has the written value in the state after the change.
pub(super) fn reads_verbatim(state: &dyn RoomState, change: &Change) -> bool {
    !state.is_complete()
        || change::last_of_each(change.updates())
            .iter()
            .all(|(field, last)| reads_field_verbatim(state, field, *last))
}

/// Whether a field has the value in the state that its last update wrote, if that is a set of the whole field.
pub(super) fn reads_field_verbatim(state: &dyn RoomState, field: &str, last: Update<'_>) -> bool {
    // After any other operation, the client is sent the state's value in any case.
    !last.is_whole_set() || same_json(last.value, &written(state, field))
}

/// The values of the fields that changed since a version of the room, and of the given `fields`.
pub(super) fn values_since(
    head: &Head<'_>,
    since: u64,
    mut fields: BTreeSet<Arc<str>>,
) -> Vec<(String, Arc<str>)> {
    if since < head.version {
        let mut delta = String::new();
        head.state.write_delta(since, &mut delta);
        fields.extend(change::fields(Change::written(delta).updates()));
    }
    fields.into_iter().map(|field| (written(head.state, &field), field)).collect()
}

/// Whether two JSON texts are equal for a program whose numbers are all `f64`, as in JavaScript.
fn same_json(one: &str, other: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text).ok();
    one == other || parse(one).zip(parse(other)).is_some_and(|(one, other)| same(&one, &other))
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}
