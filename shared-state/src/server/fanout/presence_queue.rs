//! The presence queues of a connection, one for each room. They are short, and are sent only while no other frame
//! waits.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::proto::Frame;

/// The greatest number of batches that wait in one presence queue. After a refused batch, the client is sent the full
/// presence once the queue is empty.
const WAITING: usize = 2;

/// Identifies the presence queue of one room on one connection.
pub(crate) type PresenceQueueId = u64;

/// The presence queues of one connection.
#[derive(Debug, Default)]
pub(crate) struct PresenceQueues {
    waiting: VecDeque<(PresenceQueueId, Arc<[Frame]>)>,
    /// The queues that have refused frames since they were last empty.
    refused: Vec<PresenceQueueId>,
    /// The queues that have refused frames and are empty now, which is not reported yet.
    drained: Vec<PresenceQueueId>,
}

/// What the connection does next.
#[derive(Debug)]
pub(crate) enum Due {
    /// Sends the frames.
    Frames(Arc<[Frame]>),
    /// Reports that the queue is empty after it has refused frames.
    Drained(PresenceQueueId),
}

impl PresenceQueues {
    /// Queues frames. `false`: the queue is full, or has refused frames and is not empty yet.
    pub(crate) fn push(&mut self, id: PresenceQueueId, frames: &Arc<[Frame]>) -> bool {
        let waiting = self.waiting.iter().filter(|(other, _)| *other == id).count();
        // After a refusal nothing is queued until the queue is empty, because the full presence follows then.
        if waiting < WAITING && !self.refused.contains(&id) {
            self.waiting.push_back((id, frames.clone()));
            return true;
        }
        if !self.refused.contains(&id) {
            self.refused.push(id);
        }
        false
    }

    /// Removes what is next, in the order in which frames were queued; `None` if there is nothing.
    pub(crate) fn next(&mut self) -> Option<Due> {
        if let Some(id) = self.drained.pop() {
            return Some(Due::Drained(id));
        }
        let (id, frames) = self.waiting.pop_front()?;
        if self.waiting.iter().all(|(other, _)| *other != id)
            && let Some(at) = self.refused.iter().position(|refused| *refused == id)
        {
            self.refused.swap_remove(at);
            self.drained.push(id);
        }
        Some(Due::Frames(frames))
    }

    /// Removes a queue and what waits in it.
    pub(crate) fn close(&mut self, id: PresenceQueueId) {
        self.waiting.retain(|(other, _)| *other != id);
        self.refused.retain(|other| *other != id);
        self.drained.retain(|other| *other != id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.drained.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g9_a_queue_is_short_and_says_when_it_is_empty_again() {
        let mut queues = PresenceQueues::default();
        let frames: Arc<[Frame]> = [Frame::from("x".to_owned())].into();
        assert!(queues.push(1, &frames) && queues.push(1, &frames) && queues.push(2, &frames));
        assert!(!queues.push(1, &frames) && !queues.push(1, &frames));
        assert!(matches!(queues.next(), Some(Due::Frames(_))));
        assert!(!queues.push(1, &frames), "until it is empty");
        assert!(matches!(queues.next(), Some(Due::Frames(_))));
        assert!(matches!(queues.next(), Some(Due::Drained(1))));
        assert!(queues.push(1, &frames));
        queues.close(1);
        assert!(matches!(queues.next(), Some(Due::Frames(_))));
        assert!(queues.next().is_none() && queues.is_empty());
    }
}
