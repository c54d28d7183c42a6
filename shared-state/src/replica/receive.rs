//! What the replica does with the room's messages: states, deltas, changes and answers.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::core::Rejected;
use crate::core::{Code, Reject};
use crate::core::{
    FieldId, FieldPath, FieldPathBuf, SharedState, UpdateErrorKind, WireUpdate, decode_update,
};
use crate::core::{Overlap, text_scope};
use crate::proto::compact::Header;
use crate::proto::{JoinRequest, Outcome, Outcomes, Resume, RoomMessage, Violation, client};
use crate::replica::pending::{Pending, Reads};
use crate::replica::{Origin, Phase, Replica, WriteId, on_top, pending, put_on};
use crate::schema::resolve;

impl<S: SharedState> Replica<S> {
    /// Processes a message of this room. The cost is that of its updates; a full state costs its size.
    ///
    /// # Errors
    /// The message does not fit this replica's state, or it is an error of the room. If a new state helps,
    /// this replica has asked for it already; the caller may log the error.
    pub fn receive(&mut self, message: RoomMessage<'_>) -> Result<(), Violation> {
        text_scope::with_history(|| self.take(message))
    }

    fn take(&mut self, message: RoomMessage<'_>) -> Result<(), Violation> {
        let verdict = match message {
            // Not about the state.
            RoomMessage::Broadcast { .. } | RoomMessage::Info(_) => return Ok(()),
            RoomMessage::Error(violation) => {
                if matches!(
                    violation.code,
                    Code::IncompatibleSchema | Code::Kicked | Code::Banned | Code::RoomClosed
                ) {
                    self.refuse(&violation);
                }
                return Err(violation);
            }
            // Messages that arrive before the state that was asked for are contained in that state.
            RoomMessage::Change { .. }
            | RoomMessage::Brief { .. }
            | RoomMessage::Accepted { .. }
            | RoomMessage::NextAccepted
            | RoomMessage::Rejected(..)
            | RoomMessage::Rights(..)
                if self.phase != Phase::Live =>
            {
                Ok(())
            }
            RoomMessage::Sync { epoch, version, data, schema, rights, audience, outcomes, .. } => {
                match self.meet(schema, self.epoch == Some(epoch), &outcomes)? {
                    true => self.sync(epoch, version, data, outcomes).map(|()| {
                        self.audience = audience;
                        self.take_rights(rights);
                    }),
                    false => Ok(()),
                }
            }
            RoomMessage::Delta { since, version, updates, schema, rights, outcomes, .. } => {
                match self.meet(schema, true, &outcomes)? {
                    true => self.delta(since, version, &updates, outcomes).map(|()| self.take_rights(rights)),
                    false => Ok(()),
                }
            }
            RoomMessage::Change { version, from, updates, brief } => {
                if let Some((number, header)) = brief.zip(Header::of(&from, &updates)) {
                    self.subjects.insert(number, header);
                }
                self.change(version, from.as_ref().into(), &updates)
            }
            RoomMessage::Rights(denied) => {
                self.take_rights(denied);
                Ok(())
            }
            RoomMessage::Brief { header, value } => self.brief(header, value),
            RoomMessage::NextAccepted => match self.queue.first_sent() {
                Some(seq) => self.accepted(seq, self.version + 1, None),
                None => Err(Violation::new(Code::BadMessage, "an answer, and nothing waits for one")),
            },
            RoomMessage::Accepted { seq, version, updates } => {
                self.accepted(seq, version, updates.as_deref())
            }
            RoomMessage::Rejected(seq, reject) => {
                if let Some(change) = self.queue.take_seq(seq) {
                    self.roll_back(change, Rejected(reject));
                }
                Ok(())
            }
        };
        if self.phase == Phase::Live
            && matches!(&verdict, Err(violation) if violation.code == Code::BadMessage)
        {
            self.rejoin();
        }
        self.send_ready();
        verdict
    }

