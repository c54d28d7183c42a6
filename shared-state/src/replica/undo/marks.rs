//! What others wrote, at the parts of the state that the writes of an undo history change. Bounded by the
//! history: there is one mark for each part that it contains, and each remembers a few writes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Bound;
use std::sync::Arc;

use crate::core::text_scope::{Retyped, TextEdit, traced};
use crate::core::transfer::ItemMove;
use crate::core::{Segment, SharedState, UndoGuard, Versions, encode_operation, encode_update};
use crate::replica::undo::typed::Typed;

/// The most writes of others that a mark remembers.
const MAX_FOREIGN: usize = 8;

/// The most runs of characters in an edit of a text that is searched for what it takes back.
const MAX_EDIT: usize = 1 << 10;

/// The part of the state that an update changes.
pub(super) fn part_of<S: SharedState>(update: &S::Update) -> Vec<Segment> {
    changed_by::<S>(update).unwrap_or_else(|| vec![Segment::Field(S::field(update))])
}

/// The same; `None` if it changes nothing.
fn changed_by<S: SharedState>(update: &S::Update) -> Option<Vec<Segment>> {
    let mut versions = Versions::default();
    S::record(&mut versions, update, 1);
    Some(versions.only_part()).filter(|part| !part.is_empty())
}

/// A write of somebody else.
#[derive(Clone)]
struct Foreign {
    version: u64,
    /// `None`: it is not known who. A delta has no authors.
    from: Option<Arc<str>>,
    /// Whether it changed something inside the part, and not the part itself or what is around it.
    inside: bool,
    /// Whether it changed the mark's part and did not replace it, as an addition to a counter does.
    adds: bool,
    /// The part that it changed, as what follows the mark's part.
    place: Vec<Segment>,
    /// If it changed something around the mark's part: how many segments of the path are missing there.
    above: usize,
    /// What that part was before, if that can be told.
    before: Option<Digest>,
    /// If it changed that part and did not replace it: the update by which its author undoes it.
    undone_by: Option<Digest>,
    /// If it is edits of a text: what is left of them.
    typed: Option<Typed>,
}

/// A digest of the update that brings a part to a value, wherever the part is now.
type Digest = u64;

fn digest<S: SharedState>(update: &S::Update) -> Option<Digest> {
    encode_operation::<S>(update).map(|encoded| hashed(&encoded))
}

fn hashed(text: &str) -> Digest {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// A write of somebody else, as it is noted.
pub(super) struct Noted<'a> {
    part: Vec<Segment>,
    /// The length of the path of what it has made, if that is around the part: of an entry that it has begun.
    begun: Option<usize>,
    version: u64,
    from: Option<&'a Arc<str>>,
    adds: bool,
    before: Option<Digest>,
    after: Option<Digest>,
    /// The update itself, if it adds, and the one by which its author undoes it.
    update: Option<Digest>,
    undone_by: Option<Digest>,
    /// What it has done to a text.
    edit: Option<TextEdit>,
}

impl<'a> Noted<'a> {
    pub(super) fn new<S: SharedState>(update: &S::Update, version: u64, from: Option<&'a Arc<str>>) -> Self {
        // A delta does not tell an addition to a counter from a set. An addition can be undone beneath both.
        let adds = from.is_none() || S::undo_guard(update) == UndoGuard::Replaced;
        Self { part: part_of::<S>(update), adds, ..Self::none(version, from) }
    }

    const fn none(version: u64, from: Option<&'a Arc<str>>) -> Self {
        let (before, after, update, undone_by, edit) = (None, None, None, None, None);
        Self {
            part: Vec::new(),
            begun: None,
            version,
            from,
            adds: false,
            before,
            after,
            update,
            undone_by,
            edit,
        }
    }

