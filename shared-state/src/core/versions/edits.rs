//! The last edits of a text: the part of a [`Versions`](crate::core::Versions) that texts have.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::versions::is_zero;

/// The most edits that are remembered; beyond it the first is forgotten.
pub(crate) const MAX_EDITS: usize = 4_096;

/// The most bytes of remembered edits, as they are written.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// The last edits, as they are written, each with its version.
///
/// At most 4,096 edits and 64 KiB of them are remembered. Who was away for longer is sent the whole text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditLog {
    edits: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    /// Of what was edited up to this version, something may be forgotten.
    horizon: u64,
}

impl EditLog {
    /// Notes that an edit was made.
    pub fn push(&mut self, version: u64, edit: String) {
        self.bytes += edit.len();
        self.edits.push_back((version, edit.into()));
        while self.edits.len() > MAX_EDITS || self.bytes > MAX_BYTES {
            let Some((version, edit)) = self.edits.pop_front() else { return };
            self.bytes -= edit.len();
            self.horizon = version;
        }
    }

    /// Whether every edit after `since` is known.
    #[must_use]
    pub const fn reach(&self, since: u64) -> bool {
        since >= self.horizon
    }

    /// The edits after `since`, the oldest first.
    pub fn since(&self, since: u64) -> impl Iterator<Item = &str> {
        let from = self.edits.partition_point(|(version, _)| *version <= since);
        self.edits.range(from..).map(|(_, edit)| &**edit)
    }

    /// The last version that is noted here.
    pub(crate) fn changed(&self) -> u64 {
        self.edits.back().map_or(self.horizon, |(version, _)| *version)
    }

    pub(crate) fn stored(&self) -> StoredEditLog {
        let edits = self.edits.iter().map(|(version, edit)| (*version, (**edit).to_owned())).collect();
        StoredEditLog { h: self.horizon, e: edits }
    }

    pub(crate) fn restored(stored: StoredEditLog) -> Self {
        let mut edits = Self { horizon: stored.h, ..Self::default() };
        for (version, edit) in stored.e {
            edits.push(version, edit);
        }
        edits
    }
}

/// [`EditLog`] as they are stored.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredEditLog {
    #[serde(default, skip_serializing_if = "is_zero")]
    h: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    e: Vec<(u64, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_at_the_bounds_is_no_longer_in_reach() {
        let mut edits = EditLog::default();
        for version in 1..=MAX_EDITS as u64 {
            edits.push(version, "x".to_owned());
        }
        assert!(edits.reach(0));
        edits.push(9_000, "y".to_owned());
        assert!(!edits.reach(0) && edits.reach(1));
        assert_eq!(edits.since(4_095).collect::<Vec<_>>(), ["x", "y"]);
        edits.push(9_001, "z".repeat(MAX_BYTES));
        assert!(!edits.reach(8_999) && edits.reach(9_000));
        assert_eq!(edits.changed(), 9_001);
        assert_eq!(EditLog::restored(edits.stored()), edits);
    }
}
