//! Limits of what happens in a time: a number of events, such as wrong passwords of an address or relayed messages of a
//! connection, and a number of bytes.

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

/// A [leaky bucket](https://en.wikipedia.org/wiki/Leaky_bucket) of bytes.
#[derive(Clone, Debug)]
pub(super) struct ByteRate {
    per_second: f64,
    /// How many may come at once.
    burst: f64,
    /// How many have come that the rate has not made good.
    bytes: f64,
    at: Instant,
}

impl ByteRate {
    /// `per_second` bytes, and ten times that at once.
    pub(super) fn new(per_second: usize, now: Instant) -> Self {
        let per_second = per_second.max(1) as f64;
        Self { per_second, burst: per_second * 10.0, bytes: 0.0, at: now }
    }

    /// Counts bytes that have come. Returns how long no more may come.
    pub(super) fn add(&mut self, bytes: usize, now: Instant) -> Duration {
        self.leak(now);
        self.bytes += bytes as f64;
        let rest = (self.bytes - self.burst).max(0.0) / self.per_second;
        Duration::try_from_secs_f64(rest).unwrap_or(Duration::MAX)
    }

    /// Whether it is as if none had come.
    pub(super) fn is_empty(&mut self, now: Instant) -> bool {
        self.leak(now);
        self.bytes == 0.0
    }

    fn leak(&mut self, now: Instant) {
        let gone = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.bytes = (self.bytes - gone).max(0.0);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_burst_and_then_a_rate() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut rate = ByteRate::new(1_000, start);
        assert_eq!(rate.add(10_000, start), Duration::ZERO);
        assert_eq!(rate.add(500, start), Duration::from_millis(500));
        assert_eq!(rate.add(0, after(400)), Duration::from_millis(100));
        assert_eq!(rate.add(0, after(500)), Duration::ZERO);
        assert!(!rate.is_empty(after(10_499)) && rate.is_empty(after(10_500)));
        assert_eq!(rate.add(10_000, after(60_000)), Duration::ZERO);
    }

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
