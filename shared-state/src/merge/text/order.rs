//! The order of the units of a text, those that were deleted among them: runs in a line, so that an edit finds its place
//! without a walk over the document.
//!
//! An edit says what is left and right of what it inserts, deleted or not. The two must be neighbours where it is made,
//! or it is not merged alike everywhere: YATA relies on it. That is why deleted units are here.
//!
//! The runs are kept in chunks of bounded length with the number of units of each: a list of lists, in which finding a
//! position and changing what is there cost O(√n) at the sizes that a text has.

use std::borrow::Cow;
use std::ops::Range;

use super::ranges::Ranges;
use super::splice::Splice;
use super::yjs::{Content, Id, MAX_CLOCK, Struct, Update, units};

/// The most runs in a chunk.
const CHUNK: usize = 256;

/// The most parts of an edit that are followed one by one; to make the line anew is no slower beyond.
const MAX_PARTS: usize = 64;

/// Units with numbers one after another, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) writer: u64,
    pub(super) clock: u32,
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

    /// How many units of the text it is.
    const fn there(self) -> u32 {
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

    /// Its units within a range, and those before and after them.
    fn cut(self, range: &Range<u32>) -> [Self; 3] {
        let (start, end) =
            (range.start.clamp(self.clock, self.end()), range.end.clamp(self.clock, self.end()));
        let part = |from: u32, to: u32| Self { clock: from, units: to.saturating_sub(from), ..self };
        [part(self.clock, start), part(start, end), part(end, self.end())]
    }
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    /// How many are there.
    units: usize,
    runs: Vec<Run>,
}

impl Chunk {
    fn new(runs: Vec<Run>) -> Self {
        Self { units: runs.iter().map(|run| run.there() as usize).sum(), runs }
    }

    /// Puts runs in the place of some, and joins what is one.
    fn splice(&mut self, at: Range<usize>, new: impl IntoIterator<Item = Run>) {
        let before = at.start.checked_sub(1).map(|at| self.runs[at]);
        let after = self.runs.get(at.end).copied();
        let mut joined: Vec<Run> = Vec::with_capacity(4);
        for run in before.into_iter().chain(new).chain(after).filter(|run| run.units > 0) {
            if !joined.last_mut().is_some_and(|last| last.join(run)) {
                joined.push(run);
            }
        }
        let (from, to) = (at.start - usize::from(before.is_some()), at.end + usize::from(after.is_some()));
        self.runs.splice(from..to, joined);
    }
}

/// A place before a unit: in a chunk, before a run or inside it.
#[derive(Clone, Copy)]
struct Place {
    chunk: usize,
    run: usize,
    inside: u32,
}

/// The units of a text, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    /// None is empty.
    chunks: Vec<Chunk>,
    /// How many are there.
    units: usize,
    /// The chunk in which something changed last: where the next change most likely is.
    last: usize,
}

