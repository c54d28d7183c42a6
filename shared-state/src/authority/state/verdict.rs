//! The program's verdict on a client's change before the change is accepted.

use crate::core::Reject;
use crate::core::{Author, SharedState};

/// A client's change that satisfies the struct's rules and is not accepted yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProposedChange<'a, S: SharedState> {
    /// The state before the change.
    pub before: &'a S,
    /// The state after it.
    pub after: &'a S,
    /// The updates as the author sent them.
    pub updates: &'a [S::Update],
    /// The author of the change.
    pub author: &'a Author,
}

/// The program's decision about a client's change that it does not refuse.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict<S: SharedState> {
    /// The change is accepted unchanged.
    Accept,
    /// The change is accepted, followed by these updates in the same version. They may write fields that only the
    /// server may write.
    Add(Vec<S::Update>),
    /// These updates replace the change. They are applied to the state before it.
    Replace(Vec<S::Update>),
}

impl<S: SharedState> Verdict<S> {
    /// Accepts a change and adds the changes that `amend` makes to the state after it, all in one version. Costs a
    /// clone and a comparison of the state.
    pub fn amended(change: &ProposedChange<'_, S>, amend: impl FnOnce(&mut S)) -> Self {
        let mut state = change.after.clone();
        amend(&mut state);
        Self::Add(S::diff(change.after, &state))
    }
}

/// The program's callback for each client's change that satisfies the struct's rules. An error refuses the change.
pub type OnChange<S> = dyn Fn(&ProposedChange<'_, S>) -> Result<Verdict<S>, Reject> + Send + Sync;
