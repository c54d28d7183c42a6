//! Which of the waiting calls the next commit carries.
//!
//! A commit takes longer the more bytes it writes, and every call in it waits for all of it. So when much waits, a commit
//! carries the first calls of all rooms as far as they are short, and of the rest only so many bytes; and after one that
//! carried many bytes, one carries the short calls that have come meanwhile, alone. So who writes little does not wait for
//! who writes much, but for the commit that was begun. The calls of a room keep their order.

use std::collections::{HashMap, HashSet};

use super::queue::{Job, Queued};

/// The bytes that a commit carries besides the oldest call and the short ones.
const BYTES: usize = 128 << 10;

/// A call of so many bytes is short.
const SHORT: usize = 16 << 10;

/// Divides the waiting calls into commits.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Whether the last commit carried many bytes.
    was_long: bool,
}

impl Groups {
    /// Takes the calls of the next commit: at least one, and the oldest one at least every other time.
    pub(super) fn take(&mut self, waiting: &mut Vec<Queued>) -> Vec<Queued> {
        if bytes(waiting) <= BYTES {
            self.was_long = false;
            return std::mem::take(waiting);
        }
        let chosen = self.choose(waiting);
        let (mut taken, mut left) = (Vec::new(), Vec::new());
        for (queued, is_chosen) in std::mem::take(waiting).into_iter().zip(chosen) {
            if is_chosen { taken.push(queued) } else { left.push(queued) }
        }
        *waiting = left;
        self.was_long = bytes(&taken) > BYTES / 2;
        taken
    }

    /// Which calls the next commit carries.
    fn choose(&self, waiting: &[Queued]) -> Vec<bool> {
        if self.was_long {
            let short = choose(waiting, SHORT);
            if short.contains(&true) {
                return short;
            }
        }
        choose(waiting, usize::MAX)
    }
}

fn bytes(calls: &[Queued]) -> usize {
    calls.iter().map(Queued::bytes).sum()
}

