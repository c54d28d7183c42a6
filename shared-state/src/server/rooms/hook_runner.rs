//! A room's dealings with its rules: whose turn it is to be looked at, who is told of what, and when it ticks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, Semaphore};

use crate::server::rooms::hooks::{AnyHooks, Participant};
use crate::server::rooms::room::Room;

pub(crate) struct HookRunner {
    rules: Arc<dyn AnyHooks>,
    /// One change at a time is shown to the rules.
    turns: Arc<Semaphore>,
    /// What nobody waits for happens one after another.
    quiet: Arc<Mutex<()>>,
    /// Somebody came since the rules were told that nobody is here.
    occupied: AtomicBool,
    /// Whether the task that ticks is running.
    ticking: AtomicBool,
}

impl HookRunner {
    pub(crate) fn new(rules: Arc<dyn AnyHooks>) -> Self {
        Self {
            rules,
            turns: Arc::new(Semaphore::new(1)),
            quiet: Arc::default(),
            occupied: AtomicBool::new(false),
            ticking: AtomicBool::new(false),
        }
    }

    pub(crate) fn rules(&self) -> &Arc<dyn AnyHooks> {
        &self.rules
    }

    pub(crate) fn turns(&self) -> &Arc<Semaphore> {
        &self.turns
    }

    /// The room has ended: whoever waits for a turn learns of it.
    pub(crate) fn end(&self) {
        self.turns.close();
    }

    /// Somebody has joined; gives the task that ticks from now on, if there is to be one.
    pub(crate) fn joined(&self, room: &Arc<Room>) -> Option<impl Future<Output = ()> + Send + 'static> {
        self.occupied.store(true, Ordering::Release);
        let every = self.rules.tick()?;
        if self.ticking.swap(true, Ordering::AcqRel) {
            return None;
        }
        let (rules, quiet, room) = (self.rules.clone(), self.quiet.clone(), Arc::downgrade(room));
        Some(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(room) = room.upgrade().filter(|room| !room.is_closed()) else { return };
                let Some(hook_runner) = room.hook_runner() else { return };
                if room.is_empty() {
                    hook_runner.ticking.store(false, Ordering::Release);
                    // Whoever came in between has seen it ticking.
                    if room.is_empty() || hook_runner.ticking.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
                let _turn = quiet.lock().await;
                rules.on_tick(room).await;
            }
        })
    }

    /// Somebody has left; gives the task that tells the rules.
    pub(crate) fn left(
        &self,
        room: Arc<Room>,
        visitor: Box<Participant>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (rules, quiet) = (self.rules.clone(), self.quiet.clone());
        async move {
            let _turn = quiet.lock().await;
            rules.leave(room.clone(), &visitor).await;
            let Some(hook_runner) = room.hook_runner() else { return };
            if hook_runner.occupied.swap(false, Ordering::AcqRel) {
                match room.is_empty() {
                    true => rules.empty(room).await,
                    // They are told of when they leave.
                    false => hook_runner.occupied.store(true, Ordering::Release),
                }
            }
        }
    }
}

/// Runs what may take its time on this thread, whose other tasks go on on another one, if the runtime has several.
pub(crate) fn aside<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
