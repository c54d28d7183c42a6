//! The limits and options of a replica.

use std::time::Duration;

/// The limits and options of a [`Replica`](super::Replica).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// The most changes that may wait for an answer, sent or not. Default 10,000.
    pub max_changes: usize,
    /// The most bytes of queued changes. Delayed writes are not counted. Default 8 MiB.
    pub max_bytes: usize,
    /// The most events stored for an app that does not take them. Default 4,096.
    pub max_events: usize,
    /// The most updates that can be undone, and the most that can be redone. Default 1,000.
    pub max_undo: usize,
    /// The most bytes of the newest step that can be undone, for a step of more than `max_undo` updates, as
    /// `clear()` of a long list makes it. A larger one cannot be undone. Default 8 MiB.
    pub max_undo_bytes: usize,
    /// A write that comes sooner than this after the one before is undone together with it. Default 500 ms.
    pub undo_pause: Duration,
    /// The client id under which this replica edits texts: random, from 16 to 2^53 - 1, used by no other
    /// replica. With 0, the default, edits are sent as positions, which refer to the text as it is when the
    /// server applies them.
    pub writer: u64,
    /// Whether the room may send [compact](crate::proto::compact) frames. Default true.
    pub compact_frames: bool,
    /// Whether to ask the room for its [details](crate::proto::RoomDetails). Default false.
    pub info: bool,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            max_changes: 10_000,
            max_bytes: 8 << 20,
            max_events: 4096,
            max_undo: 1000,
            max_undo_bytes: 8 << 20,
            undo_pause: Duration::from_millis(500),
            writer: 0,
            compact_frames: true,
            info: false,
        }
    }
}
