//! The frames on their way to one connection: a bounded queue that all its rooms share.
//!
//! Rooms push frames under their own locks and never wait; the connection's task takes the frames. A frame that does
//! not fit is refused, and the room sends a delta once the queue is empty. The queue never calls into a room, so that
//! it may be locked under a room's lock.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::authority;
use crate::core::Code;
use crate::proto::{Frame, Resume};
use crate::server::fanout::presence_queue::{Due, PresenceQueueId, PresenceQueues};
use crate::server::fanout::wakes::wake;

/// The greatest capacity, in frames, that an empty queue retains.
const IDLE_CAPACITY: usize = 8;

/// The reason why a connection, or a session on it, ends.
#[derive(Clone, Debug)]
pub(crate) struct CloseReason {
    pub(crate) code: Code,
    pub(crate) message: String,
}

impl CloseReason {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// One connection's queue.
#[derive(Debug)]
pub(crate) struct Queue {
    /// The most frames.
    limit: usize,
    /// The most bytes of all frames but one: a frame of any length is taken by an empty queue.
    max_bytes: usize,
    inner: Mutex<Inner>,
    all: Arc<QueuedBytes>,
}

/// The bytes of the frames in the queues of all connections. A frame counts for each queue that it is in.
#[derive(Debug)]
pub(crate) struct QueuedBytes {
    bytes: AtomicUsize,
    limit: usize,
}

impl QueuedBytes {
    /// Beyond `limit`, queues that are not empty take no more frames.
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), limit }
    }

    // The number orders nothing else.

    fn has_space(&self, bytes: usize) -> bool {
        self.bytes.load(Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Frame>,
    /// The bytes of the frames.
    bytes: usize,
    presence: PresenceQueues,
    /// Whether a session's frame was refused since the queue was last empty.
    refused: bool,
    /// Whether a room that the connection had joined has ended.
    lost_room: bool,
    /// Why the connection must end, if it must.
    close_reason: Option<CloseReason>,
    /// What the connection's task has to do besides sending frames, in order.
    work: VecDeque<Work>,
    /// Whether the next poll is ready even if the queue is empty.
    again: bool,
    /// The waker of the connection's task, if the task waits.
    task: Option<Waker>,
}

impl Inner {
    fn poll(&mut self, context: &Context<'_>, has_work: bool) -> Poll<Signal> {
        if let Some(close_reason) = &self.close_reason {
            return Poll::Ready(Signal::Killed(close_reason.clone()));
        }
        let filled = !self.frames.is_empty() || !self.presence.is_empty() || self.refused || self.lost_room;
        if std::mem::take(&mut self.again) || filled || has_work {
            return Poll::Ready(Signal::Filled);
        }
        self.wait(context);
        Poll::Pending
    }

    /// Registers the task of `context` to be woken. Only the connection's task waits.
    fn wait(&mut self, context: &Context<'_>) {
        match &mut self.task {
            Some(task) => task.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }
}

/// Something that the connection's task does for one of its rooms.
#[derive(Debug)]
pub(crate) enum Work {
    /// Joins a channel that became live, from this position.
    Join(Arc<str>, Resume),
    /// Leaves a room, its channels and its presence.
    Leave(Arc<str>, CloseReason),
    /// Sends the room's information again, if it has changed for this client.
    Inform(Arc<str>),
}

/// Why the connection's task is woken.
#[derive(Debug)]
pub(crate) enum Signal {
    /// There may be something to take.
    Filled,
    /// The connection must end.
    Killed(CloseReason),
}

/// What the connection has to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send the frame.
    Frame(Frame),
    /// Remove the sessions of rooms that have ended.
    LostRoom,
    /// The queue is empty after a session's frame was refused: notify the rooms, which send what was missed.
    Drained,
    /// Send these frames about presence.
    Presence(Arc<[Frame]>),
    /// A presence queue is empty after it has refused frames.
    PresenceDrained(PresenceQueueId),
    /// Nothing to do.
    Nothing,
}

impl Queue {
    /// A queue of `limit` frames with `max_bytes`, one of those that `all` counts.
    pub(crate) fn new(limit: usize, max_bytes: usize, all: Arc<QueuedBytes>) -> Self {
        Self { limit: limit.max(1), max_bytes, inner: Mutex::default(), all }
    }

    /// Locks the queue. Poisoning is ignored, because no code under the lock can leave the queue partly changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the queue and wakes the connection's task if it waits.
    fn change<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.lock();
        let changed = change(&mut inner);
        let task = inner.task.take();
        drop(inner);
        if let Some(task) = task {
            wake(task);
        }
        changed
    }

    /// Adds a frame if the queue is empty, or has space within these limits.
    fn try_add(&self, inner: &mut Inner, frame: &Frame, limit: usize, max_bytes: usize) -> bool {
        let bytes = frame.len();
        let has_space =
            || inner.frames.len() < limit && inner.bytes + bytes <= max_bytes && self.all.has_space(bytes);
        let taken = inner.frames.is_empty() || has_space();
        if taken {
            self.add(inner, frame.clone());
        }
        taken
    }

    fn add(&self, inner: &mut Inner, frame: Frame) {
        inner.bytes += frame.len();
        self.all.add(frame.len());
        inner.frames.push_back(frame);
    }

    fn push(&self, frame: &Frame) -> bool {
        self.change(|inner| {
            let taken = self.try_add(inner, frame, self.limit, self.max_bytes);
            inner.refused |= !taken;
            taken
        })
    }

    /// Queues a frame that may be dropped, unless the queue is half full: the other half is reserved for other frames.
    pub(crate) fn offer(&self, frame: &Frame) -> bool {
        self.change(|inner| self.try_add(inner, frame, self.limit.div_ceil(2), self.max_bytes / 2))
    }

    /// Queues frames about presence. `false`: the presence queue refused them.
    pub(crate) fn push_presence(&self, id: PresenceQueueId, frames: &Arc<[Frame]>) -> bool {
        self.change(|inner| inner.presence.push(id, frames))
    }

    /// Removes a presence queue.
    pub(crate) fn close_presence(&self, id: PresenceQueueId) {
        self.lock().presence.close(id);
    }

    /// Queues a frame even beyond the limit. For the connection's own answers: there is at most one for each frame that
    /// it reads, and it sends them before it reads another.
    pub(crate) fn reply(&self, frame: Frame) {
        self.change(|inner| self.add(inner, frame));
    }

    /// A joined room has ended. `last` is the room's last frame if it could not be queued; it is queued beyond the
    /// limit, at most one for each room joined.
    fn lost_room(&self, last: Option<Frame>) {
        self.change(|inner| {
            inner.lost_room = true;
            last.into_iter().for_each(|frame| self.add(inner, frame));
        });
    }

    /// A channel that the connection subscribes to became live. Ignored while as much waits as the queue holds frames.
    pub(crate) fn opened(&self, address: Arc<str>, from: Resume) {
        self.change(|inner| {
            let is_same = |work: &Work| matches!(work, Work::Join(channel, _) if *channel == address);
            if inner.work.len() < self.limit && !inner.work.iter().any(is_same) {
                inner.work.push_back(Work::Join(address, from));
            }
        });
    }

    /// Makes the connection leave a room, its channels and its presence. Repeated calls for a room have no effect until
    /// the connection has taken the first.
    pub(crate) fn eject(&self, room: &str, why: CloseReason) {
        self.change(|inner| {
            let is_same = |work: &Work| matches!(work, Work::Leave(left, _) if **left == *room);
            if !inner.work.iter().any(is_same) {
                inner.work.push_back(Work::Leave(room.into(), why));
            }
        });
    }

    /// A room's information has changed, so that the connection may have to send it again.
    pub(crate) fn renew(&self, room: &Arc<str>) {
        self.change(|inner| {
            let is_same = |work: &Work| matches!(work, Work::Inform(renewed) if renewed == room);
            if !inner.work.iter().any(is_same) {
                inner.work.push_back(Work::Inform(room.clone()));
            }
        });
    }

    /// What is to be done next besides sending frames. At most one of each kind for each room waits.
    pub(crate) fn take_work(&self) -> Option<Work> {
        self.lock().work.pop_front()
    }

    /// Takes the next frame. Only the connection's task calls it.
    pub(crate) fn next(&self) -> Next {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.lost_room) {
            return Next::LostRoom;
        }
        match inner.frames.pop_front() {
            Some(frame) => {
                inner.bytes -= frame.len();
                self.all.remove(frame.len());
                Next::Frame(frame)
            }
            None => {
                // Frees the memory of a burst: a connection may stay idle for long.
                if inner.frames.capacity() > IDLE_CAPACITY {
                    inner.frames = VecDeque::new();
                }
                if std::mem::take(&mut inner.refused) {
                    return Next::Drained;
                }
                match inner.presence.next() {
                    Some(Due::Frames(frames)) => Next::Presence(frames),
                    Some(Due::Drained(id)) => Next::PresenceDrained(id),
                    None => Next::Nothing,
                }
            }
        }
    }

    /// Makes the next [`poll`](Self::poll) ready.
    pub(crate) fn look_again(&self) {
        self.change(|inner| inner.again = true);
    }

    /// Ready when there may be something to send or to do, or the connection must end.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Signal> {
        let mut inner = self.lock();
        let has_work = !inner.work.is_empty();
        inner.poll(context, has_work)
    }

    /// Resolves when there may be something to send, or the connection must end. Cancel safe.
    pub(crate) fn signal(&self) -> impl Future<Output = Signal> {
        poll_fn(|context| self.lock().poll(context, false))
    }

    /// Makes the connection end. If this is called more than once, the first reason counts.
    pub(crate) fn kill(&self, close_reason: CloseReason) {
        self.change(|inner| {
            inner.close_reason.get_or_insert(close_reason);
        });
    }

    /// Resolves when the connection must end. Cancel safe.
    pub(crate) fn killed(&self) -> impl Future<Output = CloseReason> {
        poll_fn(|context| {
            let mut inner = self.lock();
            match &inner.close_reason {
                Some(close_reason) => Poll::Ready(close_reason.clone()),
                None => {
                    inner.wait(context);
                    Poll::Pending
                }
            }
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.all.remove(bytes);
    }
}

/// The queue of a connection as a room uses it for one session.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Arc<Queue>,
    refused: bool,
}

