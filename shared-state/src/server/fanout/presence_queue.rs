//! The lanes of presence in a connection's queue: what waits there is sent when nothing else does, and is little.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::proto::Frame;

/// How many messages about one room's presence wait for a connection; beyond it the session is told everything anew
/// once they are sent.
const WAITING: usize = 2;

/// One room's lane on one connection.
pub(crate) type PresenceQueueId = u64;

/// What waits in the lanes of one connection.
#[derive(Debug, Default)]
pub(crate) struct PresenceQueues {
    waiting: VecDeque<(PresenceQueueId, Arc<[Frame]>)>,
    /// Those that have refused something since they were last empty.
    refused: Vec<PresenceQueueId>,
    /// Those of them that are empty.
    drained: Vec<PresenceQueueId>,
}

/// What is next.
#[derive(Debug)]
pub(crate) enum Due {
    Frames(Arc<[Frame]>),
    /// The lane is empty and had refused something.
    Drained(PresenceQueueId),
}

impl PresenceQueues {
    pub(crate) fn push(&mut self, lane: PresenceQueueId, frames: &Arc<[Frame]>) -> bool {
        let waiting = self.waiting.iter().filter(|(other, _)| *other == lane).count();
        // One that was refused something is told nothing in between.
        if waiting < WAITING && !self.refused.contains(&lane) {
            self.waiting.push_back((lane, frames.clone()));
            return true;
        }
        if !self.refused.contains(&lane) {
            self.refused.push(lane);
        }
        false
    }

    pub(crate) fn next(&mut self) -> Option<Due> {
        if let Some(lane) = self.drained.pop() {
            return Some(Due::Drained(lane));
        }
        let (lane, frames) = self.waiting.pop_front()?;
        if self.waiting.iter().all(|(other, _)| *other != lane)
            && let Some(at) = self.refused.iter().position(|refused| *refused == lane)
        {
            self.refused.swap_remove(at);
            self.drained.push(lane);
        }
        Some(Due::Frames(frames))
    }

    /// Forgets a lane that nothing is put in any more.
    pub(crate) fn close(&mut self, lane: PresenceQueueId) {
        self.waiting.retain(|(other, _)| *other != lane);
        self.refused.retain(|other| *other != lane);
        self.drained.retain(|other| *other != lane);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.drained.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_a_lane_is_short_and_says_when_it_is_empty_again() {
        let mut lanes = PresenceQueues::default();
        let frames: Arc<[Frame]> = [Frame::from("x".to_owned())].into();
        assert!(lanes.push(1, &frames) && lanes.push(1, &frames) && lanes.push(2, &frames));
        assert!(!lanes.push(1, &frames) && !lanes.push(1, &frames));
        assert!(matches!(lanes.next(), Some(Due::Frames(_))));
        assert!(!lanes.push(1, &frames), "until it is empty");
        assert!(matches!(lanes.next(), Some(Due::Frames(_))));
        assert!(matches!(lanes.next(), Some(Due::Drained(1))));
        assert!(lanes.push(1, &frames));
        lanes.close(1);
        assert!(matches!(lanes.next(), Some(Due::Frames(_))));
        assert!(lanes.next().is_none() && lanes.is_empty());
    }
}
