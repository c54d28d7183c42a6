//! When a client sends the updates of a field.

use std::time::Duration;

/// When a client sends the updates of a field. The app sees its own write at once in any case: the timing
/// only delays what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// At once.
    Immediate,
    /// When there was no write for `wait`, and at the latest `max_wait` after the first unsent write.
    Debounce {
        /// The pause that ends a burst of writes.
        wait: Duration,
        /// The longest time for which a write is delayed.
        max_wait: Duration,
    },
    /// The first write at once, then the latest one after each `every`.
    Throttle {
        /// The shortest time between two sends.
        every: Duration,
    },
}

impl Timing {
    /// [`Immediate`](Self::Immediate), as a constant.
    pub const IMMEDIATE: Self = Self::Immediate;

    /// Debounces for `wait` milliseconds, and delays a write for at most `max_wait` milliseconds.
    #[must_use]
    pub const fn debounce(wait: u64, max_wait: u64) -> Self {
        Self::Debounce { wait: Duration::from_millis(wait), max_wait: Duration::from_millis(max_wait) }
    }

    /// Throttles to one send in `every` milliseconds.
    #[must_use]
    pub const fn throttle(every: u64) -> Self {
        Self::Throttle { every: Duration::from_millis(every) }
    }
}
