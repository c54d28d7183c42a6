//! Undo and redo: a user's own changes are taken back by new changes. Owns the two stacks of steps, in which
//! every write is recorded, and what is being taken back by changes that are not answered yet.
//!
//! Each write of a step knows the version that contains it, once the room has answered. What others wrote to
//! the same part since is in the [marks](marks), so that undo does not take it back, even if it reads the same.

mod marks;
mod step;
mod typed;
mod written;

use std::sync::Arc;
use std::time::Duration;

use crate::core::text_scope::Retyped;
use crate::core::transfer::ItemMove;
use crate::core::{FieldPathBuf, Segment, SharedState, UndoGuard, update_path};
use crate::replica::change::{Guard, WriteId};
use crate::replica::pending_moves::PendingMoves;
use crate::replica::transact::Read;
pub(super) use marks::{Marks, Parts};
use marks::{Noted, part_of};
use step::Steps;
pub(super) use step::{Step, TakenBack};
use written::Written;

/// The most parts that the server is asked to check one by one for a change that takes something back. For more, it
/// is asked for their fields.
const MAX_GUARDED: usize = 512;

/// How often a change that takes something back is sent again when somebody else was faster.
const MAX_OVERTAKEN: u32 = 16;

/// How a write enters the undo history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plain,
    Undo,
    Redo,
}

/// A step that a change takes back which is not answered yet.
struct Taking<S: SharedState> {
    /// The change.
    id: WriteId,
    kind: Kind,
    step: Step<S>,
    /// The clock at which the edits of texts in the change began, or later.
    first_clock: u32,
    /// Whether something has changed that may change what undoing the step comes to.
    outdated: bool,
    /// How often the change was refused because somebody else was faster.
    overtaken: u32,
}

/// The steps that can be undone and redone.
pub(super) struct UndoHistory<S: SharedState> {
    undo: Steps<S>,
    redo: Steps<S>,
    taking: Vec<Taking<S>>,
    marks: Marks,
    /// How many updates of the undo stack have no mark, at most.
    unmarked: usize,
    /// Whether this client has written the field since the history began.
    wrote: Vec<bool>,
    groups: usize,
    limit: usize,
    max_bytes: usize,
    pause: Duration,
}

impl<S: SharedState> UndoHistory<S> {
    pub(super) fn new(limit: usize, max_bytes: usize, pause: Duration) -> Self {
        Self {
            undo: Steps::new(),
            redo: Steps::new(),
            taking: Vec::new(),
            marks: Marks::default(),
            unmarked: 0,
            wrote: vec![false; S::FIELDS.len()],
            groups: 0,
            limit,
            max_bytes,
            pause,
        }
    }

    /// Records a write. `begins` is false if it was folded into a waiting change; it then joins the write
    /// before and takes no further space.
    pub(super) fn note(
        &mut self,
        now: Duration,
        id: WriteId,
        begins: bool,
        written: Vec<(S::Update, S::Update)>,
        kind: Kind,
    ) {
        let written = written.into_iter().enumerate().map(|(index, (update, inverse))| {
            self.wrote[S::field(&update)] = true;
            let mut one = Written::new(id, index, begins, update, inverse);
            // A plain write is not slowed down by it.
            if kind != Kind::Plain {
                one.mark(&mut self.marks);
            }
            one
        });
        let written: Vec<_> = written.collect();
        match kind {
            Kind::Undo | Kind::Redo => self.opposite(kind).push(Step::closed(written)),
            Kind::Plain => {
                self.redo = Steps::new();
                let until = now + self.pause;
                match self.undo.steps.back_mut().filter(|step| step.open || now < step.until) {
                    Some(step) => {
                        step.until = until;
                        self.join(written);
                    }
                    None => {
                        self.unmarked += written.len();
                        self.undo.push(Step::new(written, until, false));
                    }
                }
            }
        }
        self.undo.trim(self.limit, self.max_bytes);
        self.redo.trim(self.limit, self.max_bytes);
    }

