//! A simulated client: the real replica, the state that its app sees, and a ledger of what it wrote.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::authority::{Json, Permissions, SessionId};
use crate::core::{
    FieldId, FieldPathBuf, Roles, SharedState, WriteError, smaller_updates, text_scope, transfer,
};
use crate::proto::{ClientLimits, Frame, RoomMessage, ServerMessage};
use crate::replica::{Origin, Read, Replica, ReplicaConfig, Transaction, WriteId};
use crate::testing::around::{place_of, propose_around};
use crate::testing::json::{Followed, difference, difference_shown, json};
use crate::testing::ledger::{Ledger, Written};
use crate::testing::model::Model;
use crate::testing::propose::propose;
use crate::testing::roles::{self, Held};
use crate::testing::sample::sample_transfer;
use crate::testing::server::Tube;

/// A connection between a client and the server.
pub(super) struct Wire {
    /// Frames in flight to the server.
    pub(super) up: VecDeque<Frame>,
    /// Frames in flight to the client.
    pub(super) down: Tube,
    pub(super) session: Option<SessionId>,
    /// Frames to the client are lost, and neither side has noticed yet.
    pub(super) half_open: bool,
}

pub(super) struct Client<S: SharedState> {
    pub(super) name: String,
    pub(super) replica: Replica<S>,
    pub(super) wire: Option<Wire>,
    pub(super) ledger: Ledger<S>,
    pub(super) roles: Roles,
    /// The initial values, which the client has of the fields that it may not read.
    initial: Json,
    /// The state as an app builds it from the events alone.
    mirror: S,
    /// The replica's states at the last check.
    confirmed: Followed,
    view: Followed,
    epoch: Option<u64>,
    /// Whether anything happened to it since the last check.
    changed: bool,
    /// Its unanswered undos and redos, and whether each was unsent at the last check.
    undos: BTreeMap<WriteId, bool>,
    /// Those of them that are undos with a change of their own.
    checked_undos: BTreeSet<WriteId>,
    /// The version of the last state or delta. Neither says who wrote what.
    caught_up: u64,
}

impl<S: SharedState> Client<S> {
    pub(super) fn new(name: String, initial: &S, config: ReplicaConfig) -> Self {
        Self {
            name,
            replica: Replica::new(Arc::from("room"), initial.clone(), config),
            wire: None,
            ledger: Ledger::new(),
            roles: Roles::NONE,
            initial: json(initial),
            mirror: initial.clone(),
            confirmed: Followed::default(),
            view: Followed::default(),
            epoch: None,
            changed: true,
            undos: BTreeMap::new(),
            checked_undos: BTreeSet::new(),
            caught_up: 0,
        }
    }

    /// What the server lets it do; `None`: what a client without a role may do.
    pub(super) fn rights(&self) -> Option<Arc<dyn Permissions>> {
        (self.roles != Roles::NONE).then(|| Arc::new(Held(self.roles.clone())) as _)
    }

    /// Sends the delayed writes that are due.
    pub(super) fn tick(&mut self, now: Duration) {
        self.changed = true;
        self.replica.tick(now);
    }

    /// Sends all delayed writes.
    pub(super) fn flush(&mut self, now: Duration) {
        self.changed = true;
        self.replica.flush(now);
    }

    pub(super) fn connect(&mut self, capacity: usize, window: usize, limits: ClientLimits) {
        self.wire =
            Some(Wire { up: VecDeque::new(), down: Tube::new(capacity), session: None, half_open: false });
        self.replica.set_limits(limits);
        self.replica.connected(window);
        self.changed = true;
    }

    pub(super) fn disconnect(&mut self) -> Option<SessionId> {
        self.replica.disconnected();
        self.changed = true;
        self.wire.take().and_then(|wire| wire.session)
    }

    /// Makes one random write.
    pub(super) fn write(&mut self, rng: &mut Rng, now: Duration) -> Result<(), String> {
        self.changed = true;
        match rng.u8(..11) {
            0..=5 => {
                let state = self.replica.state();
                let moved = if rng.u8(..5) == 0 { sample_transfer(rng, state) } else { None };
                let Some(update) = moved.or_else(|| self.propose(rng, state)) else { return Ok(()) };
                if let Ok(recorded) = self.write_updates(now, vec![update.clone()]) {
                    recorded?;
                    self.check_shown(&update)?;
                }
            }
            6 | 7 => {
                let updates = if rng.u16(..1_000) == 0 {
                    self.propose_thousands(rng)
                } else {
                    self.propose_some(rng, 4)
                };
                if let Ok(recorded) = self.write_updates(now, updates) {
                    recorded?;
                }
            }
            8 => self.transact(rng, now)?,
            9 => self.undo(rng.u8(..3) > 0, now)?,
            _ => self.replica.flush(now),
        }
        Ok(())
    }

