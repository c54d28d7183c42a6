//! The frames on their way to one connection: a bounded queue that all its rooms share.
//!
//! Rooms push frames while they hold their own lock and never wait; the connection's task takes them. A frame that does
//! not fit is refused, and the room sends a delta once the queue has been emptied. The queue never calls into a room, so
//! that it may be locked under a room's lock.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::authority;
use crate::core::Code;
use crate::proto::{Frame, Resume};
use crate::server::fanout::presence_queue::{Due, PresenceQueueId, PresenceQueues};

/// How many frames' places an empty queue keeps.
const IDLE_CAPACITY: usize = 8;

/// Why a connection is to end.
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
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    frames: VecDeque<Frame>,
    lanes: PresenceQueues,
    /// Some session's frame was refused since the queue was last empty.
    refused: bool,
    /// A room that the connection had joined is no more.
    lost_room: bool,
    goodbye: Option<CloseReason>,
    /// Channels to be joined that have come to be live, and from where.
    opened: Vec<(Arc<str>, Resume)>,
    /// Rooms that the connection is put out of, and why.
    ejected: Vec<(Arc<str>, CloseReason)>,
    /// Rooms of which something else is said than before.
    renewed: Vec<Arc<str>>,
    /// The connection is to look again even if there is nothing.
    again: bool,
    /// The connection's task, if it waits.
    task: Option<Waker>,
}

