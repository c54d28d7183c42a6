//! The accepted changes that are not durable yet, and what is sent after each of them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::authority::audience::Audience;
use crate::authority::fanout::state_texts::StateId;
use crate::authority::order::Accepted;
use crate::authority::source::SessionId;
use crate::proto::Outcome;

/// An accepted change that is sent once it is durable.
pub(super) struct InFlight {
    pub(super) accepted: Accepted,
    /// Whether the state reads each value as it was written, so that a legacy client can be sent the written value.
    /// Computed only if a legacy client is in the room.
    pub(super) verbatim: bool,
    /// What is sent after the change itself.
    after: Vec<After>,
}

/// Something that is sent once a version is durable.
pub(super) enum After {
    /// The answer to the change with this sequence number: a rejection, which waits so that answers keep the order of
    /// the changes, or the answer to a repeated change.
    Answer(SessionId, u64, Outcome),
    /// A state or a delta.
    CatchUp(SessionId, CatchUp),
}

/// A state or delta that is made at a version and sent once that version is durable.
pub(super) struct CatchUp {
    pub(super) version: u64,
    pub(super) content: Content,
    /// The room's schema, for a client that joins with a different one.
    pub(super) schema: Option<String>,
    /// The session's audience when the content was made.
    pub(super) audience: Audience,
}

pub(super) enum Content {
    /// The full state.
    State(StateId, Arc<String>),
    Delta(Delta),
}

/// What has changed since a version.
#[derive(Default)]
pub(super) struct Delta {
    pub(super) since: u64,
    /// A JSON array of updates, or for a legacy client of a room an object of values.
    pub(super) text: String,
    /// The moves from list to list, or nothing.
    pub(super) moves: String,
    /// The fields in a delta for a legacy client; otherwise empty.
    pub(super) fields: Vec<Arc<str>>,
}

/// The changes in flight in the order of their versions, which are consecutive.
#[derive(Default)]
pub(super) struct InFlightQueue(VecDeque<InFlight>);

impl InFlightQueue {
    pub(super) fn push(&mut self, accepted: Accepted, verbatim: bool) {
        self.0.push_back(InFlight { accepted, verbatim, after: Vec::new() });
    }

    /// The last accepted change, if it is not durable yet.
    pub(super) fn last(&self) -> Option<&Accepted> {
        self.0.back().map(|last| &last.accepted)
    }

    /// Queues something behind the last change in flight. Returns it if no change is in flight.
    pub(super) fn send_after_last(&mut self, after: After) -> Option<After> {
        match self.0.back_mut() {
            Some(last) => {
                last.after.push(after);
                None
            }
            None => Some(after),
        }
    }

    /// Queues something behind the change in flight at `index`, where 0 is the oldest.
    pub(super) fn send_after(&mut self, index: u64, after: After) {
        let change = usize::try_from(index).ok().and_then(|index| self.0.get_mut(index));
        if let Some(change) = change {
            change.after.push(after);
        }
    }

    /// Removes the oldest change if its version is at most `version`. Returns it and what is sent after it.
    pub(super) fn pop(&mut self, version: u64) -> Option<(InFlight, Vec<After>)> {
        let mut first = self.0.pop_front_if(|first| first.accepted.version <= version)?;
        let after = std::mem::take(&mut first.after);
        Some((first, after))
    }
}
