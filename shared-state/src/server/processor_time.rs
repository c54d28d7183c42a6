//! The processor time of connections, and how it is shared out when there is too little of it.
//!
//! A connection is charged for the processor time that its task takes when it is polled: for what it asks for, and for what it is sent. When all
//! connections together take more than [`SHARE`] of the processors, and tasks wait for a processor, those that take more
//! than an equal part are not read for a while. Addresses have equal parts, and the connections of an address have equal
//! parts of that. So whoever asks for little is served soon, whatever the others ask for, and an idle processor is never
//! withheld.

use std::cell::Cell;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

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

/// The time is charged in parts that are at least this long. After each the other tasks have their turn.
const PART: Duration = Duration::from_micros(250);

/// The longest time for which a connection is not read.
const LONGEST_REST: Duration = Duration::from_secs(1);

thread_local! {
    /// When the task that is polled was last charged; `None`: no task that is charged is polled.
    static SINCE: Cell<Option<Instant>> = const { Cell::new(None) };

    static POLLS: Cell<Polls> = const { Cell::new(Polls::NONE) };
}

/// The polls of a thread. Where other programs want the processor, too, a poll takes longer than it has had a processor. To
/// ask the system how long it had one costs more than a short poll, so it is asked once for many.
#[derive(Clone, Copy)]
struct Polls {
    /// When the poll began that has not ended.
    begun: Option<Instant>,
    /// How long those before it have taken since the system was asked.
    ended: Duration,
    /// The thread's processor time when it was asked.
    processor: Option<Duration>,
}

impl Polls {
    const NONE: Self = Self { begun: None, ended: Duration::ZERO, processor: None };

    /// The part of the time since the system was asked for which the polls had a processor. `processor` is the thread's
    /// processor time now, if the system tells it.
    fn share(&mut self, processor: Option<Duration>, now: Instant) -> f64 {
        let running = self.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
        let taken = std::mem::take(&mut self.ended) + running;
        let had = processor.zip(self.processor).map(|(now, before)| now.saturating_sub(before));
        (self.begun, self.processor) = (self.begun.map(|_| now), processor);
        // What the thread has done beside the polls is counted as theirs.
        had.map_or(1.0, |had| (had.as_secs_f64() / taken.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0))
    }
}

/// Polls a task that is charged. `uncharged` is the time of earlier polls for which it was not charged yet.
pub(super) fn counted<R>(uncharged: &mut Duration, poll: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    SINCE.set(Some(begun.checked_sub(*uncharged).unwrap_or(begun)));
    POLLS.set(Polls { begun: Some(begun), ..POLLS.get() });
    let polled = poll();
    let now = Instant::now();
    *uncharged = SINCE.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
    let polls = POLLS.get();
    let last = polls.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
    POLLS.set(Polls { begun: None, ended: polls.ended + last, ..polls });
    polled
}

/// The processor time that the task which is polled has taken since it was last charged, if it is worth charging for: it is
/// charged now.
pub(super) fn charge() -> Option<Duration> {
    let now = Instant::now();
    let spent = now.saturating_duration_since(SINCE.get()?);
    (spent >= PART).then(|| {
        SINCE.set(Some(now));
        let mut polls = POLLS.get();
        let processor = ThreadTime::try_now().ok().map(|time| time.as_duration());
        let share = polls.share(processor, now);
        POLLS.set(polls);
        spent.mul_f64(share)
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

    /// Counts what was spent. Returns how long the connection is not to be read, if it took more than its part while others
    /// wait.
    pub(super) fn take(&mut self, spent: Duration, part: Part, others_wait: bool) -> Option<Duration> {
        self.0.take(spent, part.share, Instant::now());
        (part.is_scarce && others_wait && self.0.is_over()).then(|| self.0.rest(part.share))
    }
}

/// Lets the other tasks have their turn. Returns whether they wait for a processor.
pub(super) async fn take_turns() -> bool {
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
        assert_eq!(OwnTime::new().take(Duration::from_secs(1), part, take_turns().await), None);
        let busy = tokio::spawn(async {
            loop {
                std::thread::sleep(LATE);
                tokio::task::yield_now().await;
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(OwnTime::new().take(Duration::from_secs(1), part, take_turns().await), Some(LONGEST_REST));
        assert_eq!(OwnTime::new().take(MS, part, true), None, "it takes less than its part");
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

    #[test]
    fn a_task_is_charged_for_the_time_that_it_had_a_processor() {
        let start = Instant::now();
        let mut polls = Polls { begun: Some(start), ended: 6 * MS, ..Polls::NONE };
        assert_eq!(polls.share(Some(10 * MS), start + 2 * MS), 1.0, "it is not known");
        // In the next eight milliseconds of polls, the thread had a processor for two.
        polls.ended = 3 * MS;
        assert_eq!(polls.share(Some(12 * MS), start + 7 * MS), 0.25);
        polls.ended = MS;
        assert_eq!(polls.share(Some(40 * MS), start + 7 * MS), 1.0, "it has done other things, too");
    }
}
