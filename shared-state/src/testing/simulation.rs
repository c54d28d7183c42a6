//! The simulation: clients, a server, and the faults between them, all derived from one seed. It owns the
//! world and its steps; the checks are in the client, its ledger and the model.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use crate::core::{SharedState, encode_update};
use crate::proto::{JoinRequest, Limits, client as frames};
use crate::replica::ReplicaConfig;
use crate::testing::client::Client;
use crate::testing::sample::sample_update;
use crate::testing::server::Server;

/// A simulated room and its clients. See the [module](crate::testing) for what it checks.
#[derive(Clone, Debug)]
pub struct Simulation<S> {
    initial: S,
    clients: usize,
    steps: usize,
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
}

impl Report {
    fn add(&mut self, other: Self) {
        self.versions += other.versions;
        self.acknowledged += other.acknowledged;
        self.disconnects += other.disconnects;
        self.crashes += other.crashes;
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
        Self { initial, clients: 3, steps: 300 }
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
    /// variable `SHARED_STATE_SEEDS` overrides `count`. `SHARED_STATE_SEED` runs only that seed, and a
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
            None => 0..number("SHARED_STATE_SEEDS").unwrap_or(count),
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
        for step in 0..self.steps {
            world.step().map_err(|message| Failure { seed, step, message, trace: world.trace() })?;
        }
        world.finish().map_err(|message| Failure {
            seed,
            step: self.steps,
            message,
            trace: world.trace(),
        })?;
        Ok(world.report)
    }
}

/// How many of the last events a failure contains.
const TRACE: usize = 60;

struct World<S: SharedState> {
    rng: Rng,
    now: Duration,
    initial: S,
    config: ReplicaConfig,
    window: usize,
    server: Server<S>,
    clients: Vec<Client<S>>,
    names: usize,
    report: Report,
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
        let config = ReplicaConfig {
            max_changes: if rng.bool() { 10_000 } else { 5 + rng.usize(..20) },
            max_events: if rng.u8(..4) == 0 { 3 } else { 4096 },
            compact_frames: rng.u8(..4) > 0,
            ..ReplicaConfig::default()
        };
        let mut world = Self {
            window: limits.window,
            server: Server::new(plan.initial.clone(), limits, rng.u64(..)),
            clients: Vec::new(),
            now: Duration::ZERO,
            initial: plan.initial.clone(),
            config,
            names: 0,
            report: Report::default(),
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
        Client::new(format!("client-{}", self.names), &self.initial, config)
    }

    fn step(&mut self) -> Result<(), String> {
        let at = self.rng.usize(..self.clients.len());
        match self.rng.u16(..1000) {
            0..=229 => self.clients[at].write(&mut self.rng, self.now)?,
            230..=239 => self.write_alike(at)?,
            240..=249 => self.clients[at].undo_or_redo(&mut self.rng, self.now)?,
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
                if let Some(update) = sample_update(&mut self.rng, &self.server.state()) {
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
        let other = self.rng.usize(..self.clients.len());
        let Some(update) = sample_update(&mut self.rng, self.clients[at].replica.state()) else {
            return Ok(());
        };
        self.clients[at].write_same(&update, self.now)?;
        self.clients[other].write_same(&update, self.now)
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
            self.clients[at].connect(1 + self.rng.usize(..12), self.window);
        }
    }

    fn deliver_up(&mut self, at: usize) -> Result<(), String> {
        let client = &mut self.clients[at];
        let Some(wire) = &mut client.wire else { return Ok(()) };
        let Some(frame) = wire.up.pop_front() else { return Ok(()) };
        let line = format!("{} > {}", client.name, frame.as_str());
        self.server.receive(&client.name, &mut wire.session, &wire.down, &frame)?;
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
        let update = match sample_update(&mut self.rng, &self.server.state()) {
            Some(update) if self.rng.bool() => {
                encode_update::<S>(&update).map(|encoded| encoded.as_str().to_owned()).unwrap_or_default()
            }
            _ => {
                let field = S::FIELDS[self.rng.usize(..S::FIELDS.len())].name;
                let values = ["null", "-1", "1e308", "\"\"", "[]", "{}", "true", "99999999999999999999"];
                let value = values[self.rng.usize(..values.len())];
                let ops = ["", r#""op":"add","#, r#""op":"nonsense","#];
                let op = ops[self.rng.usize(..ops.len())];
                format!(r#"{{"key":"{field}",{op}"value":{value}}}"#)
            }
        };
        let numbers = [0, 1, 2, 77, u64::MAX, 1 << 53, self.server.model.version()];
        let (seq, base) = (numbers[self.rng.usize(..7)], numbers[self.rng.usize(..7)]);
        let frame = frames::change("room", seq, base, self.rng.bool(), [update.as_str()].into_iter(), None);
        let tube = super::server::Tube::new(4);
        let mut session = None;
        self.server.receive(
            "mallory",
            &mut session,
            &tube,
            &frames::join("room", &JoinRequest::default()),
        )?;
        self.server.receive("mallory", &mut session, &tube, &frame)?;
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
            self.report.acknowledged += acknowledged;
        }
        Ok(())
    }
}
