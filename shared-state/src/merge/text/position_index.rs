//! [`PositionIndex`], the order of a text's units including deleted ones. With it an edit finds its place
//! without a walk over the document.
//!
//! An edit names its left and right neighbours, deleted or not. The two have to be adjacent where the edit is
//! made, or the edit is not merged alike everywhere: YATA relies on it. That is why the index includes
//! deleted units.
//!
//! Runs of units are stored in chunks of bounded length, each with its number of visible units: a list of
//! lists, in which finding a position and changing the runs there cost O(√n) at the sizes that texts have. A
//! unit is looked up by its id in the chunk that changed last, and otherwise from the front, in O(n). For
//! that reason an edit of many parts is not followed.

use std::borrow::Cow;
use std::ops::Range;

use super::id_set::IdSet;
use super::splice::Splice;
use super::yjs::{Content, Id, MAX_CLOCK, Struct, Update, units};

/// The limit of runs in a chunk.
const CHUNK: usize = 256;

/// The limit of parts in an edit that the index follows. After a larger edit the index is rebuilt from the
/// document.
const MAX_PARTS: usize = 64;

/// How many times units may be looked up from the front for one edit.
const MAX_SEARCHES: usize = 8;

/// Adjacent units with consecutive clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) client: u64,
    pub(super) clock: u32,
    /// The number of units.
    pub(super) units: u32,
    pub(super) deleted: bool,
}

impl Run {
    const fn end(self) -> u32 {
        self.clock + self.units
    }

    fn contains(self, id: Id) -> bool {
        self.client == id.client && (self.clock..self.end()).contains(&id.clock)
    }

    const fn visible(self) -> u32 {
        if self.deleted { 0 } else { self.units }
    }

    const fn id(self, inside: u32) -> Id {
        Id { client: self.client, clock: self.clock + inside }
    }

    /// Appends the next run to this one if the two form one run. Returns whether they do.
    fn join(&mut self, next: Self) -> bool {
        let is_one = self.client == next.client && self.end() == next.clock && self.deleted == next.deleted;
        self.units += if is_one { next.units } else { 0 };
        is_one
    }

    /// Cuts the run into its units before, within and after a range of clocks.
    fn cut(self, range: &Range<u32>) -> [Self; 3] {
        let (start, end) =
            (range.start.clamp(self.clock, self.end()), range.end.clamp(self.clock, self.end()));
        let part = |from: u32, to: u32| Self { clock: from, units: to.saturating_sub(from), ..self };
        [part(self.clock, start), part(start, end), part(end, self.end())]
    }
}

#[derive(Clone, Debug, Default)]
struct Chunk {
    /// The number of units that are not deleted.
    visible: usize,
    runs: Vec<Run>,
}

impl Chunk {
    fn new(runs: Vec<Run>) -> Self {
        Self { visible: runs.iter().map(|run| run.visible() as usize).sum(), runs }
    }
}

/// Replaces runs, and joins the new ones with their neighbours where they form one run.
fn splice(runs: &mut Vec<Run>, at: Range<usize>, new: impl IntoIterator<Item = Run>) {
    let before = at.start.checked_sub(1).map(|at| runs[at]);
    let after = runs.get(at.end).copied();
    let joined = joined(before.into_iter().chain(new).chain(after));
    let (from, to) = (at.start - usize::from(before.is_some()), at.end + usize::from(after.is_some()));
    runs.splice(from..to, joined);
}

/// Joins runs that form one run, and drops empty ones.
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

/// How many more times units may be looked up from the front.
struct Search {
    left: usize,
}

impl Search {
    /// The place before the unit `id`.
    fn find(&mut self, index: &PositionIndex, id: Id) -> Option<Place> {
        index.place_in(index.last, id).or_else(|| {
            self.left = self.left.checked_sub(1)?;
            (0..index.chunks.len()).find_map(|chunk| index.place_in(chunk, id))
        })
    }
}

