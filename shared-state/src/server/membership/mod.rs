//! What the program says of each room, and who is in it, in whatever way: by its state, a channel or its presence.
//!
//! A house is there while the room, one of its channels or a membership is. It says who comes in; it knows nothing of what
//! they do there.

pub(crate) mod bans;
pub(crate) mod memberships;
pub(crate) mod password;
pub(crate) mod settings;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::core::Code;
use crate::proto::{RoomDetails, Violation};
use crate::server::fanout::queue::{CloseReason, Queue};
use crate::server::membership::password::PasswordHash;
use crate::server::membership::settings::RoomSettings;

/// How long the program's function may take.
const PATIENCE: Duration = Duration::from_secs(10);

type Settings = Pin<Box<dyn Future<Output = Result<RoomSettings, String>> + Send>>;

/// The program's function.
pub(crate) type Ask = dyn Fn(Arc<str>) -> Settings + Send + Sync;

type Asked = Option<Result<Arc<RoomAccess>, Violation>>;

enum Slot {
    Asking(watch::Receiver<Asked>),
    Open(Weak<RoomAccess>),
}

/// The accesses of a server.
pub(crate) struct RoomAccessTable {
    this: Weak<Self>,
    ask: Option<Arc<Ask>>,
    /// So many passwords are looked at at once: it takes a core and 19 MiB.
    checks: Arc<Semaphore>,
    slots: Mutex<HashMap<Arc<str>, Slot>>,
}

/// What is said of one room, and who is in it.
pub(crate) struct RoomAccess {
    name: Arc<str>,
    accesses: Arc<RoomAccessTable>,
    /// One password at a time is looked at for a room, so that guesses for one room do not keep others waiting.
    turn: Arc<Semaphore>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    settings: RoomSettings,
    /// Rises with each change of the settings.
    generation: u64,
    /// It was closed: the next one who comes opens another one.
    ended: bool,
    /// The connections that are in, by number.
    members: BTreeMap<u64, (Arc<str>, Arc<Queue>)>,
    /// The users, and over how many connections each is in.
    users: BTreeMap<Arc<str>, usize>,
    /// How the right password is known again without the cost of its hash.
    right: Option<Right>,
}

/// The right password under a hash that is quick, because it is in memory only and its salt is known to nobody.
struct Right {
    salt: [u8; 32],
    digest: [u8; 32],
}

impl Right {
    fn digest(salt: &[u8; 32], password: &str) -> [u8; 32] {
        Sha256::new_with_prefix(salt).chain_update(password).finalize().into()
    }

    /// `None` where the system has no randomness.
    fn new(password: &str) -> Option<Self> {
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).ok()?;
        Some(Self { digest: Self::digest(&salt, password), salt })
    }

    /// Looks at every byte, whatever the first ones are.
    fn is(&self, password: &str) -> bool {
        let given = Self::digest(&self.salt, password);
        given.iter().zip(&self.digest).fold(0, |differs, (given, right)| differs | (given ^ right)) == 0
    }
}

/// What somebody has to show to come in.
pub(crate) enum Requirement {
    /// Nothing, or it was shown already. With the generation of the settings that say so.
    Open(u64),
    /// A password with this hash.
    Locked(PasswordHash, u64),
}

/// The settings have changed, or the house has ended: look again.
#[derive(Debug)]
pub(crate) struct Changed;

/// A connection that is in a room, until this is dropped.
pub(crate) struct Membership {
    house: Arc<RoomAccess>,
    connection: u64,
}

impl Membership {
    pub(crate) fn house(&self) -> &Arc<RoomAccess> {
        &self.house
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut inner = self.house.lock();
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
        Arc::new_cyclic(|this| Self { this: this.clone(), ask, checks, slots: Mutex::default() })
    }

    /// Nothing that is done under the lock can leave the map half changed.
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said of a room; the program is asked if nobody is there. Cancel safe.
    pub(crate) async fn open(&self, name: &str) -> Result<Arc<RoomAccess>, Violation> {
        let mut asking = {
            let mut slots = self.lock();
            let there = match slots.get(name) {
                Some(Slot::Open(house)) => house.upgrade().map(Ok),
                Some(Slot::Asking(asking)) => Some(Err(asking.clone())),
                None => None,
            };
            match there.unwrap_or_else(|| self.begin(&mut slots, name)) {
                Ok(house) => return Ok(house),
                Err(asking) => asking,
            }
        };
        match asking.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(asked)) => asked.clone(),
            Ok(None) | Err(_) => Err(unknown("the server is shutting down")),
        }
    }

    /// A house where nothing is to be asked, or the asking for one.
    fn begin(
        &self,
        slots: &mut HashMap<Arc<str>, Slot>,
        name: &str,
    ) -> Result<Arc<RoomAccess>, watch::Receiver<Asked>> {
        let (told, asking) = watch::channel(None);
        let Some(this) = self.this.upgrade() else { return Err(asking) };
        let name: Arc<str> = name.into();
        if self.ask.is_none() {
            let house = this.house(name.clone(), RoomSettings::default());
            slots.insert(name, Slot::Open(Arc::downgrade(&house)));
            return Ok(house);
        }
        slots.insert(name.clone(), Slot::Asking(asking.clone()));
        tokio::spawn(async move {
            let house = this.ask(&name).await.map(|settings| this.house(name.clone(), settings));
            let mut slots = this.lock();
            match &house {
                Ok(house) => slots.insert(name, Slot::Open(Arc::downgrade(house))),
                // The next who comes asks again.
                Err(_) => slots.remove(&name),
            };
            drop(slots);
            told.send_replace(Some(house));
        });
        Err(asking)
    }

    fn house(self: &Arc<Self>, name: Arc<str>, settings: RoomSettings) -> Arc<RoomAccess> {
        let inner = Mutex::new(Inner { settings, ..Inner::default() });
        Arc::new(RoomAccess { name, accesses: self.clone(), turn: Arc::new(Semaphore::new(1)), inner })
    }

    /// Asks the program: that it panics or takes too long is an error as one that it returns.
    async fn ask(&self, name: &Arc<str>) -> Result<RoomSettings, Violation> {
        let Some(ask) = &self.ask else { return Ok(RoomSettings::default()) };
        let asked = AssertUnwindSafe(async { ask(name.clone()).await }).catch_unwind();
        let why = match timeout(PATIENCE, asked).await {
            Ok(Ok(Ok(settings))) => return Ok(settings),
            Ok(Ok(Err(message))) => message,
            Ok(Err(_)) => "a panic".to_owned(),
            Err(_) => "it took too long".to_owned(),
        };
        tracing::error!(room = %name, why, "the settings of a room are not known");
        Err(unknown(&why))
    }

    /// What is said of a room, if anybody is there.
    pub(crate) fn opened(&self, name: &str) -> Option<Arc<RoomAccess>> {
        match self.lock().get(name) {
            Some(Slot::Open(house)) => house.upgrade(),
            Some(Slot::Asking(_)) | None => None,
        }
    }
}

