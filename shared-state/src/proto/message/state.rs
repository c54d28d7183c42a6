//! The server's answers to a join: the whole state, or what changed since a version.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::change::Rejection;
use super::hex::{self, Hex};
use super::join::RoomSchema;
use super::json::{Object, is_zero, object_frame, shared_frame};
use super::permissions::Denied;
use crate::core::{Reject, WireUpdate};
use crate::proto::Frame;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted, as this version.
    Accepted(u64),
    /// It was refused.
    Rejected(Reject),
}

/// The answers to a client's changes that come with a state or a delta.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The highest sequence number of this client that the server has answered.
    pub last: u64,
    /// The version since which the server remembers this client. It cannot know whether a change with an earlier
    /// `base` that is not in `answers` was applied.
    pub since: u64,
    /// Answers by sequence number, in order. Accepted changes are in the state that the answers come with.
    pub answers: Vec<(u64, Outcome)>,
}

/// [`Outcomes`] on the wire: the member `answers`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Answers<'a> {
    last: u64,
    #[serde(skip_serializing_if = "is_zero")]
    since: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acks: Vec<(u64, u64)>,
    #[serde(borrow, skip_serializing_if = "Vec::is_empty")]
    rejects: Vec<Rejection<'a>>,
}

impl<'a> From<&'a Outcomes> for Answers<'a> {
    fn from(Outcomes { last, since, answers }: &'a Outcomes) -> Self {
        let mut wire = Self { last: *last, since: *since, ..Self::default() };
        for (seq, outcome) in answers {
            match outcome {
                Outcome::Accepted(version) => wire.acks.push((*seq, *version)),
                Outcome::Rejected(reject) => wire.rejects.push(Rejection::new(*seq, reject)),
            }
        }
        wire
    }
}

impl From<Answers<'_>> for Outcomes {
    fn from(Answers { last, since, acks, rejects }: Answers<'_>) -> Self {
        let accepted = acks.into_iter().map(|(seq, version)| (seq, Outcome::Accepted(version)));
        let rejected = rejects.into_iter().map(|rejection| {
            let (seq, reject) = rejection.into();
            (seq, Outcome::Rejected(reject))
        });
        let mut answers: Vec<_> = accepted.chain(rejected).collect();
        answers.sort_by_key(|(seq, _)| *seq);
        Self { last, since, answers }
    }
}

/// `state:sync`, as it is read.
#[derive(Deserialize)]
pub(super) struct Sync<'a> {
    #[serde(with = "hex")]
    pub(super) epoch: u64,
    pub(super) version: u64,
    #[serde(borrow)]
    pub(super) data: &'a RawValue,
    #[serde(default)]
    pub(super) schema: Option<Box<RoomSchema>>,
    #[serde(default)]
    pub(super) brief: Option<u64>,
    #[serde(default)]
    pub(super) rights: Denied,
    #[serde(default, with = "hex::optional")]
    pub(super) audience: Option<u64>,
    #[serde(borrow, default)]
    pub(super) answers: Answers<'a>,
}

/// `state:delta`, as it is read.
#[derive(Deserialize)]
pub(super) struct Delta<'a> {
    pub(super) since: u64,
    pub(super) version: u64,
    #[serde(borrow)]
    pub(super) updates: Vec<WireUpdate<'a>>,
    #[serde(borrow, default)]
    pub(super) moves: Vec<WireUpdate<'a>>,
    #[serde(default)]
    pub(super) schema: Option<Box<RoomSchema>>,
    #[serde(default)]
    pub(super) brief: Option<u64>,
    #[serde(default)]
    pub(super) rights: Denied,
    #[serde(borrow, default)]
    pub(super) answers: Answers<'a>,
}

/// The optional members of a state or a delta.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside<'a> {
    /// The room's schema as JSON, for a client whose schema differs.
    pub schema: Option<&'a str>,
    /// The room's number in [compact](crate::proto::compact) frames, for a client that accepts them.
    pub brief: Option<u64>,
    /// What the client may not do, as JSON; `None`: there is nothing.
    pub rights: Option<&'a str>,
    /// The moves from list to list in a delta, as a JSON array of the updates that take the items.
    pub moves: Option<&'a str>,
    /// The audience that a whole state is for.
    pub audience: Option<u64>,
}

impl Beside<'_> {
    fn len(self) -> usize {
        [self.schema, self.rights, self.moves].into_iter().flatten().map(str::len).sum()
    }

    fn write(self, outcomes: &Outcomes, payload: &mut Object<'_>) {
        payload
            .optional_json("moves", self.moves)
            .optional_json("schema", self.schema)
            .optional("brief", self.brief)
            .optional_json("rights", self.rights)
            .optional("audience", self.audience.map(Hex));
        if outcomes.last > 0 || !outcomes.answers.is_empty() {
            payload.member("answers", &Answers::from(outcomes));
        }
    }
}

/// The whole state: `data` is a JSON object. If it is long, the frame shares it.
#[must_use]
pub fn sync(
    room: &str,
    epoch: u64,
    version: u64,
    data: &Arc<String>,
    beside: Beside<'_>,
    outcomes: &Outcomes,
) -> Frame {
    shared_frame("state:sync", room, beside.len() + 96, data, |payload| {
        payload.member("epoch", &Hex(epoch)).member("version", &version);
        let at = payload.space("data");
        beside.write(outcomes, payload);
        at
    })
}

/// What changed since a version: `updates` is a JSON array of updates.
#[must_use]
pub fn delta(
    room: &str,
    since: u64,
    version: u64,
    updates: &str,
    beside: Beside<'_>,
    outcomes: &Outcomes,
) -> Frame {
    object_frame("state:delta", Some(room), updates.len() + beside.len() + 96, |payload| {
        payload.member("since", &since).member("version", &version).json("updates", updates);
        beside.write(outcomes, payload);
    })
}
