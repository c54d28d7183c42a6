//! [`Order`], the units of a text in their order, deleted ones included.
//!
//! Runs of units are stored in chunks of bounded length, each with its number of visible units: a list of
//! lists. A position is found by a scan of the chunks, in O(n / chunk); a unit by its id, in O(log n + chunk).
//! A change costs a chunk. Clones share their chunks until one of them changes, so that a clone costs
//! O(n / chunk).

use std::ops::Range;
use std::sync::Arc;

use super::pages::Pages;
use super::run::Run;
use super::yjs::Id;

/// The limit of runs in a chunk.
const CHUNK: usize = 64;

#[derive(Clone, Debug)]
struct Chunk {
    key: u32,
    /// The number of units that are not deleted.
    visible: usize,
    runs: Arc<Vec<Run>>,
}

/// A place before a unit: in a chunk, before a run or inside it. A greater place is further to the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    chunk: usize,
    run: usize,
    pub(super) inside: u32,
}

impl Place {
    pub(super) const START: Self = Self { chunk: 0, run: 0, inside: 0 };
}

/// Units that were deleted, with the text that they had.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Removed {
    pub(super) first: Id,
    pub(super) units: u32,
    pub(super) text: String,
}

/// The units of a text, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    /// No chunk is empty.
    chunks: Vec<Chunk>,
    /// For each key of a chunk, the chunk's place in the list.
    ordinals: Vec<u32>,
    /// Keys that no chunk has.
    free: Vec<u32>,
    /// The chunk of a unit, by its key: that of the greatest id up to the unit's. Each inserted run has an
    /// entry, and so has each run that was moved to another chunk. The parts of a run that was cut lie in the
    /// order of their clocks, so that an entry counts for what follows it.
    ids: Pages<Id, u32>,
    /// The number of units that are not deleted.
    visible: usize,
    /// The number of characters of two units that are not deleted.
    wide: usize,
    runs: usize,
}

impl Order {
    /// The number of units that are not deleted.
    pub(super) const fn visible(&self) -> usize {
        self.visible
    }

    /// The number of characters of two units that are not deleted.
    pub(super) const fn wide(&self) -> usize {
        self.wide
    }

    /// The number of runs, deleted ones included.
    pub(super) const fn len(&self) -> usize {
        self.runs
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.chunks.iter().flat_map(|chunk| chunk.runs.iter())
    }

    pub(super) fn end(&self) -> Place {
        Place { chunk: self.chunks.len(), run: 0, inside: 0 }
    }

    /// The run that a place is before or inside.
    pub(super) fn run(&self, place: Place) -> Option<&Run> {
        self.chunks.get(place.chunk)?.runs.get(place.run)
    }

    /// The unit to the right of a place, deleted or not.
    pub(super) fn right_of(&self, place: Place) -> Option<Id> {
        self.run(place).map(|run| run.id(place.inside))
    }

    /// The unit to the left of a place, deleted or not.
    pub(super) fn left_of(&self, place: Place) -> Option<Id> {
        if place.inside > 0 {
            return self.run(place).map(|run| run.id(place.inside - 1));
        }
        let before = match place.run.checked_sub(1) {
            Some(before) => self.chunks.get(place.chunk)?.runs.get(before),
            None => self.chunks.get(place.chunk.checked_sub(1)?)?.runs.last(),
        };
        before.map(|run| run.id(run.units - 1))
    }

    /// The place after the run at `place`.
    pub(super) fn next(&self, place: Place) -> Place {
        if place.run + 1 < self.chunks[place.chunk].runs.len() {
            Place { run: place.run + 1, inside: 0, ..place }
        } else {
            Place { chunk: place.chunk + 1, run: 0, inside: 0 }
        }
    }

    /// The place before a unit.
    pub(super) fn find(&self, id: Id) -> Option<Place> {
        let (first, key) = self.ids.floor(id)?;
        if first.client != id.client {
            return None;
        }
        let chunk = self.ordinals[key as usize] as usize;
        let runs = &self.chunks[chunk].runs;
        let run = runs.iter().position(|run| run.contains(id))?;
        Some(Place { chunk, run, inside: id.clock - runs[run].clock })
    }

