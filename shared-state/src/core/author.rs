//! The author of a change, as a rule sees it.

use std::sync::Arc;

/// The client that made the change which a rule is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    name: Arc<str>,
}

impl Author {
    /// An author with this public name.
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
