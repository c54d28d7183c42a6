//! The order of the units of a text, those that were deleted among them, so that an edit finds its place without a walk
//! over the document.
//!
//! An edit says what is left and right of what it inserts, deleted or not. The two must be neighbours where it is made,
//! or it is not merged alike everywhere: YATA relies on it. That is why deleted units are here.
//!
//! Runs of units are kept in chunks of bounded length, each with how many of its units are visible: a list of lists, in
//! which finding a position and changing what is there cost O(√n) at the sizes that a text has. A unit is looked for by
//! its number where something changed last, and elsewhere from the front, O(n): so an edit that is made of many parts is
//! not followed.

use std::borrow::Cow;
use std::ops::Range;

use super::id_set::IdSet;
use super::splice::Splice;
use super::yjs::{Content, Id, MAX_CLOCK, Struct, Update, units};

/// The most runs in a chunk.
const CHUNK: usize = 256;

/// The most parts of an edit that are followed one by one; beyond, the document is walked again.
const MAX_PARTS: usize = 64;

/// The most times that units are looked for from the front for one edit.
const MAX_SEARCHES: usize = 8;

/// Units with numbers one after another, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) writer: u64,
    pub(super) clock: u32,
    /// How many there are, deleted or not.
    pub(super) units: u32,
    pub(super) deleted: bool,
}

impl Run {
    const fn end(self) -> u32 {
        self.clock + self.units
    }

    fn contains(self, id: Id) -> bool {
        self.writer == id.writer && (self.clock..self.end()).contains(&id.clock)
    }

    const fn visible(self) -> u32 {
        if self.deleted { 0 } else { self.units }
    }

    const fn id(self, inside: u32) -> Id {
        Id { writer: self.writer, clock: self.clock + inside }
    }

    /// Takes in the run to the right of it, if the two are one; says whether it did.
    fn join(&mut self, next: Self) -> bool {
        let is_one = self.writer == next.writer && self.end() == next.clock && self.deleted == next.deleted;
        self.units += if is_one { next.units } else { 0 };
        is_one
    }

    /// Its units before, within and after a range.
    fn cut(self, range: &Range<u32>) -> [Self; 3] {
        let (start, end) =
            (range.start.clamp(self.clock, self.end()), range.end.clamp(self.clock, self.end()));
        let part = |from: u32, to: u32| Self { clock: from, units: to.saturating_sub(from), ..self };
        [part(self.clock, start), part(start, end), part(end, self.end())]
    }
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    /// How many units are not deleted.
    visible: usize,
    runs: Vec<Run>,
}

impl Chunk {
    fn new(runs: Vec<Run>) -> Self {
        Self { visible: runs.iter().map(|run| run.visible() as usize).sum(), runs }
    }
}

/// Puts runs in the place of some, and joins what is one.
fn splice(runs: &mut Vec<Run>, at: Range<usize>, new: impl IntoIterator<Item = Run>) {
    let before = at.start.checked_sub(1).map(|at| runs[at]);
    let after = runs.get(at.end).copied();
    let joined = joined(before.into_iter().chain(new).chain(after));
    let (from, to) = (at.start - usize::from(before.is_some()), at.end + usize::from(after.is_some()));
    runs.splice(from..to, joined);
}

/// Joins runs that are one, and leaves out those that are none.
fn joined(runs: impl IntoIterator<Item = Run>) -> Vec<Run> {
    let mut joined: Vec<Run> = Vec::new();
    for run in runs.into_iter().filter(|run| run.units > 0) {
        if !joined.last_mut().is_some_and(|last| last.join(run)) {
            joined.push(run);
        }
    }
    joined
}

/// A place before a unit: in a chunk, before a run or inside it.
#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    run: usize,
    inside: u32,
}

/// How often units may still be looked for from the front.
struct Search {
    left: usize,
}

impl Search {
    /// The place before a unit.
    fn find(&mut self, order: &PositionIndex, id: Id) -> Option<Place> {
        order.place_in(order.last, id).or_else(|| {
            self.left = self.left.checked_sub(1)?;
            (0..order.chunks.len()).find_map(|chunk| order.place_in(chunk, id))
        })
    }
}

/// The units of a text, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct PositionIndex {
    /// None is empty.
    chunks: Vec<Chunk>,
    /// How many units are not deleted.
    visible: usize,
    /// The chunk in which something changed last: where the next change most likely is.
    last: usize,
}

