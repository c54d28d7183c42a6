//! The processor time of connections, and how it is shared out when there is too little of it.
//!
//! A connection is charged for the time that its task is polled: for what it asks for, and for what it is sent. When all
//! connections together take more than [`SHARE`] of the processors, and tasks wait for a processor, those that take more
//! than an equal part are not read for a while. Addresses have equal parts, and the connections of an address have equal
//! parts of that. So whoever asks for little is served soon, whatever the others ask for, and an idle processor is never
//! withheld.

use std::cell::Cell;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// The part of all processors' time that is shared out among the connections while tasks wait, in percent.
const SHARE: u32 = 75;

/// What all connections together may take beyond that at once.
const BURST: Duration = Duration::from_millis(20);

/// What a connection may take beyond its part at once.
const OWN_BURST: Duration = Duration::from_millis(2);

/// Of what was taken beyond a share and a burst, no more than this is made good.
const MOST_EXCESS: Duration = Duration::from_millis(20);

/// Tasks wait for a processor if one that could go on does not within this time.
const LATE: Duration = Duration::from_millis(5);

/// The time is charged in parts that are at least this long.
const PART: Duration = Duration::from_millis(1);

/// The longest time for which a connection is not read.
const LONGEST_REST: Duration = Duration::from_secs(1);

thread_local! {
    /// When the task that is polled was last charged; `None`: no task that is charged is polled.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Polls a task that is charged. `uncharged` is the time of earlier polls for which it was not charged yet.
pub(super) fn counted<R>(uncharged: &mut Duration, poll: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    SINCE.set(Some(begun.checked_sub(*uncharged).unwrap_or(begun)));
    let polled = poll();
    *uncharged = SINCE.take().map_or(Duration::ZERO, |since| since.elapsed());
    polled
}

/// The time that the task which is polled has taken since it was last charged, if it is worth charging for: it is charged
/// now.
pub(super) fn charge() -> Option<Duration> {
    let now = Instant::now();
    let spent = now.saturating_duration_since(SINCE.get()?);
    (spent >= PART).then(|| {
        SINCE.set(Some(now));
        spent
    })
}

/// What is taken of a share: a [leaky bucket](https://en.wikipedia.org/wiki/Leaky_bucket) of time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// What was taken beyond the share.
    excess: Duration,
    /// What may be.
    burst: Duration,
    at: Instant,
}

impl Bucket {
    const fn new(burst: Duration, now: Instant) -> Self {
        Self { excess: Duration::ZERO, burst, at: now }
    }

    /// Counts `spent` against a share of this many processors.
    fn take(&mut self, spent: Duration, share: f64, now: Instant) {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * share;
        let gained = Duration::try_from_secs_f64(gained).unwrap_or(Duration::MAX);
        self.excess = (self.excess.saturating_sub(gained) + spent).min(self.burst + MOST_EXCESS);
        self.at = now;
    }

    fn is_over(&self) -> bool {
        self.excess > self.burst
    }

    /// How long nothing may be taken until what is over is made good at a share of this many processors.
    fn rest(&self, share: f64) -> Duration {
        let rest = self.excess.saturating_sub(self.burst).as_secs_f64() / share;
        Duration::try_from_secs_f64(rest).map_or(LONGEST_REST, |rest| rest.min(LONGEST_REST))
    }
}

/// The processor time that all connections take together.
#[derive(Debug)]
pub(super) struct AllTime {
    bucket: Bucket,
    /// What is shared out, in processors.
    share: f64,
}

impl AllTime {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        let share = processors as f64 * f64::from(SHARE) / 100.0;
        Self { bucket: Bucket::new(BURST, Instant::now()), share }
    }

    /// Counts what a connection has spent that is one of so many of its address, which is one of so many.
    pub(super) fn take(&mut self, spent: Duration, addresses: usize, connections: usize) -> Part {
        self.bucket.take(spent, self.share, Instant::now());
        Part {
            share: self.share / addresses.max(1) as f64 / connections.max(1) as f64,
            is_scarce: self.bucket.is_over(),
        }
    }
}

/// A connection's part of the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// How much, in processors.
    pub(super) share: f64,
    /// Whether all connections together take more than there is.
    pub(super) is_scarce: bool,
}

/// The processor time that a connection takes of its part.
#[derive(Debug)]
pub(super) struct OwnTime(Bucket);

impl OwnTime {
    pub(super) fn new() -> Self {
        Self(Bucket::new(OWN_BURST, Instant::now()))
    }

    /// Counts what was spent. Returns how long the connection is not to be read, if it took more than its part and
    /// others wait.
    pub(super) async fn take(&mut self, spent: Duration, part: Part) -> Option<Duration> {
        self.0.take(spent, part.share, Instant::now());
        (part.is_scarce && self.0.is_over() && is_short().await).then(|| self.0.rest(part.share))
    }
}

/// Whether tasks wait for a processor.
async fn is_short() -> bool {
    let asked = Instant::now();
    tokio::task::yield_now().await;
    asked.elapsed() >= LATE
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_is_taken_beyond_a_share_is_made_good_by_a_rest() {
        let start = Instant::now();
        let mut bucket = Bucket::new(20 * MS, start);
        bucket.take(20 * MS, 0.25, start);
        assert!(!bucket.is_over());
        bucket.take(10 * MS, 0.25, start);
        assert!(bucket.is_over());
        assert_eq!(bucket.rest(0.25), 40 * MS);
        bucket.take(MS, 0.25, start + 44 * MS);
        assert!(!bucket.is_over());
        // Whatever was taken, the rest is bounded.
        bucket.take(Duration::from_secs(1000), 0.25, start + 44 * MS);
        assert_eq!(bucket.rest(0.25), 80 * MS);
        assert_eq!(bucket.rest(0.0001), LONGEST_REST);
    }

    #[test]
    fn addresses_have_equal_parts_and_their_connections_equal_parts_of_those() {
        let mut all = AllTime { share: 1.5, ..AllTime::new() };
        assert_eq!(all.take(MS, 3, 5), Part { share: 0.1, is_scarce: false });
        assert_eq!(all.take(Duration::from_secs(1), 3, 1), Part { share: 0.5, is_scarce: true });
    }

    #[tokio::test]
    async fn nobody_rests_while_no_task_waits() {
        let part = Part { share: 0.001, is_scarce: true };
        assert_eq!(OwnTime::new().take(Duration::from_secs(1), part).await, None);
        let busy = tokio::spawn(async {
            loop {
                std::thread::sleep(LATE);
                tokio::task::yield_now().await;
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(OwnTime::new().take(Duration::from_secs(1), part).await, Some(LONGEST_REST));
        assert_eq!(OwnTime::new().take(MS, part).await, None, "it takes less than its part");
        busy.abort();
    }

    #[test]
    fn a_task_is_charged_once_for_its_polls() {
        assert!(charge().is_none(), "no task is polled");
        let mut uncharged = 3 * MS;
        counted(&mut uncharged, || {
            assert!(charge().unwrap() >= 3 * MS);
            assert!(charge().is_none());
        });
        assert!(uncharged < PART && charge().is_none());
    }
}
