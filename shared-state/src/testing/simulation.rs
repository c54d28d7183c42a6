//! The simulation as an app configures and runs it. What happens in a seed is in the [world](super::world); the checks are
//! in the client, its ledger and the model.

use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use fastrand::Rng;

use crate::authority::{OnChange, ProposedChange, Verdict};
use crate::core::{Code, Reject, SharedState, WriteError};
use crate::testing::app::{App, Holds, Invariant, Operation, SimulatedClient, told};
use crate::testing::world::World;

/// A simulated room and its clients. See the [module](crate::testing) for what it checks.
///
/// Clients write random values to every field. They are given random roles of those that the struct asks for, which
/// change during the run. What an app has besides its struct can be added: the rules of its server, its own operations,
/// and invariants that must hold of every state of the room.
///
#[cfg_attr(feature = "derive", doc = "```")]
#[cfg_attr(not(feature = "derive"), doc = "```ignore")]
/// use serde::{Deserialize, Serialize};
/// use shared_state::{SharedState, testing::Simulation};
///
/// #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
/// struct Till {
///     #[shared(counter, write = "cashier")]
///     cash: i64,
///     sold: u32,
/// }
///
/// let report = Simulation::new(Till { cash: 100, sold: 0 })
///     .rules(|_: &Till, after: &Till, _: &_| match after.cash >= 0 {
///         true => Ok(()),
///         false => Err("there is not so much in the till"),
///     })
///     .operation("sell", |till, rng| {
///         let price = rng.i64(1..20);
///         till.update(|till| {
///             till.cash = till.cash.saturating_add(price);
///             till.sold = till.sold.saturating_add(1);
///         })
///     })
///     .invariant("the till owes nothing", |till: &Till| till.cash >= 0)
///     .seeds(5);
/// assert!(report.operations > 0);
/// ```
pub struct Simulation<S: SharedState> {
    pub(super) initial: S,
    pub(super) clients: usize,
    steps: usize,
    pub(super) app: App<S>,
}

impl<S: SharedState> Clone for Simulation<S> {
    fn clone(&self) -> Self {
        let Self { initial, clients, steps, app } = self;
        Self { initial: initial.clone(), clients: *clients, steps: *steps, app: app.clone() }
    }
}

impl<S: SharedState> fmt::Debug for Simulation<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("type", &S::NAME)
            .field("clients", &self.clients)
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

/// What the runs did, to check that something happened at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Versions in the room's last history.
    pub versions: u64,
    /// Writes that were acknowledged to clients which existed at the end.
    pub acknowledged: usize,
    /// Connections that were cut, half-open ones included.
    pub disconnects: usize,
    /// Crashes of the server.
    pub crashes: usize,
    /// [Operations](Simulation::operation) of the app that returned `Ok`.
    pub operations: usize,
    /// Acknowledged writes that changed nothing in the room, because others had made it so before them.
    pub without_effect: usize,
    /// Writes that were answered without a change: they had no effect, or were undone before they were sent.
    pub unchanged: usize,
    /// Undos and redos among the acknowledged writes.
    pub undos: usize,
    /// Moves of an item to another list among the acknowledged writes.
    pub moves: usize,
    /// Transactions among the acknowledged writes.
    pub transactions: usize,
    /// Writes that the server refused.
    pub refused: usize,
    /// How often a client was given other roles.
    pub role_changes: usize,
}

impl Report {
    /// Adds what another run did.
    pub fn add(&mut self, other: Self) {
        self.versions += other.versions;
        self.acknowledged += other.acknowledged;
        self.disconnects += other.disconnects;
        self.crashes += other.crashes;
        self.operations += other.operations;
        self.without_effect += other.without_effect;
        self.unchanged += other.unchanged;
        self.undos += other.undos;
        self.moves += other.moves;
        self.transactions += other.transactions;
        self.refused += other.refused;
        self.role_changes += other.role_changes;
    }
}

/// A guarantee was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, step {step}: {message}\n{trace}")]
pub struct Failure {
    /// The seed that reproduces it.
    pub seed: u64,
    /// The step that broke it.
    pub step: usize,
    /// Which guarantee was broken, and what was expected and found.
    pub message: String,
    /// The last 60 events, one on each line; all events if `SHARED_STATE_SEED` selected the seed.
    pub trace: String,
}

impl<S: SharedState> Simulation<S> {
    /// A simulation of three clients, 300 steps, and a room whose state begins as `initial`.
    #[must_use]
    pub const fn new(initial: S) -> Self {
        Self { initial, clients: 3, steps: 300, app: App::new() }
    }

    /// The server decides about each client's change as `on_change` says, which is what `RoomHooks::on_change` is on a
    /// server. An error refuses the change.
    ///
    /// Authors have the clients' [names](SimulatedClient::name). Replaces earlier rules.
    #[must_use]
    pub fn on_change(
        mut self,
        on_change: impl Fn(&ProposedChange<'_, S>) -> Result<Verdict<S>, String> + Send + Sync + 'static,
    ) -> Self {
        let decide = move |change: &ProposedChange<'_, S>| {
            on_change(change).map_err(|message| Reject::new(Code::Invalid, message))
        };
        let decide: Arc<OnChange<S>> = Arc::new(decide);
        self.app.on_change = Some(decide);
        self
    }