    /// Undoes or redoes.
    pub(super) fn undo_or_redo(&mut self, rng: &mut Rng, now: Duration) -> Result<(), String> {
        self.changed = true;
        self.undo(rng.u8(..4) > 0, now)
    }

    /// Writes a little, at times in one group and at times with a move of an item to another list. Returns the places
    /// that were written to.
    pub(super) fn write_to_undo(&mut self, rng: &mut Rng, now: Duration) -> Result<Vec<Vec<String>>, String> {
        let mut places = Vec::new();
        let is_group = rng.bool();
        if is_group {
            self.replica.begin_group();
        }
        for _ in 0..if is_group { 1 + rng.usize(..3) } else { 1 } {
            let state = self.replica.state();
            let moved = if rng.u8(..3) == 0 { sample_transfer(rng, state) } else { None };
            let Some(update) = moved.or_else(|| self.propose(rng, state)) else { continue };
            places.push(place_of::<S>(&update));
            if let Ok(recorded) = self.write_updates(now, vec![update]) {
                recorded?;
            }
            self.follow();
        }
        if is_group {
            self.replica.end_group();
        }
        if rng.bool() {
            self.flush(now);
        }
        Ok(places)
    }

    /// Writes to what is at a place or around it.
    pub(super) fn write_around(
        &mut self,
        rng: &mut Rng,
        now: Duration,
        place: &[String],
    ) -> Result<(), String> {
        let Some(update) = propose_around(rng, self.replica.state(), place) else { return Ok(()) };
        if let Ok(recorded) = self.write_updates(now, vec![update]) {
            recorded?;
        }
        if rng.bool() {
            self.flush(now);
        }
        Ok(())
    }

    /// Writes a change and records it. The inner error is a fault.
    pub(super) fn write_updates(
        &mut self,
        now: Duration,
        updates: Vec<S::Update>,
    ) -> Result<Result<(), String>, WriteError> {
        self.changed = true;
        let (expanded, before) = (self.expanded(updates.clone()), self.replica.state().clone());
        let is_pending = |replica: &Replica<S>, id| replica.pending_updates(id).is_some();
        let waiting: Vec<_> = self.ledger.ids().filter(|id| is_pending(&self.replica, *id)).collect();
        let id = self.replica.write(now, updates)?;
        // An earlier write whose turn to be sent comes now may exceed a limit. It is refused and does not show any more.
        let before = waiting.into_iter().all(|id| is_pending(&self.replica, id)).then_some(before);
        Ok(self.wrote(id, before, expanded))
    }

    /// Whether an undo waits. It is worked out again when it is sent, and a write sends the delayed ones first.
    fn has_unsent_undo(&self) -> bool {
        self.undos.values().any(|unsent| *unsent)
    }

    /// Records a write of `updates` to the state that was shown `before`, if nothing else has happened to that. The
    /// replica leaves out what has no effect; what it shows is the whole write all the same.
    fn wrote(&mut self, id: WriteId, before: Option<S>, updates: Vec<S::Update>) -> Result<(), String> {
        if let Some(mut shown) = before.filter(|_| !self.has_unsent_undo()) {
            updates.iter().for_each(|update| drop(shown.apply(update.clone())));
            if let Some(difference) = difference::<S>(&json(self.replica.state()), &json(&shown)) {
                return Err(format!("G4: {} wrote {updates:?}, and shows that {difference}", self.name));
            }
        }
        if !self.ledger.has(id) {
            self.ledger.wrote(id, Written::new(updates, Vec::new())?)?;
        }
        let replica = &self.replica;
        self.ledger.keep_up(|other| other == id, |id| replica.pending_updates(id))
    }

    /// A random update of `state`, mostly one that this client may write.
    pub(super) fn propose(&self, rng: &mut Rng, state: &S) -> Option<S::Update> {
        let permissions = self.replica.permissions();
        propose(rng, state, |update| !S::read_only(update) && permissions.allow::<S>(update))
    }

    /// Fewer updates than `most`, each of the state that the ones before it make.
    fn propose_some(&self, rng: &mut Rng, most: usize) -> Vec<S::Update> {
        let mut state = self.replica.state().clone();
        let mut updates = Vec::new();
        for _ in 0..rng.usize(..most) {
            if let Some(update) = self.propose(rng, &state) {
                state.apply(update.clone());
                updates.push(update);
            }
        }
        updates
    }