impl Outbox {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, refused: false }
    }

    /// Queues a frame before the session joins, so that it precedes the room's frames.
    pub(crate) fn push_before_join(&self, frame: Frame) {
        self.queue.reply(frame);
    }

    /// The room has ended. `last` is the last frame that was pushed, which is queued now if it was refused.
    pub(crate) fn lost_room(self, last: Frame) {
        self.queue.lost_room(self.refused.then_some(last));
    }
}

impl authority::Outbox for Outbox {
    fn push(&mut self, frame: &Frame) -> bool {
        let taken = self.queue.push(frame);
        self.refused = !taken;
        taken
    }

    fn offer(&mut self, frame: &Frame) -> bool {
        self.queue.offer(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::Outbox as _;

    fn frame(text: &str) -> Frame {
        Frame::from(text.to_owned())
    }

    fn queue(limit: usize, max_bytes: usize) -> Arc<Queue> {
        Arc::new(Queue::new(limit, max_bytes, Arc::new(QueuedBytes::new(usize::MAX))))
    }

    fn taken(queue: &Queue) -> Vec<String> {
        let mut frames = Vec::new();
        loop {
            match queue.next() {
                Next::Frame(frame) => frames.push(frame.as_str().to_owned()),
                Next::LostRoom | Next::Presence(_) | Next::PresenceDrained(_) => {}
                Next::Drained | Next::Nothing => return frames,
            }
        }
    }

    #[test]
    fn g9_a_full_queue_refuses_and_says_so_once_it_is_empty() {
        let queue = queue(2, 100);
        let mut outbox = Outbox::new(queue.clone());
        assert!(outbox.push(&frame("1")) && outbox.push(&frame("2")));
        assert!(!outbox.push(&frame("3")));
        assert!(matches!(queue.next(), Next::Frame(_)));
        assert!(matches!(queue.next(), Next::Frame(_)));
        assert!(matches!(queue.next(), Next::Drained));
        assert!(matches!(queue.next(), Next::Nothing));
        assert!(outbox.push(&frame("4")));
        assert_eq!(taken(&queue), ["4"]);
    }

    #[test]
    fn g9_frames_that_are_too_long_together_are_refused_and_one_alone_is_not() {
        let queue = queue(10, 100);
        let mut outbox = Outbox::new(queue.clone());
        let long = frame(&"x".repeat(60));
        assert!(outbox.push(&long) && !outbox.push(&long));
        assert!(outbox.push(&frame("short")) && !outbox.offer(&frame("also short")));
        assert_eq!(taken(&queue).len(), 2);
        assert!(outbox.push(&frame(&"x".repeat(1_000))), "an empty queue takes a state of any length");
        assert!(!outbox.push(&frame("1")));
        assert_eq!(taken(&queue).len(), 1);
        assert!(outbox.push(&frame("1")));
    }

    #[test]
    fn g9_queues_have_a_limit_together() {
        let all = Arc::new(QueuedBytes::new(100));
        let queues = [(); 3].map(|()| Arc::new(Queue::new(10, 80, all.clone())));
        let outboxes = queues.clone().map(Outbox::new);
        let [mut one, mut other, mut third] = outboxes;
        let long = frame(&"x".repeat(40));
        assert!(one.push(&long) && one.push(&long) && other.push(&frame("1")));
        assert!(!other.push(&long) && !other.offer(&frame(&"x".repeat(20))));
        assert!(third.push(&long), "an empty queue takes a frame in any case");
        assert!(!other.push(&frame("1")));
        assert_eq!(taken(&queues[1]), ["1"]);
        let [first, second, last] = queues;
        drop((one, first));
        assert!(third.push(&frame("2")) && other.push(&frame("3")));
        assert_eq!((taken(&last).len(), taken(&second).len()), (2, 1));
        assert_eq!(all.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_end_of_a_room_is_queued_even_if_the_queue_is_full() {
        let queue = queue(1, 100);
        let mut full = Outbox::new(queue.clone());
        assert!(full.push(&frame("1")));
        let end = frame("end");
        assert!(!full.push(&end));
        full.lost_room(end);
        assert_eq!(taken(&queue), ["1", "end"]);

        let mut roomy = Outbox::new(queue.clone());
        let end = frame("end");
        assert!(roomy.push(&end));
        roomy.lost_room(end);
        assert_eq!(taken(&queue), ["end"]);
    }
}