    /// A move of an item from one list to another. What the item's part was before and is now is the list that it is in,
    /// so a move back by the same author counts as an undo, whatever place it goes to.
    pub(super) fn moved(item: &ItemMove, version: u64, from: Option<&'a Arc<str>>) -> Self {
        let (before, after) = (Some(hashed(&item.from)), Some(hashed(&item.now())));
        Self { before, after, ..Self::none(version, from) }
    }

    /// Notes what the part was before and what it is now, and what would undo the write. `inverse` is the inverse of the
    /// update, which was just applied to `state`.
    pub(super) fn compare<S: SharedState>(&mut self, state: &mut S, update: &S::Update, inverse: &S::Update) {
        if self.adds && self.from.is_some() {
            self.edit =
                traced(|| [update, inverse].into_iter().for_each(|one| drop(encode_update::<S>(one))));
        }
        let undone = changed_by::<S>(inverse);
        if let Some(undone) = undone.filter(|undone| undone.len() < self.part.len())
            && self.part.starts_with(&undone)
        {
            // It has begun an entry. An addition that is undone later counts as never written, and leaves the entry. One that
            // leaves nothing in it, as typing that is deleted in the same edit, has written the entry.
            if self.adds && !self.edit.as_ref().is_some_and(TextEdit::is_empty) {
                self.begun = Some(undone.len());
            } else {
                (self.part, self.adds, self.edit) = (undone, false, None);
            }
        }
        if self.from.is_none() {
            // Nothing that comes later is known to be by the same author.
            return;
        }
        if let Some(edit) = &self.edit {
            if edit.inserted.len() + edit.deleted.len() > MAX_EDIT {
                // It counts, and takes nothing back.
                self.edit = None;
            }
            return;
        }
        let again = state.apply(inverse.clone());
        (self.before, self.after) = (digest::<S>(inverse), digest::<S>(&again));
        state.apply(again);
        if self.adds {
            self.update = digest::<S>(update);
            self.undone_by = state.undo(update, inverse).and_then(|undo| digest::<S>(&undo));
        }
    }
}

/// What others wrote to one part.
#[derive(Clone, Default)]
struct Mark {
    foreign: Vec<Foreign>,
    /// The last version that is forgotten, for each guard that it counts for. It counts as not undone.
    forgotten: [u64; 3],
}

/// The part that a write changes, seen from a mark: what follows the mark's path, and how much is missing of that.
type At<'a> = (&'a [Segment], usize);

impl Foreign {
    /// Nothing that its author writes later takes it back.
    fn keep(&mut self) {
        (self.before, self.undone_by, self.typed) = (None, None, None);
    }

    /// Whether it is by the author of another write.
    fn is_by(&self, from: Option<&Arc<str>>) -> bool {
        from.is_some() && self.from.as_ref() == from
    }

    /// Whether it changed this part.
    fn is_at(&self, (place, above): At<'_>) -> bool {
        self.place == place && self.above == above
    }

    /// Whether it changed this part, or something inside it.
    fn is_within(&self, (place, above): At<'_>) -> bool {
        self.place.starts_with(place) && self.above <= above
    }

    /// What its author has typed is these characters now.
    fn follow(&mut self, retyped: &[Retyped]) {
        if let Some(typed) = &mut self.typed {
            typed.follow(retyped);
        }
    }

    /// Whether it changed the part at this place, something inside it, or what is around it.
    fn concerns(&self, place: &[Segment]) -> bool {
        self.place.starts_with(place) || place.starts_with(&self.place)
    }

    /// Whether it keeps a write with this guard from being undone.
    const fn counts(&self, guard: UndoGuard) -> bool {
        match guard {
            UndoGuard::Replaced => !self.inside && !self.adds,
            UndoGuard::Part => !self.inside,
            UndoGuard::Anything => true,
        }
    }
}

const GUARDS: [UndoGuard; 3] = [UndoGuard::Replaced, UndoGuard::Part, UndoGuard::Anything];