    /// Thousands of updates that write a few values and set what was there before by turns, so that they cost little to
    /// check.
    fn propose_thousands(&self, rng: &mut Rng) -> Vec<S::Update> {
        let mut state = self.replica.state().clone();
        let mut turns = Vec::new();
        for update in self.propose_some(rng, 4) {
            // An edit of a text is made once.
            if S::address(&update, &mut FieldPathBuf::new()) != Some("edit") {
                let before = state.current(S::field(&update));
                state.apply(update.clone());
                turns.extend([update, before]);
            }
        }
        let count = if turns.is_empty() { 0 } else { 1_000 + rng.usize(..2_000) };
        turns.iter().cycle().take(count).cloned().collect()
    }

    /// The updates that will be sent for `updates`: a set of a whole field is sent as differences.
    fn expanded(&self, updates: Vec<S::Update>) -> Vec<S::Update> {
        let (mut state, mut writer) = (self.replica.state().clone(), self.replica.text_writer());
        let mut expanded = Vec::new();
        // A move that cannot be made is refused, so it is not in the ledger.
        for update in transfer::expanded(&mut state, updates).unwrap_or_default() {
            for part in text_scope::as_writer(&mut writer, || smaller_updates(&state, &update))
                .unwrap_or_else(|| vec![update])
            {
                state.apply(part.clone());
                expanded.push(part);
            }
        }
        expanded
    }

    /// G4: a field that was set as a whole shows the value that was set.
    fn check_shown(&self, update: &S::Update) -> Result<(), String> {
        let mut set = self.replica.state().clone();
        if !self.has_unsent_undo() && set.decompose(update).is_some() {
            set.apply(update.clone());
            if let Some(difference) = difference_shown(self.replica.state(), &set) {
                return Err(format!("G4: {} set {update:?}, and {difference}", self.name));
            }
        }
        Ok(())
    }

    /// Takes the events.
    fn follow(&mut self) {
        while let Some(event) = self.replica.poll_event() {
            if let Origin::Lagged(_) = event.origin {
                self.mirror = self.replica.state().clone();
            }
            for update in event.updates {
                self.mirror.apply(update);
            }
        }
    }

    pub(super) fn undo(&mut self, undo: bool, now: Duration) -> Result<(), String> {
        self.changed = true;
        let again = if undo { self.replica.undo(now) } else { self.replica.redo(now) };
        if let Ok(Some(id)) = again {
            let updates = self.replica.pending_updates(id).unwrap_or_default();
            if !self.ledger.has(id) {
                self.ledger.wrote(id, Written::new(updates, Vec::new())?)?;
                if undo {
                    self.checked_undos.insert(id);
                }
            }
            if !undo {
                // A redo may be folded into the undo that waits.
                self.checked_undos.remove(&id);
                self.ledger.undoes_nothing(id);
            }
            // What it took back before it was sent is gone.
            let replica = &self.replica;
            self.ledger.keep_up(|_| true, |id| replica.pending_updates(id))?;
            self.ledger.takes_back(id);
            self.undos.insert(id, true);
        }
        Ok(())
    }

    fn transact(&mut self, rng: &mut Rng, now: Duration) -> Result<(), String> {
        let seen = json(self.replica.state());
        let mut transaction = Transaction::new(self.replica.state());
        for _ in 0..1 + rng.usize(..2) {
            if let Some(update) = self.propose(rng, self.replica.state()) {
                transaction.write(update);
            }
        }
        let (updates, _) = transaction.into_parts();
        let expanded = self.expanded(updates.clone());
        let reads: Vec<FieldId> = (0..1 + rng.usize(..2)).map(|_| rng.usize(..S::FIELDS.len())).collect();
        let read = reads.iter().map(|field| Read::field::<S>(*field)).collect();
        if let Ok(id) = self.replica.write_if_unchanged(now, updates, read) {
            let reads = reads.into_iter().map(|field| (field, seen[S::FIELDS[field].name].clone())).collect();
            self.ledger.wrote(id, Written::new(expanded, reads)?)?;
        }
        Ok(())
    }

