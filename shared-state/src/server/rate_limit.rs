//! How often something may be done: so many times at once, and then at a rate.

use std::time::{Duration, Instant};

/// What is left of a budget that fills up again.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    most: u32,
    /// How long one more takes to come.
    every: Duration,
    left: u32,
    /// Since when the next one is on its way.
    since: Instant,
}

impl TokenBucket {
    /// `most` times at once, and once more each `every`.
    pub(super) fn new(most: u32, every: Duration) -> Self {
        Self { most, every, left: most, since: Instant::now() }
    }

    /// Does it once more, if it may be done.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        let come = match self.every.is_zero() {
            true => u128::from(self.most),
            false => passed.as_nanos() / self.every.as_nanos(),
        };
        let come = u32::try_from(come).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(come).min(self.most);
        // A full one fills no further, and a part of the time is not lost.
        self.since = match self.left == self.most {
            true => now,
            false => self.since + self.every * come,
        };
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }

    /// It was not done after all.
    pub(super) fn give_back(&mut self) {
        self.left = self.left.saturating_add(1).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_may_be_done_so_often_at_once_and_then_at_a_rate() {
        let (every, start) = (Duration::from_secs(2), Instant::now());
        let mut bucket = TokenBucket { most: 3, every, left: 3, since: start };
        let mut taken = |after: u64| bucket.take(start + Duration::from_millis(after));
        assert!(taken(0) && taken(0) && taken(10) && !taken(10));
        assert!(!taken(1999) && taken(2020) && !taken(2030));
        // The time that was left over counts.
        assert!(taken(4015) && !taken(4020));
        assert!(taken(100_000) && taken(100_000) && taken(100_000) && !taken(100_000));
        bucket.give_back();
        assert!(bucket.take(start + Duration::from_secs(100)));
    }
}
