//! Where the items are that have moved from one list to another: an index of their former paths, for the state as
//! a whole. An update that is addressed to a former path is forwarded by it.
//!
//! The index outlives the list that an item came from: whoever edits a card while somebody else moves it and removes
//! its column still reaches it.
//!
//! It knows for each item where it is *now*. However often an item moves on, each of its former paths leads there at
//! once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use crate::core::transfer::ends;

/// The limit of remembered former paths in a room. Beyond it, the oldest former path of the item whose last move is
/// oldest is forgotten, and updates of that path are refused.
const MAX_FORMER: usize = 4_096;

/// How many former paths of a list, and of what is around it, are looked at for the items that have left it.
const MAX_ALIASES: usize = 64;

/// An item that has moved.
#[derive(Clone, Debug)]
struct Item {
    /// Its path now.
    now: Box<str>,
    /// The version that moved it last.
    version: u64,
    /// Its former paths, the oldest first.
    former: VecDeque<Box<str>>,
}

/// A path at which something was.
#[derive(Clone, Debug)]
struct Alias<'p> {
    path: Cow<'p, str>,
    /// So many bytes of it are other ones than those that it stands for.
    changed: usize,
    /// For so many bytes of the path that is there now.
    replaced: usize,
}

/// The items that have moved, by their former paths.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved {
    items: BTreeMap<u64, Item>,
    /// The item that was at a path.
    by_former: BTreeMap<Box<str>, u64>,
    /// The item that is at a path now.
    by_now: BTreeMap<Box<str>, u64>,
    by_version: BTreeSet<(u64, u64)>,
    last_id: u64,
}

impl Moved {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Records that the item at `path` has moved to the list at `to`.
    pub(super) fn note(&mut self, path: &str, to: &str, version: u64) {
        self.forget_at(path);
        let Some((list, key)) = path.rsplit_once('/') else { return };
        if list == to {
            return;
        }
        let now = format!("{to}/{key}");
        self.forget_at(&now);
        // Another item that was there is gone.
        if let Some(gone) = self.by_now.get(&*now) {
            self.remove(*gone);
        }
        self.move_inside(path, &now);
        let id = self.by_now.remove(path).unwrap_or_else(|| {
            self.last_id += 1;
            self.items.insert(self.last_id, Item { now: path.into(), version, former: VecDeque::new() });
            self.last_id
        });
        self.place(id, &now, version);
        self.add_former(id, path);
    }

    /// An item is at a path now, since a version.
    fn place(&mut self, id: u64, now: &str, version: u64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        self.by_version.remove(&(item.version, id));
        (item.now, item.version) = (now.into(), version);
        self.by_now.insert(now.into(), id);
        self.by_version.insert((version, id));
    }

    /// The items inside one that has moved have moved with it.
    fn move_inside(&mut self, path: &str, now: &str) {
        let inside = within(&self.by_now, path).filter(|(inner, _)| inner.len() > path.len());
        let inside: Vec<(Box<str>, u64)> = inside.map(|(inner, id)| (inner.clone(), *id)).collect();
        for (inner, id) in inside {
            self.by_now.remove(&inner);
            if let Some(version) = self.items.get(&id).map(|item| item.version) {
                self.place(id, &format!("{now}{}", &inner[path.len()..]), version);
            }
        }
    }

    fn add_former(&mut self, id: u64, path: &str) {
        let Some(item) = self.items.get_mut(&id) else { return };
        item.former.push_back(path.into());
        self.by_former.insert(path.into(), id);
        if self.by_former.len() > MAX_FORMER
            && let Some((_, oldest)) = self.by_version.first()
            && let Some(path) = self.items.get(oldest).and_then(|item| item.former.front()).cloned()
        {
            self.forget(&path);
        }
    }

    /// Forgets an item with all its former paths.
    fn remove(&mut self, id: u64) {
        let Some(item) = self.items.remove(&id) else { return };
        self.by_now.remove(&item.now);
        self.by_version.remove(&(item.version, id));
        for path in &item.former {
            self.by_former.remove(path);
        }
    }

