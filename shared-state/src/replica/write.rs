//! Local writes: checked, applied to the view, queued, and sent in order.

use std::time::Duration;

use crate::core::Versions;
use crate::core::text_scope;
use crate::core::{Code, Reject};
use crate::core::{FieldId, FieldPath, SharedState, Timing, canonical_update};
use crate::core::{Rejected, WriteError};
use crate::proto::client;
use crate::replica::delayed::Held;
use crate::replica::pending::{Pending, PendingUpdate, Reads, Sent};
use crate::replica::undo::Kind;
use crate::replica::{Origin, Phase, Read, Replica, WriteId, schema};

impl<S: SharedState> Replica<S> {
    /// Writes a change: all of `updates` or nothing. The view contains it when this returns.
    ///
    /// [`poll_answer`](Self::poll_answer) returns the answer under the returned id. Writes that are folded
    /// into one change share the id. An empty change is answered with the current version.
    ///
    /// # Errors
    /// A rule is violated, a field is read-only, the server has said that this client [may not
    /// write](Replica::rights) there, a value has no JSON form, the queue is full, or the room refuses this
    /// client. Nothing was changed then.
    pub fn write(&mut self, now: Duration, updates: Vec<S::Update>) -> Result<WriteId, WriteError> {
        self.submit(now, updates, None, Kind::Plain)
    }

    /// Writes a change that depends on the values of `reads`: the answer is a refusal if somebody else has
    /// changed one of them before the change reaches the server.
    ///
    /// # Errors
    /// As [`write`](Self::write); also if this client may not read one of `reads`.
    pub fn write_if_unchanged(
        &mut self,
        now: Duration,
        updates: Vec<S::Update>,
        reads: Vec<Read>,
    ) -> Result<WriteId, WriteError> {
        self.submit(now, updates, Some(reads), Kind::Plain)
    }

    pub(super) fn submit(
        &mut self,
        now: Duration,
        updates: Vec<S::Update>,
        mut reads: Option<Vec<Read>>,
        kind: Kind,
    ) -> Result<WriteId, WriteError> {
        if let Some(refusal) = &self.negotiation.refusal {
            return Err(refusal.clone().into());
        }
        if updates.is_empty() {
            let id = self.new_id();
            self.answers.push_back((id, Ok(self.version)));
            return Ok(id);
        }
        if let Some(update) = updates.iter().find(|update| S::read_only(update)) {
            return Err(WriteError::ReadOnly { field: S::FIELDS[S::field(update)].name });
        }
        let updates = self.expanded(updates);
        if updates.is_empty() {
            return self.submit(now, updates, None, kind);
        }
        self.check_rights(&updates, reads.as_mut())?;
        let updates = updates.iter().map(pending_update::<S>).collect::<Result<Vec<_>, _>>()?;
        let folded = match (&updates[..], &reads) {
            ([one], None) => self.folded(one)?,
            _ => None,
        };
        if folded.is_none() {
            self.check_room(&updates)?;
        }
        let inverses = self.show(&updates)?;
        let written = updates.iter().map(|update| update.typed.clone()).zip(inverses).collect();
        let id = match folded {
            Some(folded) => self.fold(now, folded),
            None => self.enqueue(now, updates, reads),
        };
        self.history.note(now, id, written, kind);
        self.send_ready();
        Ok(id)
    }

    /// Checks that the queue has space for a change.
    fn check_room(&self, updates: &[PendingUpdate<S>]) -> Result<(), WriteError> {
        let bytes: usize = updates.iter().map(|update| update.encoded.as_str().len()).sum();
        let (changes, limits) = (self.pending(), &self.config);
        if changes >= limits.max_changes {
            Err(WriteError::QueueFull { limit: limits.max_changes, unit: "changes" })
        } else if self.queue.bytes() + bytes > limits.max_bytes {
            Err(WriteError::QueueFull { limit: limits.max_bytes, unit: "bytes" })
        } else {
            Ok(())
        }
    }

    /// Replaces updates that set whole fields by the differences from the view, where the merge policy can
    /// tell them.
    pub(super) fn expanded(&mut self, updates: Vec<S::Update>) -> Vec<S::Update> {
        let mut expanded = Vec::with_capacity(updates.len());
        let mut inverses = Vec::new();
        let fields: Vec<FieldId> = updates.iter().map(S::field).collect();
        for (at, update) in updates.into_iter().enumerate() {
            let parts = text_scope::as_writer(self.config.writer, || self.view.decompose(&update))
                .unwrap_or_else(|| vec![update]);
            if fields[at + 1..].contains(&fields[at]) {
                // A later update of this change is made on top of this one.
                inverses.extend(parts.iter().map(|part| self.view.apply(part.clone())));
            }
            expanded.extend(parts);
        }
        for inverse in inverses.into_iter().rev() {
            self.view.apply(inverse);
        }
        expanded
    }

