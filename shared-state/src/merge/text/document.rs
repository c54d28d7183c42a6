//! [`Document`], what a text's edits are merged into: the units in their order, the clocks of the clients, and
//! where an edit's units go among those that others inserted at the same place.
//!
//! The rules are those of Yjs (YATA; Nicolaescu et al., 2016): a run names the units to its left and right,
//! and where others have come between these two, the greater client id is further to the right, without
//! mixing the runs of two clients. The server *settles* each edit: it places the runs by these rules, and
//! replaces the neighbours that they name by those that they have there. What is settled needs no rules any
//! more, because its neighbours are adjacent wherever it is applied: whatever was inserted between them later
//! refers to it. That holds also for an edit whose neighbours were never adjacent, and for a document that is
//! read from its stored form in another order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::id_set::IdSet;
use super::order::{Order, Place, Removed};
use super::pages::Pages;
use super::run::Run;
use super::yjs::{Clocks, Content, Id, MAX_CLOCK, Struct, Update, units};
use crate::core::text_scope::{self, Characters, Retyped};

/// The limit of runs that are passed to place what is applied without being settled. Beyond it a run is placed
/// right of its left neighbour. No text that this library has stored comes near it.
const MAX_STEPS: usize = 1 << 22;

/// The effect of an edit: enough to revert it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    /// The number of units that each client of the edit had before.
    before: Clocks,
    /// What the edit deleted, except for its own units.
    deleted: Vec<Removed>,
}

impl Effect {
    /// The characters that the edit deleted, except for its own.
    pub(super) fn deleted(&self) -> Vec<Characters> {
        let deleted = self.deleted.iter().map(|Removed { first, units, text }| Characters {
            client: first.client,
            clocks: first.clock..first.clock + units,
            text: text.clone(),
            right: None,
        });
        deleted.collect()
    }
}

/// The neighbours that a struct of an update has in the document: the client, the struct's index, the left
/// and the right one.
type Neighbours = (u64, usize, Option<Id>, Option<Id>);

/// The units of a text. A clone shares what neither of the two changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    order: Order,
    clocks: Pages<u64, u32>,
    /// The units that have no place in the text.
    gc: Arc<IdSet>,
}

impl Document {
    pub(super) const fn order(&self) -> &Order {
        &self.order
    }

    /// The number of units of a client.
    pub(super) fn clock(&self, client: u64) -> u32 {
        self.clocks.get(client).unwrap_or(0)
    }

    /// The number of units of each client.
    pub(super) fn clocks(&self) -> impl Iterator<Item = (u64, u32)> {
        self.clocks.iter()
    }

    /// The number of runs, including those that have no place.
    pub(super) fn runs(&self) -> usize {
        self.order.len() + self.gc.ranges()
    }

    /// Whether a unit is the second one of a visible character.
    pub(super) fn is_low_surrogate(&self, id: Id) -> bool {
        let run = || self.order.find(id).and_then(|place| Some((place, self.order.run(place)?)));
        self.order.wide() > 0 && run().is_some_and(|(place, run)| run.is_low_surrogate(place.inside))
    }

    /// Checks that the document has everything that an update refers to. Returns the structs of the update in
    /// an order in which each comes after what it refers to.
    pub(super) fn check(&self, update: &Update) -> Result<Vec<(u64, usize)>, String> {
        let order = update.check(|client| self.clock(client), &self.gc)?;
        update.check_cuts(|id| self.is_low_surrogate(id))?;
        Ok(order)
    }

    /// The update with the gaps between it and the document filled, if there are any.
    pub(super) fn fitted(&self, update: &Update) -> Option<Update> {
        if update.spans().all(|(client, span)| span.start <= self.clock(client)) {
            return None;
        }
        let mut update = update.clone();
        update.fit(|client| self.clock(client));
        Some(update)
    }

    /// Applies an update without gaps that was checked. `order` is the order in which its structs are
    /// inserted.
    pub(super) fn apply(&mut self, update: &Update, order: &[(u64, usize)]) -> Effect {
        let mut steps = MAX_STEPS;
        let mut effect = self.effect(update);
        self.integrate(update, order, &mut effect, |document, (client, _), new| {
            let place = document.place_of(client, new, &mut steps);
            Some((place.unwrap_or_else(|left| left), new.origin, new.right))
        });
        effect
    }

