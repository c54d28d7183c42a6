//! A token bucket: limits the wrong passwords of an address, and the relayed messages of a connection.

use std::time::{Duration, Instant};

/// A [token bucket](https://en.wikipedia.org/wiki/Token_bucket): holds at most `capacity` tokens and gains one per
/// `interval`.
#[derive(Clone, Debug)]
pub(super) struct TokenBucket {
    capacity: u32,
    /// The time in which one token is added.
    interval: Duration,
    tokens: u32,
    /// When the token that is being added was begun.
    since: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub(super) fn new(capacity: u32, interval: Duration) -> Self {
        Self { capacity, interval, tokens: capacity, since: Instant::now() }
    }

    /// Takes a token; `false` if there is none.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let taken = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        taken
    }

    /// Whether no token is missing.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens == self.capacity
    }

    /// The tokens at the time of the last call that was given the time.
    pub(super) const fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Adds the tokens that were gained until now.
    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        let added = match self.interval.is_zero() {
            true => u128::from(self.capacity),
            false => elapsed.as_nanos() / self.interval.as_nanos(),
        };
        let added = u32::try_from(added).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(added).min(self.capacity);
        // A full bucket gains nothing. Otherwise the fraction of an interval that has elapsed is carried over.
        self.since = match self.tokens == self.capacity {
            true => now,
            false => self.since + self.interval * added,
        };
    }

    /// Returns a token that was taken.
    pub(super) fn give_back(&mut self) {
        self.tokens = self.tokens.saturating_add(1).min(self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_a_burst_and_then_a_rate() {
        let (interval, start) = (Duration::from_secs(2), Instant::now());
        let mut bucket = TokenBucket { capacity: 3, interval, tokens: 3, since: start };
        let mut taken = |after: u64| bucket.take(start + Duration::from_millis(after));
        assert!(taken(0) && taken(0) && taken(10) && !taken(10));
        assert!(!taken(1999) && taken(2020) && !taken(2030));
        // The part of an interval that was left over counts.
        assert!(taken(4015) && !taken(4020));
        assert!(taken(100_000) && taken(100_000) && taken(100_000) && !taken(100_000));
        bucket.give_back();
        assert!(bucket.take(start + Duration::from_secs(100)));
    }
}