impl Inner {
    /// Waits in the task of `context`, the only one that ever does.
    fn wait(&mut self, context: &Context<'_>) {
        match &mut self.task {
            Some(task) => task.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
    }
}

/// Why the connection is woken.
#[derive(Debug)]
pub(crate) enum Signal {
    /// There may be something to take.
    Filled,
    /// It is to end.
    Killed(CloseReason),
}

/// What the connection has to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Send it.
    Frame(Frame),
    /// Forget the rooms that are no more.
    LostRoom,
    /// Everything was taken, and some session was refused: its room may send what it missed.
    Drained,
    /// Send these, about presence.
    Presence(Arc<[Frame]>),
    /// Everything in a lane was taken, and it had refused something.
    LaneDrained(PresenceQueueId),
    /// Nothing.
    Nothing,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), inner: Mutex::default() }
    }

    /// Nothing that is done under the lock can leave the queue half changed.
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
            task.wake();
        }
        changed
    }

    fn push(&self, frame: &Frame) -> bool {
        self.change(|inner| {
            if inner.frames.len() >= self.limit {
                inner.refused = true;
                return false;
            }
            inner.frames.push_back(frame.clone());
            true
        })
    }

    /// Queues a frame that may be left out, unless the queue is half full: the rest is for what may not be.
    pub(crate) fn offer(&self, frame: &Frame) -> bool {
        self.change(|inner| {
            let taken = inner.frames.len() < self.limit.div_ceil(2);
            if taken {
                inner.frames.push_back(frame.clone());
            }
            taken
        })
    }

    /// Puts frames in a lane, if it has room.
    pub(crate) fn push_presence(&self, lane: PresenceQueueId, frames: &Arc<[Frame]>) -> bool {
        self.change(|inner| inner.lanes.push(lane, frames))
    }

    /// Nothing is put in a lane any more.
    pub(crate) fn close_lane(&self, lane: PresenceQueueId) {
        self.lock().lanes.close(lane);
    }

    /// Queues a frame beyond the limit: the connection's own answers, of which there is at most one for each
    /// frame it has read and which it sends before it reads another.
    pub(crate) fn reply(&self, frame: Frame) {
        self.change(|inner| inner.frames.push_back(frame));
    }

    /// A joined room is no more. `last` is what the connection must be told, if it could not be queued: one
    /// frame beyond the limit for each room joined.
    fn lost_room(&self, last: Option<Frame>) {
        self.change(|inner| {
            inner.lost_room = true;
            inner.frames.extend(last);
        });
    }

    /// A channel that the connection hears is live. More than it could join are left out.
    pub(crate) fn opened(&self, address: Arc<str>, from: Resume) {
        self.change(|inner| {
            if inner.opened.len() < self.limit {
                inner.opened.push((address, from));
                inner.again = true;
            }
        });
    }

    /// The channels that have come to be live since the last call.
    pub(crate) fn take_opened(&self) -> Vec<(Arc<str>, Resume)> {
        std::mem::take(&mut self.lock().opened)
    }

    /// The connection is to leave a room, its channels and its presence. Once is enough for a room, until it is done.
    pub(crate) fn eject(&self, room: &str, why: CloseReason) {
        self.change(|inner| {
            let is_told = inner.ejected.iter().any(|(told, _)| &**told == room);
            if !is_told && inner.ejected.len() < self.limit {
                inner.ejected.push((room.into(), why));
            }
            inner.again = true;
        });
    }

    /// The rooms to be left since the last call, and why.
    pub(crate) fn take_ejected(&self) -> Vec<(Arc<str>, CloseReason)> {
        std::mem::take(&mut self.lock().ejected)
    }

    /// The connection may have to be told anew what is said of a room.
    pub(crate) fn renew(&self, room: &Arc<str>) {
        self.change(|inner| {
            if !inner.renewed.contains(room) && inner.renewed.len() < self.limit {
                inner.renewed.push(room.clone());
            }
            inner.again = true;
        });
    }

    /// The rooms of which something else is said since the last call.
    pub(crate) fn take_renewed(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.lock().renewed)
    }

    /// Takes the next frame. Only the connection's task calls it.
    pub(crate) fn next(&self) -> Next {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.lost_room) {
            return Next::LostRoom;
        }
        match inner.frames.pop_front() {
            Some(frame) => Next::Frame(frame),
            None => {
                // A burst's worth of memory is not kept for an idle connection.
                if inner.frames.capacity() > IDLE_CAPACITY {
                    inner.frames = VecDeque::new();
                }
                if std::mem::take(&mut inner.refused) {
                    return Next::Drained;
                }
                match inner.lanes.next() {
                    Some(Due::Frames(frames)) => Next::Presence(frames),
                    Some(Due::Drained(lane)) => Next::LaneDrained(lane),
                    None => Next::Nothing,
                }
            }
        }
    }

    /// Makes the next [`poll`](Self::poll) ready.
    pub(crate) fn look_again(&self) {
        self.change(|inner| inner.again = true);
    }

    /// Ready when there may be something to take, or the connection is to end.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Signal> {
        let mut inner = self.lock();
        if let Some(goodbye) = &inner.goodbye {
            return Poll::Ready(Signal::Killed(goodbye.clone()));
        }
        let filled = !inner.frames.is_empty() || !inner.lanes.is_empty() || inner.refused || inner.lost_room;
        if std::mem::take(&mut inner.again) || filled {
            return Poll::Ready(Signal::Filled);
        }
        inner.wait(context);
        Poll::Pending
    }

    /// Resolves when there may be something to take, or the connection is to end. Cancel safe.
    pub(crate) fn signal(&self) -> impl Future<Output = Signal> {
        poll_fn(|context| self.poll(context))
    }

    /// Tells the connection to end. The first reason stays.
    pub(crate) fn kill(&self, goodbye: CloseReason) {
        self.change(|inner| {
            inner.goodbye.get_or_insert(goodbye);
        });
    }

    /// Resolves when the connection is to end. Cancel safe.
    pub(crate) fn killed(&self) -> impl Future<Output = CloseReason> {
        poll_fn(|context| {
            let mut inner = self.lock();
            match &inner.goodbye {
                Some(goodbye) => Poll::Ready(goodbye.clone()),
                None => {
                    inner.wait(context);
                    Poll::Pending
                }
            }
        })
    }
}

/// Where a room puts the frames of one session.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Arc<Queue>,
    refused: bool,
}

impl Outbox {
    pub(crate) fn new(queue: Arc<Queue>) -> Self {
        Self { queue, refused: false }
    }

    /// Sends the session a frame before all that the room sends it.
    pub(crate) fn tell_first(&self, frame: Frame) {
        self.queue.reply(frame);
    }

    /// The room has ended; `last` was the last frame pushed.
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

    fn taken(queue: &Queue) -> Vec<String> {
        let mut frames = Vec::new();
        loop {
            match queue.next() {
                Next::Frame(frame) => frames.push(frame.as_str().to_owned()),
                Next::LostRoom | Next::Presence(_) | Next::LaneDrained(_) => {}
                Next::Drained | Next::Nothing => return frames,
            }
        }
    }

    #[test]
    fn g9_a_full_queue_refuses_and_says_so_once_it_is_empty() {
        let queue = Arc::new(Queue::new(2));
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
    fn the_end_of_a_room_is_told_even_if_the_queue_is_full() {
        let queue = Arc::new(Queue::new(1));
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