    /// As [`on_change`](Self::on_change), with rules that accept a change or refuse it: a function of the state before
    /// it, the state after it and its author.
    #[must_use]
    pub fn rules<E: fmt::Display>(
        self,
        rules: impl Fn(&S, &S, &crate::core::Author) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.on_change(move |change| match rules(change.before, change.after, change.author) {
            Ok(()) => Ok(Verdict::Accept),
            Err(error) => Err(error.to_string()),
        })
    }

    /// As [`on_change`](Self::on_change), with the server's own hooks. The others of their methods are not called:
    /// they are given a server's room, which a simulation does not have.
    #[cfg(feature = "server")]
    #[must_use]
    pub fn hooks(self, hooks: impl crate::server::RoomHooks<S>) -> Self {
        self.on_change(move |change| hooks.on_change(change))
    }

    /// The roles that users of the app have: each client has one of these sets at a time, at random. Default: any of the
    /// roles that the struct asks for.
    #[must_use]
    pub fn roles(mut self, sets: &[&[&str]]) -> Self {
        self.app.roles = sets.iter().map(|set| set.iter().copied().collect()).collect();
        self
    }

    /// Adds an operation of the app, which clients perform at random, about as often as they write random values. Its
    /// error means that it was not possible, and is no failure; a panic is one.
    ///
    /// The numbers that it needs must come from `rng`, so that a seed gives the same run again.
    #[must_use]
    pub fn operation(
        mut self,
        name: &'static str,
        work: impl Fn(&S::Handle<SimulatedClient<S>>, &mut Rng) -> Result<(), WriteError> + Send + Sync + 'static,
    ) -> Self {
        self.app.operations.push(Operation { name, work: Arc::new(work) });
        self
    }

    /// Clients write by the app's [operations](Self::operation) alone. Hostile clients and the server's program still
    /// write at random.
    #[must_use]
    pub fn only_operations(mut self) -> Self {
        self.app.only_operations = true;
        self
    }

    /// Adds an invariant, which must hold of the state that the room begins with and of the one after each change. It
    /// returns a bool, or a `Result` whose error tells what is wrong.
    ///
    /// What a client shows may break it for a while, when the server's rules alone guarantee it. The server's program
    /// writes random values too, which the rules of the struct refuse and those of [`on_change`](Self::on_change) do
    /// not see; see [`server_writes`](Self::server_writes).
    #[must_use]
    pub fn invariant<H: Holds>(
        mut self,
        name: &'static str,
        holds: impl Fn(&S) -> H + Send + Sync + 'static,
    ) -> Self {
        self.app.invariants.push(Invariant { name, holds: Arc::new(move |state| holds(state).holds()) });
        self
    }

    /// Whether the server's program writes random values, which no rules of [`on_change`](Self::on_change) see. Default:
    /// unless there are such rules.
    #[must_use]
    pub fn server_writes(mut self, writes: bool) -> Self {
        self.app.server_writes = Some(writes);
        self
    }

    /// Sets the number of clients, at least one.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = clients.max(1);
        self
    }

    /// Sets the number of random steps. After them the faults end, and everything pending is delivered.
    #[must_use]
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Runs the seeds from 0 to `count`, on all cores, and returns what they did together. The environment
    /// variable `SHARED_STATE_SEEDS` overrides `count`: `20000`, or `10000..20000`. `SHARED_STATE_SEED` runs only that seed, and a
    /// failure then contains the full trace.
    ///
    /// # Panics
    /// If a seed breaks a guarantee. The message contains the seed.
    #[track_caller]
    pub fn seeds(&self, count: u64) -> Report {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let one = number("SHARED_STATE_SEED");
        let trace_limit = if one.is_some() { usize::MAX } else { TRACE };
        let seeds = match one {
            Some(seed) => seed..seed + 1,
            None => seeds_asked().unwrap_or(0..count),
        };
        let next = AtomicU64::new(seeds.start);
        let outcome = Mutex::new((Report::default(), None::<Failure>));
        let locked = || outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end || locked().1.is_some() {
                    return;
                }
                match self.run_traced(seed, trace_limit) {
                    Ok(report) => locked().0.add(report),
                    Err(failure) => {
                        locked().1.get_or_insert(failure);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
        });
        let (total, failure) = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = failure {
            let (name, seed) = (S::NAME, failure.seed);
            panic!("`{name}` broke a guarantee; run it again with SHARED_STATE_SEED={seed}\n{failure}");
        }
        total
    }

    /// Runs one seed.
    ///
    /// # Errors
    /// The run broke a guarantee.
    pub fn run(&self, seed: u64) -> Result<Report, Failure> {
        self.run_traced(seed, TRACE)
    }

    fn run_traced(&self, seed: u64, trace_limit: usize) -> Result<Report, Failure> {
        let mut world = World::new(self, seed, trace_limit);
        for step in 0..=self.steps {
            let work = || match step {
                step if step == self.steps => world.finish(),
                0 => world.server.check_initial().and_then(|()| world.step()),
                _ => world.step(),
            };
            // A panic of the app's code or of the crate's, with its seed and step.
            let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(told(&*panic)));
            done.map_err(|message| Failure { seed, step, message, trace: world.trace() })?;
        }
        Ok(world.report)
    }
}

/// The seeds that the environment asks for.
fn seeds_asked() -> Option<Range<u64>> {
    let text = std::env::var("SHARED_STATE_SEEDS").ok()?;
    let (first, end) = text.split_once("..").unwrap_or(("0", &text));
    Some(first.parse().ok()?..end.parse().ok()?)
}

/// How many of the last events a failure contains.
const TRACE: usize = 60;
