//! A state whose every change leaves a trace that can be added up.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::client::{Receipt, State};

/// What writers under load write: each change counts in `total`, raises the writer's own field by one and says in
/// `last` who wrote it.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Load {
    /// How many changes there are.
    #[shared(counter)]
    pub total: u64,
    /// The first writer's last change.
    pub ann: u64,
    /// The second writer's last change.
    pub bob: u64,
    /// The third writer's last change.
    pub cyd: u64,
    /// The last change of all.
    #[shared(nested)]
    pub last: Stamp,
}

/// Who wrote, and which change it was.
#[derive(SharedState, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The writer, 0 to 2.
    pub writer: usize,
    /// The writer's number of the change, from 1.
    pub number: u64,
}

impl Load {
    /// How many changes each writer has made.
    #[must_use]
    pub const fn written(&self) -> [u64; 3] {
        [self.ann, self.bob, self.cyd]
    }

    /// Makes a writer's change. It is several updates, so it is never folded into another.
    ///
    /// # Panics
    /// If it is refused at once.
    pub fn write(state: &State<Self>, writer: usize, number: u64) -> Receipt {
        let own = [Self::ANN, Self::BOB, Self::CYD][writer];
        let count = Self::TOTAL.op(shared_state::merge::CounterOp::Add(1));
        let stamp = Self::LAST.set(Stamp { writer, number });
        state.write_all(vec![count, own.set(number), stamp]).expect("no rule is broken, the queue has room")
    }
}