impl PositionIndex {
    pub(super) fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        let chunks: Vec<_> = joined(runs).chunks(CHUNK / 2).map(|runs| Chunk::new(runs.to_vec())).collect();
        Self { visible: chunks.iter().map(|chunk| chunk.visible).sum(), chunks, last: 0 }
    }

    fn end(&self) -> Place {
        Place { chunk: self.chunks.len(), run: 0, inside: 0 }
    }

    fn run(&self, place: Place) -> Option<Run> {
        self.chunks.get(place.chunk)?.runs.get(place.run).copied()
    }

    /// The unit to the right of a place, deleted or not.
    fn right_of(&self, place: Place) -> Option<Id> {
        self.run(place).map(|run| run.id(place.inside))
    }

    /// The unit to the left of a place, deleted or not.
    fn left_of(&self, place: Place) -> Option<Id> {
        if place.inside > 0 {
            return self.run(place).map(|run| run.id(place.inside - 1));
        }
        let before = match place.run.checked_sub(1) {
            Some(before) => self.chunks.get(place.chunk)?.runs.get(before),
            None => self.chunks.get(place.chunk.checked_sub(1)?)?.runs.last(),
        };
        before.map(|run| run.id(run.units - 1))
    }

    /// The place after so many units of a run.
    fn after(&self, place: Place, run: Run, inside: u32) -> Place {
        if inside < run.units {
            Place { inside, ..place }
        } else if place.run + 1 < self.chunks[place.chunk].runs.len() {
            Place { run: place.run + 1, inside: 0, ..place }
        } else {
            Place { chunk: place.chunk + 1, run: 0, inside: 0 }
        }
    }

    /// The place before the visible unit at a position, beyond them all the end.
    fn place(&self, position: usize) -> Place {
        let mut rest = position;
        let chunk = self.chunks.iter().position(|chunk| {
            let is_here = rest < chunk.visible;
            rest -= if is_here { 0 } else { chunk.visible };
            is_here
        });
        let Some(chunk) = chunk else { return self.end() };
        let run = self.chunks[chunk].runs.iter().position(|run| {
            let is_here = rest < run.visible() as usize;
            rest -= if is_here { 0 } else { run.visible() as usize };
            is_here
        });
        run.map_or(self.end(), |run| Place { chunk, run, inside: rest as u32 })
    }

    /// The place before a unit, if it is in this chunk.
    fn place_in(&self, chunk: usize, id: Id) -> Option<Place> {
        let runs = &self.chunks.get(chunk)?.runs;
        let run = runs.iter().position(|run| run.contains(id))?;
        Some(Place { chunk, run, inside: id.clock - runs[run].clock })
    }

    fn insert(&mut self, place: Place, new: Run) {
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        // What is typed at the beginning of a chunk goes on from the end of the one before it.
        let Place { chunk, run, inside } = match place {
            Place { chunk, run: 0, inside: 0 } if chunk > 0 => {
                Place { chunk: chunk - 1, run: self.chunks[chunk - 1].runs.len(), inside: 0 }
            }
            place => place,
        };
        self.last = chunk;
        self.visible += new.visible() as usize;
        let Chunk { visible, runs } = &mut self.chunks[chunk];
        *visible += new.visible() as usize;
        match runs.get(run).copied().filter(|_| inside > 0) {
            Some(cut) => {
                let [_, before, after] = cut.cut(&(cut.clock..cut.clock + inside));
                splice(runs, run..run + 1, [before, new, after]);
            }
            None => splice(runs, run..run, [new]),
        }
        self.bound(chunk);
    }

    /// Makes two of a chunk that has grown too long.
    fn bound(&mut self, chunk: usize) {
        let runs = &mut self.chunks[chunk].runs;
        if runs.len() > CHUNK {
            let half = Chunk::new(runs.split_off(CHUNK / 2));
            self.chunks[chunk].visible -= half.visible;
            self.chunks.insert(chunk + 1, half);
        }
    }

    /// The visible units at some positions, each run of them with the place of its first.
    fn parts(&self, positions: Range<usize>) -> Vec<(Place, Run)> {
        let mut rest = positions.len();
        let mut place = self.place(positions.start);
        let mut parts = Vec::new();
        while let Some(run) = self.run(place).filter(|_| rest > 0) {
            if !run.deleted {
                let from = run.clock + place.inside;
                let to = run.end().min(from.saturating_add(u32::try_from(rest).unwrap_or(u32::MAX)));
                parts.push((place, Run { clock: from, units: to - from, ..run }));
                rest -= (to - from) as usize;
            }
            place = self.after(place, run, run.units);
        }
        parts
    }

    /// Deletes the visible units at some positions.
    fn delete_at(&mut self, positions: Range<usize>) {
        let parts = self.parts(positions);
        // From the last one on, so that the places of the others stay. Only at the two ends runs are cut.
        for (place, part) in parts.iter().rev() {
            self.delete_in(*place, &(part.clock..part.end()));
        }
        for (place, _) in [parts.last(), parts.first()].into_iter().flatten() {
            self.bound(place.chunk);
        }
    }

    /// Deletes units of the run at a place.
    fn delete_in(&mut self, Place { chunk, run, .. }: Place, range: &Range<u32>) {
        let Chunk { visible, runs } = &mut self.chunks[chunk];
        let [before, cut, after] = runs[run].cut(range);
        splice(runs, run..run + 1, [before, Run { deleted: true, ..cut }, after]);
        *visible -= cut.visible() as usize;
        self.visible -= cut.visible() as usize;
        self.last = chunk;
    }

    /// Takes in an edit that the document was given and that deleted this, if everything in it is between neighbours:
    /// then that is its place. What others insert at one place at once is not. Says whether it did; if not, the order
    /// is of no use any more.
    pub(super) fn follow(&mut self, edit: &Update, deleted: &IdSet) -> bool {
        let parts = edit.structs.values().map(Vec::len).sum::<usize>() + deleted.all().count();
        let mut search = Search { left: MAX_SEARCHES };
        parts <= MAX_PARTS && self.take(edit, deleted, &mut search).is_some()
    }

    fn take(&mut self, edit: &Update, deleted: &IdSet, search: &mut Search) -> Option<()> {
        for (writer, structs) in &edit.structs {
            for new in structs.iter().filter(|new| new.content != Content::Gc) {
                let place = match new.origin {
                    None => Place { chunk: 0, run: 0, inside: 0 },
                    Some(id) => {
                        let place = search.find(self, id)?;
                        self.after(place, self.run(place)?, place.inside + 1)
                    }
                };
                if self.right_of(place) != new.right {
                    return None;
                }
                let deleted = new.content == Content::Deleted;
                self.insert(place, Run { writer: *writer, clock: new.clock, units: new.units, deleted });
            }
        }
        for (writer, range) in deleted.all() {
            let mut clock = range.start;
            while clock < range.end {
                let place = search.find(self, Id { writer, clock })?;
                let end = self.run(place)?.end().min(range.end);
                self.delete_in(place, &(clock..end));
                self.bound(place.chunk);
                clock = end;
            }
        }
        Some(())
    }

    /// The edit that splices are, one after another, `next` being the number of the first unit that it inserts.
    /// Positions beyond the end mean the end, and inside a character before it; `low_surrogates` are the second units of
    /// characters. What is inserted comes after what was deleted at its place, as with Yjs. `None`: its writer has no
    /// numbers left.
    pub(super) fn compose(&self, next: Id, splices: &[Splice], low_surrogates: &IdSet) -> Option<Update> {
        let Id { writer, mut clock } = next;
        let (mut order, mut low_surrogates) = (Cow::Borrowed(self), Cow::Borrowed(low_surrogates));
        let mut edit = Update::default();
        let mut structs = Vec::new();
        let mut deleted = Vec::new();
        for (nth, Splice { at, delete, insert }) in splices.iter().enumerate() {
            let whole = |position: usize| match position.min(order.visible) {
                0 => 0,
                position if low_surrogates.is_empty() => position,
                position => {
                    let unit = order.right_of(order.place(position));
                    position
                        - usize::from(
                            unit.is_some_and(|unit| low_surrogates.contains(unit.writer, unit.clock)),
                        )
                }
            };
            let cut = whole(*at)..whole(at.saturating_add(*delete));
            let parts = order.parts(cut.clone()).into_iter();
            deleted.extend(parts.map(|(_, part)| (part.writer, part.clock..part.end())));
            let place = order.place(cut.end);
            let mut inserted = None;
            if !insert.is_empty() {
                let units = u32::try_from(units(insert)).ok()?;
                let end = clock.checked_add(units).filter(|end| *end <= MAX_CLOCK)?;
                let (origin, right) = (order.left_of(place), order.right_of(place));
                let content = Content::Text(insert.clone());
                structs.push(Struct { clock, units, origin, right, content });
                inserted = structs.last();
                clock = end;
            }
            if nth + 1 < splices.len() {
                let order = order.to_mut();
                if let Some(new) = inserted {
                    order.insert(place, Run { writer, clock: new.clock, units: new.units, deleted: false });
                    new.low_surrogates()
                        .for_each(|half| low_surrogates.to_mut().insert(writer, half..half + 1));
                }
                order.delete_at(cut);
            }
        }
        edit.deleted = deleted.into_iter().collect();
        if !structs.is_empty() {
            edit.structs.insert(writer, structs);
        }
        Some(edit)
    }
}

