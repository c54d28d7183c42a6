//! The room's state as one client holds it: the two states, what is pending, what can be undone, and what the
//! app is told of all that. Knows no message and no connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::core::transfer::{self, ItemMove};
use crate::core::{Code, FieldId, Overlap, Reject, Rejected, SharedState, WriteError, text_scope};
use crate::proto::{Outcome, Outcomes, Violation};
use crate::replica::change::{Change, Forwarding, PendingUpdate, Reads, WriteId, distinct};
use crate::replica::config::ReplicaConfig;
use crate::replica::event::{Event, Origin};
use crate::replica::pending::{Pending, Withdrawn};
use crate::replica::permissions::RoomPermissions;
use crate::replica::session::Session;
use crate::replica::states::{States, decompose_on};
use crate::replica::transact::Read;
use crate::replica::undo::{Kind, Parts, Step, TakenBack, UndoHistory};

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
            history: UndoHistory::new(config.max_undo, config.max_undo_bytes, config.undo_pause),
            output: Output::new(config.max_events),
        }
    }

    /// Writes a change: encodes it, checks it, shows it, and queues it or folds it into a queued one. Updates
    /// without effect are left out, if `is_known` says that this client knows the room's value, and no pending
    /// change that may still be refused is what makes them so.
    ///
    /// # Errors
    /// A rule is violated, a value has no JSON form, the server would refuse the change whatever the state, or
    /// the queue is full. Nothing was changed then.
    #[allow(clippy::too_many_arguments)] // one for each part of a write
    pub(super) fn write(
        &mut self,
        now: Duration,
        updates: &[S::Update],
        reads: Option<Vec<Read>>,
        kind: Kind,
        taken_back: Option<&[WriteId]>,
        session: &Session,
        is_known: impl Fn(&S::Update) -> bool,
    ) -> Result<WriteId, WriteError> {
        let reads = reads.map(|all| Reads { all, stale: None });
        let written = updates;
        let mut updates = updates.iter().map(PendingUpdate::new).collect::<Result<Vec<_>, _>>()?;
        // Undoing what others have written the same of changes nothing, and yet says that it is undone.
        let mut effects = if kind == Kind::Plain { self.states.effects(&updates) } else { Vec::new() };
        if reads.is_none() && effects.contains(&false) {
            for (update, has_effect) in updates.iter().zip(&mut effects) {
                *has_effect |= !is_known(&update.typed);
            }
            let kept = updates.iter().zip(&effects);
            let kept = kept.map(|(update, effect)| *effect || self.depends_on_pending(&update.typed));
            let kept: Vec<bool> = kept.collect();
            for (at, item) in transfer::moves_by::<S>(written) {
                // The other list has the item already: it is only removed from this one.
                if kept[at]
                    && !kept[at + 1]
                    && let Some(removal) = item.reversed().removal::<S>()
                {
                    updates[at] = PendingUpdate::new(&removal)?;
                }
            }
            let kept = updates.into_iter().zip(effects).zip(kept).filter(|(_, kept)| *kept);
            (updates, effects) = kept.map(|(update, _)| update).unzip();
            if updates.is_empty() {
                return Ok(self.write_nothing());
            }
        }
        let has_effect = effects.is_empty() || effects.contains(&true);
        let folded = match (&updates[..], &reads) {
            ([one], None) if !self.pending.is_empty() => {
                let history = &self.history;
                self.pending.fold(one, |id| match taken_back {
                    // What undoes a waiting change leaves nothing of it.
                    Some(step) => step.contains(&id),
                    None => !history.is_taking(id),
                })?
            }
            _ => None,
        };
        match &folded {
            Some(folded) => session.check(std::slice::from_ref(&folded.update), &[])?,
            None => {
                session.check(&updates, reads.as_ref().map_or(&[][..], |reads| &reads.all))?;
                self.pending.check_space(&updates)?;
            }
        }
        let inverses = session.limits.bound_work(|| self.states.show(&updates))?;
        let typed = updates.iter().map(|update| update.typed.clone());
        let written: Vec<_> = typed.zip(inverses).collect();
        let mut effects = effects.into_iter();
        let shown = written.iter().filter(|_| effects.next() != Some(false));
        self.output.event(Origin::Local, None, None, shown.map(|(update, _)| update.clone()).collect());
        let begins = folded.is_none();
        let id = match folded {
            Some(folded) => self.pending.replace(now, folded),
            None => self.pending.push(now, updates, reads, kind),
        };
        if has_effect {
            self.history.note(now, id, begins, written, kind);
        } else {
            self.history.note_repeated(id, begins, written);
        }
        Ok(id)
    }

    /// Whether an update could have an effect if something pending were refused.
    fn depends_on_pending(&self, update: &S::Update) -> bool {
        !self.pending.is_empty() && self.pending.overlap(update) != Overlap::Commutes
    }

    /// Undoes or redoes a step, by a change, or by removing what was never sent. `None` if there is nothing to
    /// undo in it any more.
    ///
    /// # Errors
    /// As [`write`](Self::write). The history is unchanged then.
    pub(super) fn take_back(
        &mut self,
        now: Duration,
        kind: Kind,
        mut step: Step<S>,
        may_write: impl Fn(&S::Update) -> bool,
        session: &Session,
    ) -> Result<Option<WriteId>, WriteError> {
        let Self { states, pending, .. } = self;
        // What others did meanwhile lies beneath what is pending.
        for field in step.fields() {
            if pending.touches(field) {
                states.replay(field, pending, |view, id, index| step.refresh(view, id, index));
            }
        }
        let mut unsent = step.begun();
        unsent.retain(|id| pending.is_unsent(*id));
        let withdrawn: Vec<_> = unsent.iter().filter_map(|id| pending.withdraw(*id)).collect();
        let fields = distinct(withdrawn.iter().flat_map(Withdrawn::updates).map(PendingUpdate::field));
        self.show_rebuilt(&fields);
        let Self { states, pending, history, .. } = self;
        let (moves, mut without) = (pending.moves(), pending.hidden());
        without.extend(&unsent);
        if !unsent.is_empty() {
            states.writer.keep_clocks();
        }
        let (view, writer, marks) = (&mut states.view, &mut states.writer, history.marks());
        let TakenBack { updates, retyped } =
            step.taken_back(view, writer, marks, &moves, &without, may_write);
        if updates.is_empty() && unsent.is_empty() {
            return Ok(None);
        }
        let written = if S::HAS_RULE && !withdrawn.is_empty() {
            self.states.view.check_rule().map_err(WriteError::from)
        } else {
            Ok(())
        };
        let written = written.and_then(|()| {
            let updates = self.states.decompose(updates);
            if updates.is_empty() {
                return Ok(None);
            }
            let ids = step.changes();
            self.write(now, &updates, None, kind, Some(&ids), session, |_| true).map(Some)
        });
        let id = match written {
            Ok(id) => id,
            Err(error) => {
                // The last one first: each was at its index when those before it were gone.
                withdrawn.into_iter().rev().for_each(|change| self.pending.put_back(change));
                self.show_rebuilt(&fields);
                self.history.put_back(kind, step);
                return Err(error);
            }
        };
        for update in withdrawn.iter().flat_map(Withdrawn::updates) {
            self.pending.mark_stale(update.shown());
        }
        if !unsent.is_empty() {
            let (version, alone) = (self.states.version, id.is_none());
            self.history.withdrawn(kind, &step, &unsent, version, alone);
            unsent.iter().for_each(|id| self.output.answer(*id, Ok(version)));
            // An earlier undo that waits has taken back a part of them, which is there no more.
            for id in self.history.forget_taken(&unsent, version) {
                if let Some(at) = self.pending.queue.position(id) {
                    self.revise(at, true);
                }
            }
        }
        if let Some(id) = id {
            self.history.retyped(id, retyped, &moves);
        }
        match id {
            // A write that was folded into the change that it undoes is answered with that.
            Some(id) if step.changes().contains(&id) => {
                // What was not sent is gone already.
                step.forget(&unsent);
                self.history.folded(kind, step, self.states.version);
            }
            Some(id) => {
                // What was not sent is gone already.
                step.forget(&unsent);
                self.history.takes_back(id, kind, step, self.states.writer.first());
            }
            None if unsent.is_empty() => return Ok(None),
            None => return Ok(Some(self.write_nothing())),
        }
        Ok(id)
    }

    /// Rebuilds fields of the view, and reports those that are different.
    fn show_rebuilt(&mut self, fields: &[FieldId]) {
        let shown = fields.iter().filter_map(|field| self.states.rebuilt(*field, &mut self.pending));
        let shown = shown.collect();
        self.output.event(Origin::Local, None, None, shown);
    }

    /// Whether the next change has to wait for the answers to those that it takes back. They say what there is to
    /// take back.
    pub(super) fn next_waits(&self) -> bool {
        let next = self.pending.queue.next().filter(|next| next.sent.is_none());
        next.is_some_and(|next| self.pending.queue.is_in_flight(&self.history.changes_taken_by(next.id)))
    }

    /// Has the server check that nobody has changed what the next change takes back, as far as this client may
    /// know. Returns whether the change can be sent: it has to wait for changes in flight of the same fields, if it or one
    /// of them takes back something.
    pub(super) fn guard_next(&mut self, permissions: &RoomPermissions, session: &Session) -> bool {
        let queue = &mut self.pending.queue;
        let Some(next) = queue.next().filter(|next| next.sent.is_none()) else { return true };
        let mut guard = self.history.guard(next.id);
        if queue.waits_for_guarded(next, guard.as_ref()) {
            return false;
        }
        if let Some(guard) = &mut guard {
            guard.parts.retain(|part| permissions.may_read(&part.path));
            if session.check(&next.updates, &guard.parts).is_err() {
                guard.widen::<S>();
                guard.parts.retain(|part| permissions.may_read(&part.path));
            }
        }
        queue.guard_next(guard);
        true
    }

    /// Another history has begun. What takes back a change of the history that is lost is removed, together with
    /// that change, if it waits to be written to the new one.
    fn forget_undone(&mut self) {
        for (id, kind, begun) in self.history.all_taken() {
            let is_waiting = begun.iter().any(|id| self.pending.is_unsent(*id));
            if !self.pending.is_unsent(id) || kind == Kind::Redo && !is_waiting {
                continue;
            }
            for id in std::iter::once(id).chain(begun) {
                if self.pending.withdraw(id).is_some() {
                    self.output.answer(id, Ok(self.states.version));
                }
            }
        }
        self.history.clear();
    }

    /// Looks again at what the next change takes back, if that may have changed since it was written: others
    /// may have written to the same parts, or the changes that it takes back were answered. Returns whether
    /// there is anything left to send of it.
    pub(super) fn revise_next(&mut self) -> bool {
        let at = self.pending.queue.next_at();
        let next = self.pending.queue.get(at);
        // One that was sent before may have been accepted as it was.
        next.sent.is_some() || self.revise(at, false)
    }

    /// The same for the unsent change at an index of the queue. `is_withdrawn`: this client has removed what the change
    /// takes back, so that nothing is missing if nothing is left.
    fn revise(&mut self, at: usize, is_withdrawn: bool) -> bool {
        let id = self.pending.queue.get(at).id;
        let Some((mut step, first_clock)) = self.history.outdated(id) else { return true };
        // The state on which the change lies.
        let mut beneath = self.states.confirmed.clone();
        for change in self.pending.queue.iter_mut().take(at) {
            for (index, update) in change.updates.iter_mut().enumerate() {
                step.refresh(&mut beneath, change.id, index);
                update.put_on(&mut beneath);
            }
        }
        let mut writer = self.states.writer.again_from(first_clock);
        let hidden = self.pending.hidden();
        let moves = self.pending.moves_before(at);
        let marks = self.history.marks();
        let TakenBack { updates, retyped } =
            step.taken_back(&mut beneath, &mut writer, marks, &moves, &hidden, |_| true);
        let updates = decompose_on(&mut beneath, &mut writer, updates);
        self.states.writer.join(writer);
        let updates: Result<Vec<_>, _> = updates.iter().map(PendingUpdate::new).collect();
        let Ok(updates) = updates else {
            // They were encoded when they were written.
            self.history.revised(id, step, None);
            return true;
        };
        let before = &self.pending.queue.get(at).updates;
        let fields = distinct(before.iter().chain(&updates).map(PendingUpdate::field));
        let is_same = before.len() == updates.len()
            && before.iter().zip(&updates).all(|(before, now)| before.typed == now.typed);
        let written = updates.iter().map(|update| {
            let inverse = beneath.apply(update.typed.clone());
            (update.typed.clone(), inverse)
        });
        let written = written.collect();
        self.history.revised(id, step, Some(written));
        self.history.retyped(id, retyped, &moves);
        if is_same {
            return true;
        }
        let takes = |update: &PendingUpdate<S>| transfer::move_of::<S>(update.shown()).is_some();
        if before.iter().chain(&updates).any(takes) {
            // What else is taken back may be in an item that this change has moved, or does not move any more.
            self.history.look_again();
        }
        let is_left = !updates.is_empty();
        // What the change was to act on may have been removed.
        let mut gone = before.iter().filter_map(|update| beneath.check_op(update.shown()).err());
        let gone = if is_withdrawn { None } else { gone.next() };
        let changed: Vec<_> = before.iter().chain(&updates).map(|update| update.shown().clone()).collect();
        changed.iter().for_each(|update| self.pending.mark_stale(update));
        if is_left {
            self.pending.queue.revise(at, updates);
        } else {
            self.pending.queue.take(at);
            let answer = gone.map_or(Ok(self.states.version), |gone| Err(Rejected(gone.into())));
            self.output.answer(id, answer);
        }
        self.show_rebuilt(&fields);
        is_left
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
        let (mut forwarded, mut arriving) = (Vec::new(), None);
        for update in updates {
            if self.pending.queue.has_transactions() {
                self.pending.mark_stale(&update);
            }
            let inverse = self.states.confirmed.apply(update.clone());
            if let Some(item) = self.moved_by(&inverse) {
                forwarded.extend(self.others_moved(&item, version, Some(&from)));
                arriving = Some(item);
            } else if arriving.take_if(|item| item.is_insert::<S>(&update)).is_none() {
                self.history.others_wrote(
                    &mut self.states.confirmed,
                    &update,
                    &inverse,
                    version,
                    Some(&from),
                );
            }
            shown.extend(self.states.show_remote(update, &mut self.pending));
        }
        for field in distinct(forwarded.into_iter()) {
            shown.extend(self.states.rebuilt(field, &mut self.pending));
        }
        self.output.event(Origin::Remote, Some(version), Some(from), shown);
    }

    /// The move to another list that an update has made, from its inverse, if this client has anything to forward.
    fn moved_by(&self, inverse: &S::Update) -> Option<ItemMove> {
        let has_any = !self.pending.is_empty() || !self.history.is_empty();
        let (from, to) = has_any.then(|| transfer::moved::<S>(inverse)).flatten()?;
        to.map(|to| ItemMove { from, to })
    }

    /// Somebody else has moved an item to another list: what is pending for it is forwarded there, and so is what can be
    /// undone in it. Returns the fields to show again.
    fn others_moved(&mut self, item: &ItemMove, version: u64, from: Option<&Arc<str>>) -> Vec<FieldId> {
        let Forwarding { fields, until, sets, .. } = self.pending.forward(item, &mut self.states.confirmed);
        self.history.others_moved(item, until, version, from);
        for (id, index, before, now) in sets {
            self.history.rewritten(id, index, [&before, &before], &now);
        }
        fields
    }

    /// Follows the moves that a delta contains, before anything else that it contains. Returns the confirmed state with
    /// nothing but these moves, if there are any, and the fields to show again.
    fn follow(
        &mut self,
        version: u64,
        moves: &[S::Update],
        outcomes: &Outcomes,
    ) -> (Option<S>, Vec<FieldId>) {
        let mut fields = Vec::new();
        if moves.is_empty() || self.pending.is_empty() && self.history.is_empty() {
            return (None, fields);
        }
        let own = self.own_moves(outcomes);
        let mut state = self.states.confirmed.clone();
        for item in moves.iter().filter_map(transfer::move_of::<S>) {
            let own =
                own.iter().fold(item.from.clone(), |at, own| if own.from == at { own.now() } else { at });
            // The item's other former paths are none that this client knows.
            if own == item.now() || transfer::is_missing(&mut state, &item.from) {
                continue;
            }
            fields.extend(self.others_moved(&item, version, None));
            transfer::make(&mut state, &item);
        }
        (Some(state), fields)
    }

    /// The moves of this client that the room has accepted.
    fn own_moves(&self, outcomes: &Outcomes) -> Vec<ItemMove> {
        let accepted = outcomes.answers.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Accepted(_)));
        let at = accepted.filter_map(|(seq, _)| self.pending.queue.with_seq(*seq));
        let pairs = at.flat_map(|at| self.pending.queue.get(at).updates.windows(2));
        pairs.filter_map(|pair| transfer::move_by::<S>(&pair[0].typed, &pair[1].typed)).collect()
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
        // The view may show it where the server was expected to forward it to.
        let is_forwarded = change.updates.iter().any(|update| update.forwarded.is_some());
        let as_sent = || change.updates.iter().map(|update| update.typed.clone()).collect();
        let rewritten = rewritten.or_else(|| is_forwarded.then(as_sent));
        let moves = match &rewritten {
            Some(rewritten) => transfer::moves_by::<S>(rewritten).collect(),
            None => change.moves(),
        };
        if is_news && let Some(rewritten) = rewritten {
            self.confirm_rewritten(version, &change, rewritten);
        } else if is_news {
            // The view contains it already, and in the same place: below everything else that is pending.
            for (index, update) in change.updates.into_iter().enumerate() {
                self.history.lies_on(&mut self.states.confirmed, id, index);
                self.states.confirmed.apply(update.typed);
            }
        } else {
            // The confirmed state has it already, and perhaps what others wrote after it.
            let fields = change.fields();
            let read = self.pending.read_by_unsent(&fields);
            let expected = self.states.confirmed_after(std::iter::once(&change), &read);
            self.mark_unexpected(expected);
            self.show_rebuilt(&fields);
        }
        self.history.accepted(id, version, &moves);
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
        let expected = self.states.confirmed_after(std::iter::once(change), &read);
        // Otherwise the server has added updates or left some out.
        let is_each = rewritten.len() == change.updates.len();
        for (index, update) in rewritten.into_iter().enumerate() {
            if is_each && let Some(sent) = change.updates.get(index) {
                self.history.rewritten(change.id, index, [&sent.typed, sent.shown()], &update);
                self.history.lies_on(&mut self.states.confirmed, change.id, index);
            }
            self.states.confirmed.apply(update);
        }
        self.mark_unexpected(expected);
        let rebuilt = fields.into_iter().filter_map(|field| self.states.rebuilt(field, &mut self.pending));
        self.output.event(Origin::Remote, Some(version), None, rebuilt.collect());
    }

    /// The change at an index of the queue was refused: takes it out of the view, and reports that.
    pub(super) fn reject(&mut self, at: usize, reject: Reject) {
        let Some(change) = self.pending.queue.take(at) else { return };
        let fields = change.fields();
        let Some(refused) = self.refuse(change, reject) else {
            return self.show_rebuilt(&fields);
        };
        for field in fields {
            self.states.rebuild(field, &mut self.pending);
        }
        self.report(vec![refused]);
    }

    /// A change was refused, and has left the queue. If it was to take back what somebody else has changed
    /// meanwhile, it goes back to the queue: what is left to take back is looked up when its turn comes.
    fn refuse(&mut self, change: Change<S>, reject: Reject) -> Option<Refused> {
        if !change.moves().is_empty() {
            self.history.look_again();
        }
        let knows_more = change.sent.is_some_and(|sent| sent.base < self.states.version);
        let is_overtaken = reject.code == Code::Conflict && change.guard.is_some() && knows_more;
        if is_overtaken && self.history.overtaken(change.id) {
            self.pending.queue.send_later(change);
            return None;
        }
        Some(Refused::new(&change, reject))
    }

    /// Refuses everything that is pending.
    pub(super) fn reject_all(&mut self, reject: &Reject) {
        let changes = self.pending.take_all();
        let refused = changes.iter().map(|change| Refused::new(change, reject.clone())).collect();
        self.states.view = self.states.confirmed.clone();
        self.report(refused);
    }

    /// Applies all that has changed in the room up to `version`. It may contain changes of this client.
    /// `moves` are the moves from list to list in `updates`, which has them as removals and insertions.
    pub(super) fn catch_up(
        &mut self,
        version: u64,
        updates: Vec<S::Update>,
        moves: &[S::Update],
        outcomes: Outcomes,
    ) {
        let touched =
            |pending: &Pending<S>| (0..S::FIELDS.len()).filter(|field| pending.touches(*field)).collect();
        let mut contended: Vec<FieldId> = touched(&self.pending);
        let (moved, fields) = self.follow(version, moves, &outcomes);
        contended.extend(fields);
        let contended = distinct(contended.into_iter());
        let before: Vec<S::Update> = contended.iter().map(|field| self.states.view.current(*field)).collect();
        self.states.version = version;
        let expected = self.expected_by_unsent(&outcomes);
        let (refused, own) = self.settle(outcomes);
        let has_own = !own.is_empty() && !self.history.is_empty();
        let state = moved.or_else(|| has_own.then(|| self.states.confirmed.clone()));
        let mut shown = Vec::new();
        for update in updates {
            let inverse = self.states.confirmed.apply(update.clone());
            self.pending.mark_stale(&update);
            if state.is_none() {
                self.history.others_wrote(&mut self.states.confirmed, &update, &inverse, version, None);
            }
            if !contended.contains(&S::field(&update)) {
                shown.extend(self.states.shown(update));
            }
        }
        if let Some(state) = state {
            self.others_changed(state, &own, version);
        }
        for (field, before) in contended.iter().zip(before) {
            self.states.rebuild(*field, &mut self.pending);
            let now = self.states.view.current(*field);
            if text_scope::with_history(|| now != before) {
                shown.push(now);
            }
        }
        self.mark_unexpected(expected);
        self.output.event(Origin::Remote, Some(version), None, shown);
        self.report(refused);
    }

    /// The values of the fields that unsent transactions have read of this client's changes which are answered now, as
    /// they have read them.
    fn expected_by_unsent(&mut self, outcomes: &Outcomes) -> Vec<S::Update> {
        let accepted = outcomes.answers.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Accepted(_)));
        let answered: Vec<_> = accepted.filter_map(|(seq, _)| self.pending.queue.with_seq(*seq)).collect();
        let changes = || answered.iter().map(|at| self.pending.queue.get(*at));
        let fields = distinct(changes().flat_map(Change::fields));
        let read = self.pending.read_by_unsent(&fields);
        self.states.confirmed_after(changes(), &read)
    }

    /// Marks the transactions that have read other values than those that are confirmed now: somebody else has changed
    /// them after this client's changes, which were answered late.
    fn mark_unexpected(&mut self, expected: Vec<S::Update>) {
        if expected.is_empty() {
            return;
        }
        let mut state = self.states.confirmed.clone();
        expected.into_iter().for_each(|expected| drop(state.apply(expected)));
        let changed = text_scope::with_history(|| S::diff(&state, &self.states.confirmed));
        changed.iter().for_each(|update| self.pending.mark_stale(update));
    }

    /// Notes what others have changed in the confirmed state, for the undo history: what is different from this client's
    /// `own` updates on the state `before`.
    fn others_changed(&mut self, mut before: S, own: &[S::Update], version: u64) {
        self.history.missed();
        let mut parts = Parts::default();
        for update in own {
            before.apply(update.clone());
            parts.add::<S>(update);
        }
        for update in text_scope::with_history(|| S::diff(&before, &self.states.confirmed)) {
            let inverse = before.apply(update.clone());
            // The room may have put an item of this client in another place than this client has.
            if !parts.are_placed_by::<S>(&update) {
                self.history.others_wrote(&mut before, &update, &inverse, version, None);
            }
        }
    }

    /// Replaces the confirmed state.
    pub(super) fn replace(&mut self, epoch: u64, version: u64, confirmed: S, outcomes: Outcomes) {
        let is_first = self.states.epoch.is_none();
        let same_history = self.states.epoch == Some(epoch);
        let expected = if same_history { self.expected_by_unsent(&outcomes) } else { Vec::new() };
        (self.states.epoch, self.states.version) = (Some(epoch), version);
        let before = std::mem::replace(&mut self.states.confirmed, confirmed);
        // The view may hide what has changed, by a change that was written after a transaction.
        let changed = if self.pending.queue.has_transactions() {
            text_scope::with_history(|| S::diff(&before, &self.states.confirmed))
        } else {
            Vec::new()
        };
        let mut refused = Vec::new();
        if same_history {
            let own;
            (refused, own) = self.settle(outcomes);
            if !self.history.is_empty() {
                self.others_changed(before, &own, version);
            }
        } else {
            // The server may know this client from before this replica existed: the numbers continue after
            // the last one that it knows.
            self.pending.queue.restart(outcomes.last);
            if !is_first {
                self.forget_undone();
            }
        }
        let shown = self.states.rebuild_all(&mut self.pending);
        self.mark_unexpected(expected);
        changed.iter().chain(&shown).for_each(|update| self.pending.mark_stale(update));
        self.output.event(Origin::Remote, Some(version), None, shown);
        self.report(refused);
    }

    /// Processes the answers that come with a state or delta, which contains the accepted changes already.
    /// Returns the refused ones, for [`report`](Self::report) once the view is rebuilt, and the updates of the
    /// accepted ones.
    pub(super) fn settle(&mut self, outcomes: Outcomes) -> (Vec<Refused>, Vec<S::Update>) {
        let (mut refused, mut own) = (Vec::new(), Vec::new());
        for (seq, outcome) in outcomes.answers {
            let at = self.pending.queue.with_seq(seq);
            let Some(change) = at.and_then(|at| self.pending.queue.take(at)) else { continue };
            match outcome {
                Outcome::Accepted(version) => {
                    self.history.accepted(change.id, version, &change.moves());
                    own.extend(change.updates.iter().map(|update| update.shown().clone()));
                    self.output.answer(change.id, Ok(version));
                }
                Outcome::Rejected(reject) => refused.extend(self.refuse(change, reject)),
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
            refused.extend(self.refuse(change, reject));
        }
        (refused, own)
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
