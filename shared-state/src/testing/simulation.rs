//! The simulation: clients, a server, and the faults between them, all derived from one seed. It owns the
//! world and its steps; the checks are in the client, its ledger and the model.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use crate::authority::{OnChange, ProposedChange, Verdict};
use crate::core::{Code, FieldPathBuf, Reject, Roles, SharedState, WriteError, encode_update};
use crate::proto::{ClientLimits, JoinRequest, Limits, client as frames};
use crate::replica::ReplicaConfig;
use crate::testing::app::{App, Holds, Invariant, Operation, SimulatedClient, told};
use crate::testing::client::Client;
use crate::testing::limits::{bring_near, check_sent};
use crate::testing::propose::propose;
use crate::testing::roles::{self, Held};
use crate::testing::server::Server;

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
    initial: S,
    clients: usize,
    steps: usize,
    app: App<S>,
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

struct World<S: SharedState> {
    rng: Rng,
    now: Duration,
    initial: S,
    config: ReplicaConfig,
    /// What the server tells a client that connects.
    limits: ClientLimits,
    window: usize,
    server: Server<S>,
    clients: Vec<Client<S>>,
    names: usize,
    report: Report,
    app: App<S>,
    /// The roles that the struct asks for.
    roles: Vec<&'static str>,
    /// The last events, for the message of a failure.
    trace: VecDeque<String>,
    /// How many events are stored.
    trace_limit: usize,
}

impl<S: SharedState> World<S> {
    fn new(plan: &Simulation<S>, seed: u64, trace_limit: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut limits = Limits { window: 1 + rng.usize(..8), ..Limits::default() };
        if rng.u8(..4) == 0 {
            // Few enough that the server forgets clients.
            limits.clients_per_room = 1 + rng.usize(..3);
        }
        if rng.u8(..4) == 0 {
            bring_near(&mut limits, &mut rng);
        }
        let config = ReplicaConfig {
            max_changes: if rng.bool() { 10_000 } else { 5 + rng.usize(..20) },
            max_events: if rng.u8(..4) == 0 { 3 } else { 4096 },
            compact_frames: rng.u8(..4) > 0,
            ..ReplicaConfig::default()
        };
        let mut world = Self {
            limits: ClientLimits::from(&limits),
            window: limits.window,
            server: Server::new(plan.initial.clone(), limits, rng.u64(..), plan.app.clone()),
            clients: Vec::new(),
            now: Duration::ZERO,
            initial: plan.initial.clone(),
            config,
            names: 0,
            report: Report::default(),
            app: plan.app.clone(),
            roles: roles::of::<S>(),
            trace: VecDeque::new(),
            trace_limit,
            rng,
        };
        for _ in 0..plan.clients {
            let client = world.new_client();
            world.clients.push(client);
        }
        world
    }

    fn new_client(&mut self) -> Client<S> {
        self.names += 1;
        let config = ReplicaConfig { writer: 15 + self.names as u64, ..self.config };
        let mut client = Client::new(format!("client-{}", self.names), &self.initial, config);
        client.roles = self.some_roles();
        client
    }

    /// The roles of a user: those that the app says, or all roles of the struct, or some.
    fn some_roles(&mut self) -> Roles {
        if !self.app.roles.is_empty() {
            return self.app.roles[self.rng.usize(..self.app.roles.len())].clone();
        }
        let (rng, all) = (&mut self.rng, self.roles.iter().copied());
        if self.roles.is_empty() || rng.bool() { all.collect() } else { all.filter(|_| rng.bool()).collect() }
    }

    /// A client is given other roles.
    fn change_roles(&mut self, at: usize) {
        let roles = self.some_roles();
        let client = &mut self.clients[at];
        self.report.role_changes += usize::from(client.roles != roles);
        client.roles = roles;
        let line = format!("{} has {:?}", client.name, client.roles);
        if let Some(session) = client.wire.as_ref().and_then(|wire| wire.session) {
            self.server.grant(session, client.rights());
        }
        self.note(|| line);
    }

