//! The author of a change, as passed to `validate_change` and `on_change`.

use std::sync::Arc;

/// The client that made a change; passed to `validate_change` and `on_change`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    name: Arc<str>,
}

impl Author {
    /// An author with this public id.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into() }
    }

    /// The client's public id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
