//! The queues of the frames on their way to a connection.

pub(crate) mod presence_queue;
pub(crate) mod queue;
pub(crate) mod wakes;
