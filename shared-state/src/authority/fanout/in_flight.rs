//! The accepted changes that the store does not have yet, and what is sent after each of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::authority::audience::Audience;
use crate::authority::order::Accepted;
use crate::authority::source::SessionId;
use crate::proto::Outcome;

/// A change that is sent when it is durable.
pub(super) struct InFlight {
    pub(super) accepted: Accepted,
    /// Whether the state reads each value as it was written. Known only if a legacy client is in the room.
    pub(super) verbatim: bool,
    /// What is sent after the change itself.
    after: Vec<After>,
}

/// Something that is sent when a version is durable.
pub(super) enum After {
    /// The answer to a change: a rejection, in the order of the client's changes, or the repeated answer to a change
    /// that was sent again.
    Answer(SessionId, u64, Outcome),
    /// A state or a delta.
    CatchUp(SessionId, CatchUp),
}

/// A state or a delta, made at a version and sent when that version is durable.
pub(super) struct CatchUp {
    /// `None`: a state.
    pub(super) since: Option<u64>,
    pub(super) version: u64,
    pub(super) text: String,
    /// Of a delta for a legacy client: the fields it has.
    pub(super) fields: Vec<Arc<str>>,
    /// The room's schema, if the client has another and joins.
    pub(super) schema: Option<String>,
    /// The audience that it was made for.
    pub(super) audience: Audience,
}

#[derive(Default)]
pub(super) struct InFlightQueue(VecDeque<InFlight>);

impl InFlightQueue {
    pub(super) fn push(&mut self, accepted: Accepted, verbatim: bool) {
        self.0.push_back(InFlight { accepted, verbatim, after: Vec::new() });
    }

    /// The last accepted change, if it is not durable.
    pub(super) fn last(&self) -> Option<&Accepted> {
        self.0.back().map(|last| &last.accepted)
    }

    /// Has something sent after the last change; gives it back if every change is durable.
    pub(super) fn send_after_last(&mut self, after: After) -> Option<After> {
        match self.0.back_mut() {
            Some(last) => {
                last.after.push(after);
                None
            }
            None => Some(after),
        }
    }

    /// Has something sent after the change that is `ahead` of the first that is not durable.
    pub(super) fn send_after(&mut self, ahead: u64, after: After) {
        let waiting = usize::try_from(ahead).ok().and_then(|at| self.0.get_mut(at));
        if let Some(waiting) = waiting {
            waiting.after.push(after);
        }
    }

    /// The next change, if its version is `version` at most, and what is sent after it.
    pub(super) fn pop(&mut self, version: u64) -> Option<(InFlight, Vec<After>)> {
        let mut first = self.0.pop_front_if(|first| first.accepted.version <= version)?;
        let after = std::mem::take(&mut first.after);
        Some((first, after))
    }
}