    /// The place after a unit.
    pub(super) fn find_after(&self, id: Id) -> Option<Place> {
        let place = self.find(id)?;
        let inside = place.inside + 1;
        let is_inside = self.run(place).is_some_and(|run| inside < run.units);
        Some(if is_inside { Place { inside, ..place } } else { self.next(place) })
    }

    /// The place before the visible unit at a position, or the end if there is none.
    pub(super) fn place(&self, position: usize) -> Place {
        let mut rest = position;
        let chunk = self.chunks.iter().position(|chunk| {
            let is_here = rest < chunk.visible;
            rest -= if is_here { 0 } else { chunk.visible };
            is_here
        });
        let Some(chunk) = chunk else { return self.end() };
        let run = self.chunks[chunk].runs.iter().position(|run| {
            let is_here = rest < run.visible();
            rest -= if is_here { 0 } else { run.visible() };
            is_here
        });
        run.map_or(self.end(), |run| Place { chunk, run, inside: rest as u32 })
    }

    /// How many visible units are to the left of a place.
    pub(super) fn position(&self, place: Place) -> usize {
        let chunks: usize = self.chunks[..place.chunk].iter().map(|chunk| chunk.visible).sum();
        let Some(chunk) = self.chunks.get(place.chunk) else { return chunks };
        let runs: usize = chunk.runs[..place.run].iter().map(Run::visible).sum();
        let is_deleted = chunk.runs.get(place.run).is_none_or(Run::is_deleted);
        chunks + runs + if is_deleted { 0 } else { place.inside as usize }
    }

    /// The visible units at some positions, as clients with ranges of clocks, in order.
    pub(super) fn visible_at(&self, positions: Range<usize>) -> Vec<(u64, Range<u32>)> {
        let mut rest = positions.len();
        let mut place = self.place(positions.start);
        let mut parts = Vec::new();
        while let Some(run) = self.run(place).filter(|_| rest > 0) {
            if place.run == 0 && self.chunks[place.chunk].visible == 0 {
                place = Place { chunk: place.chunk + 1, run: 0, inside: 0 };
                continue;
            }
            if !run.is_deleted() {
                let from = run.clock + place.inside;
                let to = run.end().min(from.saturating_add(u32::try_from(rest).unwrap_or(u32::MAX)));
                parts.push((run.client, from..to));
                rest -= (to - from) as usize;
            }
            place = self.next(place);
        }
        parts
    }

    /// Inserts units at a place. A long run is cut.
    pub(super) fn insert(&mut self, place: Place, new: Run) {
        if self.chunks.is_empty() {
            self.add_chunks(0, [Vec::new()]);
        }
        // What is typed at the beginning of a chunk usually continues the last run of the chunk before it.
        let Place { chunk, run: mut at, inside } = match place {
            Place { chunk, run: 0, inside: 0 } if chunk > 0 => {
                Place { chunk: chunk - 1, run: self.chunks[chunk - 1].runs.len(), inside: 0 }
            }
            place => place,
        };
        self.visible += new.visible();
        self.wide += new.wide();
        let Chunk { key, visible, runs } = &mut self.chunks[chunk];
        *visible += new.visible();
        let runs = Arc::make_mut(runs);
        let before = runs.len();
        if inside > 0 {
            cut(runs, at, inside, &mut self.wide);
            at += 1;
        }
        if at == 0 || !runs[at - 1].join(&new) {
            self.ids.insert(new.id(0), *key);
            runs.splice(at..at, new.pieces());
        }
        self.runs += runs.len() - before;
        self.bound(chunk);
    }

    /// Deletes the visible units of a client's range, all of which are here. Appends what was deleted.
    pub(super) fn delete(&mut self, client: u64, range: Range<u32>, removed: &mut Vec<Removed>) {
        self.each_run(client, range, |order, place, part| {
            if order.run(place).is_some_and(|run| !run.is_deleted()) {
                let text = order.set_text(place, &part, None);
                let first = Id { client, clock: part.start };
                removed.extend(text.map(|text| Removed { first, units: part.end - part.start, text }));
            }
        });
    }

