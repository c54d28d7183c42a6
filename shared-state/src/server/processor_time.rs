//! The processor time of connections, and how it is shared out when there is too little of it.
//!
//! A connection is charged for the processor time that its task takes when it is polled: for what it asks for, and for what
//! it is sent. When all connections together take more than [`SHARE`] of the processors, and tasks wait for a processor,
//! those that take most are not read for a while: each may take so many times an equal part of the time, and that number
//! falls while tasks wait, down to one, and rises while they do not ([additive increase, multiplicative decrease][aimd] with
//! both multiplicative, as the number spans orders of magnitude). Addresses have equal parts, and the connections of an
//! address have equal parts of that. So whoever asks for little is served soon, whatever the others ask for, and an idle
//! processor is never withheld.
//!
//! [aimd]: https://en.wikipedia.org/wiki/Additive_increase/multiplicative_decrease

use std::cell::Cell;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use cpu_time::ThreadTime;

/// The part of all processors' time that is shared out in equal parts, in percent.
const SHARE: u32 = 75;

/// What all connections together may take beyond that at once.
const BURST: Duration = Duration::from_millis(20);

/// What a connection may take beyond its part at once.
const OWN_BURST: Duration = Duration::from_millis(2);

/// Of what was taken beyond a share and a burst, no more than this is made good.
const MOST_EXCESS: Duration = Duration::from_millis(20);

/// Tasks wait for a processor if one that could go on does not within this time.
const LATE: Duration = Duration::from_millis(1);

/// How often the number of equal parts that a connection may take is adjusted, and by which factors: while tasks wait, and
/// while they do not.
const ADJUST: (Duration, f64, f64) = (Duration::from_millis(2), 0.5, 1.1);

/// The most equal parts that a connection may take.
const MOST_PARTS: f64 = 10_000.0;

/// How much a poll counts in the moving average of the part of the time for which polls have a processor.
const WEIGHT: f64 = 0.02;

/// The time is charged in parts that are at least this long. After each the other tasks have their turn.
const PART: Duration = Duration::from_micros(100);

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

/// What a task has taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spent {
    /// How long it was polled.
    polled: Duration,
    /// The part of that for which it had a processor.
    had: f64,
}