    /// As [`apply`](Self::apply), with the neighbours that the structs find. Returns the effect and the
    /// structs that named other ones. `steps` is how many runs may be passed, and what is left of that after
    /// it; `None` means that more were there; the document is then of no use any more.
    pub(super) fn settle(
        &mut self,
        update: &Update,
        order: &[(u64, usize)],
        steps: &mut usize,
    ) -> Option<(Effect, Vec<Neighbours>)> {
        let mut settled = Vec::new();
        let mut effect = self.effect(update);
        let is_done = self.integrate(update, order, &mut effect, |document, (client, nth), new| {
            let (place, left, right) = document.settled_place(client, new, steps)?;
            if (left, right) != (new.origin, new.right) {
                settled.push((client, nth, left, right));
            }
            Some((place, left, right))
        });
        is_done.then_some((effect, settled))
    }

    /// As [`settle`](Self::settle), without changing the document, for an update with one struct that has a
    /// place, or none.
    pub(super) fn settle_one(
        &self,
        update: &Update,
        order: &[(u64, usize)],
        steps: &mut usize,
    ) -> Option<Vec<Neighbours>> {
        let mut settled = Vec::new();
        for (client, nth) in order {
            let new = &update.structs[client][*nth];
            if new.content != Content::Gc {
                let (_, left, right) = self.settled_place(*client, new, steps)?;
                if (left, right) != (new.origin, new.right) {
                    settled.push((*client, *nth, left, right));
                }
            }
        }
        Some(settled)
    }

    /// Where a struct goes, and the neighbours that it has there.
    fn settled_place(
        &self,
        client: u64,
        new: &Struct,
        steps: &mut usize,
    ) -> Option<(Place, Option<Id>, Option<Id>)> {
        let place = self.place_of(client, new, steps).ok()?;
        Some((place, self.order.left_of(place), self.order.right_of(place)))
    }

    fn effect(&self, update: &Update) -> Effect {
        let before = update.spans().map(|(client, span)| (client, span.start.min(self.clock(client))));
        Effect { before: before.collect(), deleted: Vec::new() }
    }

    /// Deletes what an update deletes and inserts its structs, each where `place` says and with the neighbours
    /// that it says, until it says `None`. Returns whether all were inserted.
    fn integrate(
        &mut self,
        update: &Update,
        order: &[(u64, usize)],
        effect: &mut Effect,
        mut place: impl FnMut(&Self, (u64, usize), &Struct) -> Option<(Place, Option<Id>, Option<Id>)>,
    ) -> bool {
        let own: Clocks = update.spans().map(|(client, span)| (client, span.start)).collect();
        let deletions = || {
            update.deleted.all().map(|(client, range)| {
                let known = own.get(&client).copied().unwrap_or(u32::MAX);
                (client, range.start.min(known)..range.end.min(known), range.start.max(known)..range.end)
            })
        };
        // Deleted before anything is inserted: an insertion may be in the middle of a character that the same
        // update deletes.
        for (client, there, _) in deletions() {
            self.delete(client, there, &mut effect.deleted);
        }
        for (client, nth) in order {
            let new = &update.structs[client][*nth];
            let text = match &new.content {
                Content::Gc => {
                    Arc::make_mut(&mut self.gc).insert(*client, new.clock..new.end());
                    continue;
                }
                Content::Text(text) => Some(text.clone()),
                Content::Deleted => None,
            };
            let Some((place, origin, right)) = place(self, (*client, *nth), new) else { return false };
            let Struct { clock, units, .. } = *new;
            self.order.insert(place, Run { client: *client, clock, units, origin, right, text });
        }
        for (client, span) in update.spans() {
            self.clocks.insert(client, span.end);
        }
        for (client, _, own) in deletions() {
            self.delete(client, own, &mut Vec::new());
        }
        true
    }

