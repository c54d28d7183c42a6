//! The difference between two texts, as splices: the smallest one, if it is found with little work (the greedy
//! algorithm of Myers, "An O(ND) difference algorithm and its variations", 1986), and otherwise the replacement
//! of what is between the common beginning and end.

use std::ops::Range;

use super::splice::Splice;
use super::yjs::units;

/// How many comparisons are made for each character of the two texts that is not in their common beginning or
/// end, and for any difference. With n characters that is enough for about 3 √n changed characters.
const WORK_PER_CHAR: usize = 4;
const MIN_WORK: usize = 1 << 9;

/// The limit of changed characters in a difference that is not a replacement. It bounds the memory, which grows
/// with its square.
const MAX_CHANGES: usize = 512;

/// A small set of splices that turns `old` into `new`, the last position first, so that each splice leaves
/// the positions of the following ones valid. The common beginning and end are left alone. Between them, as
/// few characters as possible change, unless there are too many. O(n).
pub(super) fn difference(old: &str, new: &str) -> Vec<Splice> {
    if old == new {
        return Vec::new();
    }
    let same_start: usize =
        old.chars().zip(new.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum();
    let (old_rest, new_rest) = (&old[same_start..], &new[same_start..]);
    let same_end: usize = old_rest
        .chars()
        .rev()
        .zip(new_rest.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(c, _)| c.len_utf8())
        .sum();
    let (removed, added) = (&old_rest[..old_rest.len() - same_end], &new_rest[..new_rest.len() - same_end]);
    let start = units(&old[..same_start]);
    let whole = || vec![Splice { at: start, delete: units(removed), insert: added.to_owned() }];
    if removed.is_empty() || added.is_empty() {
        return whole();
    }
    let (removed, added): (Vec<char>, Vec<char>) = (removed.chars().collect(), added.chars().collect());
    let Some(changes) = changes(&removed, &added) else { return whole() };
    let (mut at, mut seen) = (start, 0);
    let units = |chars: &[char]| chars.iter().map(|c| c.len_utf16()).sum::<usize>();
    let mut splices: Vec<Splice> = Vec::with_capacity(changes.len());
    for (old, new) in changes {
        at += units(&removed[seen..old.start]);
        let delete = units(&removed[old.clone()]);
        splices.push(Splice { at, delete, insert: added[new].iter().collect() });
        at += delete;
        seen = old.end;
    }
    splices.reverse();
    splices
}

/// A position in the old text for a diagonal that no path has reached.
const UNREACHED: isize = -1;

/// The ranges that differ, in both texts. `None` if there are too many, or it is too much work to find them.
fn changes(old: &[char], new: &[char]) -> Option<Vec<(Range<usize>, Range<usize>)>> {
    let (n, m) = (old.len() as isize, new.len() as isize);
    let most = MAX_CHANGES as isize;
    let mut work = MIN_WORK + WORK_PER_CHAR * (old.len() + new.len());
    // For each diagonal (the position in the old text less that in the new one), the furthest position in the
    // old text; and so for each number of changes.
    let diagonal = |k: isize| (k + most + 1) as usize;
    let mut furthest = vec![UNREACHED; diagonal(most) + 2];
    let mut paths: Vec<Vec<isize>> = Vec::new();
    for changes in 0..=most {
        for k in (-changes..=changes).step_by(2) {
            let (inserted, deleted) = (furthest[diagonal(k + 1)], furthest[diagonal(k - 1)]);
            let mut x = match changes {
                0 => 0,
                _ => step(inserted, deleted, k, n, m),
            };
            work = work.checked_sub(1)?;
            while x != UNREACHED && x < n && x - k < m && old[x as usize] == new[(x - k) as usize] {
                work = work.checked_sub(1)?;
                x += 1;
            }
            furthest[diagonal(k)] = x;
            if x == n && x - k == m {
                return Some(traced(&paths, (n, m)));
            }
        }
        paths.push(furthest[diagonal(-changes)..=diagonal(changes)].to_vec());
    }
    None
}

/// The furthest position on a diagonal with one more change: an insertion from the diagonal above or a deletion
/// from the one below, within the texts.
fn step(above: isize, below: isize, k: isize, n: isize, m: isize) -> isize {
    let inserted = if above != UNREACHED && above - k <= m { above } else { UNREACHED };
    let deleted = if below != UNREACHED && below < n { below + 1 } else { UNREACHED };
    inserted.max(deleted)
}

/// The changes on the path to the end, of which `paths` has the furthest positions for each number of changes.
fn traced(paths: &[Vec<isize>], (n, m): (isize, isize)) -> Vec<(Range<usize>, Range<usize>)> {
    let mut changes: Vec<(Range<usize>, Range<usize>)> = Vec::new();
    let (mut x, mut k) = (n, n - m);
    for (count, before) in paths.iter().enumerate().rev() {
        let count = count as isize;
        let at = |k: isize| {
            let inside = (-count..=count).contains(&k);
            if inside { before[(k + count) as usize] } else { UNREACHED }
        };
        let (above, below) = (at(k + 1), at(k - 1));
        let from = step(above, below, k, n, m);
        debug_assert!(from != UNREACHED && from <= x, "the path was there");
        let is_deletion = below != UNREACHED && below < n && from == below + 1;
        let (old, new) = match is_deletion {
            true => (from as usize - 1..from as usize, (from - k) as usize..(from - k) as usize),
            false => (from as usize..from as usize, (from - k) as usize - 1..(from - k) as usize),
        };
        (x, k) = (old.start as isize, if is_deletion { k - 1 } else { k + 1 });
        match changes.last_mut() {
            Some(next) if next.0.start == old.end && next.1.start == new.end => {
                (next.0.start, next.1.start) = (old.start, new.start);
            }
            _ => changes.push((old, new)),
        }
    }
    changes.reverse();
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_turns_the_one_into_the_other() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut replaced = 0;
        for round in 0..2_000 {
            let mut text = |most: usize| -> String {
                (0..rng.usize(..most)).map(|_| ['a', 'b', 'ü', '語', '😀'][rng.usize(..5)]).collect()
            };
            let most = if round % 10 == 0 { 600 } else { 20 };
            let (old, new) = (text(most), text(most));
            let mut units: Vec<u16> = old.encode_utf16().collect();
            let splices = difference(&old, &new);
            replaced += usize::from(most > 20 && splices.len() == 1);
            for Splice { at, delete, insert } in splices {
                units.splice(at..at + delete, insert.encode_utf16());
            }
            assert_eq!(String::from_utf16(&units).expect("whole characters"), new);
        }
        assert!(replaced > 50, "{replaced} long ones were replaced");
    }

    /// The length of the longest common subsequence by the table of all pairs.
    fn common(old: &[char], new: &[char]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for a in old {
            let mut diagonal = 0;
            for (at, b) in new.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if a == b { diagonal + 1 } else { above.max(row[at]) };
                diagonal = above;
            }
        }
        row[new.len()]
    }

    #[test]
    fn a_small_difference_is_the_smallest() {
        let mut rng = fastrand::Rng::with_seed(6);
        for _ in 0..500 {
            let mut text =
                || -> Vec<char> { (0..rng.usize(..20)).map(|_| ['a', 'b', 'c'][rng.usize(..3)]).collect() };
            let (old, new) = (text(), text());
            let found = changes(&old, &new).expect("little work");
            let changed: usize = found.iter().map(|(old, new)| old.len() + new.len()).sum();
            assert_eq!(changed, old.len() + new.len() - 2 * common(&old, &new), "{old:?} {new:?} {found:?}");
        }
    }

    #[test]
    fn what_did_not_change_is_left_alone() {
        let splice = |at, delete, insert: &str| Splice { at, delete, insert: insert.to_owned() };
        assert_eq!(difference("ab 😀 cd", "ab 😀 xd"), [splice(6, 1, "x")]);
        assert_eq!(difference("one two", "one and two"), [splice(4, 0, "and ")]);
        let changed: usize =
            difference("the cat sat", "The cat sits").iter().map(|s| s.delete + s.insert.len()).sum();
        assert_eq!(changed, 5);
        let long = "lorem ipsum dolor sit amet ".repeat(10_000);
        let other = format!("L{}!", &long[1..]).replacen("dolor", "color", 1);
        assert_eq!(difference(&long, &other).len(), 3, "few changes in a long text");
    }
}
