//! Access to rooms: each room's settings, and the connections and users in it, by state, channel or presence.
//!
//! A [`RoomAccess`] exists while the room, one of its channels or a [`Membership`] does. It decides who may enter; it
//! knows nothing of what they do there. Called by connections when they join, and by the directory when it opens a
//! room.

pub(crate) mod bans;
mod guesses;
#[cfg(feature = "password")]
mod known_password;
pub(crate) mod memberships;
pub(crate) mod password;
pub(crate) mod settings;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::core::Code;
use crate::proto::{RoomDetails, Violation};
use crate::server::fanout::queue::{CloseReason, Queue};
use crate::server::membership::guesses::GuessBudgets;
use crate::server::membership::password::PasswordHash;
use crate::server::membership::settings::RoomSettings;

/// The longest time that the program's `room_settings` function may take.
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);

type Settings = Pin<Box<dyn Future<Output = Result<RoomSettings, String>> + Send>>;

/// The program's `room_settings` function.
pub(crate) type Ask = dyn Fn(Arc<str>) -> Settings + Send + Sync;

type Asked = Option<Result<Arc<RoomAccess>, Violation>>;

enum Slot {
    Asking(watch::Receiver<Asked>),
    Open(Weak<RoomAccess>),
}

/// The access of every room of a server that is in use.
pub(crate) struct RoomAccessTable {
    this: Weak<Self>,
    ask: Option<Arc<Ask>>,
    /// Limits the passwords being checked at once to half the cores: each check takes a core and 19 MiB.
    checks: Arc<Semaphore>,
    guesses: GuessBudgets,
    slots: Mutex<HashMap<Arc<str>, Slot>>,
}

/// One room's settings, and who is in it.
pub(crate) struct RoomAccess {
    name: Arc<str>,
    accesses: Arc<RoomAccessTable>,
    /// One password at a time is checked for a room, so that guesses for one room do not delay the others.
    turn: Arc<Semaphore>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    settings: RoomSettings,
    /// Incremented by each change of the settings.
    generation: u64,
    /// The room was closed by [`RoomAccess::end`]: whoever comes next opens a new [`RoomAccess`].
    ended: bool,
    /// The user and the queue of each connection in the room, by the connection's number.
    members: BTreeMap<u64, (Arc<str>, Arc<Queue>)>,
    /// The users, and how many connections each has in the room.
    users: BTreeMap<Arc<str>, usize>,
}

/// What is still required of somebody who wants to enter.
pub(crate) enum Requirement {
    /// Nothing: the room has no password, or the one given is known to be right. Holds the generation of the settings
    /// that say so.
    Open(u64),
    /// The password given must match this hash. Holds the generation of the settings.
    Locked(PasswordHash, u64),
    /// Nothing helps: the password given is known to be wrong.
    Wrong,
}

/// The settings have changed or the access has ended meanwhile: try again.
#[derive(Debug)]
pub(crate) struct Changed;

/// A connection in a room. Leaves on drop.
pub(crate) struct Membership {
    access: Arc<RoomAccess>,
    connection: u64,
}

impl Membership {
    pub(crate) fn access(&self) -> &Arc<RoomAccess> {
        &self.access
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.access.lock();
        let Some((user, _)) = inner.members.remove(&self.connection) else { return };
        if let Some(connections) = inner.users.get_mut(&user) {
            *connections -= 1;
            if *connections == 0 {
                inner.users.remove(&user);
            }
        }
    }
}

