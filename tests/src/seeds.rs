//! Seeds: which ones a test runs, on all cores, and the command that runs one of them again.
//!
//! `SHARED_STATE_SEED=n` runs one seed alone, `SHARED_STATE_SEEDS=n` the seeds below `n`, `SHARED_STATE_SEEDS=m..n` those
//! from `m`. A failure prints the command.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use shared_state::SharedState;
use shared_state::testing::{Report, Simulation};

fn number(variable: &str, text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not `{text}`"))
}

/// The seed to run alone, if one is given.
///
/// # Panics
/// If `SHARED_STATE_SEED` is not a number.
#[must_use]
pub fn given() -> Option<u64> {
    let name = "SHARED_STATE_SEED";
    std::env::var(name).ok().map(|text| number(name, &text))
}

/// The seeds to run; `count` of them unless the environment says otherwise.
///
/// # Panics
/// If `SHARED_STATE_SEED` or `SHARED_STATE_SEEDS` is not a number.
#[must_use]
pub fn range(count: u64) -> Range<u64> {
    if let Some(seed) = given() {
        return seed..seed + 1;
    }
    let name = "SHARED_STATE_SEEDS";
    let Ok(text) = std::env::var(name) else { return 0..count };
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    number(name, first)..number(name, end)
}

/// Runs [the seeds](range) on all cores until one fails. Returns their results, in no particular order.
///
/// # Panics
/// If a seed fails. The message contains the command that runs it again.
pub fn run<T: Send>(count: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let seeds = range(count);
    let next = AtomicU64::new(seeds.start);
    let outcome = Mutex::new((Vec::new(), None));
    let locked = || outcome.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || locked().1.is_some() {
                return;
            }
            // The panic hook prints the panic's own message.
            match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                Ok(result) => locked().0.push(result),
                Err(_) => {
                    locked().1.get_or_insert(seed);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    match outcome.into_inner().unwrap_or_else(PoisonError::into_inner) {
        (results, None) => results,
        (_, Some(seed)) => panic!("seed {seed} failed; {}", again(seed)),
    }
}

/// Runs [the seeds](range) of a simulation on all cores.
///
/// # Panics
/// If a seed breaks a guarantee. The message contains the command that runs it again.
pub fn simulate<S: SharedState>(simulation: &Simulation<S>, count: u64) -> Report {
    if given().is_some() {
        // A seed that runs alone prints the full trace, the others only its end.
        return simulation.seeds(1);
    }
    let mut total = Report::default();
    for report in run(count, |seed| simulation.run(seed).unwrap_or_else(|failure| panic!("{failure}"))) {
        total.add(report);
    }
    // Shown with `--show-output`.
    println!("{}: {total:?}", S::NAME);
    total
}

/// While it is held, a failure of the test prints the command that runs the seed again.
#[derive(Debug)]
pub struct Replay(u64);

impl Replay {
    /// A replay of this seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {} failed; {}", self.0, again(self.0));
        }
    }
}

/// The command that runs a seed of the current test again. The test harness names the thread after the test.
fn again(seed: u64) -> String {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or_default();
    let program = std::env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    // Cargo appends a hash to the name.
    let harness = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    let structs = match env!("SHARED_STATE_STRUCTS") {
        "1" => String::new(),
        structs => format!("SHARED_STATE_STRUCTS={structs} "),
    };
    format!(
        "run it again with\n{structs}SHARED_STATE_SEED={seed} cargo test --test {harness} {test} -- --exact"
    )
}