    /// Applies a change to the view, unless it violates a rule; returns the inverses of its updates.
    fn show(&mut self, updates: &[PendingUpdate<S>]) -> Result<Vec<S::Update>, WriteError> {
        let mut inverses = Vec::with_capacity(updates.len());
        let mut verdict = updates.iter().try_for_each(|update| {
            self.view.check_op(&update.typed)?;
            inverses.push(self.view.apply(update.typed.clone()));
            Ok(())
        });
        if verdict.is_ok() {
            verdict = inverses.iter().try_for_each(|touched| self.view.check(touched));
        }
        if S::HAS_RULE && verdict.is_ok() {
            verdict = self.view.check_rule();
        }
        if let Err(invalid) = verdict {
            for inverse in inverses.into_iter().rev() {
                self.view.apply(inverse);
            }
            return Err(invalid.into());
        }
        let shown = updates.iter().map(|update| update.typed.clone()).collect();
        self.event(Origin::Local, None, None, shown);
        Ok(inverses)
    }

    /// Coalesces a plain write with the unsent update of the same field. `None`: there is none, or the two
    /// cannot be coalesced.
    fn folded(&mut self, update: &PendingUpdate<S>) -> Result<Option<PendingUpdate<S>>, WriteError> {
        let field = S::field(&update.typed);
        let waiting = match self.held.iter().position(|held| held.field == field) {
            // With a rule over the whole state, only the last write may be folded into, so that the order of
            // writes is kept.
            Some(at) if S::HAS_RULE && at + 1 < self.held.len() => None,
            Some(at) => Some(&self.held[at].update),
            None if S::HAS_RULE && !self.held.is_empty() => None,
            None => self.queue.foldable(field, S::HAS_RULE).map(|change| &change.updates[0]),
        };
        let Some(waiting) = waiting.filter(|waiting| waiting.applies) else { return Ok(None) };
        let mut typed = waiting.typed.clone();
        if !S::coalesce(&mut typed, &update.typed) { Ok(None) } else { pending_update::<S>(&typed).map(Some) }
    }

    /// Replaces the waiting update by the folded one.
    fn fold(&mut self, now: Duration, folded: PendingUpdate<S>) -> WriteId {
        let field = S::field(&folded.typed);
        if let Some(held) = self.held.iter_mut().find(|held| held.field == field) {
            if let Timing::Debounce { wait, .. } = S::timing(&folded.typed) {
                held.due = (now + wait).min(held.latest);
            }
            held.update = folded;
            return held.id;
        }
        match self.queue.replace(field, S::HAS_RULE, folded) {
            Ok(id) => id,
            // `folded` has just found the update, so this does not happen.
            Err(folded) => self.enqueue(now, vec![folded], None),
        }
    }

    /// Queues a change, or delays it if its timing says so.
    fn enqueue(
        &mut self,
        now: Duration,
        mut updates: Vec<PendingUpdate<S>>,
        reads: Option<Vec<Read>>,
    ) -> WriteId {
        let fields = fields_of(&updates);
        if S::HAS_RULE {
            // The rule was checked with the delayed writes in place, so others must not get them later.
            while !self.held.is_empty() {
                self.release(0, now);
            }
        }
        self.release_fields(&fields, now);
        let read: Vec<FieldId> = reads.iter().flatten().map(|read| read.field).collect();
        self.release_fields(&read, now);
        for field in &fields {
            self.touching[*field] += 1;
        }
        let id = self.new_id();
        if updates.len() == 1 && reads.is_none() {
            let field = fields[0];
            let timing = S::timing(&updates[0].typed);
            if let Some((due, latest)) = self.keep_until(field, timing, now) {
                let update = updates.remove(0);
                self.held.push(Held { id, field, update, due, latest });
                return id;
            }
            self.sent_at[field] = Some(now);
        }
        let reads = reads.map(|all| Reads { all, stale: None });
        self.queue.push(Pending { id, updates, reads, sent: None });
        id
    }

    fn new_id(&mut self) -> WriteId {
        self.next_write += 1;
        WriteId(self.next_write)
    }

