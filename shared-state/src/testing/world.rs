//! The simulated world: a server, its clients, and what happens to them in each step, all drawn from one seed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::core::{FieldPathBuf, Roles, SharedState, encode_update};
use crate::proto::{ClientLimits, JoinRequest, Limits, client as frames};
use crate::replica::ReplicaConfig;
use crate::testing::app::{App, SimulatedClient};
use crate::testing::client::Client;
use crate::testing::limits::{bring_near, check_sent};
use crate::testing::propose::propose;
use crate::testing::roles::{self, Held};
use crate::testing::server::Server;
use crate::testing::simulation::{Report, Simulation};

pub(super) struct World<S: SharedState> {
    rng: Rng,
    now: Duration,
    initial: S,
    config: ReplicaConfig,
    /// What the server tells a client that connects.
    limits: ClientLimits,
    window: usize,
    pub(super) server: Server<S>,
    clients: Vec<Client<S>>,
    names: usize,
    pub(super) report: Report,
    app: App<S>,
    /// The roles that the struct asks for.
    roles: Vec<&'static str>,
    /// The last events, for the message of a failure.
    trace: VecDeque<String>,
    /// How many events are stored.
    trace_limit: usize,
}

impl<S: SharedState> World<S> {
    pub(super) fn new(plan: &Simulation<S>, seed: u64, trace_limit: usize) -> Self {
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

    pub(super) fn step(&mut self) -> Result<(), String> {
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

    pub(super) fn trace(&self) -> String {
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
    pub(super) fn finish(&mut self) -> Result<(), String> {
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
