//! The room's state as one client holds it: the two states, what is pending, what can be undone, and what the
//! app is told of all that. Knows no message and no connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::core::{Code, FieldId, Reject, Rejected, SharedState, WriteError, text_scope};
use crate::proto::{Outcome, Outcomes, Violation};
use crate::replica::change::{Change, PendingUpdate, Reads, WriteId};
use crate::replica::config::ReplicaConfig;
use crate::replica::event::{Event, Origin};
use crate::replica::pending::Pending;
use crate::replica::session::Session;
use crate::replica::states::States;
use crate::replica::transact::Read;
use crate::replica::undo::{Kind, UndoHistory};

/// A change that was refused and has left the queue, and that the app has not been told of.
pub(super) struct Refused {
    id: WriteId,
    fields: Vec<FieldId>,
    why: Rejected,
}

impl Refused {
    fn new<S: SharedState>(change: &Change<S>, reject: Reject) -> Self {
        Self { id: change.id, fields: change.fields(), why: Rejected(reject) }
    }
}

pub(super) struct Document<S: SharedState> {
    pub(super) states: States<S>,
    pub(super) pending: Pending<S>,
    pub(super) history: UndoHistory<S>,
    pub(super) output: Output<S>,
}

impl<S: SharedState> Document<S> {
    pub(super) fn new(initial: S, config: &ReplicaConfig) -> Self {
        Self {
            states: States::new(initial, config.writer),
            pending: Pending::new(config),
            history: UndoHistory::new(config.max_undo, config.undo_pause),
            output: Output::new(config.max_events),
        }
    }

    /// Writes a change: encodes it, checks it, shows it, and queues it or folds it into a queued one.
    ///
    /// # Errors
    /// A rule is violated, a value has no JSON form, the server would refuse the change whatever the state, or
    /// the queue is full. Nothing was changed then.
    pub(super) fn write(
        &mut self,
        now: Duration,
        updates: &[S::Update],
        reads: Option<Vec<Read>>,
        kind: Kind,
        session: &Session,
    ) -> Result<WriteId, WriteError> {
        let reads = reads.map(|all| Reads { all, stale: None });
        let updates = updates.iter().map(PendingUpdate::new).collect::<Result<Vec<_>, _>>()?;
        let folded = match (&updates[..], &reads) {
            ([one], None) if !self.pending.is_empty() => self.pending.fold(one)?,
            _ => None,
        };
        match &folded {
            Some(folded) => session.check(std::slice::from_ref(&folded.update), None)?,
            None => {
                session.check(&updates, reads.as_ref())?;
                self.pending.check_space(&updates)?;
            }
        }
        let inverses = self.states.show(&updates)?;
        let shown: Vec<_> = updates.iter().map(|update| update.typed.clone()).collect();
        let written = shown.iter().cloned().zip(inverses).collect();
        self.output.event(Origin::Local, None, None, shown);
        let id = match folded {
            Some(folded) => self.pending.replace(now, folded),
            None => self.pending.push(now, updates, reads),
        };
        self.history.note(now, id, written, kind);
        Ok(id)
    }

    /// Answers a change without updates.
    pub(super) fn write_nothing(&mut self) -> WriteId {
        let id = self.pending.new_id();
        self.output.answer(id, Ok(self.states.version));
        id
    }

    /// Applies the next change of another client.
    pub(super) fn apply_remote(&mut self, version: u64, from: Arc<str>, updates: Vec<S::Update>) {
        self.states.version = version;
        let mut shown = Vec::with_capacity(updates.len());
        for update in updates {
            if self.pending.queue.has_transactions() {
                self.pending.mark_stale(&update);
            }
            shown.extend(self.states.apply_remote(update, &mut self.pending));
        }
        self.output.event(Origin::Remote, Some(version), Some(from), shown);
    }

