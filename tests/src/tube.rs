//! Frames on their way to a client without a socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use shared_state::proto::Frame;
use shared_state::proto::authority::Outbox;

/// Frames on their way to a client, of which the server keeps so many. Clones are the same.
#[derive(Clone)]
pub struct Tube {
    frames: Rc<RefCell<VecDeque<Frame>>>,
    capacity: usize,
}

impl Tube {
    /// A tube for so many frames.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { frames: Rc::default(), capacity }
    }

    /// The next frame arrives.
    #[must_use]
    pub fn pop(&self) -> Option<Frame> {
        self.frames.borrow_mut().pop_front()
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.borrow().is_empty()
    }
}

impl Default for Tube {
    /// One that takes whatever comes.
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