    /// Sends the queued changes that the window allows.
    pub(super) fn send_ready(&mut self) {
        while self.phase == Phase::Live && self.queue.on_the_way() < self.window {
            let Some(next) = self.queue.next() else { return };
            if let Some(Reads { stale: Some(path), .. }) = &next.reads {
                let path = path.clone();
                self.refuse_stale(&path);
                continue;
            }
            // A transaction may have read changes of this client that are not confirmed yet; it is sent once
            // they are.
            if let (Some(reads), None) = (&next.reads, next.sent)
                && self.queue.sent_touch(reads)
            {
                return;
            }
            let (next_seq, version) = (self.next_seq, self.version);
            let Some(next) = self.queue.next_to_send() else { return };
            let again = next.sent.is_some();
            let sent = next.sent.unwrap_or(Sent { seq: next_seq, base: version });
            let Sent { seq, base } = sent;
            let paths: Option<Vec<&str>> =
                next.reads.as_ref().map(|reads| reads.all.iter().map(|read| &*read.path).collect());
            let frame = match &self.negotiation.differences {
                None => {
                    let updates = next.updates.iter().map(|update| update.encoded.as_str());
                    client::change(&self.room, seq, base, again, updates, paths.as_deref())
                }
                Some(differences) => {
                    let mut texts = Vec::new();
                    for update in &next.updates {
                        schema::written(differences, &self.initial, &self.confirmed, update, &mut texts);
                    }
                    let there = |path: &str| differences.to_room(path).unwrap_or_else(|| path.to_owned());
                    let paths: Option<Vec<_>> = paths.map(|paths| paths.into_iter().map(there).collect());
                    let paths: Option<Vec<_>> =
                        paths.as_ref().map(|paths| paths.iter().map(String::as_str).collect());
                    let updates = texts.iter().map(String::as_str);
                    client::change(&self.room, seq, base, again, updates, paths.as_deref())
                }
            };
            if frame.len() > self.max_frame {
                self.refuse_long(frame.len());
                continue;
            }
            next.sent = Some(sent);
            self.next_seq = next_seq.max(seq + 1);
            self.frames.push_back(frame);
            self.queue.next_was_sent();
        }
    }

    /// Refuses the next transaction to send, because what it read at `path` has changed.
    fn refuse_stale(&mut self, path: &str) {
        let at = self.queue.on_the_way();
        if let Some(change) = self.queue.take(at) {
            let message = "somebody changed it before the transaction was sent";
            let reject = Reject::new(Code::Conflict, message).in_field(path);
            self.roll_back(change, Rejected(reject));
        }
    }

    /// Refuses the next change to send, because its frame of `found` bytes is longer than the server accepts.
    fn refuse_long(&mut self, found: usize) {
        let at = self.queue.on_the_way();
        if let Some(change) = self.queue.take(at) {
            let limit = self.max_frame;
            let message = format!("the server takes {limit} bytes at most, and the change has {found}");
            self.roll_back(change, Rejected(Reject::new(Code::FrameTooLarge, message)));
        }
    }

    /// Takes a refused change out of the view, and reports that.
    pub(super) fn roll_back(&mut self, change: Pending<S>, why: Rejected) {
        let fields = self.forget(&change);
        self.history.refused(change.id);
        for &field in &fields {
            self.rebuild(field);
        }
        let restored: Vec<_> = fields.iter().map(|field| self.view.current(*field)).collect();
        restored.iter().for_each(|update| self.mark_stale(update));
        self.event(Origin::RolledBack, None, None, restored);
        self.answers.push_back((change.id, Err(why)));
    }

    /// A change has left the queue. Returns its fields, each once.
    pub(super) fn forget(&mut self, change: &Pending<S>) -> Vec<FieldId> {
        let fields = fields_of(&change.updates);
        for field in &fields {
            self.touching[*field] -= 1;
        }
        fields
    }

    /// Marks the unsent transactions that have read what `update` changes.
    pub(super) fn mark_stale(&mut self, update: &S::Update) {
        let field = S::field(update);
        let unsent = self.queue.iter_mut().filter(|change| change.sent.is_none());
        for reads in unsent.filter_map(|change| change.reads.as_mut()) {
            if reads.stale.is_some() || reads.fields().all(|read| read != field) {
                continue;
            }
            let mut track = Versions::default();
            S::record(&mut track, update, 1);
            let changed = |read: &&Read| track.changed_at(S::FIELDS, FieldPath::new(&read.path)) != Some(0);
            reads.stale = reads.all.iter().find(changed).map(|read| read.path.clone());
        }
    }
}

/// The fields of some updates, each once.
fn fields_of<S: SharedState>(updates: &[PendingUpdate<S>]) -> Vec<FieldId> {
    let mut fields = Vec::with_capacity(updates.len());
    for update in updates {
        let field = S::field(&update.typed);
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

/// An update in both forms: this client shows exactly what the others will get.
fn pending_update<S: SharedState>(update: &S::Update) -> Result<PendingUpdate<S>, WriteError> {
    let (typed, encoded) = canonical_update::<S>(update).map_err(WriteError::Unsendable)?;
    Ok(PendingUpdate { typed, encoded, applies: true })
}
