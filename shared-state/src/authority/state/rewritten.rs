//! Collects the applied updates of a change, if they differ from the updates that were received.

use serde_json::value::RawValue;

use crate::core::WireUpdate;

/// Encodes nothing before the first update that differs; from then on, every update.
pub(super) struct Rewritten<'a> {
    received: &'a [WireUpdate<'a>],
    applied: Option<Vec<String>>,
}

impl<'a> Rewritten<'a> {
    pub(super) const fn new(received: &'a [WireUpdate<'a>]) -> Self {
        Self { received, applied: None }
    }

    /// The update at index `at` is applied in another form than it was received. Those before it were applied as
    /// received.
    pub(super) fn differs(&mut self, at: usize) {
        // What was read as JSON is written as JSON.
        self.applied
            .get_or_insert_with(|| self.received[..at].iter().flat_map(serde_json::to_string).collect());
    }

    /// Whether an update differed.
    pub(super) const fn has_differed(&self) -> bool {
        self.applied.is_some()
    }

    /// Adds an applied update as JSON.
    pub(super) fn push(&mut self, json: String) {
        self.applied.get_or_insert_default().push(json);
    }

    /// Adds the update at index `at`, which was applied with `value` in place of its own value if there is one.
    pub(super) fn take(&mut self, at: usize, value: Option<&RawValue>) {
        if value.is_some() {
            self.differs(at);
        }
        if let Some(applied) = &mut self.applied {
            let update = self.received[at].clone();
            let value = value.unwrap_or(update.value);
            applied.extend(serde_json::to_string(&WireUpdate { value, ..update }));
        }
    }

    /// The applied updates as a JSON array; `None` if all were applied as received.
    pub(super) fn into_json(self) -> Option<String> {
        self.applied.map(|updates| format!("[{}]", updates.join(",")))
    }
}