fn unknown(why: &str) -> Violation {
    Violation::new(Code::Unavailable, format!("the server cannot tell who may come into the room: {why}"))
}

impl RoomAccess {
    /// Nothing that is done under the lock can leave it half changed.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_temporary(&self) -> bool {
        self.lock().settings.temporary
    }

    /// How many users are in.
    pub(crate) fn users(&self) -> usize {
        self.lock().users.len()
    }

    /// What is told of the room, whose history began then.
    pub(crate) fn details(&self, created_at: Option<u64>) -> RoomDetails {
        let inner = self.lock();
        RoomDetails {
            created_at,
            metadata: inner.settings.metadata.clone(),
            password: inner.settings.password.is_some(),
        }
    }

    /// What somebody has to show who gives this password.
    ///
    /// # Errors
    /// The room is closed, or has a password and none was given.
    pub(crate) fn door(&self, password: Option<&str>) -> Result<Requirement, Violation> {
        let inner = self.lock();
        if let Some(reason) = &inner.settings.closed {
            return Err(Violation::new(Code::RoomClosed, &**reason));
        }
        match (&inner.settings.password, password) {
            (None, _) => Ok(Requirement::Open(inner.generation)),
            (Some(_), None) => {
                Err(Violation::new(Code::WrongPassword, "the room has a password, and none was given"))
            }
            (Some(_), Some(given)) if inner.right.as_ref().is_some_and(|right| right.is(given)) => {
                Ok(Requirement::Open(inner.generation))
            }
            (Some(hash), Some(_)) => Ok(Requirement::Locked(hash.clone(), inner.generation)),
        }
    }

    /// Whether this is the password with that hash. Slow, and done aside: one at a time for a room.
    pub(crate) async fn unlocks(&self, hash: PasswordHash, generation: u64, password: &str) -> bool {
        // Neither is ever closed.
        let Ok(turn) = self.turn.clone().acquire_owned().await else { return false };
        let Ok(check) = self.accesses.checks.clone().acquire_owned().await else { return false };
        if let Ok(Requirement::Open(_)) = self.door(Some(password)) {
            return true;
        }
        let given: Box<str> = password.into();
        // Whoever asks may be gone before it is done; what it takes is taken until it is.
        let checked = tokio::task::spawn_blocking(move || {
            let is_right = hash.is_of(&given);
            drop((turn, check));
            is_right
        });
        let is_right = checked.await.unwrap_or(false);
        if is_right {
            let mut inner = self.lock();
            if inner.generation == generation {
                inner.right = Right::new(password);
            }
        }
        is_right
    }

    /// Lets a connection in, by what the settings of this generation say.
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
        Ok(Ok(Membership { house: self.clone(), connection }))
    }

    /// Asks the program again. Gives why the room is closed, if it is now.
    pub(crate) async fn retry_join(&self) -> Result<Option<Arc<str>>, Violation> {
        let settings = self.accesses.ask(&self.name).await?;
        let closed = settings.closed.clone();
        let members: Vec<_> = {
            let mut inner = self.lock();
            inner.settings = settings;
            inner.generation += 1;
            inner.right = None;
            inner.members.values().map(|(_, queue)| queue.clone()).collect()
        };
        members.iter().for_each(|queue| queue.renew(&self.name));
        Ok(closed)
    }

    /// Puts everybody out: who comes from here on is let in by another house. Gives how many connections that is.
    pub(crate) fn end(&self, why: &CloseReason) -> usize {
        {
            let mut slots = self.accesses.lock();
            if let Some(Slot::Open(house)) = slots.get(&self.name)
                && std::ptr::eq(house.as_ptr(), self)
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
        // Another one may have taken its place.
        if let Some(Slot::Open(house)) = slots.get(&self.name)
            && house.strong_count() == 0
        {
            slots.remove(&self.name);
        }
    }
}
