//! When a snapshot is due.

/// How much log there is since the last snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SnapshotPolicy {
    entries: u64,
    bytes: usize,
    snapshot: usize,
}

impl SnapshotPolicy {
    /// There is an entry of so many bytes more.
    pub(super) fn note(&mut self, bytes: usize) {
        self.entries += 1;
        self.bytes += bytes;
    }

    /// There is a snapshot of so many bytes, and no entry after it.
    pub(super) fn restart(&mut self, snapshot: usize) {
        *self = Self { entries: 0, bytes: 0, snapshot };
    }

    /// Whether there are entries since the last snapshot.
    pub(super) const fn has_entries(&self) -> bool {
        self.entries > 0
    }

    /// Whether reading the log would cost well over reading a snapshot.
    pub(super) const fn is_due(&self) -> bool {
        self.entries >= 64 && (self.bytes >= 2 * self.snapshot + (64 << 10) || self.entries >= 10_000)
    }
}