    /// Records a write that changes nothing as long as what is pending is accepted. It belongs to the last write, undo
    /// or redo, and makes no step of its own.
    pub(super) fn note_repeated(&mut self, id: WriteId, begins: bool, written: Vec<(S::Update, S::Update)>) {
        written.iter().for_each(|(update, _)| self.wrote[S::field(update)] = true);
        let written = written.into_iter().enumerate();
        let written =
            written.map(|(index, (update, inverse))| Written::new(id, index, begins, update, inverse));
        let mut written: Vec<_> = written.collect();
        written.iter_mut().for_each(|one| one.mark(&mut self.marks));
        let steps = if self.undo.newest() < self.redo.newest() { &mut self.redo } else { &mut self.undo };
        steps.extend_last(written);
    }

    /// Adds writes to the last step that can be undone.
    fn join(&mut self, written: Vec<Written<S>>) {
        let Some(step) = self.undo.steps.back_mut() else { return };
        for one in written {
            if let Some(last) = step.written.last_mut()
                && last.fold(&one)
            {
                // It may reach further now.
                self.unmarked += usize::from(last.part.take().is_some());
            } else {
                step.written.push(one);
                self.undo.count += 1;
                self.unmarked += 1;
            }
        }
    }

    /// All writes that are recorded.
    fn written_mut(&mut self) -> impl Iterator<Item = &mut Written<S>> {
        let taking = self.taking.iter_mut().flat_map(|taking| &mut taking.step.written);
        self.undo.written_mut().chain(self.redo.written_mut()).chain(taking)
    }

    /// The update of a change with this index is about to be applied to this state, the confirmed one.
    pub(super) fn lies_on(&mut self, confirmed: &mut S, id: WriteId, index: usize) {
        self.written_mut().filter(|one| one.is(id, index)).for_each(|one| one.lies_on(confirmed));
    }

    /// The server has accepted another update than the one that was sent, or shown.
    pub(super) fn rewritten(&mut self, id: WriteId, index: usize, sent: [&S::Update; 2], update: &S::Update) {
        let mut marks = std::mem::take(&mut self.marks);
        for one in self.written_mut().filter(|one| one.is(id, index) && sent.contains(&&one.update)) {
            one.update.clone_from(update);
            one.mark(&mut marks);
        }
        self.marks = marks;
    }

    /// A change was accepted as this version. `moves` are those from list to list that it has made, each with its index
    /// in the change.
    pub(super) fn accepted(&mut self, id: WriteId, version: u64, moves: &[(usize, ItemMove)]) {
        self.taking.retain(|taking| taking.id != id);
        for taking in &mut self.taking {
            taking.outdated |= taking.step.written.iter().any(|one| one.id == id);
        }
        if !self.marks.is_empty() {
            self.mark_all();
        }
        let mut marks = std::mem::take(&mut self.marks);
        for steps in [&mut self.undo, &mut self.redo] {
            steps.steps.iter_mut().for_each(|step| step.folded.retain(|one| one.id != id));
        }
        for one in self.written_mut().filter(|one| one.id == id) {
            one.version = Some(version);
            if let Some(part) = &one.part {
                marks.accepted(part, one.guard() == UndoGuard::Replaced);
            }
        }
        self.marks = marks;
        for (index, item) in moves {
            // What waits for its answer was written after the move.
            let is_beneath = |one: &Written<S>| one.version.is_some() && (one.id != id || one.index < *index);
            self.follow(item, None, is_beneath);
        }
    }

    /// A change was refused: there is nothing of it to undo. What it was to take back can be taken back again.
    pub(super) fn refused(&mut self, id: WriteId) {
        self.forget_retyped(id);
        self.undo.retain(|written| written.id != id);
        self.redo.retain(|written| written.id != id);
        for taking in &mut self.taking {
            let before = taking.step.written.len();
            taking.step.written.retain(|written| written.id != id);
            taking.outdated |= taking.step.written.len() < before;
        }
        if let Some(Taking { kind, step, .. }) = self.take_taking(id)
            && !step.written.is_empty()
        {
            self.put_back(kind, step);
        }
    }

    /// The room has begun another history, which contains none of these writes.
    pub(super) fn clear(&mut self) {
        (self.undo, self.redo, self.taking) = (Steps::new(), Steps::new(), Vec::new());
        (self.marks, self.unmarked) = (Marks::default(), 0);
        self.wrote.fill(false);
    }

