//! The order of a document's units, which only the document knows: a walk over it from one end to the other.

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
    let is_forgotten = |run: &Struct| run.content == Content::Deleted;
    if !whole.structs.values().flatten().any(is_forgotten) {
        return PositionIndex::new(runs(doc));
    }
    // A document tells the order of texts only: in another one there is a blank for whatever was forgotten together.
    let (blanked, numbers) = Numbers::blank(&whole);
    let doc = document::new();
    document::integrate(&doc, &blanked.write());
    PositionIndex::new(runs(&doc).into_iter().flat_map(|run| numbers.given(run)))
}

/// The texts of a document, in order, deleted ones too.
fn runs(doc: &Doc) -> Vec<Run> {
    let mut txn = Transact::transact_mut(doc);
    let Snapshot { state_map, delete_set } = txn.snapshot();
    let Some(root) = txn.get_text(ROOT) else { return Vec::new() };
    // As if nothing was deleted, and held against nothing: all runs are new, each under its number.
    let all = Snapshot::new(state_map, YrsIdSet::new());
    let runs = root.diff_range(&mut txn, Some(&all), Some(&Snapshot::default()), YChange::identity);
    let runs = runs.into_iter().filter_map(|Diff { insert, ychange, .. }| {
        let Out::Any(Any::String(text)) = insert else { return None };
        let id = ychange?.id;
        let units = u32::try_from(units(&text)).ok()?;
        Some(Run { writer: id.client.get(), clock: id.clock, units, deleted: delete_set.contains(&id) })
    });
    runs.collect()
}

/// Units that have other numbers in the document with blanks.
#[derive(Clone, Copy)]
struct FieldHandle {
    /// Where it begins there.
    blanked: u32,
    clock: u32,
    units: u32,
    /// There is one blank for all of it.
    is_blank: bool,
}

/// Per writer, its units in the order of their numbers.
struct Numbers(BTreeMap<u64, Vec<FieldHandle>>);

impl Numbers {
    /// The document with blanks: whatever was forgotten is cut where others are attached to it, and each piece is one.
    fn blank(whole: &Update) -> (Update, Self) {
        let mut cuts: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        for run in whole.structs.values().flatten() {
            let ends = run.origin.map(|id| (id.writer, id.clock + 1));
            for (writer, clock) in ends.into_iter().chain(run.right.map(|id| (id.writer, id.clock))) {
                cuts.entry(writer).or_default().insert(clock);
            }
        }
        let mut numbers = Self(BTreeMap::new());
        for (writer, structs) in &whole.structs {
            let parts = numbers.0.entry(*writer).or_default();
            let mut next = 0;
            for run in structs {
                let is_blank = run.content == Content::Deleted;
                let inside = cuts.get(writer).filter(|_| is_blank).into_iter();
                let inside = inside.flat_map(|cuts| cuts.range(run.clock + 1..run.end()).copied());
                let mut clock = run.clock;
                for end in inside.chain([run.end()]) {
                    parts.push(FieldHandle { blanked: next, clock, units: end - clock, is_blank });
                    next += if is_blank { 1 } else { end - clock };
                    clock = end;
                }
            }
        }
        let mut blanked = Update::default();
        let mut deleted = Vec::new();
        for (writer, structs) in &whole.structs {
            let all = blanked.structs.entry(*writer).or_default();
            for run in structs {
                let (origin, right) =
                    (run.origin.map(|id| numbers.of(id)), run.right.map(|id| numbers.of(id)));
                for part in numbers.within(*writer, run) {
                    let units = if part.is_blank { 1 } else { part.units };
                    let origin = match part.clock == run.clock {
                        true => origin,
                        false => Some(Id { writer: *writer, clock: part.blanked - 1 }),
                    };
                    let content =
                        if part.is_blank { Content::Text(" ".to_owned()) } else { run.content.clone() };
                    // A run of a document is deleted or not.
                    if part.is_blank || whole.deleted.contains(*writer, part.clock) {
                        deleted.push((*writer, part.blanked..part.blanked + units));
                    }
                    all.push(Struct { clock: part.blanked, units, origin, right, content });
                }
            }
        }
        blanked.deleted = deleted.into_iter().collect::<IdSet>();
        (blanked, numbers)
    }

    /// The parts of a run.
    fn within(&self, writer: u64, run: &Struct) -> &[FieldHandle] {
        let parts = self.0.get(&writer).map_or(&[][..], Vec::as_slice);
        let from = parts.partition_point(|part| part.clock < run.clock);
        &parts[from..parts.partition_point(|part| part.clock < run.end())]
    }

    /// A unit's number in the document with blanks.
    fn of(&self, id: Id) -> Id {
        let parts = self.0.get(&id.writer).map_or(&[][..], Vec::as_slice);
        let at = parts.partition_point(|part| part.clock <= id.clock);
        let clock = at.checked_sub(1).map(|at| &parts[at]).map_or(id.clock, |part| match part.is_blank {
            true => part.blanked,
            false => part.blanked + (id.clock - part.clock),
        });
        Id { clock, ..id }
    }

    /// A run of the document with blanks under the numbers that were given to it.
    fn given(&self, run: Run) -> impl Iterator<Item = Run> {
        let parts = self.0.get(&run.writer).map_or(&[][..], Vec::as_slice);
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