    /// Shows units again that were deleted.
    pub(super) fn restore(&mut self, removed: &Removed) {
        let Removed { first: Id { client, clock }, units, text } = removed;
        let (mut chars, mut is_half) = (text.chars(), false);
        self.each_run(*client, *clock..clock + units, |order, place, part| {
            let count = (part.end - part.start) as usize;
            let (mut shown, mut seen) = (String::new(), 0);
            while seen < count {
                // A run that ends in the middle of a character has half of it, and the next run the other.
                let c = if is_half { Some('\u{fffd}') } else { chars.next() };
                let Some(c) = c else { break };
                is_half = !is_half && seen + c.len_utf16() > count;
                shown.push(if is_half { '\u{fffd}' } else { c });
                seen += if is_half { 1 } else { c.len_utf16() };
            }
            order.set_text(place, &part, Some(shown));
        });
    }

    /// Removes the units of a client's range, which are its last ones, as if they had never been inserted.
    pub(super) fn remove(&mut self, client: u64, range: Range<u32>) {
        let ids = (range.start, range.end);
        self.each_run(client, range, |order, place, part| {
            let Chunk { visible, runs, .. } = &mut order.chunks[place.chunk];
            let runs = Arc::make_mut(runs);
            let mut at = place.run;
            if part.start > runs[at].clock {
                let inside = part.start - runs[at].clock;
                cut(runs, at, inside, &mut order.wide);
                order.runs += 1;
                at += 1;
            }
            let gone = runs.remove(at);
            *visible -= gone.visible();
            order.visible -= gone.visible();
            order.wide -= gone.wide();
            order.runs -= 1;
            order.rejoin(place.chunk, at);
        });
        let id = |clock| Id { client, clock };
        self.ids.remove_range(id(ids.0), id(ids.1));
    }

    /// Joins the runs on both sides of a place that something was removed from, and drops the chunk if it is
    /// empty.
    fn rejoin(&mut self, chunk: usize, at: usize) {
        let length = self.chunks[chunk].runs.len();
        if length == 0 {
            let Chunk { key, .. } = self.chunks.remove(chunk);
            self.free.push(key);
            self.number(chunk);
        } else if 0 < at && at < length {
            self.join(chunk, at);
            return;
        }
        // Deleted runs are joined also from chunk to chunk: a character that was cut in two is whole again.
        let right = if length == 0 || at == 0 { chunk } else { chunk + 1 };
        let (Some(left), true) = (right.checked_sub(1), right < self.chunks.len()) else { return };
        let next = self.chunks[right].runs[0].clone();
        let Some(last) = self.chunks[left].runs.last() else { return };
        if !next.is_deleted() || !last.clone().join(&next) {
            return;
        }
        if let Some(last) = Arc::make_mut(&mut self.chunks[left].runs).last_mut() {
            last.join(&next);
        }
        let Chunk { key, runs, .. } = &mut self.chunks[right];
        Arc::make_mut(runs).remove(0);
        self.runs -= 1;
        self.ids.remove(next.id(0));
        // The parts after it have relied on its entry.
        let after = next.id(next.units);
        if self.ids.get(after).is_none() && runs.iter().any(|run| run.contains(after)) {
            self.ids.insert(after, *key);
        }
        if runs.is_empty() {
            self.rejoin(right, 0);
        }
    }

    /// Joins a run of a chunk with the one before it, if the two form one run.
    fn join(&mut self, chunk: usize, at: usize) {
        let runs = Arc::make_mut(&mut self.chunks[chunk].runs);
        let (before, after) = runs.split_at_mut(at);
        if let (Some(before), Some(next)) = (before.last_mut(), after.first())
            && before.join(next)
        {
            self.ids.remove(next.id(0));
            runs.remove(at);
            self.runs -= 1;
        }
    }