    /// The paths at which what is at `path` was while something around it was elsewhere, `path` itself the first.
    fn aliases<'p>(&self, path: &'p str) -> Vec<Alias<'p>> {
        let mut known = vec![Alias { path: Cow::Borrowed(path), changed: 0, replaced: 0 }];
        let mut at = 0;
        while let Some(Alias { path: alias, changed, replaced }) = known.get(at).cloned() {
            at += 1;
            let around =
                ends(&alias).filter_map(|end| Some((end, self.items.get(self.by_now.get(&alias[..end])?)?)));
            let others = around.flat_map(|(end, item)| item.former.iter().map(move |former| (former, end)));
            for (former, end) in others.take(MAX_ALIASES.saturating_sub(known.len())) {
                let other = format!("{former}{}", &alias[end..]);
                if known.iter().all(|known| known.path != *other) {
                    // What follows is as in `path`.
                    let kept = changed.saturating_sub(end);
                    let replaced = if end > changed { replaced + (end - changed) } else { replaced };
                    known.push(Alias { path: Cow::Owned(other), changed: former.len() + kept, replaced });
                }
            }
        }
        known
    }

    /// The former paths, at `path` or in it, of items that are elsewhere now, each with the path that the item would have
    /// there.
    pub(super) fn within(&self, path: &str) -> Vec<(Box<str>, String)> {
        let mut all = Vec::new();
        for alias in self.aliases(path) {
            for (former, id) in within(&self.by_former, &alias.path) {
                let here = format!("{path}{}", &former[alias.path.len()..]);
                if self.items.get(id).is_some_and(|item| *item.now != *here) {
                    all.push((former.clone(), here));
                }
            }
        }
        all
    }

    /// The items that have moved out of what is at `path` by versions that somebody does not know, each as the path that
    /// it would have in there now. What is at `path`, or around it, may have moved as well, before or after them.
    pub(super) fn left(&self, path: &str, knows: &dyn Fn(u64) -> bool) -> Vec<String> {
        let is_new = |former: &str| {
            let item = self.by_former.get(former).and_then(|id| self.items.get(id));
            item.is_some_and(|item| !knows(item.version))
        };
        let all = self.within(path).into_iter();
        let left =
            all.filter(|(former, here)| here.len() > path.len() && is_new(former)).map(|(_, here)| here);
        // Those that have come back are there.
        left.filter(|here| !self.by_now.contains_key(&**here)).collect()
    }

    /// There is an item at this path: no other one that was there is meant by it any more.
    fn forget_at(&mut self, path: &str) {
        for (former, here) in self.within(path) {
            if here == path {
                self.forget(&former);
            }
        }
    }

    /// Forgets that the item at `path` has moved: there is one at this path again.
    pub(super) fn forget(&mut self, path: &str) {
        let Some(id) = self.by_former.remove(path) else { return };
        let Some(item) = self.items.get_mut(&id) else { return };
        item.former.retain(|former| **former != *path);
        if item.former.is_empty() {
            self.remove(id);
        }
    }

    /// The parts of a path that lead to items which have moved, the innermost first, each with the item's path now.
    pub(super) fn on<'p>(&self, path: &'p str) -> Vec<(&'p str, &str)> {
        if self.by_former.is_empty() {
            return Vec::new();
        }
        let mut all = Vec::new();
        for alias in self.aliases(path) {
            let inside = ends(&alias.path).filter(|end| *end > alias.changed || alias.changed == 0);
            for end in inside {
                let item = self.by_former.get(&alias.path[..end]).and_then(|id| self.items.get(id));
                all.extend(item.map(|item| (&path[..alias.replaced + (end - alias.changed)], &*item.now)));
            }
        }
        all.sort_by_key(|(former, _)| std::cmp::Reverse(former.len()));
        all
    }

    /// The items that have moved since a version, the first move first: the version, each former path, and the list
    /// that the item is in now.
    pub(super) fn since(&self, version: u64) -> impl Iterator<Item = (u64, &str, &str)> {
        let from = (Bound::Excluded((version, u64::MAX)), Bound::Unbounded);
        let items = self.by_version.range(from).filter_map(|(_, id)| self.items.get(id));
        items.flat_map(|item| {
            let list = item.now.rsplit_once('/').map_or("", |(list, _)| list);
            item.former.iter().map(move |former| (item.version, &**former, list))
        })
    }

    pub(super) fn stored(&self) -> Vec<(u64, String, String)> {
        self.since(0).map(|(version, path, list)| (version, path.to_owned(), list.to_owned())).collect()
    }

    pub(super) fn restored(stored: Vec<(u64, String, String)>) -> Self {
        let mut moved = Self::default();
        for (version, path, to) in stored {
            let Some((_, key)) = path.rsplit_once('/') else { continue };
            let now = format!("{to}/{key}");
            match moved.by_now.get(&*now).copied() {
                // Another former path of the same item.
                Some(id) => {
                    moved.place(id, &now, version);
                    moved.add_former(id, &path);
                }
                None => moved.note(&path, &to, version),
            }
        }
        moved
    }
}

