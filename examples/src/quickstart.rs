//! The state of the example `quickstart`.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

/// A note: the last title written wins, and all stars are added up.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// What the note is about.
    pub title: String,
    /// How many people like it. A counter: additions by several people, also offline, all count.
    #[shared(counter)]
    pub stars: i64,
}