    /// The next write begins a new step, however soon it comes.
    fn seal(&mut self) {
        if let Some(step) = self.undo.steps.back_mut() {
            (step.until, step.open) = (Duration::ZERO, false);
        }
    }

    /// The steps that an undo or a redo takes from.
    const fn steps(&self, kind: Kind) -> &Steps<S> {
        if matches!(kind, Kind::Redo) { &self.redo } else { &self.undo }
    }

    const fn steps_mut(&mut self, kind: Kind) -> &mut Steps<S> {
        if matches!(kind, Kind::Redo) { &mut self.redo } else { &mut self.undo }
    }

    /// The steps that an undo or a redo adds to.
    const fn opposite(&mut self, kind: Kind) -> &mut Steps<S> {
        if matches!(kind, Kind::Redo) { &mut self.undo } else { &mut self.redo }
    }

    pub(super) fn can(&self, kind: Kind) -> bool {
        !self.steps(kind).steps.is_empty()
    }

    /// Takes the last step. The next write begins a new one.
    pub(super) fn pop(&mut self, kind: Kind) -> Option<Step<S>> {
        self.mark_all();
        let step = self.steps_mut(kind).pop()?;
        self.seal();
        Some(step)
    }

    /// Puts a step back that could not be undone.
    pub(super) fn put_back(&mut self, kind: Kind, mut step: Step<S>) {
        (step.until, step.open) = (Duration::ZERO, false);
        self.steps_mut(kind).push(step);
    }

    /// The change `id` takes a step back.
    pub(super) fn takes_back(&mut self, id: WriteId, kind: Kind, step: Step<S>, first_clock: u32) {
        self.taking.push(Taking { id, kind, step, first_clock, outdated: false, overtaken: 0 });
    }

    /// The change `id`, which takes a step back, inserts characters again. What inserted them before has inserted these
    /// too. `moves` are those that are pending.
    pub(super) fn retyped(
        &mut self,
        id: WriteId,
        retyped: Vec<(FieldPathBuf, Arc<[Retyped]>)>,
        moves: &PendingMoves,
    ) {
        if retyped.is_empty() {
            return;
        }
        let mut parts: Vec<Option<Arc<[Segment]>>> = vec![None; retyped.len()];
        for one in self.written_mut() {
            let path = one.path_after(moves);
            for ((_, runs), part) in retyped.iter().zip(&mut parts).filter(|((at, _), _)| *at == path) {
                one.retype(Some(id), runs.clone());
                part.clone_from(&one.part);
            }
        }
        for ((_, runs), part) in retyped.iter().zip(parts) {
            part.into_iter().for_each(|part| self.marks.retyped(&part, runs));
        }
    }

    /// What the change `id` was to insert again, it does not.
    fn forget_retyped(&mut self, id: WriteId) {
        self.written_mut().for_each(|one| one.retyped.retain(|(by, _)| *by != Some(id)));
    }

    /// The last undo or redo was folded into the change that it takes `step` back from.
    pub(super) fn folded(&mut self, kind: Kind, step: Step<S>, version: u64) {
        let Some(last) = self.opposite(kind).steps.back_mut() else { return };
        last.folded = step.folded;
        if last.folded.is_empty() {
            // A step is taken back from its end.
            last.folded = step.written.iter().rev().map(|one| one.to_make_again(version)).collect();
        }
    }

    fn take_taking(&mut self, id: WriteId) -> Option<Taking<S>> {
        let at = self.taking.iter().position(|taking| taking.id == id)?;
        Some(self.taking.remove(at))
    }

    /// The changes that a change takes back.
    pub(super) fn changes_taken_by(&self, id: WriteId) -> Vec<WriteId> {
        let taking = self.taking.iter().find(|taking| taking.id == id);
        taking.map_or(Vec::new(), |taking| taking.step.changes())
    }