/// What the task that is polled has taken since it was last charged, if it is worth charging for: it is charged now.
pub(super) fn charge() -> Option<Spent> {
    let now = Instant::now();
    let polled = now.saturating_duration_since(SINCE.get()?);
    (polled >= PART).then(|| {
        SINCE.set(Some(now));
        let mut polls = POLLS.get();
        let processor = ThreadTime::try_now().ok().map(|time| time.as_duration());
        let had = polls.share(processor, now);
        POLLS.set(polls);
        Spent { polled, had }
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

/// The time that all connections take together.
#[derive(Debug)]
pub(super) struct AllTime {
    /// The time for which they are polled.
    polled: Bucket,
    processors: f64,
    /// The part of that for which they have a processor.
    had: f64,
    /// How many equal parts a connection may take.
    parts: f64,
    /// When that was adjusted, and whether tasks have waited since.
    adjusted: Instant,
    others_waited: bool,
}

impl AllTime {
    pub(super) fn new() -> Self {
        let (processors, now) = (available_parallelism().map_or(1, NonZero::get), Instant::now());
        Self {
            polled: Bucket::new(BURST, now),
            processors: processors as f64,
            had: 1.0,
            parts: MOST_PARTS,
            adjusted: now,
            others_waited: false,
        }
    }

    /// Counts what a connection has spent that is one of so many of its address, which is one of so many. Returns the
    /// processor time, and what the connection may take.
    pub(super) fn take(
        &mut self,
        spent: Spent,
        others_wait: bool,
        (addresses, connections): (usize, usize),
        now: Instant,
    ) -> Part {
        let share = self.processors * f64::from(SHARE) / 100.0;
        self.polled.take(spent.polled, share, now);
        self.had += (spent.had - self.had) * WEIGHT;
        let is_scarce = self.polled.is_over();
        self.adjust(others_wait && is_scarce, now);
        let equal = share * self.had / addresses.max(1) as f64 / connections.max(1) as f64;
        Part { share: (equal * self.parts).min(self.processors), is_over: is_scarce && others_wait }
    }

    fn adjust(&mut self, others_wait: bool, now: Instant) {
        self.others_waited |= others_wait;
        let (every, down, up) = ADJUST;
        if now.saturating_duration_since(self.adjusted) >= every {
            let factor = if std::mem::take(&mut self.others_waited) { down } else { up };
            self.parts = (self.parts * factor).clamp(1.0, MOST_PARTS);
            self.adjusted = now;
        }
    }
}

/// What a connection may take of the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// How much, in processors.
    pub(super) share: f64,
    /// Whether all connections together take more than there is.
    is_over: bool,
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
    pub(super) fn take(&mut self, spent: Spent, part: Part, now: Instant) -> Option<Duration> {
        self.0.take(spent.polled.mul_f64(spent.had), part.share, now);
        (part.is_over && self.0.is_over()).then(|| self.0.rest(part.share))
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

    fn spent(polled: Duration) -> Spent {
        Spent { polled, had: 1.0 }
    }

    impl AllTime {
        /// The parts after tasks have waited for long, and what a connection of these may take.
        pub(in crate::server) fn shared_equally() -> Self {
            Self { parts: 1.0, processors: 2.0, ..Self::new() }
        }
    }

    impl Spent {
        pub(in crate::server) const NOTHING: Self = Self { polled: Duration::ZERO, had: 1.0 };
    }

    #[test]
    fn addresses_have_equal_parts_and_their_connections_equal_parts_of_those() {
        let now = Instant::now();
        let mut all = AllTime::shared_equally();
        let part = all.take(spent(MS), false, (3, 5), now);
        assert_eq!(part, Part { share: 0.1, is_over: false });
        let part = all.take(spent(Duration::from_secs(1)), true, (3, 1), now);
        assert_eq!(part, Part { share: 0.5, is_over: true });
        let part = all.take(Spent { polled: MS, had: 0.0 }, true, (1, 1), now);
        assert_eq!(part.share, 1.5 * (1.0 - WEIGHT), "the processors have other work, too");
    }

    #[test]
    fn the_parts_fall_while_tasks_wait_and_rise_while_they_do_not() {
        let start = Instant::now();
        let mut all = AllTime { processors: 2.0, ..AllTime::new() };
        let mut share = |at: u32, others_wait| {
            all.take(spent(100 * MS), others_wait, (10, 15), start + at * ADJUST.0).share
        };
        assert_eq!(share(1, false), 2.0, "one connection may have all");
        let falling: Vec<_> = (2..30).map(|at| share(at, true)).collect();
        assert!(falling.is_sorted_by(|one, next| one >= next));
        assert!(
            falling.last().is_some_and(|last| (last - 0.01).abs() < 1e-9),
            "an equal part is left to each"
        );
        assert!((30..60).map(|at| share(at, false)).is_sorted_by(|one, next| one < next));
    }

    #[tokio::test]
    async fn nobody_rests_while_no_task_waits() {
        let (now, second) = (Instant::now(), spent(Duration::from_secs(1)));
        let rest = |spent, others_wait| {
            let mut all = AllTime::shared_equally();
            let part = all.take(second, others_wait, (1000, 1000), now);
            OwnTime::new().take(spent, part, now)
        };
        assert_eq!(rest(second, take_turns().await), None);
        let busy = tokio::spawn(async {
            loop {
                std::thread::sleep(LATE);
                tokio::task::yield_now().await;
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(rest(second, take_turns().await), Some(LONGEST_REST));
        assert_eq!(rest(spent(MS), true), None, "a short burst is not held back");
        busy.abort();
    }

    #[test]
    fn a_task_is_charged_once_for_its_polls() {
        assert!(charge().is_none(), "no task is polled");
        let mut uncharged = 3 * MS;
        counted(&mut uncharged, || {
            assert!(charge().unwrap().polled >= 3 * MS);
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
