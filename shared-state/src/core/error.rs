//! The errors of writes: refused before they were sent, or refused by the server.

use crate::core::rules::{AT_BOUND, EXISTS, GONE};
use crate::core::{Code, Reject};
use crate::core::{Invalid, UpdateError};

/// The error of a write that was not accepted. Nothing was changed, and nothing will be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// A validation rule does not hold.
    #[error(transparent)]
    Invalid(Invalid),
    /// The operation acts on an item or entry that does not exist in the state that the app sees.
    #[error("`{path}` does not exist")]
    Gone {
        /// The path of what does not exist.
        path: Box<str>,
    },
    /// The operation inserts an item, and there is another one with the same key.
    #[error("`{path}` exists already")]
    Exists {
        /// The path of what exists.
        path: Box<str>,
    },
    /// The counter is at the bound of its type, so that nothing of the addition or subtraction can be done (a
    /// server's own write). A client's own addition has no effect there instead, and in a transaction the server
    /// decides.
    #[error("`{path}` is at its bound: nothing can be added or taken away")]
    AtBound {
        /// The path of the counter.
        path: Box<str>,
    },
    /// Only the server may write the field.
    #[error("`{field}` is read-only: only the server writes it")]
    ReadOnly {
        /// The field's name.
        field: &'static str,
    },
    /// The server does not allow this client to do that: to write there, or to read what a transaction has
    /// read.
    #[error("this client may not {action} `{path}`")]
    Forbidden {
        /// `write` or `read`.
        action: &'static str,
        /// The path of the field, or of a part of it.
        path: Box<str>,
    },
    /// The value cannot be written as JSON, or does not read back as a value of its own type.
    #[error("`{}` cannot be sent: {}", .0.field, .0.message)]
    Unsendable(UpdateError),
    /// The queue of unanswered changes, sent or not, is full. The changes in the queue stay there.
    #[error("the queue of unanswered changes is full: {limit} {unit} at most")]
    QueueFull {
        /// The limit that was reached.
        limit: usize,
        /// What the limit counts: `changes` or `bytes`.
        unit: &'static str,
    },
    /// The room refused the change (a server's own write), or would refuse it, or does not accept this client at all,
    /// as when the client's struct does not fit the room's.
    ///
    /// A client knows that a change would be refused if it exceeds a limit that the server has told:
    /// [`Code::FrameTooLarge`], [`Code::TooDeep`], [`Code::BadKey`] (a path is too long), [`Code::BadChange`] (too many
    /// updates), [`Code::TooCostly`], and [`Code::MessageTooLarge`] in a channel.
    #[error(transparent)]
    Rejected(Reject),
    /// The room or its client was closed.
    #[error("the room is closed")]
    Closed,
}

impl From<Invalid> for WriteError {
    fn from(invalid: Invalid) -> Self {
        match invalid.rule {
            GONE => Self::Gone { path: invalid.field.into() },
            EXISTS => Self::Exists { path: invalid.field.into() },
            AT_BOUND => Self::AtBound { path: invalid.field.into() },
            _ => Self::Invalid(invalid),
        }
    }
}

impl From<Reject> for WriteError {
    fn from(reject: Reject) -> Self {
        let path = || reject.field.as_deref().unwrap_or_default().into();
        match reject.code {
            Code::Gone => Self::Gone { path: path() },
            Code::Exists => Self::Exists { path: path() },
            Code::AtBound => Self::AtBound { path: path() },
            _ => Self::Rejected(reject),
        }
    }
}

/// The error of a write that was accepted locally and then refused by the server. The whole change was rolled
/// back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Rejected(#[from] pub Reject);

impl Rejected {
    /// The reason.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.0.code
    }

    /// The path of the field that caused the rejection, if a single one did.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// A message for people: what was expected, and what was found.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }
}
