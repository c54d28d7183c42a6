//! Frames in flight to a client, without a socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use shared_state::proto::Frame;
use shared_state::proto::authority::Outbox;

/// A queue of frames in flight to a client, with a capacity. Clones share the queue.
#[derive(Clone)]
pub struct Tube {
    frames: Rc<RefCell<VecDeque<Frame>>>,
    capacity: usize,
}

impl Tube {
    /// A queue for this many frames.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { frames: Rc::default(), capacity }
    }

    /// Delivers the next frame.
    #[must_use]
    pub fn pop(&self) -> Option<Frame> {
        self.frames.borrow_mut().pop_front()
    }

    /// Whether no frame is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.borrow().is_empty()
    }
}

impl Default for Tube {
    /// An unlimited queue.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Outbox for Tube {
    fn push(&mut self, frame: &Frame) -> bool {
        let mut frames = self.frames.borrow_mut();
        let taken = frames.len() < self.capacity;
        if taken {
            frames.push_back(frame.clone());
        }
        taken
    }
}
