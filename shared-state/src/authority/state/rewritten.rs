//! The updates of a change in the form in which they were applied, if that is not as they came.

use serde_json::value::RawValue;

use crate::core::WireUpdate;

/// Nothing is written before the first update that differs; from then on, all of them are.
pub(super) struct Rewritten<'a> {
    came: &'a [WireUpdate<'a>],
    applied: Option<Vec<String>>,
}

impl<'a> Rewritten<'a> {
    pub(super) const fn new(came: &'a [WireUpdate<'a>]) -> Self {
        Self { came, applied: None }
    }

    /// The update at `at` is not applied as it came: those before it were.
    pub(super) fn differs(&mut self, at: usize) {
        // What was read as JSON is written as JSON.
        self.applied.get_or_insert_with(|| self.came[..at].iter().flat_map(serde_json::to_string).collect());
    }

    /// Whether an update has differed.
    pub(super) const fn has_differed(&self) -> bool {
        self.applied.is_some()
    }

    /// An update was applied that is this JSON.
    pub(super) fn push(&mut self, json: String) {
        self.applied.get_or_insert_default().push(json);
    }

    /// The update at `at` was applied, with `value` in the place of its own if there is one.
    pub(super) fn take(&mut self, at: usize, value: Option<&RawValue>) {
        if value.is_some() {
            self.differs(at);
        }
        if let Some(applied) = &mut self.applied {
            let update = self.came[at].clone();
            let value = value.unwrap_or(update.value);
            applied.extend(serde_json::to_string(&WireUpdate { value, ..update }));
        }
    }

    /// All of them as a JSON array, if one differs.
    pub(super) fn into_json(self) -> Option<String> {
        self.applied.map(|updates| format!("[{}]", updates.join(",")))
    }
}