    /// What a change takes back, where anything that somebody else writes meanwhile has to stay. `None` if nothing
    /// that others write keeps it from being taken back.
    pub(super) fn guard(&self, id: WriteId) -> Option<Guard> {
        let taking = self.taking.iter().find(|taking| taking.id == id)?;
        let mut parts = Vec::<Read>::new();
        let is_guarded = |one: &&Written<S>| one.guard() != UndoGuard::Replaced && !one.unreachable;
        for one in taking.step.written.iter().filter(is_guarded) {
            parts.extend(one.part.as_ref().and_then(|part| Read::part::<S>(part)));
        }
        parts.dedup();
        let mut guard = Guard { parts, fields: taking.step.fields() };
        if guard.parts.len() > MAX_GUARDED {
            guard.widen::<S>();
        }
        Some(guard).filter(|guard| !guard.parts.is_empty())
    }

    /// The server has refused a change that takes a step back, because somebody else was faster. Returns whether
    /// what is left to take back is to be looked up and sent again.
    pub(super) fn overtaken(&mut self, id: WriteId) -> bool {
        let Some(taking) = self.taking.iter_mut().find(|taking| taking.id == id) else { return false };
        taking.overtaken += 1;
        taking.outdated = true;
        taking.overtaken <= MAX_OVERTAKEN
    }

    /// The changes that take steps back, the last one first, with the changes that begin in each step.
    pub(super) fn all_taken(&self) -> Vec<(WriteId, Kind, Vec<WriteId>)> {
        let taking = self.taking.iter().rev();
        taking.map(|taking| (taking.id, taking.kind, taking.step.begun())).collect()
    }

    /// Whether a change takes a step back. A plain write is not folded into it.
    pub(super) fn is_taking(&self, id: WriteId) -> bool {
        self.taking.iter().any(|taking| taking.id == id)
    }

    /// Changes of a step that were never sent have been removed. The other stack gets what makes them again: the
    /// steps that they themselves took back, or else their writes. `is_all`: nothing else of the step was
    /// taken back.
    pub(super) fn withdrawn(
        &mut self,
        kind: Kind,
        step: &Step<S>,
        removed: &[WriteId],
        version: u64,
        is_all: bool,
    ) {
        removed.iter().for_each(|id| self.forget_retyped(*id));
        self.opposite(kind).unfold(removed);
        let known: Vec<_> = removed.iter().filter_map(|id| self.take_taking(*id)).collect();
        removed.iter().for_each(|id| self.accepted(*id, version, &[]));
        if is_all && known.len() == removed.len() {
            for taking in known {
                self.opposite(kind).push(taking.step);
            }
            return;
        }
        // A step is taken back from its end.
        let is_new =
            |one: &&Written<S>| removed.contains(&one.id) && known.iter().all(|taking| taking.id != one.id);
        let again = step.written.iter().rev().filter(is_new).map(|one| one.to_make_again(version));
        let again: Vec<_> = again.collect();
        let mut written: Vec<_> = known.into_iter().flat_map(|taking| taking.step.written).collect();
        written.extend(again);
        if let Some(rest) = (!is_all).then(|| self.opposite(kind).pop()).flatten() {
            written.extend(rest.written);
        }
        self.opposite(kind).push(Step::closed(written));
    }

    /// Changes that were never sent have been removed. Returns the changes that have taken back a part of them, and take
    /// back less now. Taking those back again has nothing to wait for: it follows once the removed changes are made again.
    pub(super) fn forget_taken(&mut self, removed: &[WriteId], version: u64) -> Vec<WriteId> {
        let mut changes = Vec::new();
        for taking in &mut self.taking {
            let mut gone = Parts::default();
            let of_removed = taking.step.written.iter().filter(|one| removed.contains(&one.id));
            of_removed.for_each(|one| gone.add::<S>(&one.update));
            if !gone.is_empty() {
                taking.step.forget(removed);
                taking.outdated = true;
                changes.push((taking.id, gone));
            }
        }
        for (id, gone) in &changes {
            let written = self.written_mut().filter(|one| one.id == *id && gone.touched_by::<S>(&one.update));
            for one in written {
                (one.id, one.version) = (removed[0], Some(version));
            }
        }
        changes.into_iter().map(|(id, _)| id).collect()
    }