    /// Deletes the units of a range that have a place.
    fn delete(&mut self, client: u64, range: std::ops::Range<u32>, removed: &mut Vec<Removed>) {
        if range.is_empty() {
            return;
        }
        if !self.gc.meets(client, &range) {
            return self.order.delete(client, range, removed);
        }
        let placed = IdSet::from_iter([(client, range)]).without(&self.gc);
        placed.all().for_each(|(client, range)| self.order.delete(client, range, removed));
    }

    /// Where a struct goes, by the rules of Yjs (`Item.integrate`). Takes one of `steps` for each run that is
    /// passed. `Err` is the place right of its left neighbour, if there are not enough.
    fn place_of(&self, client: u64, new: &Struct, steps: &mut usize) -> Result<Place, Place> {
        let order = &self.order;
        let start = new.origin.map_or(Some(Place::START), |id| order.find_after(id)).unwrap_or(Place::START);
        if order.right_of(start) == new.right {
            return Ok(start);
        }
        let end = new.right.and_then(|id| order.find(id)).unwrap_or_else(|| order.end());
        let (mut left, mut at) = (start, start);
        while at < end {
            let Some(run) = order.run(at) else { break };
            let Some(rest) = steps.checked_sub(1) else { return Err(start) };
            *steps = rest;
            let (origin, next) = (run.origin_at(at.inside), order.next(at).min(end));
            if origin == new.origin {
                if run.client < client {
                    left = next;
                } else if run.right == new.right {
                    break;
                }
            } else {
                // What is attached to a run between the two neighbours stays with that run.
                let attached = origin.and_then(|id| order.find(id)).filter(|place| *place >= start);
                match attached {
                    Some(place) if place < left => left = next,
                    Some(_) => {}
                    None => break,
                }
            }
            at = next;
        }
        Ok(left)
    }

    /// Reverts the last edits, of which `effect` is the first one's effect.
    pub(super) fn revert(&mut self, effect: &Effect) {
        for (client, before) in &effect.before {
            let end = self.clock(*client);
            if end <= *before {
                continue;
            }
            let placed = IdSet::from_iter([(*client, *before..end)]).without(&self.gc);
            placed.of(*client).iter().for_each(|range| self.order.remove(*client, range.clone()));
            if self.gc.meets(*client, &(*before..end)) {
                Arc::make_mut(&mut self.gc).truncate(*client, *before);
            }
            match before {
                0 => self.clocks.remove(*client),
                before => self.clocks.insert(*client, *before),
            }
        }
        effect.deleted.iter().for_each(|removed| self.order.restore(removed));
    }

    /// The document as an update, in its one form. What is deleted has no text in it. O(n log n).
    pub(super) fn whole(&self) -> Update {
        self.since(&Clocks::new())
    }

    /// The units that this document has and one with these clocks lacks, and all deletions. O(n log n).
    pub(super) fn since(&self, clocks: &Clocks) -> Update {
        let mut update = Update::default();
        let mut deleted = Vec::new();
        for run in self.order.iter() {
            if run.is_deleted() {
                deleted.push((run.client, run.clock..run.end()));
            }
            let known = clocks.get(&run.client).copied().unwrap_or(0);
            if run.end() <= known {
                continue;
            }
            let new = if run.clock < known { run.clone().split(known - run.clock) } else { run.clone() };
            update.structs.entry(run.client).or_default().push(new.as_struct());
        }
        for (client, range) in self.gc.all() {
            // As in Yjs, what has no place counts as deleted.
            deleted.push((client, range.clone()));
            let clock = range.start.max(clocks.get(&client).copied().unwrap_or(0));
            if clock < range.end {
                let (units, content) = (range.end - clock, Content::Gc);
                let gap = Struct { clock, units, origin: None, right: None, content };
                update.structs.entry(client).or_default().push(gap);
            }
        }
        update.structs.values_mut().for_each(|structs| structs.sort_unstable_by_key(|run| run.clock));
        update.deleted = deleted.into_iter().collect();
        update.tidy();
        update
    }

