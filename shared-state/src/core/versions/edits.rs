//! The log of a text's last edits, the part of [`Versions`](crate::core::Versions) that texts have.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::versions::is_zero;

/// The limit of remembered edits. Beyond it the oldest is forgotten.
pub(crate) const MAX_EDITS: usize = 4_096;

/// The limit of remembered edits in bytes, in their encoded form.
pub(crate) const MAX_BYTES: usize = 64 << 10;

/// The last edits of a text, in their encoded form, each with its version.
///
/// The log holds at most 4,096 edits and 64 KiB. A client that is further behind is sent the whole text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EditLog {
    edits: VecDeque<(u64, Arc<str>)>,
    bytes: usize,
    /// Edits up to this version may have been forgotten.
    horizon: u64,
}

impl EditLog {
    /// Appends an edit, and forgets the oldest ones beyond the limits.
    pub fn push(&mut self, version: u64, edit: String) {
        self.bytes += edit.len();
        self.edits.push_back((version, edit.into()));
        while self.edits.len() > MAX_EDITS || self.bytes > MAX_BYTES {
            let Some((version, edit)) = self.edits.pop_front() else { return };
            self.bytes -= edit.len();
            self.horizon = version;
        }
    }

    /// Whether every edit after the version `since` is still known.
    #[must_use]
    pub const fn reach(&self, since: u64) -> bool {
        since >= self.horizon
    }

    /// The edits after the version `since`, oldest first.
    pub fn since(&self, since: u64) -> impl Iterator<Item = &str> {
        let from = self.edits.partition_point(|(version, _)| *version <= since);
        self.edits.range(from..).map(|(_, edit)| &**edit)
    }

    /// The version of the last edit.
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

/// The stored form of an [`EditLog`].
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