    /// The room has accepted a change of this client. `rewritten` is what the room made of it, if that is
    /// different from what was sent.
    ///
    /// # Errors
    /// The version is not the next one. Nothing was changed.
    pub(super) fn accept(
        &mut self,
        seq: u64,
        version: u64,
        rewritten: Option<Vec<S::Update>>,
    ) -> Result<(), Violation> {
        let Some(at) = self.pending.queue.with_seq(seq) else { return Ok(()) };
        let is_news = version > self.states.version;
        if is_news {
            self.states.expect_next(version)?;
            self.states.version = version;
        }
        let Some(change) = self.pending.queue.take(at) else { return Ok(()) };
        let id = change.id;
        if is_news && let Some(rewritten) = rewritten {
            self.confirm_rewritten(version, &change, rewritten);
        } else if is_news {
            // The view contains it already, and in the same place: below everything else that is pending.
            for update in change.updates {
                self.states.confirmed.apply(update.typed);
            }
        }
        self.output.answer(id, Ok(version));
        Ok(())
    }

    fn confirm_rewritten(&mut self, version: u64, change: &Change<S>, rewritten: Vec<S::Update>) {
        let mut fields = change.fields();
        // The server's hooks may have changed more fields.
        for field in rewritten.iter().map(S::field) {
            if !fields.contains(&field) {
                fields.push(field);
            }
        }
        let read = self.pending.read_by_unsent(&fields);
        let expected = self.states.confirmed_after(change, &read);
        for update in rewritten {
            self.states.confirmed.apply(update);
        }
        for (field, expected) in read.into_iter().zip(expected) {
            let found = self.states.confirmed.current(field);
            if text_scope::with_history(|| found != expected) {
                self.pending.mark_stale(&found);
            }
        }
        let rebuilt = fields.into_iter().filter_map(|field| self.states.rebuilt(field, &mut self.pending));
        self.output.event(Origin::Remote, Some(version), None, rebuilt.collect());
    }

    /// The change at an index of the queue was refused: takes it out of the view, and reports that.
    pub(super) fn reject(&mut self, at: usize, reject: Reject) {
        let Some(change) = self.pending.queue.take(at) else { return };
        let refused = Refused::new(&change, reject);
        for field in &refused.fields {
            self.states.rebuild(*field, &mut self.pending);
        }
        self.report(vec![refused]);
    }

    /// Refuses everything that is pending.
    pub(super) fn reject_all(&mut self, reject: &Reject) {
        let changes = self.pending.take_all();
        let refused = changes.iter().map(|change| Refused::new(change, reject.clone())).collect();
        self.states.view = self.states.confirmed.clone();
        self.report(refused);
    }

    /// Applies all that has changed in the room up to `version`. It may contain changes of this client.
    pub(super) fn catch_up(&mut self, version: u64, updates: Vec<S::Update>, outcomes: Outcomes) {
        let contended: Vec<FieldId> =
            (0..S::FIELDS.len()).filter(|field| self.pending.touches(*field)).collect();
        let before: Vec<S::Update> = contended.iter().map(|field| self.states.view.current(*field)).collect();
        self.states.version = version;
        let refused = self.settle(outcomes);
        let mut shown = Vec::new();
        for update in updates {
            self.states.confirmed.apply(update.clone());
            self.pending.mark_stale(&update);
            if !contended.contains(&S::field(&update)) {
                self.states.view.apply(update.clone());
                shown.push(update);
            }
        }
        for (field, before) in contended.iter().zip(before) {
            self.states.rebuild(*field, &mut self.pending);
            let now = self.states.view.current(*field);
            if text_scope::with_history(|| now != before) {
                shown.push(now);
            }
        }
        self.output.event(Origin::Remote, Some(version), None, shown);
        self.report(refused);
    }

