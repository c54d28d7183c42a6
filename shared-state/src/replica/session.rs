//! The replica's place in its room over one connection: how far it has come in joining, what it joins with,
//! the headers of compact frames, and the frames to send.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::core::{Reject, SharedState};
use crate::proto::compact::Header;
use crate::proto::{Frame, JoinRequest, Secret, WireUpdate, client};
use crate::replica::change::PendingUpdate;
use crate::replica::config::ReplicaConfig;
use crate::replica::limits::SendLimits;
use crate::replica::transact::Read;

/// How far the replica has come in joining its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Not connected, or the room refused this replica.
    Offline,
    /// The join was sent; the state has not arrived yet.
    Joining,
    /// Joined: changes are sent and received.
    Live,
}

pub(super) struct Session {
    pub(super) room: Arc<str>,
    phase: Phase,
    pub(super) limits: SendLimits,
    /// The audience for which the last full state was made.
    pub(super) audience: Option<u64>,
    /// The room's password, if it has one.
    pub(super) password: Option<Secret>,
    brief: bool,
    info: bool,
    /// The headers of compact frames, by number.
    pub(super) headers: BTreeMap<u8, Header>,
    /// The frames to send.
    pub(super) frames: VecDeque<Frame>,
}

impl Session {
    pub(super) fn new(room: Arc<str>, config: &ReplicaConfig) -> Self {
        Self {
            room,
            phase: Phase::Offline,
            limits: SendLimits::default(),
            audience: None,
            password: None,
            brief: config.compact_frames,
            info: config.info,
            headers: BTreeMap::new(),
            frames: VecDeque::new(),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    pub(super) fn is_joining(&self) -> bool {
        self.phase == Phase::Joining
    }

    /// Checks a change and what it has read against the server's limits.
    ///
    /// # Errors
    /// The server would refuse it.
    pub(super) fn check<S: SharedState>(
        &self,
        updates: &[PendingUpdate<S>],
        reads: &[Read],
    ) -> Result<(), Reject> {
        self.limits.check(updates, reads, &self.room)
    }

    /// Sends a request to join.
    pub(super) fn join(&mut self, request: JoinRequest) {
        self.phase = Phase::Joining;
        let (brief, info, password) = (self.brief, self.info, self.password.clone());
        self.frames.push_back(client::join(&self.room, &JoinRequest { brief, info, password, ..request }));
    }

    /// The room's state has arrived.
    pub(super) const fn joined(&mut self) {
        self.phase = Phase::Live;
    }

    /// The room refused this replica.
    pub(super) const fn refused(&mut self) {
        self.phase = Phase::Offline;
    }

    /// Leaves the room.
    pub(super) fn leave(&mut self) {
        self.frames.push_back(client::leave(&self.room));
    }

    /// The connection is lost, and what was to be sent over it.
    pub(super) fn disconnected(&mut self) {
        self.phase = Phase::Offline;
        self.frames.clear();
    }

    /// Stores the header of a change under a number, for the compact frames to come.
    pub(super) fn note_header(&mut self, number: Option<u8>, from: &str, updates: &[WireUpdate<'_>]) {
        if let Some(number) = number
            && let Some(header) = Header::of(from, updates)
        {
            self.headers.insert(number, header);
        }
    }
}