    /// Calls `each` with the runs of a client's range, each with the part of the range in it. The call may
    /// change the run.
    fn each_run(
        &mut self,
        client: u64,
        range: Range<u32>,
        mut each: impl FnMut(&mut Self, Place, Range<u32>),
    ) {
        let mut clock = range.start;
        while clock < range.end {
            let place = self.find(Id { client, clock });
            let Some((place, end)) = place.and_then(|place| Some((place, self.run(place)?.end()))) else {
                debug_assert!(false, "unit {clock} of client {client} has no place");
                return;
            };
            let end = end.min(range.end);
            each(self, place, clock..end);
            clock = end;
        }
    }

    /// Replaces the text of some units of the run at a place. Returns the text that they had.
    fn set_text(&mut self, place: Place, part: &Range<u32>, text: Option<String>) -> Option<String> {
        let Chunk { visible, runs, .. } = &mut self.chunks[place.chunk];
        let runs = Arc::make_mut(runs);
        let (before, mut at) = (runs.len(), place.run);
        if part.start > runs[at].clock {
            let inside = part.start - runs[at].clock;
            cut(runs, at, inside, &mut self.wide);
            at += 1;
        }
        if part.end < runs[at].end() {
            let inside = part.end - runs[at].clock;
            cut(runs, at, inside, &mut self.wide);
        }
        self.runs += runs.len() - before;
        let (had, had_wide) = (runs[at].visible(), runs[at].wide());
        let old = std::mem::replace(&mut runs[at].text, text);
        *visible = *visible + runs[at].visible() - had;
        self.visible = self.visible + runs[at].visible() - had;
        self.wide = self.wide + runs[at].wide() - had_wide;
        if at + 1 < runs.len() {
            self.join(place.chunk, at + 1);
        }
        if at > 0 {
            self.join(place.chunk, at);
        }
        self.bound(place.chunk);
        old
    }

    /// Splits a chunk that has grown too long.
    fn bound(&mut self, chunk: usize) {
        if self.chunks[chunk].runs.len() <= CHUNK {
            return;
        }
        let Chunk { visible, runs, .. } = &mut self.chunks[chunk];
        let mut rest = Arc::make_mut(runs).split_off(CHUNK / 2).into_iter().peekable();
        let mut lists = Vec::new();
        while rest.peek().is_some() {
            lists.push(rest.by_ref().take(CHUNK / 2).collect::<Vec<_>>());
        }
        *visible -= lists.iter().flatten().map(Run::visible).sum::<usize>();
        self.add_chunks(chunk + 1, lists);
    }

    fn add_chunks(&mut self, at: usize, lists: impl IntoIterator<Item = Vec<Run>>) {
        let mut chunks = Vec::new();
        for runs in lists {
            let key = self.free.pop().unwrap_or_else(|| {
                self.ordinals.push(0);
                (self.ordinals.len() - 1) as u32
            });
            runs.iter().for_each(|run| self.ids.insert(run.id(0), key));
            let visible = runs.iter().map(Run::visible).sum();
            chunks.push(Chunk { key, visible, runs: Arc::new(runs) });
        }
        self.chunks.splice(at..at, chunks);
        self.number(at);
    }

    /// Notes the places of the chunks from one on.
    fn number(&mut self, from: usize) {
        for (at, chunk) in self.chunks.iter().enumerate().skip(from) {
            self.ordinals[chunk.key as usize] = at as u32;
        }
    }
}