    /// Replaces the confirmed state.
    pub(super) fn replace(&mut self, epoch: u64, version: u64, confirmed: S, outcomes: Outcomes) {
        let same_history = self.states.epoch == Some(epoch);
        (self.states.epoch, self.states.version) = (Some(epoch), version);
        // The view may hide what has changed, by a change that was written after the transaction.
        let changed = match self.pending.queue.has_transactions() {
            true => text_scope::with_history(|| S::diff(&self.states.confirmed, &confirmed)),
            false => Vec::new(),
        };
        self.states.confirmed = confirmed;
        let mut refused = Vec::new();
        if same_history {
            refused = self.settle(outcomes);
        } else {
            // The server may know this client from before this replica existed: the numbers continue after
            // the last one that it knows.
            self.pending.queue.restart(outcomes.last);
            self.history.clear();
        }
        let shown = self.states.rebuild_all(&mut self.pending);
        changed.iter().chain(&shown).for_each(|update| self.pending.mark_stale(update));
        self.output.event(Origin::Remote, Some(version), None, shown);
        self.report(refused);
    }

    /// Processes the answers that come with a state or delta, which contains the accepted changes already.
    /// Returns the refused ones, for [`report`](Self::report) once the view is rebuilt.
    pub(super) fn settle(&mut self, outcomes: Outcomes) -> Vec<Refused> {
        let mut refused = Vec::new();
        for (seq, outcome) in outcomes.answers {
            let at = self.pending.queue.with_seq(seq);
            let Some(change) = at.and_then(|at| self.pending.queue.take(at)) else { continue };
            match outcome {
                Outcome::Accepted(version) => self.output.answer(change.id, Ok(version)),
                Outcome::Rejected(reject) => refused.push(Refused::new(&change, reject)),
            }
        }
        // These were answered, but the server no longer remembers how.
        while let Some(at) = self.pending.queue.with_seq_up_to(outcomes.last)
            && let Some(change) = self.pending.queue.take(at)
        {
            let reject = if change.sent.is_some_and(|sent| sent.base < outcomes.since) {
                let message = "this client was away longer than its changes are remembered";
                Reject::new(Code::Uncertain, message)
            } else {
                Reject::new(Code::Refused, "it was refused earlier; the reason is no longer known")
            };
            refused.push(Refused::new(&change, reject));
        }
        refused
    }

    /// Reports refused changes, which the view does not contain any more.
    pub(super) fn report(&mut self, refused: Vec<Refused>) {
        for Refused { id, fields, why } in refused {
            self.history.refused(id);
            let restored: Vec<_> = fields.iter().map(|field| self.states.view.current(*field)).collect();
            restored.iter().for_each(|update| self.pending.mark_stale(update));
            self.output.event(Origin::RolledBack, None, None, restored);
            self.output.answer(id, Err(why));
        }
    }
}

/// What the app takes from a replica: the events and the answers to its writes, in order.
pub(super) struct Output<S: SharedState> {
    events: VecDeque<Event<S>>,
    max_events: usize,
    /// How many events were dropped since the app last took one.
    missed: u64,
    answers: VecDeque<(WriteId, Result<u64, Rejected>)>,
}

impl<S: SharedState> Output<S> {
    pub(super) const fn new(max_events: usize) -> Self {
        Self { events: VecDeque::new(), max_events, missed: 0, answers: VecDeque::new() }
    }

    /// Adds an event, unless it has no updates.
    pub(super) fn event(
        &mut self,
        origin: Origin,
        version: Option<u64>,
        from: Option<Arc<str>>,
        updates: Vec<S::Update>,
    ) {
        if updates.is_empty() {
            return;
        }
        if self.events.len() >= self.max_events {
            // The app does not take its events: replace them by a count, after which the app reads the state.
            self.missed += self.events.len() as u64;
            self.events.clear();
        }
        self.events.push_back(Event { origin, version, from, updates });
    }

    pub(super) fn answer(&mut self, id: WriteId, answer: Result<u64, Rejected>) {
        self.answers.push_back((id, answer));
    }

    pub(super) fn poll_event(&mut self) -> Option<Event<S>> {
        if self.missed > 0 {
            let origin = Origin::Lagged(std::mem::take(&mut self.missed));
            return Some(Event { origin, version: None, from: None, updates: Vec::new() });
        }
        self.events.pop_front()
    }

    pub(super) fn poll_answer(&mut self) -> Option<(WriteId, Result<u64, Rejected>)> {
        self.answers.pop_front()
    }
}
