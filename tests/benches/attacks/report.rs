//! The table, and what it is judged by.

use std::time::Duration;

/// Whatever the rest is, this is quick enough.
const QUICK: Duration = Duration::from_millis(10);
/// How many times the rest's p99 is quick enough.
const RATIO: u32 = 3;
/// On machines that do other things as well, an acknowledgement may take this long.
pub const GENEROUS: Duration = Duration::from_secs(2);

/// What is demanded of a case.
#[derive(Clone, Copy, Debug)]
pub struct Demands {
    /// The most memory of the server, in MB.
    pub total: f64,
    /// Whether only the generous time counts.
    pub short: bool,
}

/// The percentiles of the honest client's times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub writes: usize,
    pub p50: Duration,
    pub p99: Duration,
    pub longest: Duration,
}

impl Times {
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        Self {
            writes: times.len(),
            p50: at(50),
            p99: at(99),
            longest: at(100).max(times.last().copied().unwrap_or_default()),
        }
    }

    /// Why these times are too long beside those at rest, if they are.
    pub fn too_long(&self, rest: &Self, demands: Demands) -> Option<String> {
        if self.writes == 0 {
            return Some("nothing was acknowledged".to_owned());
        }
        if demands.short {
            let longest = self.longest;
            return (longest > GENEROUS).then(|| format!("an acknowledgement took {longest:.1?}"));
        }
        let limit = QUICK.max(rest.p99 * RATIO);
        (self.p99 > limit).then(|| format!("p99 is {:.1?}, the limit {limit:.1?}", self.p99))
    }
}

/// The memory of the server around a case, in MB.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub before: f64,
    pub peak: f64,
    pub after: f64,
}

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub times: Times,
    pub rest: Times,
    pub memory: Memory,
    pub answers: String,
    /// What was demanded and is not so.
    pub faults: Vec<String>,
}

impl Row {
    pub fn print_head() {
        println!(
            "{:<64} {:>8} {:>8} {:>8} {:>6} {:>7} {:>7} {:>7}  the server's answers",
            "case", "p50 ms", "p99 ms", "max ms", "ratio", "MB", "peak", "after"
        );
    }

    pub fn print(&self) {
        let Self { name, times, rest, memory, answers, faults } = self;
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let ratio = times.p99.as_secs_f64() / rest.p99.as_secs_f64().max(1e-6);
        let mark = if faults.is_empty() { "" } else { "  VIOLATED" };
        println!(
            "{name:<64} {:>8.2} {:>8.2} {:>8.2} {ratio:>6.1} {:>7.1} {:>7.1} {:>7.1}  {answers}{mark}",
            ms(times.p50),
            ms(times.p99),
            ms(times.longest),
            memory.before,
            memory.peak,
            memory.after
        );
    }
}

/// Prints the cases that violate a demand; returns whether there are any.
pub fn print_violated(rows: &[Row]) -> bool {
    let violated: Vec<_> = rows.iter().filter(|row| !row.faults.is_empty()).collect();
    match violated.len() {
        0 => println!("\n{} cases, none violated", rows.len()),
        count => println!("\n{} cases, {count} violated:", rows.len()),
    }
    for row in &violated {
        println!("  {}: {}", row.name, row.faults.join("; "));
    }
    !violated.is_empty()
}