impl Line {
    pub(super) fn new(runs: impl IntoIterator<Item = Run>) -> Self {
        let mut joined: Vec<Run> = Vec::new();
        for run in runs {
            if !joined.last_mut().is_some_and(|last| last.join(run)) {
                joined.push(run);
            }
        }
        let chunks: Vec<_> = joined.chunks(CHUNK / 2).map(|runs| Chunk::new(runs.to_vec())).collect();
        Self { units: chunks.iter().map(|chunk| chunk.units).sum(), chunks, last: 0 }
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

    /// The place before the unit at a position, beyond all that are there the end.
    fn place(&self, position: usize) -> Place {
        let mut left = position;
        let chunk = self.chunks.iter().position(|chunk| {
            let here = left < chunk.units;
            left -= if here { 0 } else { chunk.units };
            here
        });
        let Some(chunk) = chunk else { return self.end() };
        let mut inside = left as u32;
        let run = self.chunks[chunk].runs.iter().position(|run| {
            let here = inside < run.there();
            inside -= if here { 0 } else { run.there() };
            here
        });
        run.map_or(self.end(), |run| Place { chunk, run, inside })
    }

    /// The place before a unit.
    fn place_of(&self, id: Id) -> Option<Place> {
        let within = |chunk: usize| {
            let runs = &self.chunks.get(chunk)?.runs;
            let run = runs.iter().position(|run| run.contains(id))?;
            Some(Place { chunk, run, inside: id.clock - runs[run].clock })
        };
        within(self.last).or_else(|| (0..self.chunks.len()).find_map(within))
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
        self.units += new.there() as usize;
        let there = &mut self.chunks[chunk];
        there.units += new.there() as usize;
        match there.runs.get(run).copied().filter(|_| inside > 0) {
            Some(cut) => {
                let [_, before, after] = cut.cut(&(cut.clock..cut.clock + inside));
                there.splice(run..run + 1, [before, new, after]);
            }
            None => there.splice(run..run, [new]),
        }
        self.bound(chunk);
    }

    /// Makes two of a chunk that has grown too long.
    fn bound(&mut self, chunk: usize) {
        let runs = &mut self.chunks[chunk].runs;
        if runs.len() > CHUNK {
            let half = Chunk::new(runs.split_off(CHUNK / 2));
            self.chunks[chunk].units -= half.units;
            self.chunks.insert(chunk + 1, half);
        }
    }

    /// Tells the numbers of the units at some positions.
    fn each(&self, positions: Range<usize>, mut each: impl FnMut(u64, Range<u32>)) {
        let (mut left, mut place) = (positions.len(), self.place(positions.start));
        while let Some(run) = self.run(place).filter(|_| left > 0) {
            if !run.deleted {
                let start = run.clock + place.inside;
                let end = run.end().min(start.saturating_add(u32::try_from(left).unwrap_or(u32::MAX)));
                each(run.writer, start..end);
                left -= (end - start) as usize;
            }
            place = self.after(place, run, run.units);
        }
    }

    fn delete_at(&mut self, positions: Range<usize>) {
        let mut deleted = Vec::new();
        self.last = self.place(positions.start).chunk;
        self.each(positions, |writer, range| deleted.push((writer, range)));
        deleted.iter().for_each(|(writer, range)| self.delete(*writer, range));
    }

    fn delete(&mut self, writer: u64, range: &Range<u32>) {
        let mut left = self.delete_within(self.last, writer, range, range.len());
        let mut chunk = 0;
        // They are elsewhere, or were deleted before.
        while left > 0 && chunk < self.chunks.len() {
            left = self.delete_within(chunk, writer, range, left);
            chunk += 1;
        }
    }

    /// Deletes what there is in one chunk; how many of `left` units are left to be deleted elsewhere.
    fn delete_within(&mut self, chunk: usize, writer: u64, range: &Range<u32>, left: usize) -> usize {
        let Some(there) = self.chunks.get_mut(chunk).filter(|_| left > 0) else { return left };
        let meets = |run: &Run| {
            !run.deleted && run.writer == writer && run.clock < range.end && range.start < run.end()
        };
        let mut deleted = 0;
        while let Some(at) = there.runs.iter().position(meets) {
            let [before, cut, after] = there.runs[at].cut(range);
            deleted += cut.units as usize;
            there.splice(at..at + 1, [before, Run { deleted: true, ..cut }, after]);
        }
        if deleted > 0 {
            there.units -= deleted;
            self.units -= deleted;
            self.last = chunk;
            self.bound(chunk);
        }
        left - deleted
    }

    /// Puts a new run between its neighbours, if they are neighbours here.
    fn insert_between(&mut self, writer: u64, new: &Struct) -> bool {
        let place = match new.origin {
            None => Some(Place { chunk: 0, run: 0, inside: 0 }),
            Some(id) => self.place_of(id).and_then(|place| {
                let run = self.run(place)?;
                Some(self.after(place, run, place.inside + 1))
            }),
        };
        let Some(place) = place.filter(|place| self.right_of(*place) == new.right) else { return false };
        let deleted = new.content == Content::Deleted;
        self.insert(place, Run { writer, clock: new.clock, units: new.units, deleted });
        true
    }

    /// Takes in an edit that the document was given, if everything in it is between neighbours: then that is its place.
    /// What others insert at one place at once is not. Says whether it did; if not, the line is of no use any more.
    pub(super) fn follow(&mut self, edit: &Update) -> bool {
        let parts = edit.structs.values().map(Vec::len).sum::<usize>() + edit.deleted.all().count();
        if parts > MAX_PARTS {
            return false;
        }
        for (writer, structs) in &edit.structs {
            for new in structs.iter().filter(|new| new.content != Content::Gone) {
                if !self.insert_between(*writer, new) {
                    return false;
                }
            }
        }
        edit.deleted.all().for_each(|(writer, range)| self.delete(writer, &range));
        true
    }

    /// The edit that splices are, one after another, `next` being the number of the first unit that it inserts.
    /// Positions beyond the end mean the end, and inside a character before it; `halves` are the second units of
    /// characters. What is inserted comes after what was deleted at its place, as with Yjs. `None`: its writer has no
    /// numbers left.
    pub(super) fn draft(&self, next: Id, splices: &[Splice], halves: &Ranges) -> Option<Update> {
        let Id { writer, mut clock } = next;
        let (mut line, mut halves) = (Cow::Borrowed(self), Cow::Borrowed(halves));
        let mut edit = Update::default();
        let mut structs = Vec::new();
        for (nth, Splice { at, delete, insert }) in splices.iter().enumerate() {
            let whole = |position: usize| match position.min(line.units) {
                0 => 0,
                position if halves.is_empty() => position,
                position => {
                    let unit = line.right_of(line.place(position));
                    position - usize::from(unit.is_some_and(|unit| halves.contains(unit.writer, unit.clock)))
                }
            };
            let deleted = whole(*at)..whole(at.saturating_add(*delete));
            line.each(deleted.clone(), |writer, range| edit.deleted.insert(writer, range));
            let place = line.place(deleted.end);
            let mut inserted = None;
            if !insert.is_empty() {
                let units = u32::try_from(units(insert)).ok()?;
                let end = clock.checked_add(units).filter(|end| *end <= MAX_CLOCK)?;
                let (origin, right) = (line.left_of(place), line.right_of(place));
                let content = Content::Text(insert.clone());
                structs.push(Struct { clock, units, origin, right, content });
                inserted = structs.last();
                clock = end;
            }
            if nth + 1 < splices.len() {
                let line = line.to_mut();
                if let Some(new) = inserted {
                    line.insert(place, Run { writer, clock: new.clock, units: new.units, deleted: false });
                    new.halves().for_each(|half| halves.to_mut().insert(writer, half..half + 1));
                }
                line.delete_at(deleted);
            }
        }
        if !structs.is_empty() {
            edit.structs.insert(writer, structs);
        }
        Some(edit)
    }
}

#[cfg(test)]
impl Line {
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
    fn a_line_is_a_list_of_units() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20 {
            let (mut line, mut model, mut clocks) = (Line::default(), Vec::<(Id, bool)>::new(), [0; 3]);
            for _ in 0..2_000 {
                let there = model.iter().filter(|(_, deleted)| !deleted).count();
                if rng.u8(..3) > 0 {
                    let writer = rng.usize(..3);
                    let (clock, units) = (clocks[writer], rng.u32(1..4));
                    let at = if rng.bool() { rng.usize(..=there) } else { there / 2 };
                    let (writer_id, place) = (writer as u64, line.place(at));
                    line.insert(place, Run { writer: writer_id, clock, units, deleted: false });
                    let new = (clock..clock + units).map(|clock| (Id { writer: writer_id, clock }, false));
                    let mut there = model.iter().enumerate().filter(|(_, (_, deleted))| !deleted);
                    let at = there.nth(at).map_or(model.len(), |(at, _)| at);
                    model.splice(at..at, new);
                    clocks[writer] += units;
                } else if !model.is_empty() {
                    let (Id { writer, clock }, _) = model[rng.usize(..model.len())];
                    let range = clock..clock + rng.u32(1..6);
                    line.delete(writer, &range);
                    for (id, deleted) in &mut model {
                        *deleted |= id.writer == writer && range.contains(&id.clock);
                    }
                }
            }
            assert_eq!(line.all(), model);
            assert!(line.chunks.len() > 1, "nothing was split");
            let there: Vec<Id> = model.iter().filter(|(_, deleted)| !deleted).map(|(id, _)| *id).collect();
            assert_eq!(line.units, there.len());
            for (at, id) in there.iter().enumerate().step_by(7) {
                assert_eq!(line.right_of(line.place(at)), Some(*id));
            }
            for (at, (id, _)) in model.iter().enumerate().step_by(7) {
                let place = line.place_of(*id).expect("there");
                assert_eq!(line.right_of(place), Some(*id));
                assert_eq!(line.left_of(place), at.checked_sub(1).map(|at| model[at].0));
            }
            assert_eq!(line.right_of(line.end()), None);
            assert_eq!(line.left_of(line.end()), model.last().map(|(id, _)| *id));
            assert!(line.chunks.iter().all(|chunk| !chunk.runs.is_empty() && chunk.runs.len() <= CHUNK));
        }
    }
}
