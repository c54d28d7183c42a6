//! Why a write was not taken, and why a taken one was refused.

use crate::core::{Code, Reject};
use crate::core::{Invalid, UpdateError};

/// A write that was not taken. Nothing was changed, nothing will be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A rule does not hold.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// Only the server may write the field.
    #[error("`{field}` is read-only: only the server writes it")]
    ReadOnly {
        /// The field's name.
        field: &'static str,
    },
    /// The server has said that this client may not do that: write there, or read what a transaction has read.
    #[error("this client may not {action} `{path}`")]
    Forbidden {
        /// `write` or `read`.
        action: &'static str,
        /// The path of the field, or of what is inside it.
        path: Box<str>,
    },
    /// The value cannot be written as JSON, or does not read back as its own type.
    #[error("`{}` cannot be sent: {}", .0.field, .0.message)]
    Unsendable(UpdateError),
    /// The queue of unsent changes is full; what was queued before stays.
    #[error("the queue of unsent changes is full: {limit} {unit} at most")]
    QueueFull {
        /// The limit that was met.
        limit: usize,
        /// Of what: `changes` or `bytes`.
        unit: &'static str,
    },
    /// The room refused the change (a server's own write), or does not take this client at all: its struct is another.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The room or its client was closed.
    #[error("the room is closed")]
    Closed,
}

/// A write that was taken and then refused. The whole change was rolled back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Rejected(#[from] pub Reject);

impl Rejected {
    /// The reason.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.0.code
    }

    /// The path of the field to blame, if one is.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// For people: expected and found.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}