    /// The characters that an edit deleted and that were there before it, as insertions by `client`: each run of them to
    /// the left of its first unit, so that those that are inserted again one after another are in their order. As in Yjs.
    /// `None` if the client has no clocks left.
    pub(super) fn inserted_again(&self, client: u64, effect: &Effect) -> Option<(Vec<Struct>, Vec<Retyped>)> {
        let mut found: BTreeMap<Place, (Id, String)> = BTreeMap::new();
        for Removed { first, text, .. } in &effect.deleted {
            let mut clock = first.clock;
            let mut here: Option<(Place, u32)> = None;
            for c in text.chars() {
                let id = Id { clock, ..*first };
                let at = here.filter(|(_, end)| clock < *end).or_else(|| {
                    let place = self.order.find(id)?;
                    let run = self.order.run(place).filter(|run| run.is_deleted())?;
                    Some((place, run.end()))
                });
                if let Some((place, _)) = at {
                    found.entry(place).or_insert_with(|| (id, String::new())).1.push(c);
                }
                here = at;
                clock += c.len_utf16() as u32;
            }
        }
        let (mut structs, mut retyped) = (Vec::new(), Vec::new());
        let mut clock = text_scope::first_clock(client, self.clock(client));
        for (place, (of, text)) in found {
            let units = u32::try_from(units(&text)).ok()?;
            let end = clock.checked_add(units).filter(|end| *end <= MAX_CLOCK)?;
            let (origin, right) = (self.order.left_of(place), self.order.right_of(place));
            structs.push(Struct { clock, units, origin, right, content: Content::Text(text) });
            retyped.push(Retyped { of: (of.client, of.clock), by: (client, clock), units });
            clock = end;
        }
        text_scope::use_clocks(client, clock);
        Some((structs, retyped))
    }

