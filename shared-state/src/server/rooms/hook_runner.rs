//! Calls the program's hooks for one room: one change at a time, one quiet event after another, and the ticks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Mutex, Semaphore};

use crate::server::rooms::hooks::AnyHooks;
use crate::server::rooms::participant::Participant;
use crate::server::rooms::room::{Observer, Room, Work};

pub(crate) struct HookRunner {
    hooks: Arc<dyn AnyHooks>,
    /// One change at a time is shown to the hooks.
    turns: Arc<Semaphore>,
    /// Held while a hook runs whose result nobody waits for: they run one after another.
    quiet: Arc<Mutex<()>>,
    /// Whether somebody has joined since the last `on_empty`.
    occupied: AtomicBool,
    /// Whether the task that ticks is running.
    ticking: AtomicBool,
}

impl HookRunner {
    pub(crate) fn new(hooks: Arc<dyn AnyHooks>) -> Self {
        Self {
            hooks,
            turns: Arc::new(Semaphore::new(1)),
            quiet: Arc::default(),
            occupied: AtomicBool::new(false),
            ticking: AtomicBool::new(false),
        }
    }
}

impl Observer for HookRunner {
    fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    fn closed(&self) {
        self.turns.close();
    }

    fn joined(self: Arc<Self>, room: &Arc<Room>) -> Option<Work> {
        self.occupied.store(true, Ordering::Release);
        let every = self.hooks.tick()?;
        if self.ticking.swap(true, Ordering::AcqRel) {
            return None;
        }
        let room = Arc::downgrade(room);
        Some(Box::pin(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(room) = room.upgrade().filter(|room| !room.is_closed()) else { return };
                if room.is_empty() {
                    self.ticking.store(false, Ordering::Release);
                    // Who joined before this store saw `ticking` and started no task.
                    if room.is_empty() || self.ticking.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
                let _turn = self.quiet.lock().await;
                self.hooks.on_tick(room).await;
            }
        }))
    }

    fn left(self: Arc<Self>, room: Arc<Room>, participant: Box<Participant>) -> Work {
        Box::pin(async move {
            let _turn = self.quiet.lock().await;
            self.hooks.leave(room.clone(), &participant).await;
            if self.occupied.swap(false, Ordering::AcqRel) {
                if room.is_empty() {
                    self.hooks.empty(room).await;
                } else {
                    // `on_empty` is called when the last of them leaves.
                    self.occupied.store(true, Ordering::Release);
                }
            }
        })
    }
}