impl Mark {
    fn note(&mut self, foreign: Foreign) {
        self.foreign.push(foreign);
        if self.foreign.len() > MAX_FOREIGN {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.foreign.remove(0);
        for (guard, forgotten) in GUARDS.into_iter().zip(&mut self.forgotten) {
            if oldest.counts(guard) {
                *forgotten = oldest.version;
            }
        }
    }

    /// Takes note of a write at a place. Returns the characters of a text that it has typed again.
    fn add(&mut self, noted: &Noted<'_>, here: At<'_>, inside: bool, adds: bool) -> Vec<Retyped> {
        let (mut retyped, mut typed) = (Vec::new(), None);
        if let Some(edit) = &noted.edit {
            let mut edit = edit.clone();
            let own = self.foreign.iter_mut().filter(|one| one.is_by(noted.from) && one.is_at(here));
            own.filter_map(|one| one.typed.as_mut()).for_each(|one| retyped.extend(one.take_back(&mut edit)));
            self.foreign.iter_mut().filter(|one| one.is_at(here)).for_each(|one| one.follow(&retyped));
            self.foreign.retain(|one| !one.typed.as_ref().is_some_and(Typed::is_empty));
            if edit.is_empty() {
                return retyped;
            }
            typed = Typed::new(edit);
            if self.goes_on(noted, here, typed.as_ref()) {
                return retyped;
            }
        } else if self.undo(noted, here) {
            return retyped;
        }
        let Noted { version, from, before, undone_by, .. } = *noted;
        let (from, place, above) = (from.cloned(), here.0.to_vec(), here.1);
        self.note(Foreign { version, from, inside, adds, place, above, before, undone_by, typed });
        retyped
    }

    /// Adds an edit of a text to the last one, if that is one by the same author of the same text.
    fn goes_on(&mut self, noted: &Noted<'_>, here: At<'_>, typed: Option<&Typed>) -> bool {
        let last = self.foreign.iter_mut().rfind(|one| one.concerns(here.0));
        let Some(last) = last.filter(|one| one.is_by(noted.from) && one.is_at(here)) else { return false };
        let goes_on = last.typed.as_mut().zip(typed).is_some_and(|(last, typed)| last.join(typed));
        if goes_on {
            last.version = noted.version;
        }
        goes_on
    }

    /// Adds what another mark knows. What only one of the two knows is not undone by what follows: the other was made
    /// later.
    fn join(&mut self, mut other: Self) {
        let versions = |mark: &Self| mark.foreign.iter().map(|foreign| foreign.version).collect::<Vec<_>>();
        let (own, others) = (versions(self), versions(&other));
        self.foreign.iter_mut().filter(|foreign| !others.contains(&foreign.version)).for_each(Foreign::keep);
        other.foreign.iter_mut().filter(|foreign| !own.contains(&foreign.version)).for_each(Foreign::keep);
        for foreign in other.foreign {
            let at = self.foreign.partition_point(|known| known.version <= foreign.version);
            self.foreign.insert(at, foreign);
        }
        for (own, other) in self.forgotten.iter_mut().zip(other.forgotten) {
            *own = (*own).max(other);
        }
        while self.foreign.len() > MAX_FOREIGN {
            self.forget_oldest();
        }
    }

    /// Forgets writes at a place that their author takes back now: an addition by the opposite one, whatever others have
    /// added meanwhile, and else by making the part what it was before them, where nobody else has written to it meanwhile.
    /// Returns whether there are any.
    fn undo(&mut self, noted: &Noted<'_>, here: At<'_>) -> bool {
        let is_here = |one: &Foreign| one.concerns(here.0);
        let added = self.foreign.iter().rposition(|one| {
            is_here(one)
                && (one.undone_by.is_none()
                    || one.is_by(noted.from) && one.is_at(here) && one.undone_by == noted.update)
        });
        let added = added.filter(|at| noted.update.is_some() && self.foreign[*at].undone_by.is_some());
        if let Some(at) = added {
            self.foreign.remove(at);
            // What the part was before these is not known any more.
            self.foreign[at..].iter_mut().filter(|one| is_here(one)).for_each(|one| one.before = None);
            return true;
        }
        let others = self.foreign.iter().rposition(|one| is_here(one) && !one.is_by(noted.from));
        let first = others.map_or(0, |at| at + 1);
        let is_as_before = |one: &Foreign| one.is_at(here) && one.before == noted.after;
        let back = self.foreign[first..].iter().position(is_as_before);
        let Some(back) = back.filter(|_| noted.after.is_some()).map(|back| first + back) else {
            return false;
        };
        let mut at = 0..;
        self.foreign.retain(|one| at.next().is_some_and(|at| at < back) || !one.is_within(here));
        true
    }
}

/// The marks, by part.
#[derive(Default)]
pub(in crate::replica) struct Marks(BTreeMap<Arc<[Segment]>, Mark>);

impl Marks {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes a mark at a part, unless there is one.
    pub(super) fn at(&mut self, part: Vec<Segment>) -> Arc<[Segment]> {
        if let Some((known, _)) = self.0.get_key_value(&part[..]) {
            return known.clone();
        }
        let part: Arc<[Segment]> = part.into();
        self.0.insert(part.clone(), Mark::default());
        part
    }

