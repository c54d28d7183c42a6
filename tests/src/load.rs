//! A state in which every change leaves a trace that can be summed up.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;
use shared_state::client::{Receipt, State};

/// The state that writers under load write. Each change counts in `total`, increments the writer's own field
/// and stores its author in `last`.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct Load {
    /// The number of changes.
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

/// The author and the number of a change.
#[derive(SharedState, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// The writer, 0 to 2.
    pub writer: usize,
    /// The number of the change among the writer's own, from 1.
    pub number: u64,
}

impl Load {
    /// The number of changes of each writer.
    #[must_use]
    pub const fn written(&self) -> [u64; 3] {
        [self.ann, self.bob, self.cyd]
    }

    /// Makes a writer's change. The change has several updates, so it is never folded into another.
    ///
    /// # Panics
    /// If the change is refused at once.
    pub fn write(state: &State<Self>, writer: usize, number: u64) -> Receipt {
        let own = [Self::ANN, Self::BOB, Self::CYD][writer];
        let count = Self::TOTAL.op(shared_state::merge::CounterOp::Add(1));
        let stamp = Self::LAST.set(Stamp { writer, number });
        state.write_all(vec![count, own.set(number), stamp]).expect("no rule is broken, the queue has room")
    }
}
