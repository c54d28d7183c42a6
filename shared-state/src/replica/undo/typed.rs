//! What somebody else has typed into a text and deleted from it, without what they have taken back.
//!
//! An undo in a text is an edit like any other: what was typed is deleted, and what was deleted is typed again, as other
//! characters, to the left of where it was. Both can be told from the characters' ids, whatever others have typed meanwhile.

use std::collections::HashMap;
use std::ops::Range;

use crate::core::text_scope::{Characters, Retyped, TextEdit};

/// The most runs of characters of which it is known who has typed or deleted them, for each mark and author.
const MAX_RUNS: usize = 256;

/// The most bytes of deleted text that are kept.
const MAX_BYTES: usize = 16 << 10;

/// The ids of characters one after another: their text client id and their clocks.
type Ids = (u64, Range<u32>);

/// What the edits of an author have left in a text.
#[derive(Clone, Default)]
pub(super) struct Typed {
    inserted: Vec<Ids>,
    deleted: Vec<Characters>,
}

impl Typed {
    /// What an edit does. `None` if it is too much to keep.
    pub(super) fn new(edit: TextEdit) -> Option<Self> {
        let inserted = edit.inserted.into_iter().map(|new| (new.client, new.clocks)).collect();
        Some(Self { inserted, deleted: edit.deleted }).filter(Self::is_small)
    }

    fn is_small(&self) -> bool {
        let bytes: usize = self.deleted.iter().map(|run| run.text.len()).sum();
        self.inserted.len() + self.deleted.len() <= MAX_RUNS && bytes <= MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inserted.is_empty() && self.deleted.is_empty()
    }

    /// Adds what a later edit by the same author does. Returns whether that is not too much.
    pub(super) fn join(&mut self, later: &Self) -> bool {
        let mut both = self.clone();
        both.inserted.extend_from_slice(&later.inserted);
        // What is typed goes on where it ended.
        both.inserted.sort_unstable_by_key(|(client, clocks)| (*client, clocks.start));
        both.inserted.dedup_by(|next, run| {
            let goes_on = run.0 == next.0 && run.1.end == next.1.start;
            if goes_on {
                run.1.end = next.1.end;
            }
            goes_on
        });
        both.deleted.extend_from_slice(&later.deleted);
        let is_small = both.is_small();
        if is_small {
            *self = both;
        }
        is_small
    }

    /// Leaves out what a later edit by the same author takes back, here and in the edit. Returns the characters that it has
    /// typed again.
    pub(super) fn take_back(&mut self, edit: &mut TextEdit) -> Vec<Retyped> {
        let inserted = std::mem::take(&mut self.inserted);
        let gone: Vec<Ids> = edit.deleted.iter().map(|run| (run.client, run.clocks.clone())).collect();
        edit.deleted = edit.deleted.drain(..).flat_map(|run| parts_without(run, &inserted)).collect();
        self.inserted = inserted.into_iter().flat_map(|ids| without(ids, &gone)).collect();
        self.typed_again(edit)
    }

    /// Somebody has typed characters again, which stand for those that were typed first.
    pub(super) fn follow(&mut self, retyped: &[Retyped]) {
        for Retyped { of: (client, start), by, units } in retyped {
            let again: Ids = (*client, *start..start + units);
            let here = self.inserted.iter().filter(|(of, _)| of == client);
            let here = here.map(|(_, run)| run.start.max(*start)..run.end.min(start + units));
            let now: Vec<Ids> = here
                .filter(|run| !run.is_empty())
                .map(|run| (by.0, by.1 + (run.start - start)..by.1 + (run.end - start)))
                .collect();
            if !now.is_empty() {
                let before = std::mem::take(&mut self.inserted);
                self.inserted =
                    before.into_iter().flat_map(|ids| without(ids, std::slice::from_ref(&again))).collect();
                self.inserted.extend(now);
            }
        }
    }

    /// Leaves out what was deleted and is typed again.
    fn typed_again(&mut self, edit: &mut TextEdit) -> Vec<Retyped> {
        let mut retyped = Vec::new();
        let mut taken = Vec::new();
        let beside = edit.inserted.iter().enumerate();
        let beside: HashMap<_, _> =
            beside.filter_map(|(at, new)| Some((new.right.filter(|_| !new.text.is_empty())?, at))).collect();
        self.deleted.retain(|run| {
            let (mut clock, mut found) = (run.clocks.start, Vec::new());
            while clock < run.clocks.end
                && let Some(at) = beside.get(&(run.client, clock))
            {
                let new = &edit.inserted[*at];
                let units = new.clocks.end - new.clocks.start;
                let here = run.text.encode_utf16().skip((clock - run.clocks.start) as usize);
                if !new.text.encode_utf16().eq(here.take(units as usize)) {
                    break;
                }
                let by = (new.client, new.clocks.start);
                found.push((*at, Retyped { of: (run.client, clock), by, units }));
                clock += units;
            }
            let is_back = clock >= run.clocks.end;
            if is_back {
                let (at, runs): (Vec<_>, Vec<_>) = found.into_iter().unzip();
                taken.extend(at);
                retyped.extend(runs);
            }
            !is_back
        });
        let mut at = 0..;
        edit.inserted.retain(|_| at.next().is_none_or(|at| !taken.contains(&at)));
        retyped
    }
}

/// The ids without those in `others`.
fn without((client, clocks): Ids, others: &[Ids]) -> Vec<Ids> {
    let mut left = vec![clocks];
    for (_, other) in others.iter().filter(|(other, _)| *other == client) {
        left = left
            .into_iter()
            .flat_map(|run| [run.start..run.end.min(other.start), run.start.max(other.end)..run.end])
            .collect();
        left.retain(|run| !run.is_empty());
    }
    left.into_iter().map(|run| (client, run)).collect()
}

/// The characters of a run without those in `others`.
fn parts_without(run: Characters, others: &[Ids]) -> Vec<Characters> {
    let left = without((run.client, run.clocks.clone()), others);
    if let [(_, clocks)] = &left[..]
        && *clocks == run.clocks
    {
        return vec![run];
    }
    let units: Vec<u16> = run.text.encode_utf16().collect();
    let part = |(client, clocks): Ids| {
        let [start, end] = [clocks.start, clocks.end].map(|clock| (clock - run.clocks.start) as usize);
        let text = String::from_utf16_lossy(units.get(start..end).unwrap_or_default());
        Characters { client, clocks, text, right: None }
    };
    left.into_iter().map(part).collect()
}