    /// Removes all marks but those at `parts`.
    pub(super) fn keep(&mut self, parts: impl Iterator<Item = Arc<[Segment]>>) {
        let mut marks = std::mem::take(&mut self.0);
        for part in parts {
            if let Some(mark) = marks.remove(&part) {
                self.0.insert(part, mark);
            }
        }
    }

    /// Whether somebody else has written, after a version, to a part whose write has this guard.
    pub(super) fn is_overwritten(&self, part: &[Segment], version: u64, guard: UndoGuard) -> bool {
        let Some(mark) = self.0.get(part) else { return false };
        let mut forgotten = GUARDS.into_iter().zip(mark.forgotten);
        forgotten.any(|(of, forgotten)| of == guard && forgotten > version)
            || mark.foreign.iter().any(|foreign| foreign.version > version && foreign.counts(guard))
    }

    /// Whether there is a mark at the part of a write, around it or inside it.
    pub(super) fn concerns(&mut self, noted: &Noted<'_>) -> bool {
        let mut found = false;
        self.each(&noted.part, |_, _, _| found = true);
        found
    }

    /// Notes a write of somebody else. Returns the characters of a text that it has typed again.
    pub(super) fn note(&mut self, noted: &Noted<'_>) -> Vec<Retyped> {
        let length = noted.part.len();
        let mut retyped = Vec::new();
        self.each(&noted.part, |mark, at, inside| {
            let place = noted.part.get(at..).unwrap_or_default();
            let inside = inside && noted.begun.is_none_or(|begun| at < begun);
            // What replaces something around the part adds nothing to it.
            let again =
                mark.add(noted, (place, at.saturating_sub(length)), inside, noted.adds && at == length);
            if at == length {
                retyped = again;
            }
        });
        retyped
    }

    /// An item has moved from one part to another. The marks in it move with it. If somebody else has moved it, that is
    /// a write to the lists around, to the item and to its place, and to nothing inside it. What `stays` keeps a mark
    /// here, too.
    pub(super) fn moved(
        &mut self,
        before: &[Segment],
        now: &[Segment],
        noted: Option<&Noted<'_>>,
        stays: &[Arc<[Segment]>],
    ) {
        if let Some(noted) = noted {
            self.note_moved(before, now, noted);
        }
        let from_here = (Bound::Included(before), Bound::Unbounded);
        let inside = self.0.range::<[Segment], _>(from_here).map(|(part, _)| part.clone());
        let inside: Vec<_> = inside.take_while(|part| part.starts_with(before)).collect();
        for part in inside {
            let Some(mark) = self.0.remove(&part) else { continue };
            if stays.contains(&part) {
                self.0.insert(part.clone(), mark.clone());
            }
            let moved = [now, &part[before.len()..]].concat();
            match self.0.get_mut(&moved[..]) {
                Some(there) => there.join(mark),
                None => drop(self.0.insert(moved.into(), mark)),
            }
        }
    }

