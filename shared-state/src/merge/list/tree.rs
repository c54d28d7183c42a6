//! A persistent ordered map that also finds entries by position. A clone costs O(1), everything else O(log
//! n).
//!
//! It is a weight-balanced tree (Nievergelt and Reingold, 1973) with the parameters ⟨3, 2⟩, which Hirai and
//! Yamamoto proved correct ("Balancing weight-balanced trees", 2011). Clones share nodes; a shared node is
//! copied when it is changed.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

type Link<K, V> = Option<Arc<Node<K, V>>>;

#[derive(Clone)]
struct Node<K, V> {
    key: K,
    value: V,
    size: usize,
    left: Link<K, V>,
    right: Link<K, V>,
}

#[derive(Clone)]
pub(crate) struct Tree<K, V> {
    root: Link<K, V>,
}

impl<K, V> Tree<K, V> {
    pub(crate) const fn new() -> Self {
        Self { root: None }
    }

    pub(crate) fn len(&self) -> usize {
        size(&self.root)
    }

    /// A tree of entries that are sorted by key. O(n).
    pub(crate) fn from_sorted(entries: impl ExactSizeIterator<Item = (K, V)>) -> Self {
        fn build<K, V>(count: usize, entries: &mut impl Iterator<Item = (K, V)>) -> Link<K, V> {
            if count == 0 {
                return None;
            }
            let left = build(count / 2, entries);
            let (key, value) = entries.next()?;
            let right = build(count - count / 2 - 1, entries);
            let size = size(&left) + size(&right) + 1;
            Some(Arc::new(Node { key, value, size, left, right }))
        }
        let mut entries = entries;
        let count = entries.len();
        Self { root: build(count, &mut entries) }
    }

    /// The entry at a position.
    pub(crate) fn at(&self, mut position: usize) -> Option<(&K, &V)> {
        let mut link = &self.root;
        while let Some(node) = link {
            let left = size(&node.left);
            match position.cmp(&left) {
                Ordering::Less => link = &node.left,
                Ordering::Equal => return Some((&node.key, &node.value)),
                Ordering::Greater => {
                    position -= left + 1;
                    link = &node.right;
                }
            }
        }
        None
    }

    /// The entries in order, starting at a position.
    pub(crate) fn iter_from(&self, position: usize) -> TreeIter<'_, K, V> {
        let mut stack = Vec::new();
        let (mut link, mut position) = (self.root.as_deref(), position);
        while let Some(node) = link {
            let left = size(&node.left);
            if position <= left {
                stack.push(node);
                link = node.left.as_deref();
            } else {
                position -= left + 1;
                link = node.right.as_deref();
            }
        }
        TreeIter { stack }
    }
}

impl<K: Ord + Clone, V: Clone> Tree<K, V> {
    pub(crate) fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let mut link = &self.root;
        while let Some(node) = link {
            match key.cmp(node.key.borrow()) {
                Ordering::Less => link = &node.left,
                Ordering::Equal => return Some(&node.value),
                Ordering::Greater => link = &node.right,
            }
        }
        None
    }

    pub(crate) fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let mut link = &mut self.root;
        while let Some(node) = link {
            let node = Arc::make_mut(node);
            match key.cmp(node.key.borrow()) {
                Ordering::Less => link = &mut node.left,
                Ordering::Equal => return Some(&mut node.value),
                Ordering::Greater => link = &mut node.right,
            }
        }
        None
    }

    /// The number of keys that are less than `key`.
    pub(crate) fn rank<Q: Ord + ?Sized>(&self, key: &Q) -> usize
    where
        K: Borrow<Q>,
    {
        let (mut link, mut rank) = (&self.root, 0);
        while let Some(node) = link {
            if node.key.borrow() < key {
                rank += size(&node.left) + 1;
                link = &node.right;
            } else {
                link = &node.left;
            }
        }
        rank
    }

    /// Inserts a value and returns the one that it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        fn put<K: Ord + Clone, V: Clone>(link: &mut Link<K, V>, key: K, value: V) -> Option<V> {
            let Some(node) = link else {
                *link = Some(Arc::new(Node { key, value, size: 1, left: None, right: None }));
                return None;
            };
            let node = Arc::make_mut(node);
            let before = match key.cmp(&node.key) {
                Ordering::Less => put(&mut node.left, key, value),
                Ordering::Equal => return Some(std::mem::replace(&mut node.value, value)),
                Ordering::Greater => put(&mut node.right, key, value),
            };
            balance(link);
            before
        }
        put(&mut self.root, key, value)
    }

    /// Removes a value and returns it.
    pub(crate) fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        fn take<K: Ord + Clone + Borrow<Q>, V: Clone, Q: Ord + ?Sized>(
            link: &mut Link<K, V>,
            key: &Q,
        ) -> Option<V> {
            let node = Arc::make_mut(link.as_mut()?);
            let taken = match key.cmp(node.key.borrow()) {
                Ordering::Less => take(&mut node.left, key),
                Ordering::Greater => take(&mut node.right, key),
                Ordering::Equal => {
                    let (left, right) = (node.left.take(), node.right.take());
                    let value = node.value.clone();
                    *link = join(left, right);
                    Some(value)
                }
            };
            balance(link);
            taken
        }
        // If the key is missing, no node is copied.
        self.get(key)?;
        take(&mut self.root, key)
    }
}