    /// A client writes at random, or performs an operation of the app.
    fn write(&mut self, at: usize) -> Result<(), String> {
        let operations = self.app.operations.len();
        if operations == 0 || !self.app.only_operations && self.rng.bool() {
            return self.clients[at].write(&mut self.rng, self.now);
        }
        let operation = self.app.operations[self.rng.usize(..operations)].clone();
        let line = format!("{} performs `{}`", self.clients[at].name, operation.name);
        self.note(|| line);
        let client = self.clients.remove(at);
        let (client, done) = SimulatedClient::run(client, self.now, &operation, &mut self.rng);
        self.clients.insert(at, client);
        match done? {
            Ok(()) => self.report.operations += 1,
            Err(error) => self.note(|| format!("  not possible: {error}")),
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), String> {
        let at = self.rng.usize(..self.clients.len());
        if !(self.roles.is_empty() && self.app.roles.is_empty()) && self.rng.u8(..40) == 0 {
            self.change_roles(at);
        }
        match self.rng.u16(..1000) {
            0..=220 => self.write(at)?,
            221..=229 => self.undo_among_others(at)?,
            230..=239 => self.write_alike(at)?,
            240..=249 => self.undo_or_redo(at)?,
            250..=449 => self.deliver_up(at)?,
            450..=699 => self.deliver_down(at)?,
            700..=819 => self.server.finish_append()?,
            820..=889 => {
                self.now += Duration::from_millis(self.rng.u64(..400));
                for client in &mut self.clients {
                    client.tick(self.now);
                }
            }
            890..=929 => self.connect(at),
            930..=944 => self.disconnect(at)?,
            945..=952 => {
                if let Some(wire) = &mut self.clients[at].wire {
                    wire.half_open = true;
                }
            }
            953..=964 => {
                if self.app.server_writes.unwrap_or(self.app.on_change.is_none())
                    && let Some(update) = propose(&mut self.rng, &self.server.state(), |_| true)
                {
                    self.server.write(&update);
                }
            }
            965..=974 => self.server.compact(),
            975..=981 => self.crash()?,
            982..=985 => {
                // The client's process dies, and its user starts a new one.
                self.disconnect(at)?;
                self.clients[at] = self.new_client();
            }
            986 => {
                for at in 0..self.clients.len() {
                    self.disconnect(at)?;
                }
                self.note(|| "the disk is lost".to_owned());
                self.server.lose_disk(self.rng.u64(..));
            }
            987..=992 => self.repeat(at),
            _ => self.hostile()?,
        }
        self.check_clients()
    }

    /// Two clients write the same, and one of them undoes it sooner or later.
    fn write_alike(&mut self, at: usize) -> Result<(), String> {
        if self.app.only_operations {
            return self.write(at);
        }
        let other = self.rng.usize(..self.clients.len());
        let client = &self.clients[at];
        let Some(update) = client.propose(&mut self.rng, client.replica.state()) else { return Ok(()) };
        for at in [at, other] {
            if let Ok(recorded) = self.clients[at].write_updates(self.now, vec![update.clone()]) {
                recorded?;
            }
        }
        Ok(())
    }

    /// A client undoes or redoes.
    fn undo_or_redo(&mut self, at: usize) -> Result<(), String> {
        if self.app.only_operations {
            return self.write(at);
        }
        self.clients[at].undo_or_redo(&mut self.rng, self.now)
    }

    /// A client writes, others change, remove or move what is around, and the client undoes and redoes, with more or
    /// less of it delivered in between.
    fn undo_among_others(&mut self, at: usize) -> Result<(), String> {
        if self.app.only_operations {
            return self.write(at);
        }
        let places = self.clients[at].write_to_undo(&mut self.rng, self.now)?;
        self.check_clients()?;
        self.exchange_some()?;
        for _ in 0..1 + self.rng.usize(..2) {
            let other = self.rng.usize(..self.clients.len());
            if places.is_empty() {
                continue;
            }
            let place = &places[self.rng.usize(..places.len())];
            self.clients[other].write_around(&mut self.rng, self.now, place)?;
            self.check_clients()?;
        }
        self.exchange_some()?;
        for undo in [true, self.rng.bool()] {
            self.clients[at].undo(undo, self.now)?;
            self.check_clients()?;
            if self.rng.bool() {
                break;
            }
            self.exchange_some()?;
        }
        Ok(())
    }

    /// Delivers nothing, or what the clients have sent, or everything both ways.
    fn exchange_some(&mut self) -> Result<(), String> {
        let how = self.rng.u8(..3);
        for _ in 0..2 * how {
            for at in 0..self.clients.len() {
                self.connect(at);
                self.deliver_up(at)?;
                if how > 1 {
                    self.server.finish_append()?;
                    self.deliver_down(at)?;
                }
            }
            self.check_clients()?;
        }
        Ok(())
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if self.trace.len() >= self.trace_limit {
            self.trace.pop_front();
        }
        self.trace.push_back(what());
    }

    fn trace(&self) -> String {
        self.trace.iter().map(|line| format!("  {line}\n")).collect()
    }

    /// Collects the frames of every client, and checks the clients that have changed.
    fn check_clients(&mut self) -> Result<(), String> {
        let epoch = self.server.epoch();
        self.clients.iter_mut().try_for_each(|client| client.check(&mut self.server.model, epoch))
    }

    fn connect(&mut self, at: usize) {
        if self.clients[at].wire.is_none() {
            self.clients[at].connect(1 + self.rng.usize(..12), self.window, self.limits);
        }
    }

    fn deliver_up(&mut self, at: usize) -> Result<(), String> {
        let client = &mut self.clients[at];
        let Some(wire) = &mut client.wire else { return Ok(()) };
        let Some(frame) = wire.up.pop_front() else { return Ok(()) };
        let line = format!("{} > {}", client.name, frame.as_str());
        let rights = client.rights();
        let Some(wire) = &mut client.wire else { return Ok(()) };
        check_sent(&self.limits, &frame).map_err(|error| format!("{line}: {error}"))?;
        self.server.receive(&client.name, rights, &mut wire.session, &wire.down, &frame)?;
        self.note(|| line);
        Ok(())
    }

    fn deliver_down(&mut self, at: usize) -> Result<(), String> {
        let client = &mut self.clients[at];
        let Some(wire) = &client.wire else { return Ok(()) };
        let Some(frame) = wire.down.pop() else { return Ok(()) };
        self.server.taken(wire.session, &wire.down);
        let lost = wire.half_open;
        let line = format!("{} {} {}", client.name, if lost { "x" } else { "<" }, frame.as_str());
        let received = if lost { Ok(()) } else { client.receive(&frame) };
        self.note(|| line);
        received
    }

    /// The connection breaks. Some of the frames in flight arrive, in order; the rest are lost.
    fn disconnect(&mut self, at: usize) -> Result<(), String> {
        if self.clients[at].wire.is_none() {
            return Ok(());
        }
        self.report.disconnects += 1;
        let line = format!("{} is cut off", self.clients[at].name);
        self.note(|| line);
        for _ in 0..self.rng.usize(..3) {
            self.deliver_up(at)?;
        }
        if let Some(session) = self.clients[at].disconnect() {
            self.server.leave(session);
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        self.report.crashes += 1;
        self.note(|| "the server dies".to_owned());
        for client in &mut self.clients {
            client.disconnect();
        }
        self.server.crash(self.rng.usize(..4))
    }

    /// A change in flight arrives twice.
    fn repeat(&mut self, at: usize) {
        if let Some(wire) = &mut self.clients[at].wire
            && let Some(frame) =
                wire.up.back().filter(|frame| frame.as_str().contains("state:change")).cloned()
        {
            wire.up.push_back(frame);
        }
    }

    /// A client joins and sends a change that no correct client would send.
    fn hostile(&mut self) -> Result<(), String> {
        let update = match propose(&mut self.rng, &self.server.state(), |_| true) {
            Some(update) if self.rng.bool() => {
                encode_update::<S>(&update).map(|encoded| encoded.as_str().to_owned()).unwrap_or_default()
            }
            _ => {
                let field = FieldPathBuf::of(S::FIELDS[self.rng.usize(..S::FIELDS.len())].name);
                let key = serde_json::to_string(field.as_str()).unwrap_or_default();
                let values = ["null", "-1", "1e308", "\"\"", "[]", "{}", "true", "99999999999999999999"];
                let value = values[self.rng.usize(..values.len())];
                let ops = ["", r#""op":"add","#, r#""op":"nonsense","#];
                let op = ops[self.rng.usize(..ops.len())];
                format!(r#"{{"key":{key},{op}"value":{value}}}"#)
            }
        };
        let roles = self.some_roles();
        let numbers = [0, 1, 2, 77, u64::MAX, 1 << 53, self.server.model.version()];
        let (seq, base) = (numbers[self.rng.usize(..7)], numbers[self.rng.usize(..7)]);
        let frame = frames::change("room", seq, base, self.rng.bool(), [update.as_str()].into_iter(), None);
        let rights = || Some(Arc::new(Held(roles.clone())) as _);
        let tube = super::server::Tube::new(4);
        let mut session = None;
        let join = frames::join("room", &JoinRequest::default());
        self.server.receive("mallory", rights(), &mut session, &tube, &join)?;
        self.server.receive("mallory", rights(), &mut session, &tube, &frame)?;
        if let Some(session) = session {
            self.server.leave(session);
        }
        Ok(())
    }

    /// Ends the faults: delivers everything pending, after which all clients must be equal.
    fn finish(&mut self) -> Result<(), String> {
        for at in 0..self.clients.len() {
            if self.clients[at].wire.as_ref().is_some_and(|wire| wire.half_open) {
                self.disconnect(at)?;
            }
            self.connect(at);
            self.clients[at].flush(self.now);
        }
        self.check_clients()?;
        for _ in 0..100_000 {
            let mut quiet = !self.server.is_appending();
            self.server.finish_append()?;
            for at in 0..self.clients.len() {
                let wire = self.clients[at].wire.as_ref();
                quiet &= wire.is_some_and(|wire| wire.up.is_empty() && wire.down.is_empty());
                self.deliver_up(at)?;
                self.deliver_down(at)?;
            }
            self.check_clients()?;
            if quiet {
                return self.compare();
            }
        }
        Err("the room never came to rest".to_owned())
    }

    fn compare(&mut self) -> Result<(), String> {
        let version = self.server.model.version();
        self.report.versions = version;
        for client in &self.clients {
            let (name, replica) = (&client.name, &client.replica);
            if !replica.is_live() || replica.version() != version {
                return Err(format!(
                    "G1: {name} rests at {} while the room is at {version}",
                    replica.version()
                ));
            }
            if replica.pending() > 0 || client.ledger.unanswered() > 0 {
                return Err(format!("G2: {name} rests with {} changes unanswered", replica.pending()));
            }
            let logged = self.server.model.log.iter().filter(|entry| entry.client.as_ref() == Some(name));
            let (logged, acknowledged) = (logged.count(), client.ledger.acknowledged());
            let allowed = acknowledged..=acknowledged + client.ledger.uncertain();
            if !allowed.contains(&logged) {
                return Err(format!(
                    "G3: {name} has {logged} changes in the log, {acknowledged} acknowledged"
                ));
            }
            client.check_rights()?;
            self.report.acknowledged += acknowledged;
            client.ledger.add_to(&mut self.report);
        }
        Ok(())
    }
}