    fn note_moved(&mut self, before: &[Segment], now: &[Segment], noted: &Noted<'_>) {
        // The item's place, with its key, which is the same in both lists.
        let place: Vec<_> = [Segment::Place].into_iter().chain(before.last().cloned()).collect();
        let lists = (1..before.len()).map(|length| &before[..length]);
        let other = (1..now.len()).map(|length| &now[..length]).filter(|around| !before.starts_with(around));
        for around in lists.chain(other) {
            if let Some(mark) = self.0.get_mut(around) {
                mark.add(noted, (&place, 0), true, false);
            }
        }
        for item in [before, now] {
            for own in [&[][..], &[Segment::Place]] {
                if let Some(mark) = self.0.get_mut(&[item, own].concat()[..]) {
                    mark.add(noted, (&place, 0), false, false);
                }
            }
        }
    }

    /// This client's own write to a part was accepted. What others wrote there before is not undone by what they write
    /// later, except for additions and edits of texts, if it `adds`, too.
    pub(super) fn accepted(&mut self, part: &[Segment], adds: bool) {
        self.each(part, |mark, at, _| {
            let place = part.get(at..).unwrap_or_default();
            for foreign in mark.foreign.iter_mut().filter(|one| one.concerns(place)) {
                match adds {
                    true => foreign.before = None,
                    false => foreign.keep(),
                }
            }
        });
    }

    /// Others may have written what is not known, and made it as it was. Whoever makes a part what it was before their own
    /// writes takes back more than these.
    pub(super) fn missed(&mut self) {
        self.0.values_mut().flat_map(|mark| &mut mark.foreign).for_each(|foreign| foreign.before = None);
    }

    /// This client has typed characters of a text again that it had deleted.
    pub(super) fn retyped(&mut self, part: &[Segment], retyped: &[Retyped]) {
        self.each(part, |mark, at, _| {
            let here = (part.get(at..).unwrap_or_default(), at.saturating_sub(part.len()));
            mark.foreign.iter_mut().filter(|one| one.is_at(here)).for_each(|one| one.follow(retyped));
        });
    }

    /// Calls `at` with the marks of a part, of what is around it, and of what is inside it, with the length of the
    /// mark's path, and with whether the part is inside the mark's.
    fn each(&mut self, part: &[Segment], mut at: impl FnMut(&mut Mark, usize, bool)) {
        for length in 1..part.len() {
            if let Some(mark) = self.0.get_mut(&part[..length]) {
                at(mark, length, true);
            }
        }
        let from_here = (Bound::Included(part), Bound::Unbounded);
        for (inner, mark) in self.0.range_mut::<[Segment], _>(from_here) {
            if !inner.starts_with(part) {
                break;
            }
            at(mark, inner.len(), false);
        }
    }
}

/// Parts of the state that changes of this client have changed.
#[derive(Default)]
pub(in crate::replica) struct Parts(Vec<Vec<Segment>>);

impl Parts {
    pub(in crate::replica) fn add<S: SharedState>(&mut self, update: &S::Update) {
        self.0.push(part_of::<S>(update));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an update changes only the place of an item that is, or is in, one of the parts.
    pub(in crate::replica) fn are_placed_by<S: SharedState>(&self, update: &S::Update) -> bool {
        part_of::<S>(update).last() == Some(&Segment::Place) && self.touched_by::<S>(update)
    }

    /// Whether an update changes one of the parts, something inside one, or what is around one.
    pub(in crate::replica) fn touched_by<S: SharedState>(&self, update: &S::Update) -> bool {
        if self.is_empty() {
            return false;
        }
        let part = part_of::<S>(update);
        self.0.iter().any(|own| own.starts_with(&part) || part.starts_with(own))
    }
}