    /// The step that an unsent change takes back, if what that comes to may have changed since it was last
    /// asked, and the clock at which the change's edits of texts began.
    pub(super) fn outdated(&mut self, id: WriteId) -> Option<(Step<S>, u32)> {
        let taking = self.taking.iter_mut().find(|taking| taking.id == id && taking.outdated)?;
        taking.outdated = false;
        let step = std::mem::replace(&mut taking.step, Step::closed(Vec::new()));
        Some((step, taking.first_clock))
    }

    /// What undoing any step comes to may have changed.
    pub(super) fn look_again(&mut self) {
        self.taking.iter_mut().for_each(|taking| taking.outdated = true);
    }

    /// What a change that takes back `step` consists of now: `written`, each with its inverse.
    /// `None`: what it did before.
    pub(super) fn revised(
        &mut self,
        id: WriteId,
        step: Step<S>,
        written: Option<Vec<(S::Update, S::Update)>>,
    ) {
        let Some(taking) = self.taking.iter_mut().find(|taking| taking.id == id) else { return };
        let kind = taking.kind;
        taking.step = step;
        let Some(written) = written else { return };
        self.forget_retyped(id);
        if written.is_empty() {
            self.taking.retain(|taking| taking.id != id);
        }
        let written = written.into_iter().enumerate().map(|(index, (update, inverse))| {
            let mut one = Written::new(id, index, true, update, inverse);
            one.mark(&mut self.marks);
            one
        });
        let written = written.collect();
        // What the change writes may be taken back already, by a change that waits for the answer.
        match self.taking.iter_mut().find(|taking| taking.step.contains(id)) {
            Some(taking) => {
                taking.step.replace(id, written);
                taking.outdated = true;
            }
            None => self.opposite(kind).replace(id, written),
        }
    }

    /// What others wrote, at the parts that can be undone.
    pub(super) const fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Somebody else wrote an update, as part of a version; `confirmed` contains it, and `inverse` takes it out.
    /// `from` is who, if that is known. What somebody takes back again themselves counts as never written.
    pub(super) fn others_wrote(
        &mut self,
        confirmed: &mut S,
        update: &S::Update,
        inverse: &S::Update,
        version: u64,
        from: Option<&Arc<str>>,
    ) {
        if !self.wrote[S::field(update)] {
            return;
        }
        self.mark_all();
        if self.marks.is_empty() {
            return;
        }
        let mut noted = Noted::new::<S>(update, version, from);
        if self.marks.concerns(&noted) {
            noted.compare(confirmed, update, inverse);
            let retyped: Arc<[Retyped]> = self.marks.note(&noted).into();
            if !retyped.is_empty() {
                self.others_retyped(update, &retyped);
            }
            self.look_again();
        }
    }

    /// Others may have written what only its result is known of.
    pub(super) fn missed(&mut self) {
        self.marks.missed();
    }

    /// Somebody else has taken back a deletion in a text: what had inserted the characters has inserted those that stand for
    /// them now.
    fn others_retyped(&mut self, edit: &S::Update, retyped: &Arc<[Retyped]>) {
        let path = update_path::<S>(edit);
        for one in self.written_mut().filter(|one| one.version.is_some() && one.path() == path) {
            one.retype(None, retyped.clone());
        }
    }

    /// Somebody else has moved an item to another list: what can be undone in it is undone where it is now. A pending
    /// change from `until` on means another item. `from` is who, if that is known.
    pub(super) fn others_moved(
        &mut self,
        item: &ItemMove,
        until: Option<WriteId>,
        version: u64,
        from: Option<&Arc<str>>,
    ) {
        if self.is_empty() {
            return;
        }
        self.mark_all();
        let is_pending = |one: &Written<S>| one.version.is_none();
        let is_meant = |one: &Written<S>| until.is_none_or(|until| one.id < until);
        for one in self.written_mut().filter(|one| is_pending(one) && is_meant(one)) {
            one.forward_pending(item);
        }
        let noted = Noted::moved(item, version, from);
        self.follow(item, Some(&noted), |one| !is_pending(one) || is_meant(one));
        self.look_again();
    }

