//! The state of the example `quickstart`.

use serde::{Deserialize, Serialize};
use shared_state::SharedState;

/// Two fields: the last title wins, all stars count.
#[derive(SharedState, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// What the note is about.
    pub title: String,
    /// How much it is liked: additions by several people, also offline, all count.
    #[shared(counter)]
    pub stars: i64,
}