#[cfg(test)]
impl PositionIndex {
    /// All units in order, and whether they are deleted.
    pub(super) fn all(&self) -> Vec<(Id, bool)> {
        let runs = self.chunks.iter().flat_map(|chunk| &chunk.runs);
        runs.flat_map(|run| (0..run.units).map(|inside| (run.id(inside), run.deleted))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_a_list_of_units() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20 {
            let (mut order, mut model, mut clocks) =
                (PositionIndex::default(), Vec::<(Id, bool)>::new(), [0; 3]);
            for _ in 0..2_000 {
                let there = model.iter().filter(|(_, deleted)| !deleted).count();
                if rng.u8(..3) > 0 {
                    let writer = rng.usize(..3);
                    let (clock, units) = (clocks[writer], rng.u32(1..4));
                    let at = if rng.bool() { rng.usize(..=there) } else { there / 2 };
                    let (writer_id, place) = (writer as u64, order.place(at));
                    order.insert(place, Run { writer: writer_id, clock, units, deleted: false });
                    let new = (clock..clock + units).map(|clock| (Id { writer: writer_id, clock }, false));
                    let mut there = model.iter().enumerate().filter(|(_, (_, deleted))| !deleted);
                    let at = there.nth(at).map_or(model.len(), |(at, _)| at);
                    model.splice(at..at, new);
                    clocks[writer] += units;
                } else if !model.is_empty() {
                    let (Id { writer, clock }, _) = model[rng.usize(..model.len())];
                    let range = clock..clocks[writer as usize].min(clock + rng.u32(1..6));
                    let deleted = IdSet::from_iter([(writer, range.clone())]);
                    let mut search = Search { left: usize::MAX };
                    order.take(&Update::default(), &deleted, &mut search).expect("all are there");
                    for (id, deleted) in &mut model {
                        *deleted |= id.writer == writer && range.contains(&id.clock);
                    }
                    let cut = rng.usize(..=order.visible);
                    let cut = cut..order.visible.min(cut + rng.usize(..3));
                    let visible = model.iter_mut().filter(|(_, deleted)| !deleted);
                    visible.skip(cut.start).take(cut.len()).for_each(|(_, deleted)| *deleted = true);
                    order.delete_at(cut);
                }
            }
            assert_eq!(order.all(), model);
            assert!(order.chunks.len() > 1, "nothing was split");
            let there: Vec<Id> = model.iter().filter(|(_, deleted)| !deleted).map(|(id, _)| *id).collect();
            assert_eq!(order.visible, there.len());
            for (at, id) in there.iter().enumerate().step_by(7) {
                assert_eq!(order.right_of(order.place(at)), Some(*id));
            }
            for (at, (id, _)) in model.iter().enumerate().step_by(7) {
                let place = Search { left: 1 }.find(&order, *id).expect("there");
                assert_eq!(order.right_of(place), Some(*id));
                assert_eq!(order.left_of(place), at.checked_sub(1).map(|at| model[at].0));
            }
            assert_eq!(order.right_of(order.end()), None);
            assert_eq!(order.left_of(order.end()), model.last().map(|(id, _)| *id));
            assert!(order.chunks.iter().all(|chunk| !chunk.runs.is_empty() && chunk.runs.len() <= CHUNK));
        }
    }
}