fn size<K, V>(link: &Link<K, V>) -> usize {
    link.as_ref().map_or(0, |node| node.size)
}

/// The tree with the entries of `left` followed by those of `right`. The two trees are balanced against each
/// other.
fn join<K: Clone, V: Clone>(left: Link<K, V>, mut right: Link<K, V>) -> Link<K, V> {
    if left.is_none() {
        return right;
    }
    let Some(mut first) = take_first(&mut right) else { return left };
    let node = Arc::make_mut(&mut first);
    (node.left, node.right) = (left, right);
    let mut link = Some(first);
    balance(&mut link);
    link
}

/// Removes the node with the least key and returns it without its links.
fn take_first<K: Clone, V: Clone>(link: &mut Link<K, V>) -> Link<K, V> {
    let node = Arc::make_mut(link.as_mut()?);
    if node.left.is_none() {
        let rest = node.right.take();
        return std::mem::replace(link, rest);
    }
    let first = take_first(&mut node.left);
    balance(link);
    first
}

/// Restores the balance and the size of a node whose children are correct, and out of balance by at most one
/// entry.
fn balance<K: Clone, V: Clone>(link: &mut Link<K, V>) {
    let Some(node) = link else { return };
    let (left, right) = (size(&node.left), size(&node.right));
    if left + right > 1 {
        if right > 3 * left {
            let Some(child) = Arc::make_mut(node).right.as_mut() else { return };
            if size(&child.left) >= 2 * size(&child.right) {
                rotate(&mut Arc::make_mut(node).right, Side::Right);
            }
            return rotate(link, Side::Left);
        }
        if left > 3 * right {
            let Some(child) = Arc::make_mut(node).left.as_mut() else { return };
            if size(&child.right) >= 2 * size(&child.left) {
                rotate(&mut Arc::make_mut(node).left, Side::Left);
            }
            return rotate(link, Side::Right);
        }
    }
    Arc::make_mut(node).size = left + right + 1;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Rotates a node down to `side`: its child on the other side takes its place.
fn rotate<K: Clone, V: Clone>(link: &mut Link<K, V>, side: Side) {
    let Some(mut down) = link.take() else { return };
    let node = Arc::make_mut(&mut down);
    let child = if side == Side::Left { &mut node.right } else { &mut node.left };
    let Some(mut up) = child.take() else {
        *link = Some(down);
        return;
    };
    let top = Arc::make_mut(&mut up);
    let inner = if side == Side::Left { &mut top.left } else { &mut top.right };
    *child = inner.take();
    node.size = size(&node.left) + size(&node.right) + 1;
    *inner = Some(down);
    top.size = size(&top.left) + size(&top.right) + 1;
    *link = Some(up);
}

pub(crate) struct TreeIter<'a, K, V> {
    stack: Vec<&'a Node<K, V>>,
}

impl<K, V> Clone for TreeIter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { stack: self.stack.clone() }
    }
}

impl<'a, K, V> Iterator for TreeIter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        let node = self.stack.pop()?;
        let mut link = node.right.as_deref();
        while let Some(next) = link {
            self.stack.push(next);
            link = next.left.as_deref();
        }
        Some((&node.key, &node.value))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn check<K: Ord, V>(link: &Link<K, V>) -> usize {
        let Some(node) = link else { return 0 };
        let (left, right) = (check(&node.left), check(&node.right));
        assert_eq!(node.size, left + right + 1);
        assert!(left + right < 2 || (left <= 3 * right && right <= 3 * left), "{left} and {right}");
        node.size
    }

    #[test]
    fn a_tree_is_an_ordered_map_that_knows_positions_and_keeps_its_balance() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut tree = Tree::new();
        let mut model = BTreeMap::new();
        let mut kept = Vec::new();
        for step in 0..20_000_u32 {
            let key = rng.u16(..700);
            if rng.u8(..5) < if step % 4_000 < 2_000 { 3 } else { 1 } {
                assert_eq!(tree.insert(key, step), model.insert(key, step));
            } else {
                assert_eq!(tree.remove(&key), model.remove(&key));
            }
            if step % 97 == 0 {
                check(&tree.root);
                assert!(tree.iter_from(0).eq(model.iter()));
                let position = rng.usize(..=model.len());
                assert!(tree.iter_from(position).eq(model.iter().skip(position)));
                assert_eq!(tree.at(position), model.iter().nth(position));
                assert_eq!(tree.rank(&key), model.range(..key).count());
                assert_eq!(tree.get(&key), model.get(&key));
                kept.push((tree.clone(), model.clone()));
            }
        }
        for (tree, model) in kept {
            assert!(tree.iter_from(0).eq(model.iter()), "a clone changed");
        }
    }

    #[test]
    fn a_tree_of_sorted_entries_is_in_balance() {
        for count in 0..200_usize {
            let tree = Tree::from_sorted((0..count).map(|key| (key, ())));
            assert_eq!(check(&tree.root), count);
            assert!(tree.iter_from(0).map(|(key, ())| *key).eq(0..count));
        }
    }
}