    /// Asks to join again, from the version this replica has. The room answers with a delta or its state.
    pub fn rejoin(&mut self) {
        self.phase = Phase::Joining;
        self.queue.unsend();
        let acked = self.queue.acked(self.next_seq);
        let (version, audience) = (self.version, self.audience);
        let resume = self.epoch.map(|epoch| Resume {
            epoch,
            version,
            acked,
            schema: self.negotiation.room(),
            audience,
        });
        let (brief, info, password) = (self.config.brief, self.config.info, self.password.clone());
        let request = JoinRequest { brief, info, password, ..self.negotiation.request(resume) };
        self.frames.push_back(client::join(&self.room, &request));
    }

    fn brief(&mut self, number: u8, value: &[u8]) -> Result<(), Violation> {
        let Some(header) = self.subjects.get(&number) else {
            return Err(Violation::new(
                Code::BadMessage,
                format!("nothing was said to have the number {number}"),
            ));
        };
        let value = header.value(value)?;
        let Header { from, key, op } = header.clone();
        let update = WireUpdate { key: (&*key).into(), op: op.as_deref().map(Into::into), value: &value };
        self.change(self.version + 1, from, &[update])
    }

    fn change(&mut self, version: u64, from: Arc<str>, updates: &[WireUpdate<'_>]) -> Result<(), Violation> {
        self.expect_next(version)?;
        let decoded = self.decode(updates)?;
        self.version = version;
        let shown = self.apply_remote(decoded);
        self.event(Origin::Remote, Some(version), Some(from), shown);
        Ok(())
    }

    fn expect_next(&self, version: u64) -> Result<(), Violation> {
        if version == self.version + 1 {
            return Ok(());
        }
        let message = format!("expected version {}, found {version}", self.version + 1);
        Err(Violation::new(Code::BadMessage, message))
    }

    /// Applies remote updates underneath the pending ones; returns those that change the view.
    fn apply_remote(&mut self, updates: Vec<S::Update>) -> Vec<S::Update> {
        let mut shown = Vec::with_capacity(updates.len());
        for update in updates {
            let field = S::field(&update);
            self.confirmed.apply(update.clone());
            self.mark_stale(&update);
            match self.overlap(&update) {
                Overlap::Commutes => {
                    self.view.apply(update.clone());
                    shown.push(update);
                }
                Overlap::Shadowed => {}
                Overlap::Conflicts => shown.extend(self.rebuilt(field)),
            }
        }
        shown
    }

    /// How a remote update relates to everything that is pending.
    fn overlap(&self, remote: &S::Update) -> Overlap {
        let field = S::field(remote);
        if self.touching[field] == 0 {
            return Overlap::Commutes;
        }
        // The update passes below each pending update that it commutes with, until one of them shadows it or
        // conflicts with it. A pending update that could not be applied may become applicable by it, so it
        // conflicts.
        on_top(&self.queue, &self.held)
            .filter(|pending| S::field(&pending.typed) == field)
            .map(|pending| match pending.applies {
                true => S::overlap(&pending.typed, remote),
                false => Overlap::Conflicts,
            })
            .find(|overlap| *overlap != Overlap::Commutes)
            .unwrap_or(Overlap::Commutes)
    }

    /// Rebuilds a field of the view; returns its new value as an update if it is different.
    fn rebuilt(&mut self, field: FieldId) -> Option<S::Update> {
        let before = self.view.current(field);
        self.rebuild(field);
        let now = self.view.current(field);
        (now != before).then_some(now)
    }

    /// The room has accepted a change of this client. `updates` are what the room made of it, if that is
    /// different from what was sent.
    fn accepted(
        &mut self,
        seq: u64,
        version: u64,
        updates: Option<&[WireUpdate<'_>]>,
    ) -> Result<(), Violation> {
        let settled = updates.map(|updates| self.decode(updates)).transpose()?;
        let Some(change) = self.queue.take_seq(seq) else { return Ok(()) };
        let is_news = version > self.version;
        if is_news {
            if let Err(violation) = self.expect_next(version) {
                self.queue.put_back(change);
                return Err(violation);
            }
            self.version = version;
        }
        let mut fields = self.forget(&change);
        if is_news && let Some(settled) = settled {
            // The server's hooks may have changed more fields.
            for field in settled.iter().map(S::field) {
                if !fields.contains(&field) {
                    fields.push(field);
                }
            }
            let expected = self.expected(&change, &fields);
            for update in settled {
                self.confirmed.apply(update);
            }
            for (field, expected) in expected {
                let found = self.confirmed.current(field);
                if found != expected {
                    self.mark_stale(&found);
                }
            }
            let shown: Vec<_> = fields.into_iter().filter_map(|field| self.rebuilt(field)).collect();
            self.event(Origin::Remote, Some(version), None, shown);
        } else if is_news {
            // The view contains it already, and in the same place: below everything else that is pending.
            for update in change.updates {
                self.confirmed.apply(update.typed);
            }
        }
        self.answers.push_back((change.id, Ok(version)));
        Ok(())
    }

    /// The values that the accepted change, as it was sent, would give those of its `fields` that an unsent
    /// transaction has read.
    fn expected(&mut self, change: &Pending<S>, fields: &[FieldId]) -> Vec<(FieldId, S::Update)> {
        let unsent = self.queue.iter().filter(|change| change.sent.is_none());
        let read: Vec<FieldId> =
            unsent.filter_map(|change| change.reads.as_ref()).flat_map(Reads::fields).collect();
        if !fields.iter().any(|field| read.contains(field)) {
            return Vec::new();
        }
        let updates = change.updates.iter().map(|update| update.typed.clone());
        let inverses: Vec<_> = updates.map(|update| self.confirmed.apply(update)).collect();
        let fields = fields.iter().filter(|field| read.contains(field));
        let expected = fields.map(|field| (*field, self.confirmed.current(*field))).collect();
        for inverse in inverses.into_iter().rev() {
            self.confirmed.apply(inverse);
        }
        expected
    }

    fn delta(
        &mut self,
        since: u64,
        version: u64,
        updates: &[WireUpdate<'_>],
        outcomes: Outcomes,
    ) -> Result<(), Violation> {
        if since != self.version || version < since {
            let message =
                format!("a delta from version {since} to {version} does not fit version {}", self.version);
            return Err(Violation::new(Code::BadMessage, message));
        }
        let decoded = self.decode(updates)?;
        // The delta may contain changes of this client, so compare the view before and after.
        let contended: Vec<FieldId> =
            (0..S::FIELDS.len()).filter(|field| self.touching[*field] > 0).collect();
        let before: Vec<S::Update> = contended.iter().map(|field| self.view.current(*field)).collect();
        self.version = version;
        self.phase = Phase::Live;
        let refused = self.settle(outcomes);
        let mut shown = Vec::new();
        for update in decoded {
            let field = S::field(&update);
            self.confirmed.apply(update.clone());
            self.mark_stale(&update);
            if !contended.contains(&field) {
                self.view.apply(update.clone());
                shown.push(update);
            }
        }
        for (field, before) in contended.iter().zip(before) {
            self.rebuild(*field);
            let now = self.view.current(*field);
            if now != before {
                shown.push(now);
            }
        }
        self.event(Origin::Remote, Some(version), None, shown);
        self.report(refused);
        Ok(())
    }

    fn sync(
        &mut self,
        epoch: u64,
        version: u64,
        data: &RawValue,
        outcomes: Outcomes,
    ) -> Result<(), Violation> {
        let confirmed = self.read_state(data)?;
        let same_history = self.epoch == Some(epoch);
        self.epoch = Some(epoch);
        self.version = version;
        self.phase = Phase::Live;
        self.confirmed = confirmed;
        let mut refused = Vec::new();
        if same_history {
            refused = self.settle(outcomes);
        } else {
            // The server knows this client from before this replica existed: continue after its last sequence
            // number.
            self.next_seq = self.next_seq.max(outcomes.last.saturating_add(1));
            self.begin_history();
        }
        let mut view = self.confirmed.clone();
        for update in pending(&mut self.queue, &mut self.held) {
            put_on(&mut view, update);
        }
        let shown = S::diff(&self.view, &view);
        for update in &shown {
            self.mark_stale(update);
        }
        self.view = view;
        self.event(Origin::Remote, Some(version), None, shown);
        self.report(refused);
        Ok(())
    }

    /// Reads the state of a snapshot. Fields that it lacks have their initial value.
    fn read_state(&self, data: &RawValue) -> Result<S, Violation> {
        let fields: std::collections::BTreeMap<std::borrow::Cow<'_, str>, &RawValue> =
            serde_json::from_str(data.get())
                .map_err(|error| Violation::new(Code::BadMessage, format!("expected a state: {error}")))?;
        let mut state = self.initial.clone();
        // Fields that are not shared keep their initial value.
        for (key, value) in fields {
            let path = FieldPathBuf::of(&key);
            let read = match &self.negotiation.differences {
                None => S::decode(FieldPath::new(path.as_str()), None, value).map(Some),
                Some(differences) => {
                    let update = WireUpdate { key: path.as_str().into(), op: None, value };
                    resolve::read(differences, &self.initial, &state, &update)
                }
            };
            match read {
                Ok(update) => update.into_iter().for_each(|update| {
                    state.apply(update);
                }),
                // A field of a newer struct.
                Err(error) if error.kind == UpdateErrorKind::UnknownField => {}
                Err(error) => {
                    let message = format!("`{}` in the state: {error}", error.field);
                    return Err(Violation::new(Code::WrongType, message));
                }
            }
        }
        Ok(state)
    }

    /// Processes the answers that come with a state or delta, which contains the accepted changes already.
    /// Returns the refused ones, for [`report`](Self::report) once the view is rebuilt.
    pub(super) fn settle(&mut self, outcomes: Outcomes) -> Vec<(WriteId, Rejected, Vec<FieldId>)> {
        let mut refused = Vec::new();
        for (seq, outcome) in outcomes.answers {
            let Some(change) = self.queue.take_seq(seq) else { continue };
            let fields = self.forget(&change);
            match outcome {
                Outcome::Accepted(version) => self.answers.push_back((change.id, Ok(version))),
                Outcome::Rejected(reject) => refused.push((change.id, Rejected(reject), fields)),
            }
        }
        // These were answered, but the server no longer remembers how.
        while let Some(change) = self.queue.take_answered(outcomes.last) {
            let reject = if change.sent.is_some_and(|sent| sent.base < outcomes.since) {
                let message = "this client was away longer than its changes are remembered";
                Reject::new(Code::Uncertain, message)
            } else {
                Reject::new(Code::Refused, "it was refused earlier; the reason is no longer known")
            };
            let fields = self.forget(&change);
            refused.push((change.id, Rejected(reject), fields));
        }
        refused
    }

    pub(super) fn report(&mut self, refused: Vec<(WriteId, Rejected, Vec<FieldId>)>) {
        for (id, why, fields) in refused {
            self.history.refused(id);
            let restored: Vec<_> = fields.iter().map(|field| self.view.current(*field)).collect();
            restored.iter().for_each(|update| self.mark_stale(update));
            self.event(Origin::RolledBack, None, None, restored);
            self.answers.push_back((id, Err(why)));
        }
    }

    /// The room has begun a new history (another epoch), which contains nothing of what is pending. Plain
    /// changes are sent as new ones; transactions are stale, because the values they read are gone.
    fn begin_history(&mut self) {
        self.history.clear();
        for change in self.queue.iter_mut() {
            change.sent = None;
            if let Some(reads) = &mut change.reads {
                reads.stale = reads.all.first().map(|read| read.path.clone());
            }
        }
    }
}

impl<S: SharedState> Replica<S> {
    fn decode(&self, updates: &[WireUpdate<'_>]) -> Result<Vec<S::Update>, Violation> {
        let mut decoded = Vec::with_capacity(updates.len());
        for update in updates {
            let read = match &self.negotiation.differences {
                None => decode_update::<S>(update).map(Some),
                Some(differences) => resolve::read(differences, &self.initial, &self.confirmed, update),
            };
            match read {
                Ok(update) => decoded.extend(update),
                // A field of a newer struct.
                Err(error) if error.kind == UpdateErrorKind::UnknownField => {}
                Err(error) => {
                    let message = format!("`{}` in an update: {error}", error.field);
                    return Err(Violation::new(Code::WrongType, message));
                }
            }
        }
        Ok(decoded)
    }
}
