//! Which of the waiting calls the next commit carries.
//!
//! A commit takes longer the more bytes it writes, and every call in it waits for all of it. So when much waits, a commit
//! carries the first calls of all rooms as far as they are short, and of the rest only so many bytes: who writes little
//! does not wait for who writes much. The calls of a room keep their order.

use std::collections::{HashMap, HashSet};

use super::queue::{Job, Queued};

/// The bytes that a commit carries besides the oldest call and the short ones.
const BYTES: usize = 512 << 10;

/// A call of so many bytes is short.
const SHORT: usize = 16 << 10;

/// Takes the calls of the next commit: at least the oldest one.
pub(super) fn take(waiting: &mut Vec<Queued>) -> Vec<Queued> {
    let bytes: usize = waiting.iter().map(Queued::bytes).sum();
    if bytes <= BYTES {
        return std::mem::take(waiting);
    }
    let chosen = choose(waiting);
    let (mut taken, mut left) = (Vec::new(), Vec::new());
    for (queued, is_chosen) in std::mem::take(waiting).into_iter().zip(chosen) {
        if is_chosen { taken.push(queued) } else { left.push(queued) }
    }
    *waiting = left;
    taken
}

/// Which calls the next commit carries.
fn choose(waiting: &[Queued]) -> Vec<bool> {
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
        if at == 0 || turn == 0 && length <= SHORT || bytes + length <= BYTES {
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
        let mut waiting = waiting(calls);
        let mut numbers: Vec<usize> = (0..calls.len()).collect();
        let mut commits = Vec::new();
        while !waiting.is_empty() {
            let chosen = if waiting.iter().map(Queued::bytes).sum::<usize>() <= BYTES {
                vec![true; waiting.len()]
            } else {
                choose(&waiting)
            };
            let taken = take(&mut waiting);
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
