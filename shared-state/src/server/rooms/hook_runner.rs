//! Runs the [`RoomHooks`](crate::server::RoomHooks) of one room: one change at a time, leaves and ticks one after
//! another, and the ticks only while somebody is in the room.
//!
//! It returns futures and leaves spawning them to the room.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, Semaphore};

use crate::server::rooms::hooks::{AnyHooks, Participant};
use crate::server::rooms::room::Room;

/// The hooks of one room, and whose turn it is.
pub(crate) struct HookRunner {
    hooks: Arc<dyn AnyHooks>,
    /// One permit: one change at a time is shown to `on_change`.
    turns: Arc<Semaphore>,
    /// `on_leave`, `on_empty` and `on_tick` run one after another.
    background: Arc<Mutex<()>>,
    /// Somebody has joined since `on_empty` last ran.
    occupied: AtomicBool,
    /// Whether the ticking task is running.
    ticking: AtomicBool,
}

impl HookRunner {
    pub(crate) fn new(hooks: Arc<dyn AnyHooks>) -> Self {
        Self {
            hooks,
            turns: Arc::new(Semaphore::new(1)),
            background: Arc::default(),
            occupied: AtomicBool::new(false),
            ticking: AtomicBool::new(false),
        }
    }

    pub(crate) fn rules(&self) -> &Arc<dyn AnyHooks> {
        &self.hooks
    }

    pub(crate) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    /// The room has ended: whoever waits for a turn gets an error.
    pub(crate) fn end(&self) {
        self.turns.close();
    }

    /// Somebody has joined. Returns the ticking task if it has to be started.
    pub(crate) fn joined(&self, room: &Arc<Room>) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.occupied.store(true, Ordering::Release);
        let every = self.hooks.tick()?;
        if self.ticking.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (hooks, background, room) = (self.hooks.clone(), self.background.clone(), Arc::downgrade(room));
        Some(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(room) = room.upgrade().filter(|room| !room.is_closed()) else { return };
                let Some(hook_runner) = room.hook_runner() else { return };
                if room.is_empty() {
                    hook_runner.ticking.store(false, Ordering::Release);
                    // Whoever joined in between saw `ticking` set and started no task.
                    if room.is_empty() || hook_runner.ticking.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
                let _turn = background.lock().await;
                hooks.on_tick(room).await;
            }
        })
    }

    /// Somebody has left. Returns the task that calls `on_leave`, and `on_empty` if the room is empty then.
    pub(crate) fn left(
        &self,
        room: Arc<Room>,
        participant: Box<Participant>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (hooks, background) = (self.hooks.clone(), self.background.clone());
        async move {
            let _turn = background.lock().await;
            hooks.leave(room.clone(), &participant).await;
            let Some(hook_runner) = room.hook_runner() else { return };
            if hook_runner.occupied.swap(false, Ordering::AcqRel) {
                match room.is_empty() {
                    true => hooks.empty(room).await,
                    // Somebody is in the room: `on_empty` runs after they have left.
                    false => hook_runner.occupied.store(true, Ordering::Release),
                }
            }
        }
    }
}

/// Runs work that may take long on this thread. On a runtime with several threads, another thread takes over this
/// one's tasks meanwhile.
pub(crate) fn aside<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
