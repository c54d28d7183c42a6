//! Where the items are that have moved from one list to another: an index of their former paths, for the state as
//! a whole. An update that is addressed to a former path is forwarded by it.
//!
//! The index outlives the list that an item came from: whoever edits a card while somebody else moves it and removes
//! its column still reaches it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// The limit of remembered moves. Beyond it the oldest is forgotten, and updates of its former path are refused.
const MAX_MOVED: usize = 4_096;

/// The lists that items have moved to, by the items' former paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved {
    to: BTreeMap<Box<str>, (u64, Box<str>)>,
    by_version: BTreeSet<(u64, Box<str>)>,
}

impl Moved {
    pub(super) fn is_empty(&self) -> bool {
        self.to.is_empty()
    }

    /// Records that the item at `path` has moved to the list at `to`.
    pub(super) fn note(&mut self, path: &str, to: &str, version: u64) {
        self.forget(path);
        let Some((list, key)) = path.rsplit_once('/') else { return };
        if list == to {
            return;
        }
        self.forget(&format!("{to}/{key}"));
        self.to.insert(path.into(), (version, to.into()));
        self.by_version.insert((version, path.into()));
        if self.by_version.len() > MAX_MOVED
            && let Some((_, path)) = self.by_version.pop_first()
        {
            self.to.remove(&path);
        }
    }

    /// The former paths that are `path` or inside it.
    pub(super) fn within(&self, path: &str) -> Vec<Box<str>> {
        let from = (Bound::Included(path), Bound::Unbounded);
        let formers = self.to.range::<str, _>(from).map(|(former, _)| former);
        let formers = formers.take_while(|former| former.starts_with(path));
        let is_within = |former: &str| matches!(former.as_bytes().get(path.len()), None | Some(b'/'));
        formers.filter(|former| is_within(former)).cloned().collect()
    }

    /// Forgets that the item at `path` has moved: there is one at this path again.
    pub(super) fn forget(&mut self, path: &str) {
        if let Some((path, (version, _))) = self.to.remove_entry(path) {
            self.by_version.remove(&(version, path));
        }
    }

    /// The former paths that a path leads to or into, the innermost first, each with the item's path in the list
    /// that it has moved to.
    pub(super) fn on<'p>(&self, path: &'p str) -> impl Iterator<Item = (&'p str, String)> {
        let ends = std::iter::once(path.len()).chain(path.rmatch_indices('/').map(|(at, _)| at));
        ends.filter_map(|end| {
            let former = &path[..end];
            let (_, to) = self.to.get(former)?;
            let (_, key) = former.rsplit_once('/')?;
            Some((former, format!("{to}/{key}")))
        })
    }

    pub(super) fn stored(&self) -> Vec<(u64, String, String)> {
        let stored = self.by_version.iter().filter_map(|(version, path)| {
            Some((*version, path.to_string(), self.to.get(path)?.1.to_string()))
        });
        stored.collect()
    }

    pub(super) fn restored(stored: Vec<(u64, String, String)>) -> Self {
        let mut moved = Self::default();
        stored.iter().for_each(|(version, path, to)| moved.note(path, to, *version));
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(moved: &Moved, path: &str) -> Vec<String> {
        moved.on(path).map(|(former, now)| format!("{former} {now}")).collect()
    }

    #[test]
    fn a_former_path_leads_to_where_the_item_is() {
        let mut moved = Moved::default();
        moved.note("columns/1/cards/7", "columns/2/cards", 1);
        moved.note("columns/1", "archive", 2);
        assert_eq!(
            on(&moved, "columns/1/cards/7/title"),
            ["columns/1/cards/7 columns/2/cards/7", "columns/1 archive/1"]
        );
        assert!(on(&moved, "columns/12/cards").is_empty());
        let moved = Moved::restored(moved.stored());
        assert_eq!(on(&moved, "columns/1"), ["columns/1 archive/1"]);
    }

    #[test]
    fn an_item_that_comes_back_has_not_moved() {
        let mut moved = Moved::default();
        moved.note("a/7", "b", 1);
        moved.note("b/7", "a", 2);
        assert!(on(&moved, "a/7").is_empty());
        assert_eq!(on(&moved, "b/7"), ["b/7 a/7"]);
        moved.forget("b/7");
        assert!(moved.is_empty() && moved.by_version.is_empty());
    }

    #[test]
    fn the_oldest_moves_are_forgotten() {
        let mut moved = Moved::default();
        for item in 0..=MAX_MOVED as u64 {
            moved.note(&format!("a/{item}"), "b", item);
        }
        assert!(on(&moved, "a/0").is_empty() && !on(&moved, "a/1").is_empty());
        assert_eq!((moved.to.len(), moved.by_version.len()), (MAX_MOVED, MAX_MOVED));
    }
}
