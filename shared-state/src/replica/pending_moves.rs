//! The moves from list to list that a client has written and the room has not answered yet.

use std::collections::BTreeMap;

use crate::core::SharedState;
use crate::core::transfer::ItemMove;
use crate::replica::change::{Change, WriteId};

/// The moves that wait for their answer, in the order in which they lie on the confirmed state.
pub(super) struct PendingMoves {
    /// Each with its change's index in the queue, and its index there.
    moves: Vec<(usize, usize, ItemMove)>,
    /// The index of each change in the queue, if there are any moves.
    at: BTreeMap<WriteId, usize>,
}

impl PendingMoves {
    /// Those of the changes of a queue.
    pub(super) fn of<'c, S: SharedState>(changes: impl Iterator<Item = &'c Change<S>> + Clone) -> Self {
        let of_each = changes.clone().map(Change::moves).enumerate();
        let moves =
            of_each.flat_map(|(at, moves)| moves.into_iter().map(move |(index, item)| (at, index, item)));
        let moves: Vec<_> = moves.collect();
        let at = match moves.is_empty() {
            true => BTreeMap::new(),
            false => changes.enumerate().map(|(at, change)| (change.id, at)).collect(),
        };
        Self { moves, at }
    }

    /// Those that lie on an update of a pending change, or on the confirmed state.
    pub(super) fn on(&self, update: Option<(WriteId, usize)>) -> impl Iterator<Item = &ItemMove> {
        // What is not among these changes lies on them.
        let place = update.map(|(id, index)| (self.at.get(&id).copied().unwrap_or(usize::MAX), index));
        let later = self.moves.iter().filter(move |(at, index, _)| Some((*at, *index)) > place);
        later.map(|(_, _, item)| item)
    }
}