/// The units of a text, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct PositionIndex {
    /// No chunk is empty.
    chunks: Vec<Chunk>,
    /// The number of units that are not deleted.
    visible: usize,
    /// The chunk that changed last, which is where the next change most likely is.
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

    /// The place after the first `inside` units of the run at `place`.
    fn after(&self, place: Place, run: Run, inside: u32) -> Place {
        if inside < run.units {
            Place { inside, ..place }
        } else if place.run + 1 < self.chunks[place.chunk].runs.len() {
            Place { run: place.run + 1, inside: 0, ..place }
        } else {
            Place { chunk: place.chunk + 1, run: 0, inside: 0 }
        }
    }

    /// The place before the visible unit at a position, or the end if there is none.
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

    /// The place before the unit `id`, if the unit is in this chunk.
    fn place_in(&self, chunk: usize, id: Id) -> Option<Place> {
        let runs = &self.chunks.get(chunk)?.runs;
        let run = runs.iter().position(|run| run.contains(id))?;
        Some(Place { chunk, run, inside: id.clock - runs[run].clock })
    }

    fn insert(&mut self, place: Place, new: Run) {
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        // Text that is typed at the beginning of a chunk usually continues the last run of the chunk before
        // it.
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

    /// Splits a chunk that has grown too long.
    fn bound(&mut self, chunk: usize) {
        let runs = &mut self.chunks[chunk].runs;
        if runs.len() > CHUNK {
            let second = Chunk::new(runs.split_off(CHUNK / 2));
            self.chunks[chunk].visible -= second.visible;
            self.chunks.insert(chunk + 1, second);
        }
    }

    /// The visible units at some positions, as runs, each with the place of its first unit.
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
        // From the last part to the first, so that the places of the others stay valid. Only runs at the two
        // ends are cut.
        for (place, part) in parts.iter().rev() {
            self.delete_in(*place, &(part.clock..part.end()));
        }
        for (place, _) in [parts.last(), parts.first()].into_iter().flatten() {
            self.bound(place.chunk);
        }
    }

    /// Deletes the units in `range` of the run at a place.
    fn delete_in(&mut self, Place { chunk, run, .. }: Place, range: &Range<u32>) {
        let Chunk { visible, runs } = &mut self.chunks[chunk];
        let [before, cut, after] = runs[run].cut(range);
        splice(runs, run..run + 1, [before, Run { deleted: true, ..cut }, after]);
        *visible -= cut.visible() as usize;
        self.visible -= cut.visible() as usize;
        self.last = chunk;
    }

    /// Follows an edit that was applied to the document and deleted `deleted`, if each insertion is between
    /// adjacent units, which is then its place. That is not so where others inserted at the same place
    /// concurrently. Returns whether the edit was followed; if not, the index is no longer valid.
    pub(super) fn follow(&mut self, edit: &Update, deleted: &IdSet) -> bool {
        let parts = edit.structs.values().map(Vec::len).sum::<usize>() + deleted.all().count();
        let mut search = Search { left: MAX_SEARCHES };
        parts <= MAX_PARTS && self.try_follow(edit, deleted, &mut search).is_some()
    }

    fn try_follow(&mut self, edit: &Update, deleted: &IdSet, search: &mut Search) -> Option<()> {
        for (client, structs) in &edit.structs {
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
                self.insert(place, Run { client: *client, clock: new.clock, units: new.units, deleted });
            }
        }
        for (client, range) in deleted.all() {
            let mut clock = range.start;
            while clock < range.end {
                let place = search.find(self, Id { client, clock })?;
                let end = self.run(place)?.end().min(range.end);
                self.delete_in(place, &(clock..end));
                self.bound(place.chunk);
                clock = end;
            }
        }
        Some(())
    }

    /// Composes an edit of splices, which are applied one after another. `next` is the id of the first unit
    /// that the edit inserts. A position beyond the end is the end, and one inside a character is before it;
    /// `low_surrogates` are the second units of characters. Insertions come after the units deleted at the
    /// same place, as in Yjs. `None` if the client has no clocks left.
    pub(super) fn compose(&self, next: Id, splices: &[Splice], low_surrogates: &IdSet) -> Option<Update> {
        let Id { client, mut clock } = next;
        let (mut index, mut low_surrogates) = (Cow::Borrowed(self), Cow::Borrowed(low_surrogates));
        let mut edit = Update::default();
        let mut structs = Vec::new();
        let mut deleted = Vec::new();
        for (nth, Splice { at, delete, insert }) in splices.iter().enumerate() {
            let whole = |position: usize| match position.min(index.visible) {
                0 => 0,
                position if low_surrogates.is_empty() => position,
                position => {
                    let unit = index.right_of(index.place(position));
                    position
                        - usize::from(
                            unit.is_some_and(|unit| low_surrogates.contains(unit.client, unit.clock)),
                        )
                }
            };
            let cut = whole(*at)..whole(at.saturating_add(*delete));
            let parts = index.parts(cut.clone()).into_iter();
            deleted.extend(parts.map(|(_, part)| (part.client, part.clock..part.end())));
            let place = index.place(cut.end);
            let mut inserted = None;
            if !insert.is_empty() {
                let units = u32::try_from(units(insert)).ok()?;
                let end = clock.checked_add(units).filter(|end| *end <= MAX_CLOCK)?;
                let (origin, right) = (index.left_of(place), index.right_of(place));
                let content = Content::Text(insert.clone());
                structs.push(Struct { clock, units, origin, right, content });
                inserted = structs.last();
                clock = end;
            }
            if nth + 1 < splices.len() {
                let index = index.to_mut();
                if let Some(new) = inserted {
                    index.insert(place, Run { client, clock: new.clock, units: new.units, deleted: false });
                    new.low_surrogates().for_each(|low| low_surrogates.to_mut().insert(client, low..low + 1));
                }
                index.delete_at(cut);
            }
        }
        edit.deleted = deleted.into_iter().collect();
        if !structs.is_empty() {
            edit.structs.insert(client, structs);
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
    fn an_index_is_a_list_of_units() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..20 {
            let (mut index, mut model, mut clocks) =
                (PositionIndex::default(), Vec::<(Id, bool)>::new(), [0; 3]);
            for _ in 0..2_000 {
                let there = model.iter().filter(|(_, deleted)| !deleted).count();
                if rng.u8(..3) > 0 {
                    let client = rng.usize(..3);
                    let (clock, units) = (clocks[client], rng.u32(1..4));
                    let at = if rng.bool() { rng.usize(..=there) } else { there / 2 };
                    let (client_id, place) = (client as u64, index.place(at));
                    index.insert(place, Run { client: client_id, clock, units, deleted: false });
                    let new = (clock..clock + units).map(|clock| (Id { client: client_id, clock }, false));
                    let mut there = model.iter().enumerate().filter(|(_, (_, deleted))| !deleted);
                    let at = there.nth(at).map_or(model.len(), |(at, _)| at);
                    model.splice(at..at, new);
                    clocks[client] += units;
                } else if !model.is_empty() {
                    let (Id { client, clock }, _) = model[rng.usize(..model.len())];
                    let range = clock..clocks[client as usize].min(clock + rng.u32(1..6));
                    let deleted = IdSet::from_iter([(client, range.clone())]);
                    let mut search = Search { left: usize::MAX };
                    index.try_follow(&Update::default(), &deleted, &mut search).expect("all are there");
                    for (id, deleted) in &mut model {
                        *deleted |= id.client == client && range.contains(&id.clock);
                    }
                    let cut = rng.usize(..=index.visible);
                    let cut = cut..index.visible.min(cut + rng.usize(..3));
                    let visible = model.iter_mut().filter(|(_, deleted)| !deleted);
                    visible.skip(cut.start).take(cut.len()).for_each(|(_, deleted)| *deleted = true);
                    index.delete_at(cut);
                }
            }
            assert_eq!(index.all(), model);
            assert!(index.chunks.len() > 1, "nothing was split");
            let there: Vec<Id> = model.iter().filter(|(_, deleted)| !deleted).map(|(id, _)| *id).collect();
            assert_eq!(index.visible, there.len());
            for (at, id) in there.iter().enumerate().step_by(7) {
                assert_eq!(index.right_of(index.place(at)), Some(*id));
            }
            for (at, (id, _)) in model.iter().enumerate().step_by(7) {
                let place = Search { left: 1 }.find(&index, *id).expect("there");
                assert_eq!(index.right_of(place), Some(*id));
                assert_eq!(index.left_of(place), at.checked_sub(1).map(|at| model[at].0));
            }
            assert_eq!(index.right_of(index.end()), None);
            assert_eq!(index.left_of(index.end()), model.last().map(|(id, _)| *id));
            assert!(index.chunks.iter().all(|chunk| !chunk.runs.is_empty() && chunk.runs.len() <= CHUNK));
        }
    }
}
