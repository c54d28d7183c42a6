//! A room's head, and the rule that accepts or refuses an append or a compaction. All stores share it.

use std::fmt;

/// A room's position: the epoch of its history and the version of its last entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The random id of the room's history.
    pub epoch: u64,
    /// The version of the last entry.
    pub version: u64,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {} of epoch {:016x}", self.version, self.epoch)
    }
}

/// Displays "at version 3 of epoch …", or "absent".
pub(super) struct OrAbsent(pub(super) Option<Head>);

impl fmt::Display for OrAbsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(head) => write!(f, "at {head}"),
            None => f.write_str("absent"),
        }
    }
}

/// What decides about a write: the room's head and the version of its snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) head: Head,
    pub(super) snapshot: Option<u64>,
}

impl Extent {
    /// The room after an append that expects the head `expected`. The error is the room's actual head.
    pub(super) fn append(room: Option<Self>, expected: Head) -> Result<Self, Option<Head>> {
        let snapshot = match room {
            Some(room) if room.head == expected => room.snapshot,
            None if expected.version == 0 => None,
            _ => return Err(room.map(|room| room.head)),
        };
        let Some(version) = expected.version.checked_add(1) else {
            return Err(Some(expected));
        };
        Ok(Self { head: Head { epoch: expected.epoch, version }, snapshot })
    }

    /// The room after a compaction at `taken`; `None` if that changes nothing. The error is the room's actual head.
    pub(super) fn compact(room: Option<Self>, taken: Head) -> Result<Option<Self>, Option<Head>> {
        match room {
            Some(room) if room.head.epoch == taken.epoch && taken.version <= room.head.version => {
                let newer = room.snapshot.is_none_or(|stored| stored < taken.version);
                Ok(newer.then_some(Self { snapshot: Some(taken.version), ..room }))
            }
            _ => Err(room.map(|room| room.head)),
        }
    }
}
