//! Decides when a snapshot is due.

/// The size of the log since the last snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SnapshotPolicy {
    entries: u64,
    bytes: usize,
    /// The size of the last snapshot, in bytes.
    snapshot: usize,
}

impl SnapshotPolicy {
    /// Counts an entry of this many bytes.
    pub(super) fn note(&mut self, bytes: usize) {
        self.entries += 1;
        self.bytes += bytes;
    }

    /// Restarts the count after a snapshot of this many bytes.
    pub(super) fn restart(&mut self, snapshot: usize) {
        *self = Self { entries: 0, bytes: 0, snapshot };
    }

    /// Whether there are entries since the last snapshot.
    pub(super) const fn has_entries(&self) -> bool {
        self.entries > 0
    }

    /// Whether a snapshot is due: from 64 entries on, if the log is larger than twice the snapshot plus 64 KiB or has
    /// at least 10,000 entries.
    pub(super) const fn is_due(&self) -> bool {
        self.entries >= 64 && (self.bytes >= 2 * self.snapshot + (64 << 10) || self.entries >= 10_000)
    }
}
