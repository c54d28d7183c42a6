//! [`Pages`], a sorted map that costs little to clone: its entries lie in pages which clones share until one
//! of them changes.

use std::sync::Arc;

/// The limit of entries in a page.
const PAGE: usize = 256;

#[derive(Clone, Debug)]
struct Page<K, V> {
    first: K,
    entries: Arc<Vec<(K, V)>>,
}

/// A sorted map. Looking a key up costs O(log n); a change costs that, a page, and O(n / page) now and then.
/// A clone costs O(n / page).
#[derive(Clone, Debug)]
pub(super) struct Pages<K, V> {
    /// No page is empty.
    pages: Vec<Page<K, V>>,
}

impl<K, V> Default for Pages<K, V> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<K: Copy + Ord, V: Copy> Pages<K, V> {
    /// The entry with the greatest key up to `key`.
    pub(super) fn floor(&self, key: K) -> Option<(K, V)> {
        let page = self.pages.partition_point(|page| page.first <= key).checked_sub(1)?;
        let entries = &self.pages[page].entries;
        let at = entries.partition_point(|(other, _)| *other <= key).checked_sub(1)?;
        Some(entries[at])
    }

    pub(super) fn get(&self, key: K) -> Option<V> {
        self.floor(key).filter(|(found, _)| *found == key).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.pages.iter().flat_map(|page| page.entries.iter().copied())
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        let page = self.pages.partition_point(|page| page.first <= key).saturating_sub(1);
        let Some(found) = self.pages.get_mut(page) else {
            self.pages.push(Page { first: key, entries: Arc::new(vec![(key, value)]) });
            return;
        };
        let entries = Arc::make_mut(&mut found.entries);
        match entries.binary_search_by(|(other, _)| other.cmp(&key)) {
            Ok(at) => entries[at].1 = value,
            Err(at) => entries.insert(at, (key, value)),
        }
        found.first = entries[0].0;
        if entries.len() > PAGE {
            // What is appended leaves full pages behind.
            let is_last = entries.last().is_some_and(|(last, _)| *last == key);
            let second = entries.split_off(if is_last { PAGE } else { PAGE / 2 });
            self.pages.insert(page + 1, Page { first: second[0].0, entries: Arc::new(second) });
        }
    }

    pub(super) fn remove(&mut self, key: K) {
        let Some(page) = self.pages.partition_point(|page| page.first <= key).checked_sub(1) else { return };
        let found = &mut self.pages[page];
        let Ok(at) = found.entries.binary_search_by(|(other, _)| other.cmp(&key)) else { return };
        let entries = Arc::make_mut(&mut found.entries);
        entries.remove(at);
        match entries.first() {
            Some((first, _)) => found.first = *first,
            None => drop(self.pages.remove(page)),
        }
    }

    /// Removes the entries from `from` to before `to`.
    pub(super) fn remove_range(&mut self, from: K, to: K) {
        let first = self.pages.partition_point(|page| page.first <= from).saturating_sub(1);
        let end = self.pages.partition_point(|page| page.first < to);
        for page in self.pages.get_mut(first..end).unwrap_or_default() {
            Arc::make_mut(&mut page.entries).retain(|(key, _)| *key < from || *key >= to);
            if let Some((first, _)) = page.entries.first() {
                page.first = *first;
            }
        }
        let mut at = 0;
        self.pages.retain(|page| {
            at += 1;
            !(first..end).contains(&(at - 1)) || !page.entries.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn pages_are_a_sorted_map() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..20 {
            let (mut pages, mut model) = (Pages::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for step in 0..3_000 {
                let key = rng.u32(..4_000);
                match rng.u8(..8) {
                    0 => {
                        pages.remove(key);
                        model.remove(&key);
                    }
                    1 if step % 50 == 0 => {
                        let to = key + rng.u32(..900);
                        pages.remove_range(key, to);
                        model.retain(|other, _| !(key..to).contains(other));
                    }
                    2 if step % 100 == 0 => copies.push((pages.clone(), model.clone())),
                    _ => {
                        pages.insert(key, step);
                        model.insert(key, step);
                    }
                }
                let key = rng.u32(..4_100);
                let floor = model.range(..=key).next_back().map(|(key, value)| (*key, *value));
                assert_eq!(pages.floor(key), floor);
                assert_eq!(pages.get(key), model.get(&key).copied());
            }
            copies.push((pages, model));
            for (pages, model) in copies {
                assert!(pages.iter().eq(model));
                assert!(pages.pages.iter().all(|page| (1..=PAGE).contains(&page.entries.len())));
            }
        }
    }
}