impl RoomAccessTable {
    pub(crate) fn new(ask: Option<Arc<Ask>>) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let checks = Arc::new(Semaphore::new(cores.div_ceil(2)));
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            ask,
            checks,
            guesses: GuessBudgets::default(),
            slots: Mutex::default(),
        })
    }

    /// A panic under the lock cannot leave the map half changed, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room's access. Asks the program for its settings if the room is not in use; however many callers wait, it is
    /// asked once. Cancel safe.
    pub(crate) async fn open(&self, name: &str) -> Result<Arc<RoomAccess>, Violation> {
        let mut asking = {
            let mut slots = self.lock();
            let found = match slots.get(name) {
                Some(Slot::Open(access)) => access.upgrade().map(Ok),
                Some(Slot::Asking(asking)) => Some(Err(asking.clone())),
                None => None,
            };
            match found.unwrap_or_else(|| self.start_opening(&mut slots, name)) {
                Ok(access) => return Ok(access),
                Err(asking) => asking,
            }
        };
        match asking.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(asked)) => asked.clone(),
            Ok(None) | Err(_) => Err(settings_unavailable("the server is shutting down")),
        }
    }

    /// Makes a room's access if the program sets no settings; else starts to ask for them.
    fn start_opening(
        &self,
        slots: &mut HashMap<Arc<str>, Slot>,
        name: &str,
    ) -> Result<Arc<RoomAccess>, watch::Receiver<Asked>> {
        let (answered, asking) = watch::channel(None);
        let Some(this) = self.this.upgrade() else { return Err(asking) };
        let name: Arc<str> = name.into();
        if self.ask.is_none() {
            let access = this.new_access(name.clone(), RoomSettings::default());
            slots.insert(name, Slot::Open(Arc::downgrade(&access)));
            return Ok(access);
        }
        slots.insert(name.clone(), Slot::Asking(asking.clone()));
        tokio::spawn(async move {
            let access = this.ask(&name).await.map(|settings| this.new_access(name.clone(), settings));
            let mut slots = this.lock();
            match &access {
                Ok(access) => slots.insert(name, Slot::Open(Arc::downgrade(access))),
                // Whoever comes next asks again.
                Err(_) => slots.remove(&name),
            };
            drop(slots);
            answered.send_replace(Some(access));
        });
        Err(asking)
    }

    fn new_access(self: &Arc<Self>, name: Arc<str>, settings: RoomSettings) -> Arc<RoomAccess> {
        let inner = Mutex::new(Inner { settings, ..Inner::default() });
        Arc::new(RoomAccess { name, accesses: self.clone(), turn: Arc::new(Semaphore::new(1)), inner })
    }

    /// Calls the program's function. A panic and a timeout are errors, like one that the function returns.
    async fn ask(&self, name: &Arc<str>) -> Result<RoomSettings, Violation> {
        let Some(ask) = &self.ask else { return Ok(RoomSettings::default()) };
        let asked = AssertUnwindSafe(async { ask(name.clone()).await }).catch_unwind();
        let why = match timeout(SETTINGS_TIMEOUT, asked).await {
            Ok(Ok(Ok(settings))) => return Ok(settings),
            Ok(Ok(Err(message))) => message,
            Ok(Err(_)) => "the program's function panicked".to_owned(),
            Err(_) => "the program's function took too long".to_owned(),
        };
        tracing::error!(room = %name, why, "the settings of a room are unavailable");
        Err(settings_unavailable(&why))
    }

    /// A room's access, if the room is in use.
    pub(crate) fn opened(&self, name: &str) -> Option<Arc<RoomAccess>> {
        match self.lock().get(name) {
            Some(Slot::Open(access)) => access.upgrade(),
            Some(Slot::Asking(_)) | None => None,
        }
    }
}

fn settings_unavailable(why: &str) -> Violation {
    Violation::new(Code::Unavailable, format!("the room's settings are unavailable: {why}"))
}

