//! The author of a change, as passed to `validate_change` and `on_change`.

use std::sync::Arc;

/// The client that made a change; passed to `validate_change` and `on_change`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    name: Arc<str>,
    user: Option<Arc<str>>,
}

impl Author {
    /// An author with this public id.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), user: None }
    }

    /// The same author, whose user has this id.
    #[must_use]
    pub fn with_user(self, user: impl Into<Arc<str>>) -> Self {
        Self { user: Some(user.into()), ..self }
    }

    /// The user's id: what the server's `user_id` returns. Without that function there are no users, and it is the
    /// client's public id.
    #[must_use]
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.name)
    }

    /// The client's public id. A user's programs have different ones, and so has a program that is started again,
    /// unless it sets `client_id`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
