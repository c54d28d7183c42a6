//! What a program makes of a client's change before it is accepted.

use crate::core::Reject;
use crate::core::{Author, SharedState};

/// A client's change of a room, applied and checked by the state's own rules, and accepted by nobody yet.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProposedChange<'a, S: SharedState> {
    /// The state before the change.
    pub before: &'a S,
    /// The state after it.
    pub after: &'a S,
    /// What its author wrote, as it came.
    pub updates: &'a [S::Update],
    /// Whose it is.
    pub author: &'a Author,
}

/// What becomes of a client's change that is not refused.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Verdict<S: SharedState> {
    /// It is accepted as it is.
    Accept,
    /// It is accepted, and these updates follow it in the same version. They may write what only the server may.
    Add(Vec<S::Update>),
    /// These updates are made in its place, of the state before it.
    Replace(Vec<S::Update>),
}

impl<S: SharedState> Verdict<S> {
    /// Accepts a change and adds what `amend` changes of the state after it, all in one version. Costs a clone of the
    /// state.
    pub fn amended(change: &ProposedChange<'_, S>, amend: impl FnOnce(&mut S)) -> Self {
        let mut state = change.after.clone();
        amend(&mut state);
        Self::Add(S::diff(change.after, &state))
    }
}

/// What a client's change must satisfy besides the state's own rules, and what is made of it. An error refuses the
/// change.
pub type OnChange<S> = dyn Fn(&ProposedChange<'_, S>) -> Result<Verdict<S>, Reject> + Send + Sync;