/// Which calls a commit carries that carries none of more than `longest` bytes.
fn choose(waiting: &[Queued], longest: usize) -> Vec<bool> {
    // The rooms take turns: the first calls of all come first, then the second ones.
    let mut calls = HashMap::<&str, u32>::new();
    let mut turns: Vec<(u32, usize)> = Vec::with_capacity(waiting.len());
    for (at, queued) in waiting.iter().enumerate() {
        let turn = queued.job.room().map_or(0, |room| {
            let turn = calls.entry(room).or_default();
            *turn += 1;
            *turn - 1
        });
        turns.push((turn, at));
    }
    turns.sort_unstable();
    let mut chosen = vec![false; waiting.len()];
    let (mut bytes, mut full) = (0, HashSet::new());
    for (turn, at) in turns {
        let Some(room) = waiting[at].job.room().filter(|room| !full.contains(room)) else { continue };
        let length = waiting[at].bytes();
        if length <= longest && (at == 0 || turn == 0 && length <= SHORT || bytes + length <= BYTES) {
            bytes += length;
            chosen[at] = true;
        } else {
            full.insert(room);
        }
    }
    // A list shows what all calls before it have done.
    let mut is_complete = true;
    for (queued, is_chosen) in waiting.iter().zip(&mut chosen) {
        *is_chosen |= is_complete && matches!(queued.job, Job::List { .. });
        is_complete &= *is_chosen;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redb::queue::{Limits, Queue};
    use crate::store::{Append, redb::queue::Taken};
    use bytes::Bytes;
    use tokio::sync::oneshot;

    /// Calls that wait, each the bytes of an append to a room, or a list of the rooms.
    fn waiting(calls: &[(&str, usize)]) -> Vec<Queued> {
        let queue = Queue::new(Limits { calls: usize::MAX, bytes: usize::MAX });
        for (at, (room, bytes)) in calls.iter().enumerate() {
            let pushed = queue.push(*bytes, || match *room {
                "" => Job::List { done: oneshot::channel().0 },
                room => Job::Append {
                    append: Append { room: room.into(), epoch: 1, expected: at as u64, entry: Bytes::new() },
                    done: oneshot::channel().0,
                },
            });
            pushed.unwrap();
        }
        let mut backlog = Vec::new();
        assert!(matches!(queue.take(&mut backlog), Taken::Calls));
        backlog
    }

    /// The numbers of the calls that each commit carries.
    fn commits(calls: &[(&str, usize)]) -> Vec<Vec<usize>> {
        let (mut waiting, mut groups) = (waiting(calls), Groups::default());
        let mut numbers: Vec<usize> = (0..calls.len()).collect();
        let mut commits = Vec::new();
        while !waiting.is_empty() {
            let chosen =
                if bytes(&waiting) <= BYTES { vec![true; waiting.len()] } else { groups.choose(&waiting) };
            let taken = groups.take(&mut waiting);
            let commit: Vec<usize> = numbers
                .iter()
                .zip(&chosen)
                .filter_map(|(number, chosen)| chosen.then_some(*number))
                .collect();
            assert_eq!(commit.len(), taken.len());
            numbers.retain(|number| !commit.contains(number));
            commits.push(commit);
        }
        commits
    }

    #[test]
    fn what_is_short_together_is_one_commit() {
        assert_eq!(commits(&[("a", 1000), ("b", 2000), ("", 0), ("a", BYTES / 2)]), [[0, 1, 2, 3]]);
    }

    #[test]
    fn who_writes_little_does_not_wait_for_who_writes_much() {
        let much = BYTES / 2 + 1;
        // The oldest call and the short ones of other rooms; then, one after another, what is long.
        let calls = [("a", much), ("b", much), ("a", 10), ("c", 10), ("c", 10), ("b", 10), ("d", SHORT)];
        assert_eq!(commits(&calls), [vec![0, 2, 3, 4, 6], vec![1, 5]]);
        // However long, the oldest is carried.
        assert_eq!(commits(&[("a", 10 * BYTES), ("a", 1), ("b", 1)]), [vec![0, 2], vec![1]]);
    }

    #[test]
    fn after_a_long_commit_the_short_calls_go_alone() {
        let long = 2 * BYTES;
        let (mut backlog, mut groups) = (waiting(&[("a", long), ("a", long), ("a", 10)]), Groups::default());
        let mut commit = |more: &[(&str, usize)]| -> Vec<usize> {
            if !more.is_empty() {
                backlog.extend(waiting(more));
            }
            groups.take(&mut backlog).iter().map(Queued::bytes).collect()
        };
        assert_eq!(commit(&[]), [long]);
        // The short call of the same room stays behind its long one.
        assert_eq!(commit(&[("b", 10), ("c", 20), ("b", 30)]), [10, 20, 30]);
        assert_eq!(commit(&[("b", 40), ("c", long)]), [long, 40]);
        assert_eq!(commit(&[]), [10]);
        assert_eq!(commit(&[]), [long]);
    }

    #[test]
    fn a_list_waits_for_all_calls_before_it() {
        let much = BYTES / 2 + 1;
        assert_eq!(
            commits(&[("", 0), ("a", much), ("b", much), ("", 0), ("c", 1)]),
            [vec![0, 1, 4], vec![2, 3]]
        );
    }

    #[test]
    fn the_calls_of_a_room_keep_their_order_and_all_are_carried() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let rooms = ["a", "b", "c", "d", "e"];
            let calls: Vec<_> = (0..random.usize(1..60))
                .map(|_| (rooms[random.usize(..5)], 1 << random.u32(0..21)))
                .collect();
            let order: Vec<usize> = commits(&calls).concat();
            assert_eq!(order.len(), calls.len(), "seed {seed}");
            for room in rooms {
                let of_room: Vec<usize> = order.iter().copied().filter(|at| calls[*at].0 == room).collect();
                assert!(of_room.is_sorted(), "seed {seed}");
            }
        }
    }
}