    /// A frame arrives from the server.
    pub(super) fn receive(&mut self, frame: &Frame) -> Result<(), String> {
        self.changed = true;
        match ServerMessage::of(frame) {
            Ok(ServerMessage::Room(_, message) | ServerMessage::Numbered(_, message)) => {
                let is_catch_up = matches!(message, RoomMessage::Sync { .. } | RoomMessage::Delta { .. });
                let received = self.replica.receive(message);
                if is_catch_up {
                    self.caught_up = self.replica.version();
                }
                received.map_err(|violation| format!("{}: {violation} in {frame:?}", self.name))
            }
            other => Err(format!("{}: {other:?} from {frame:?}", self.name)),
        }
    }

    /// Takes the replica's frames, events and answers, and checks them and the state, if anything has
    /// happened.
    pub(super) fn check(&mut self, model: &mut Model<S>, epoch: u64) -> Result<(), String> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let (replica, undos) = (&self.replica, &self.undos);
        let hidden: Vec<FieldId> = (0..S::FIELDS.len()).filter(|field| !self.is_told(*field)).collect();
        for id in &self.checked_undos {
            self.ledger.undoes(*id, self.caught_up, hidden.clone());
        }
        // With a lost history, what was to be undone in it is gone too.
        let is_new = replica.epoch() != self.epoch;
        // One that was sent is made anew if somebody else was faster.
        let may_differ = |id: WriteId| match undos.get(&id) {
            Some(unsent) => *unsent || replica.pending_updates(id).is_some(),
            None => false,
        };
        self.ledger.keep_up(|id| is_new || may_differ(id), |id| replica.pending_updates(id))?;
        self.ledger.follow(
            |id| replica.pending_updates(id),
            |id| replica.shown_updates(id),
            |id| replica.pending_position(id),
        )?;
        self.undos.retain(|id, unsent| {
            *unsent = replica.is_unsent(*id);
            replica.pending_updates(*id).is_some()
        });
        self.checked_undos.retain(|id| replica.pending_updates(*id).is_some());
        while let Some(frame) = self.replica.poll_frame() {
            if let Some(wire) = &mut self.wire {
                wire.up.push_back(frame);
            }
        }
        if self.replica.epoch() != self.epoch {
            self.epoch = self.replica.epoch();
            self.ledger.new_history();
        }
        let same_history = self.epoch == Some(epoch);
        while let Some((id, answer)) = self.replica.poll_answer() {
            // An answer of a lost history cannot be checked against the new one.
            self.ledger.answered(&self.name, id, answer, same_history.then_some(&mut *model))?;
        }
        self.follow();
        if let Some(behind) = difference_shown(&self.mirror, self.replica.state()) {
            return Err(format!("G5: by the events of {} {behind}", self.name));
        }
        if !same_history {
            return Ok(());
        }
        let version = self.replica.version();
        let Some(expected) = usize::try_from(version).ok().and_then(|at| model.states.get(at)) else {
            return Err(format!("G2: {} is at version {version}, which the store does not have", self.name));
        };
        let expected = self.as_told(expected);
        let confirmed = self.confirmed.json(self.replica.confirmed());
        if let Some(difference) = difference::<S>(confirmed, &expected) {
            return Err(format!("G1: in {} at {version} {difference}", self.name));
        }
        let view = self.view.json(self.replica.state());
        let expected = self.ledger.expected_view(confirmed, model)?;
        if let Some(difference) = difference::<S>(view, expected) {
            let pending = self.ledger.pending();
            return Err(format!("G4: {} shows that {difference}, of {confirmed} and {pending}", self.name));
        }
        Ok(())
    }

    /// The state as the server sends it to this client, by what it has told the client of its rights.
    fn as_told(&self, state: &Json) -> Json {
        let mut told = state.clone();
        for (field, info) in S::FIELDS.iter().enumerate() {
            if !self.is_told(field)
                && let Some(members) = told.as_object_mut()
            {
                members.insert(info.name.to_owned(), self.initial[info.name].clone());
            }
        }
        told
    }

    fn is_told(&self, field: FieldId) -> bool {
        self.replica.permissions().may_read(FieldPathBuf::of(S::FIELDS[field].name).as_str())
    }

    /// G12: once everything has arrived, the client is sent the fields that its roles read and no others.
    pub(super) fn check_rights(&self) -> Result<(), String> {
        let wrong = |field: &FieldId| self.is_told(*field) != roles::may_read::<S>(&self.roles, *field);
        match (0..S::FIELDS.len()).find(wrong) {
            Some(field) => {
                let (name, roles) = (S::FIELDS[field].name, &self.roles);
                Err(format!("G12: {} rests with other rights to read `{name}` than {roles:?}", self.name))
            }
            None => Ok(()),
        }
    }
}