/// Cuts a run in two. A character that is cut in two is lost, so that it no longer counts as a wide one.
fn cut(runs: &mut Vec<Run>, at: usize, inside: u32, all_wide: &mut usize) {
    let is_cut = runs[at].is_low_surrogate(inside);
    let rest = runs[at].split(inside);
    runs.insert(at + 1, rest);
    *all_wide -= usize::from(is_cut);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All units in order, each with what it shows.
    fn all(order: &Order) -> Vec<(Id, Option<char>)> {
        let mut all = Vec::new();
        for run in order.iter() {
            let mut text = run.text.as_deref().map(str::chars);
            all.extend((0..run.units).map(|inside| {
                (run.id(inside), text.as_mut().map(|text| text.next().expect("one for each unit")))
            }));
        }
        all
    }

    fn checked(order: &Order, model: &[(Id, Option<char>)]) {
        assert_eq!(all(order), model);
        let shown: Vec<Id> = model.iter().filter(|(_, c)| c.is_some()).map(|(id, _)| *id).collect();
        assert_eq!(order.visible(), shown.len());
        assert_eq!(order.len(), order.iter().count());
        for (at, id) in shown.iter().enumerate().step_by(7) {
            assert_eq!(order.right_of(order.place(at)), Some(*id));
            assert_eq!(order.position(order.place(at)), at);
        }
        for (at, (id, _)) in model.iter().enumerate() {
            let place = order.find(*id).expect("there");
            assert_eq!(order.right_of(place), Some(*id));
            assert_eq!(order.left_of(place), at.checked_sub(1).map(|at| model[at].0));
            assert_eq!(
                order.right_of(order.find_after(*id).expect("there")),
                model.get(at + 1).map(|(id, _)| *id)
            );
        }
        assert_eq!(order.right_of(order.end()), None);
        assert_eq!(order.left_of(order.end()), model.last().map(|(id, _)| *id));
        assert!(order.chunks.iter().all(|chunk| (1..=CHUNK).contains(&chunk.runs.len())));
    }

    #[test]
    fn an_order_is_a_list_of_units() {
        let mut rng = fastrand::Rng::with_seed(7);
        for _ in 0..6 {
            let (mut order, mut model, mut clocks) =
                (Order::default(), Vec::<(Id, Option<char>)>::new(), [0; 3]);
            let mut copies = Vec::new();
            let mut removed = Vec::new();
            for step in 0..1_500 {
                let there = order.visible();
                match rng.u8(..12) {
                    0..7 => {
                        let client = rng.u64(..3);
                        let clock = clocks[client as usize];
                        let units = if rng.u8(..100) == 0 { 1_300 } else { rng.u32(1..4) };
                        let at = if rng.bool() { rng.usize(..=there) } else { there / 2 };
                        let place = order.place(at);
                        let (origin, right) = (order.left_of(place), order.right_of(place));
                        let text: String = (0..units).map(|_| rng.alphabetic()).collect();
                        let new: Vec<_> = (clock..)
                            .zip(text.chars())
                            .map(|(clock, c)| (Id { client, clock }, Some(c)))
                            .collect();
                        order.insert(place, Run { client, clock, units, origin, right, text: Some(text) });
                        let at = right.map(|right| model.iter().position(|(id, _)| *id == right));
                        let at = at.map_or(model.len(), |at| at.expect("there"));
                        model.splice(at..at, new);
                        clocks[client as usize] += units;
                    }
                    7..10 if !model.is_empty() => {
                        let (Id { client, clock }, _) = model[rng.usize(..model.len())];
                        let range = clock..clocks[client as usize].min(clock + rng.u32(1..6));
                        order.delete(client, range.clone(), &mut removed);
                        for (id, shown) in &mut model {
                            *shown = shown.filter(|_| id.client != client || !range.contains(&id.clock));
                        }
                    }
                    10 => {
                        let Some(back) = removed.pop() else { continue };
                        order.restore(&back);
                        for (clock, c) in (back.first.clock..).zip(back.text.chars()) {
                            let id = Id { clock, ..back.first };
                            let unit = model.iter_mut().find(|(other, _)| *other == id).expect("there");
                            unit.1 = Some(c);
                        }
                    }
                    _ if step % 9 == 0 => {
                        let client = rng.u64(..3);
                        let end = clocks[client as usize];
                        let start = end - end.min(rng.u32(..40));
                        order.remove(client, start..end);
                        model.retain(|(id, _)| id.client != client || id.clock < start);
                        removed.retain(|back: &Removed| {
                            back.first.client != client || back.first.clock + back.units <= start
                        });
                        clocks[client as usize] = start;
                    }
                    _ => {}
                }
                if step % 100 == 0 {
                    checked(&order, &model);
                    copies.push((order.clone(), model.clone()));
                }
            }
            assert!(order.chunks.len() > 1, "nothing was split");
            copies.push((order, model));
            copies.iter().for_each(|(order, model)| checked(order, model));
        }
    }
}
