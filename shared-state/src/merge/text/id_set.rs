//! [`IdSet`], a set of the units of a text.

use std::collections::BTreeMap;
use std::ops::Range;

/// For each client, ranges of clocks that are sorted, disjoint and not adjacent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdSet(BTreeMap<u64, Vec<Range<u32>>>);

impl IdSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of ranges. O(clients).
    pub(crate) fn ranges(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The clients with their ranges, the greatest client id first.
    pub(crate) fn clients(&self) -> impl ExactSizeIterator<Item = (u64, &[Range<u32>])> {
        self.0.iter().rev().map(|(client, ranges)| (*client, &ranges[..]))
    }

    pub(crate) fn of(&self, client: u64) -> &[Range<u32>] {
        self.0.get(&client).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, Range<u32>)> {
        self.0.iter().flat_map(|(client, ranges)| ranges.iter().map(|range| (*client, range.clone())))
    }

    pub(crate) fn insert(&mut self, client: u64, range: Range<u32>) {
        if range.is_empty() {
            return;
        }
        let ranges = self.0.entry(client).or_default();
        let from = ranges.partition_point(|other| other.end < range.start);
        let to = ranges.partition_point(|other| other.start <= range.end);
        let mut joined = range;
        for other in &ranges[from..to] {
            joined = joined.start.min(other.start)..joined.end.max(other.end);
        }
        ranges.splice(from..to, [joined]);
    }

    pub(crate) fn extend(&mut self, other: &Self) {
        for (client, range) in other.all() {
            self.insert(client, range);
        }
    }

    pub(crate) fn contains(&self, client: u64, clock: u32) -> bool {
        let ranges = self.of(client);
        let at = ranges.partition_point(|range| range.end <= clock);
        ranges.get(at).is_some_and(|range| range.start <= clock)
    }

    /// Whether the set contains any of the range.
    pub(crate) fn meets(&self, client: u64, range: &Range<u32>) -> bool {
        let ranges = self.of(client);
        let at = ranges.partition_point(|other| other.end <= range.start);
        !range.is_empty() && ranges.get(at).is_some_and(|other| other.start < range.end)
    }

    /// The units that are in this set and not in `other`.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut left = Self::default();
        for (client, ranges) in &self.0 {
            let mut cuts = other.of(*client).iter().peekable();
            let mut kept = Vec::new();
            for range in ranges {
                let mut start = range.start;
                while let Some(cut) = cuts.next_if(|cut| cut.end <= range.end) {
                    if cut.end > start {
                        kept.push(start..cut.start.max(start));
                        start = cut.end;
                    }
                }
                // This range may reach into the next one too.
                let end = cuts.peek().map_or(range.end, |cut| cut.start.clamp(start, range.end));
                kept.push(start..end);
            }
            kept.retain(|range| !range.is_empty());
            if !kept.is_empty() {
                left.0.insert(*client, kept);
            }
        }
        left
    }

    /// Removes a client's units from `clock` on.
    pub(crate) fn truncate(&mut self, client: u64, clock: u32) {
        let Some(ranges) = self.0.get_mut(&client) else { return };
        ranges.retain(|range| range.start < clock);
        if let Some(last) = ranges.last_mut() {
            last.end = last.end.min(clock);
        }
        if ranges.is_empty() {
            self.0.remove(&client);
        }
    }
}

impl FromIterator<(u64, Range<u32>)> for IdSet {
    /// The ranges may come in any order. O(n log n).
    fn from_iter<I: IntoIterator<Item = (u64, Range<u32>)>>(all: I) -> Self {
        let mut all: Vec<_> = all.into_iter().filter(|(_, range)| !range.is_empty()).collect();
        all.sort_unstable_by_key(|(client, range)| (*client, range.start));
        let mut joined = Self::default();
        for (client, range) in all {
            let ranges = joined.0.entry(client).or_default();
            match ranges.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => ranges.push(range),
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sets() {
        let mut rng = fastrand::Rng::with_seed(3);
        for _ in 0..300 {
            let mut some = || {
                let (mut all, mut model) = (Vec::new(), [false; 40]);
                for _ in 0..rng.usize(..12) {
                    let start = rng.u32(..36);
                    let range = start..start + rng.u32(..5);
                    model[range.start as usize..range.end as usize].fill(true);
                    all.push((7, range));
                }
                let mut ranges = IdSet::default();
                all.iter().for_each(|(client, range)| ranges.insert(*client, range.clone()));
                assert_eq!(all.into_iter().collect::<IdSet>(), ranges);
                (ranges, model)
            };
            let ((mut ranges, model), (other, others)) = (some(), some());
            let without = ranges.without(&other);
            for clock in 0..40 {
                let left = model[clock] && !others[clock];
                assert_eq!(without.contains(7, clock as u32), left, "{ranges:?} without {other:?}");
            }
            assert!(without.of(7).windows(2).all(|pair| pair[0].end < pair[1].start));
            for (clock, inside) in model.iter().enumerate() {
                assert_eq!(ranges.contains(7, clock as u32), *inside);
            }
            assert!(ranges.of(7).windows(2).all(|pair| pair[0].end < pair[1].start));
            let start = rng.u32(..30);
            let range = start..start + rng.u32(..9);
            let meets = model[range.start as usize..range.end as usize].contains(&true);
            assert_eq!(ranges.meets(7, &range), meets, "{range:?} {ranges:?}");
            ranges.truncate(7, start);
            assert!(
                (0..40).all(|clock| ranges.contains(7, clock) == (clock < start && model[clock as usize]))
            );
        }
    }
}