/// The entries at `path` and inside it.
fn within<'m>(
    map: &'m BTreeMap<Box<str>, u64>,
    path: &'m str,
) -> impl Iterator<Item = (&'m Box<str>, &'m u64)> + use<'m> {
    let entries = map.range::<str, _>((Bound::Included(path), Bound::Unbounded));
    let entries = entries.take_while(move |entry| entry.0.starts_with(path));
    entries.filter(move |entry| matches!(entry.0.as_bytes().get(path.len()), None | Some(b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(moved: &Moved, path: &str) -> Vec<String> {
        moved.on(path).iter().map(|(former, now)| format!("{former} {now}")).collect()
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
    fn every_former_path_leads_to_where_the_item_is_now() {
        let mut moved = Moved::default();
        for at in 0..100 {
            moved.note(&format!("{at}/7"), &(at + 1).to_string(), at);
        }
        let check = |moved: &Moved| {
            assert_eq!((moved.items.len(), moved.by_former.len()), (1, 100));
            assert_eq!(
                (on(moved, "0/7"), on(moved, "99/7")),
                (vec!["0/7 100/7".into()], vec!["99/7 100/7".into()])
            );
        };
        check(&moved);
        assert_eq!(moved.since(98).count(), 100);
        assert_eq!(moved.since(99).count(), 0);
        moved = Moved::restored(moved.stored());
        check(&moved);
        // It comes back, and leaves again.
        moved.note("100/7", "0", 100);
        assert!(on(&moved, "0/7").is_empty());
        moved.note("0/7", "x", 101);
        assert_eq!(
            (on(&moved, "0/7"), on(&moved, "100/7")),
            (vec!["0/7 x/7".into()], vec!["100/7 x/7".into()])
        );
    }

    #[test]
    fn an_item_moves_with_the_one_around_it() {
        let mut moved = Moved::default();
        moved.note("a/7", "columns/1/cards", 1);
        moved.note("columns/1", "archive", 2);
        assert_eq!(on(&moved, "a/7"), ["a/7 archive/1/cards/7"]);
        moved.note("archive/1/cards/7", "b", 3);
        assert_eq!(on(&moved, "a/7"), ["a/7 b/7"]);
        assert_eq!(on(&moved, "archive/1/cards/7"), ["archive/1/cards/7 b/7"]);
    }

    #[test]
    fn what_has_left_a_column_is_known_wherever_the_column_is() {
        let mut moved = Moved::default();
        moved.note("columns/1/cards/7", "columns/2/cards", 1);
        assert_eq!(moved.left("columns/1", &|_| false), ["columns/1/cards/7"]);
        moved.note("columns/1", "archive", 2);
        moved.note("archive/1/cards/8", "columns/2/cards", 3);
        let mut left = moved.left("archive/1", &|_| false);
        left.sort();
        assert_eq!(left, ["archive/1/cards/7", "archive/1/cards/8"]);
        assert_eq!(moved.left("archive/1/cards", &|version| version <= 1), ["archive/1/cards/8"]);
        moved.note("archive/1", "columns", 4);
        let mut left = moved.left("columns/1/cards", &|_| false);
        left.sort();
        assert_eq!(left, ["columns/1/cards/7", "columns/1/cards/8"]);
        assert!(moved.left("columns/2", &|_| false).is_empty());
    }

    #[test]
    fn what_has_left_a_column_is_found_by_its_path_in_the_column_wherever_that_is() {
        let mut moved = Moved::default();
        moved.note("columns/1/cards/7", "columns/2/cards", 1);
        moved.note("columns/1", "archive", 2);
        moved.note("archive/1", "x/y/attic", 3);
        let path = "x/y/attic/1/cards/7/title";
        assert_eq!(on(&moved, path), ["x/y/attic/1/cards/7 columns/2/cards/7"]);
        // What follows in the path is looked for where that leads.
        assert_eq!(on(&moved, "archive/1/cards/7"), ["archive/1 x/y/attic/1"]);
        assert!(on(&moved, "x/y/attic/1/cards/8").is_empty() && on(&moved, "x/y/attic/1").is_empty());
        // The column it has moved to moves, too.
        moved.note("columns/2", "x/y/attic", 4);
        assert_eq!(on(&moved, path), ["x/y/attic/1/cards/7 x/y/attic/2/cards/7"]);
        // Another card of the same key comes to where it was.
        let at: Vec<_> = moved.within("x/y/attic/1/cards/7").into_iter().map(|(former, _)| former).collect();
        assert_eq!(at, ["columns/1/cards/7".into()]);
        moved.note("b/7", "x/y/attic/1/cards", 5);
        assert!(on(&moved, path).is_empty());
    }

    #[test]
    fn an_item_that_comes_back_has_not_moved() {
        let mut moved = Moved::default();
        moved.note("a/7", "b", 1);
        moved.note("b/7", "a", 2);
        assert!(on(&moved, "a/7").is_empty());
        assert_eq!(on(&moved, "b/7"), ["b/7 a/7"]);
        moved.forget("b/7");
        assert!(moved.is_empty() && moved.by_version.is_empty() && moved.by_now.is_empty());
    }

    #[test]
    fn the_oldest_moves_are_forgotten() {
        let mut moved = Moved::default();
        for item in 0..=MAX_FORMER as u64 {
            moved.note(&format!("a/{item}"), "b", item);
        }
        assert!(on(&moved, "a/0").is_empty() && !on(&moved, "a/1").is_empty());
        assert_eq!((moved.by_former.len(), moved.items.len()), (MAX_FORMER, MAX_FORMER));
        // Of one item that moves on and on.
        for at in 0..=MAX_FORMER as u64 + 1 {
            moved.note(&format!("{at}/x"), &(at + 1).to_string(), 10_000 + at);
        }
        assert_eq!((moved.by_former.len(), moved.items.len(), moved.by_version.len()), (MAX_FORMER, 1, 1));
        assert!(on(&moved, "1/x").is_empty() && !on(&moved, "2/x").is_empty());
    }
}
