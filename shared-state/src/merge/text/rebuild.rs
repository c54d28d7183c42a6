//! Rebuilds a [`PositionIndex`] from a document by a walk over all of it. Only the document knows the order
//! of its units.

use std::collections::{BTreeMap, BTreeSet};

use yrs::types::text::{Diff, YChange};
use yrs::{Any, Doc, IdSet as YrsIdSet, Out, ReadTxn as _, Snapshot, Text as _, Transact};

use super::document;
use super::id_set::IdSet;
use super::position_index::{PositionIndex, Run};
use super::yjs::{Content, Id, ROOT, Struct, Update, units};

/// The units of a document, in order. O(n log n).
pub(super) fn positions(doc: &Doc) -> PositionIndex {
    let whole = document::read(doc);
    let is_dropped = |run: &Struct| run.content == Content::Deleted;
    if !whole.structs.values().flatten().any(is_dropped) {
        return PositionIndex::new(runs(doc));
    }
    // yrs gives the order of strings only. So the walk is over another document, in which each run of dropped
    // characters is a blank.
    let (blanked, numbers) = Numbers::blank(&whole);
    let doc = document::new();
    document::integrate(&doc, &blanked.write());
    PositionIndex::new(runs(&doc).into_iter().flat_map(|run| numbers.given(run)))
}

/// The strings of a document, in order, including deleted ones.
fn runs(doc: &Doc) -> Vec<Run> {
    let mut txn = Transact::transact_mut(doc);
    let Snapshot { state_map, delete_set } = txn.snapshot();
    let Some(root) = txn.get_text(ROOT) else { return Vec::new() };
    // A diff from the empty snapshot to one without deletions contains every run, each with its id.
    let all = Snapshot::new(state_map, YrsIdSet::new());
    let runs = root.diff_range(&mut txn, Some(&all), Some(&Snapshot::default()), YChange::identity);
    let runs = runs.into_iter().filter_map(|Diff { insert, ychange, .. }| {
        let Out::Any(Any::String(text)) = insert else { return None };
        let id = ychange?.id;
        let units = u32::try_from(units(&text)).ok()?;
        Some(Run { client: id.client.get(), clock: id.clock, units, deleted: delete_set.contains(&id) })
    });
    runs.collect()
}

/// Units that have other clocks in the document with blanks.
#[derive(Clone, Copy)]
struct Piece {
    /// The first clock in the document with blanks.
    blanked: u32,
    clock: u32,
    units: u32,
    /// One blank stands for all of the units.
    is_blank: bool,
}

/// For each client, its units in the order of their clocks.
struct Numbers(BTreeMap<u64, Vec<Piece>>);

impl Numbers {
    /// The document with blanks. Dropped runs are cut where other units are attached to them, and one blank
    /// stands for each piece.
    fn blank(whole: &Update) -> (Update, Self) {
        let mut cuts: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        for run in whole.structs.values().flatten() {
            let ends = run.origin.map(|id| (id.client, id.clock + 1));
            for (client, clock) in ends.into_iter().chain(run.right.map(|id| (id.client, id.clock))) {
                cuts.entry(client).or_default().insert(clock);
            }
        }
        let mut numbers = Self(BTreeMap::new());
        for (client, structs) in &whole.structs {
            let parts = numbers.0.entry(*client).or_default();
            let mut next = 0;
            for run in structs {
                let is_blank = run.content == Content::Deleted;
                let inside = cuts.get(client).filter(|_| is_blank).into_iter();
                let inside = inside.flat_map(|cuts| cuts.range(run.clock + 1..run.end()).copied());
                let mut clock = run.clock;
                for end in inside.chain([run.end()]) {
                    parts.push(Piece { blanked: next, clock, units: end - clock, is_blank });
                    next += if is_blank { 1 } else { end - clock };
                    clock = end;
                }
            }
        }
        let mut blanked = Update::default();
        let mut deleted = Vec::new();
        for (client, structs) in &whole.structs {
            let all = blanked.structs.entry(*client).or_default();
            for run in structs {
                let (origin, right) =
                    (run.origin.map(|id| numbers.of(id)), run.right.map(|id| numbers.of(id)));
                for part in numbers.within(*client, run) {
                    let units = if part.is_blank { 1 } else { part.units };
                    let origin = match part.clock == run.clock {
                        true => origin,
                        false => Some(Id { client: *client, clock: part.blanked - 1 }),
                    };
                    let content =
                        if part.is_blank { Content::Text(" ".to_owned()) } else { run.content.clone() };
                    // A run of a document is deleted as a whole or not at all.
                    if part.is_blank || whole.deleted.contains(*client, part.clock) {
                        deleted.push((*client, part.blanked..part.blanked + units));
                    }
                    all.push(Struct { clock: part.blanked, units, origin, right, content });
                }
            }
        }
        blanked.deleted = deleted.into_iter().collect::<IdSet>();
        (blanked, numbers)
    }

    /// The pieces of a run.
    fn within(&self, client: u64, run: &Struct) -> &[Piece] {
        let parts = self.0.get(&client).map_or(&[][..], Vec::as_slice);
        let from = parts.partition_point(|part| part.clock < run.clock);
        &parts[from..parts.partition_point(|part| part.clock < run.end())]
    }

    /// The id of a unit in the document with blanks.
    fn of(&self, id: Id) -> Id {
        let parts = self.0.get(&id.client).map_or(&[][..], Vec::as_slice);
        let at = parts.partition_point(|part| part.clock <= id.clock);
        let clock = at.checked_sub(1).map(|at| &parts[at]).map_or(id.clock, |part| match part.is_blank {
            true => part.blanked,
            false => part.blanked + (id.clock - part.clock),
        });
        Id { clock, ..id }
    }

    /// A run of the document with blanks, with its original clocks.
    fn given(&self, run: Run) -> impl Iterator<Item = Run> {
        let parts = self.0.get(&run.client).map_or(&[][..], Vec::as_slice);
        let from = parts.partition_point(|part| part.blanked <= run.clock).saturating_sub(1);
        let to = parts.partition_point(|part| part.blanked < run.clock + run.units);
        parts[from..to].iter().map(move |part| {
            if part.is_blank {
                return Run { clock: part.clock, units: part.units, ..run };
            }
            let start = run.clock.max(part.blanked);
            let end = (run.clock + run.units).min(part.blanked + part.units);
            Run { clock: part.clock + (start - part.blanked), units: end - start, ..run }
        })
    }
}