impl RoomAccess {
    /// A panic under the lock cannot leave the fields half changed, so a poisoned lock is still usable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.lock().settings.temporary
    }

    /// How many users are in the room.
    pub(crate) fn users(&self) -> usize {
        self.lock().users.len()
    }

    /// The room's details for clients. `created_at` is in milliseconds since 1970.
    pub(crate) fn details(&self, created_at: Option<u64>) -> RoomDetails {
        let inner = self.lock();
        RoomDetails {
            created_at,
            metadata: inner.settings.metadata.clone(),
            password: inner.settings.password.is_some(),
        }
    }

    /// Checks what can be checked fast, and returns what is still required of somebody who gives this password.
    ///
    /// # Errors
    /// The room is closed, or it has a password and none was given.
    pub(crate) fn check_password(&self, password: Option<&str>) -> Result<Requirement, Violation> {
        let inner = self.lock();
        if let Some(reason) = &inner.settings.closed {
            return Err(Violation::new(Code::RoomClosed, &**reason));
        }
        match (&inner.settings.password, password) {
            (None, _) => Ok(Requirement::Open(inner.generation)),
            (Some(_), None) => {
                Err(Violation::new(Code::WrongPassword, "the room has a password, and none was given"))
            }
            (Some(hash), Some(given)) => Ok(match hash.is_known(given) {
                Some(true) => Requirement::Open(inner.generation),
                Some(false) => Requirement::Wrong,
                None => Requirement::Locked(hash.clone(), inner.generation),
            }),
        }
    }

    /// Whether `password` matches `hash`. Slow, unless the password is known meanwhile: hashed on a thread for
    /// blocking work, one password at a time for a room. Cancel safe.
    pub(crate) async fn verify_password(&self, hash: PasswordHash, password: &str) -> bool {
        // The semaphores are never closed.
        let Ok(turn) = self.turn.clone().acquire_owned().await else { return false };
        let Ok(check) = self.accesses.checks.clone().acquire_owned().await else { return false };
        // Somebody else may have given the right one meanwhile.
        if let Some(is_right) = hash.is_known(password) {
            return is_right;
        }
        let given: Box<str> = password.into();
        // The caller may be gone before the check ends. The task holds the permits until then, so that the limit
        // holds.
        let checked = tokio::task::spawn_blocking(move || {
            let is_right = hash.is_of(&given);
            drop((turn, check));
            is_right
        });
        checked.await.unwrap_or(false)
    }

    /// Takes one of the guesses that an address has for this room; `false` if there is none left.
    pub(crate) fn take_guess(&self, address: Option<IpAddr>) -> bool {
        self.accesses.guesses.take(address, &self.name, Instant::now())
    }

    /// Returns a guess whose password was right.
    pub(crate) fn give_back_guess(&self, address: Option<IpAddr>) {
        self.accesses.guesses.give_back(address, &self.name);
    }

    /// Adds a connection, if the settings are still those of this generation.
    ///
    /// # Errors
    /// [`Changed`] if they are not; the inner error if the room is full.
    pub(crate) fn enter(
        self: &Arc<Self>,
        generation: u64,
        (connection, user): (u64, Arc<str>),
        queue: Arc<Queue>,
    ) -> Result<Result<Membership, Violation>, Changed> {
        let mut inner = self.lock();
        if inner.ended || inner.generation != generation {
            return Err(Changed);
        }
        let users = inner.users.len();
        if let Some(most) = inner.settings.max_users
            && users >= most
            && !inner.users.contains_key(&user)
        {
            return Ok(Err(Violation::new(Code::RoomFull, format!("the room takes {most} users"))));
        }
        *inner.users.entry(user.clone()).or_default() += 1;
        inner.members.insert(connection, (user, queue));
        Ok(Ok(Membership { access: self.clone(), connection }))
    }

    /// Asks the program for the settings again and applies them. Returns the reason if the room is closed now.
    ///
    /// # Errors
    /// The program's function failed. The previous settings stay.
    pub(crate) async fn reload_settings(&self) -> Result<Option<Arc<str>>, Violation> {
        let settings = self.accesses.ask(&self.name).await?;
        let closed = settings.closed.clone();
        let members: Vec<_> = {
            let mut inner = self.lock();
            inner.settings = settings;
            inner.generation += 1;
            inner.members.values().map(|(_, queue)| queue.clone()).collect()
        };
        members.iter().for_each(|queue| queue.renew(&self.name));
        Ok(closed)
    }

    /// Ends this access and asks every connection in it to leave the room for this reason. Whoever comes next is
    /// handled by a new [`RoomAccess`]. Returns the number of connections.
    pub(crate) fn end(&self, why: &CloseReason) -> usize {
        {
            let mut slots = self.accesses.lock();
            if let Some(Slot::Open(access)) = slots.get(&self.name)
                && std::ptr::eq(access.as_ptr(), self)
            {
                slots.remove(&self.name);
            }
        }
        let members: Vec<_> = {
            let mut inner = self.lock();
            inner.ended = true;
            inner.members.values().map(|(_, queue)| queue.clone()).collect()
        };
        members.iter().for_each(|queue| queue.eject(&self.name, why.clone()));
        members.len()
    }
}

impl Drop for RoomAccess {
    fn drop(&mut self) {
        let mut slots = self.accesses.lock();
        // A new one of this name may have replaced it.
        if let Some(Slot::Open(access)) = slots.get(&self.name)
            && access.strong_count() == 0
        {
            slots.remove(&self.name);
        }
    }
}