    /// The units of a set that are visible.
    pub(super) fn visible_of(&self, units: &IdSet) -> IdSet {
        let mut visible = Vec::new();
        for (client, span) in units.all() {
            let mut clock = span.start;
            while clock < span.end {
                let place = self.order.find(Id { client, clock });
                let Some(run) = place.and_then(|place| self.order.run(place)) else {
                    // Units without a place.
                    let gap = self.gc.of(client).iter().find(|range| range.contains(&clock));
                    clock = gap.map_or(span.end, |range| range.end);
                    continue;
                };
                let end = run.end().min(span.end);
                if !run.is_deleted() {
                    visible.push((client, clock..end));
                }
                clock = end;
            }
        }
        visible.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Edit;
    use super::super::core::Core;
    use super::super::splice::Splice;
    use super::*;

    fn parts(structs: &[u8], deleted: &[u8]) -> Update {
        Update::read(&[structs, deleted].concat()).expect("an update")
    }

    fn apply(document: &mut Document, update: &Update) -> Effect {
        let order = document.check(update).expect("an edit of what is there");
        document.apply(update, &order)
    }

    fn plain(document: &Document) -> String {
        Core::new(document.clone()).plain().to_owned()
    }

    #[test]
    fn a_character_that_was_cut_in_two_comes_back_whole() {
        let (text, delete) = ([1, 1, 0, 0, 4, 1, 4, b't', b'e', b'x', b't', 5], [1, 0, 1, 0, 2]);
        let text = parts(&[&text[..], "😀x".as_bytes()].concat(), &[0]);
        // Between the two units of the first character.
        let inside = [1, 1, 5, 0, 0xC4, 0, 0, 0, 1, 1, b'a'];
        let mut document = Document::default();
        apply(&mut document, &text);
        assert!(document.check(&parts(&inside, &[0])).is_err(), "it is there");

        let mut one = document.clone();
        let effect = apply(&mut one, &parts(&inside, &delete));
        assert_eq!(plain(&one), "ax");
        let (structs, retyped) = one.inserted_again(7, &effect).unwrap();
        assert_eq!(structs[0].content, Content::Text("😀".into()));
        assert_eq!((retyped[0].of, retyped[0].by, retyped[0].units), ((0, 0), (7, 0), 2));
        one.revert(&effect);
        assert_eq!((plain(&one), one.order().wide()), ("😀x".to_owned(), 1));

        let first = apply(&mut document, &parts(&[0], &delete));
        let second = apply(&mut document, &parts(&inside, &[0]));
        assert_eq!(plain(&document), "ax");
        document.revert(&second);
        assert_eq!(plain(&document), "x");
        document.revert(&first);
        assert_eq!((plain(&document), document.order().wide()), ("😀x".to_owned(), 1));
        assert!(document.check(&parts(&inside, &[0])).is_err(), "it is there again");
    }

    #[test]
    fn a_reverted_character_is_not_confused_with_the_next_one_of_its_clock() {
        // Client 5 inserts a character, then something in the middle of it, and deletes the character.
        let head = [1, 2, 5, 0, 4, 1, 4, b't', b'e', b'x', b't', 4];
        let tail = [0xC4, 5, 0, 5, 1, 1, b'a', 1, 5, 1, 0, 2];
        let mut document = Document::default();
        let cut = Update::read(&[&head[..], "😀".as_bytes(), &tail].concat()).expect("an update");
        let effect = apply(&mut document, &cut);
        assert_eq!(plain(&document), "a");
        document.revert(&effect);
        assert_eq!((plain(&document), document.order().len()), (String::new(), 0));

        let whole = Splice { at: 0, delete: 0, insert: "🎉".into() };
        let edit = super::super::compose::compose(&document, 5, &[whole]).expect("short");
        apply(&mut document, &edit);
        let (start, end) = ([1, 1, 6, 0, 0xC4, 5, 0, 5, 1, 1, b'b'], [1, 5, 1, 0, 2]);
        let effect = apply(&mut document, &parts(&start, &end));
        assert_eq!(plain(&document), "b");
        document.revert(&effect);
        assert_eq!(plain(&document), "🎉");
    }

    #[test]
    fn deleted_text_is_not_kept() {
        let mut core = Core::new(Document::default());
        for round in 0..200 {
            let splice = Splice { at: 0, delete: usize::MAX, insert: "x".repeat(10_000) };
            let edit = core.compose(7, &[splice]).expect("short");
            apply(core.change(), &edit);
            let held: usize =
                core.document().order().iter().filter_map(|run| run.text.as_ref()).map(String::len).sum();
            assert_eq!(held, 10_000);
            assert!(core.document().runs() < 25, "{} runs after {round} rounds", core.document().runs());
        }
    }

    #[test]
    fn g9_what_an_edit_may_cost_is_bounded_before_the_work() {
        let refused = |core: &Core, update: Update| core.check(&Edit::of(update)).expect_err("too much");
        let text = "x".repeat(40_000);
        let mut core = Core::new(Document::default());
        let edit = core.compose(7, &[Splice { at: 0, delete: 0, insert: text }]).expect("short");
        apply(core.change(), &edit);
        let ranges = |count: u32| IdSet::from_iter((0..count).map(|at| (7, 2 * at..2 * at + 1)));
        let deletes = |count| Update { deleted: ranges(count), ..Update::default() };
        assert_eq!(core.check(&Edit::of(deletes(8_192))), Ok(()));
        assert!(refused(&core, deletes(8_193)).contains("at most 8192 parts"));
        // Runs of two clients at one place: each of one is compared with each of the other.
        let run = |clock, right| Struct { clock, units: 1, origin: None, right, content: Content::Deleted };
        let prepended = |client, count| {
            let next = |clock: u32| clock.checked_sub(1).map(|clock| Id { client, clock });
            let structs = (0..count).map(|clock| run(clock, next(clock))).collect();
            Update { structs: BTreeMap::from([(client, structs)]), ..Update::default() }
        };
        let mut core = Core::new(Document::default());
        assert_eq!(core.check(&Edit::of(prepended(20, 1_000))), Ok(()));
        apply(core.change(), &prepended(20, 1_000));
        assert_eq!(core.check(&Edit::of(prepended(30, 30))), Ok(()));
        assert!(refused(&core, prepended(30, 1_000)).contains("pass more than 32768 runs"));
        // The edits of one change share the budget.
        let (checked, _) = text_scope::claims(|| {
            (0..100).map(|_| core.check(&Edit::of(prepended(30, 1)))).take_while(Result::is_ok).count()
        });
        assert!((20..50).contains(&checked), "{checked} edits passed a thousand runs each");
    }
}
