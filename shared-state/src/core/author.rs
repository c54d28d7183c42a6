//! Who made a change, as far as a rule may ask.

use std::sync::Arc;

/// Who made the change that a rule is asked about: one client of the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    name: Arc<str>,
}

impl Author {
    /// The client with this public name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into() }
    }

    /// The client's public name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
