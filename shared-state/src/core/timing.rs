//! When a client sends a field's write.

use std::time::Duration;

/// When a client sends the writes of a field. The app always sees its own write at once; timing only delays
/// the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// As soon as the connection takes it.
    Immediate,
    /// Once no write has come for `wait`, and at the latest `max_wait` after the first unsent one.
    Debounce {
        /// The silence that ends a burst of writes.
        wait: Duration,
        /// The longest a write is kept back.
        max_wait: Duration,
    },
    /// The first write at once, then the latest one every `every`.
    Throttle {
        /// The shortest time between two sends.
        every: Duration,
    },
}

impl Timing {
    /// As soon as the connection takes it.
    pub const IMMEDIATE: Self = Self::Immediate;

    /// Debounced by `wait` milliseconds, kept back `max_wait` milliseconds at most.
    #[must_use]
    pub const fn debounce(wait: u64, max_wait: u64) -> Self {
        Self::Debounce { wait: Duration::from_millis(wait), max_wait: Duration::from_millis(max_wait) }
    }

    /// Throttled to one send in `every` milliseconds.
    #[must_use]
    pub const fn throttle(every: u64) -> Self {
        Self::Throttle { every: Duration::from_millis(every) }
    }
}