    /// Writes that are `beneath` the move of an item, and the marks at them, follow the item to where it is now.
    /// `noted` is the move, if somebody else has made it.
    fn follow(
        &mut self,
        item: &ItemMove,
        noted: Option<&Noted<'_>>,
        is_beneath: impl Fn(&Written<S>) -> bool,
    ) {
        let (Some(removed), Some(inserted)) = (item.reversed().removal::<S>(), item.removal::<S>()) else {
            return;
        };
        let (before, now) = (part_of::<S>(&removed), part_of::<S>(&inserted));
        let is_in_it = |one: &Written<S>| one.part.as_deref().is_some_and(|part| part.starts_with(&before));
        self.tell_apart(item, &is_beneath);
        let is_beneath = |one: &Written<S>| is_beneath(one) && one.goes_with(item);
        let mut marks = std::mem::take(&mut self.marks);
        let stays = self.written_mut().filter(|one| !one.goes_with(item) && is_in_it(one));
        let stays: Vec<_> = stays.filter_map(|one| one.part.clone()).collect();
        marks.moved(&before, &now, noted, &stays);
        for one in self.written_mut() {
            if let Some(rest) = one.part.as_deref().and_then(|part| part.strip_prefix(&before[..])) {
                let at = if is_beneath(one) { &now } else { &before };
                one.part = Some(marks.at([at, rest].concat()));
            }
        }
        self.marks = marks;
        for one in self.written_mut().filter(|one| one.version.is_some() && is_beneath(one)) {
            one.forward(item);
        }
    }

    /// Tells writes about an item that has moved from those about others of its key. What this client wrote before it
    /// inserted the item is about one that was at its place before; what it wrote at the place to which the item has come is
    /// about one that was there.
    fn tell_apart(&mut self, item: &ItemMove, is_beneath: &impl Fn(&Written<S>) -> bool) {
        let is_confirmed = |one: &Written<S>| one.version.is_some() && is_beneath(one);
        for kind in [Kind::Undo, Kind::Redo] {
            let taking = self.taking.iter_mut().filter(|taking| taking.kind == kind);
            let taken = taking.map(|taking| &mut taking.step);
            let stack = if kind == Kind::Redo { &mut self.redo } else { &mut self.undo };
            let mut steps: Vec<_> = stack.steps.iter_mut().chain(taken).collect();
            let inserted = steps.iter().filter_map(|step| step.last_insertion(item, is_confirmed)).max();
            for one in steps.iter_mut().flat_map(|step| &mut step.written).filter(|one| is_confirmed(one)) {
                one.make_way(&item.now());
                if inserted.is_some_and(|inserted| one.order() < inserted) {
                    one.make_way(&item.from);
                }
            }
        }
    }

    /// Whether this client has written anything that others may overwrite.
    pub(super) fn is_empty(&self) -> bool {
        self.undo.count == 0 && self.redo.count == 0 && self.taking.is_empty()
    }

    /// Makes the marks that are missing. What others wrote is noted at marks only.
    fn mark_all(&mut self) {
        let unmarked = std::mem::take(&mut self.unmarked);
        let written = self.undo.steps.iter_mut().rev().flat_map(|step| step.written.iter_mut().rev());
        for one in written.filter(|one| one.part.is_none()).take(unmarked) {
            one.mark(&mut self.marks);
        }
        let taking = || self.taking.iter().flat_map(|taking| &taking.step.written);
        let all = self.undo.count + self.redo.count + taking().count();
        if self.marks.len() > 2 * all + 64 {
            let written = self.undo.written().chain(self.redo.written()).chain(taking());
            self.marks.keep(written.filter_map(|one| one.part.clone()));
        }
    }

    /// Opens a group, a step that every write joins. Groups nest.
    pub(super) fn begin_group(&mut self) {
        self.groups += 1;
        if self.groups == 1 {
            self.undo.push(Step::new(Vec::new(), Duration::ZERO, true));
        }
    }

    pub(super) fn end_group(&mut self) {
        self.groups = self.groups.saturating_sub(1);
        if self.groups == 0 {
            self.undo.steps.retain(|step| !step.written.is_empty());
            self.seal();
        }
    }
}
