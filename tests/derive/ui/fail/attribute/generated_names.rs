use serde::{Deserialize, Serialize};
use shared_state::SharedState;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, SharedState)]
#[shared(handle = "LiveDocument", patch, update = some::Op, bound = T)]
struct Document<T> {
    #[shared(bound = "T Value")]
    value: T,
}

fn main() {}
