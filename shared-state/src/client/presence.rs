//! Who is in a room, as an app holds it, and as the client's task sees it.

use std::any::{Any, type_name};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};

use crate::client::task::core::Guard;
use crate::client::task::slots::{AnyPresence, Signal};
use crate::client::{Room, Subscription, lock, subscription};
use crate::presence::{Peer, PresenceClient, PresenceError, PresenceEvent, PresenceOptions, UserSessions};
use crate::proto::presence::PresenceNews;
use crate::proto::{ClientId, Frame, Limits, Secret, Violation, check_room_name};

struct SharedPresence<U, D> {
    room: Arc<str>,
    signal: Arc<Signal>,
    handles: AtomicUsize,
    errors: watch::Sender<Option<Violation>>,
    seen: watch::Sender<Seen>,
    inner: Mutex<Inner<U, D>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    revision: u64,
    live: bool,
    ended: bool,
}

struct Inner<U, D> {
    attendance: PresenceClient<U, D>,
    events: Option<broadcast::Sender<PresenceEvent<U, D>>>,
    capacity: usize,
    /// The connection it was last attached to.
    connection: u64,
    closed: bool,
}

/// What can be shown: any type that serde knows.
trait Shown: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Shown for T {}

impl<U: Shown, D: Shown> SharedPresence<U, D> {
    fn lock(&self) -> MutexGuard<'_, Inner<U, D>> {
        lock(&self.inner)
    }

    /// Passes on what has happened. Under the lock, so that everybody hears it in order.
    fn tell(&self, inner: &mut Inner<U, D>, own: bool) {
        let mut visible = own;
        while let Some(event) = inner.attendance.poll_event() {
            visible = true;
            if inner.events.as_ref().is_some_and(|events| events.send(event).is_err()) {
                // Nobody is there any more.
                inner.events = None;
            }
        }
        let live = inner.attendance.is_live();
        self.seen.send_if_modified(|seen| {
            seen.revision += u64::from(visible);
            visible | (std::mem::replace(&mut seen.live, live) != live)
        });
    }

    /// Changes what this client shows.
    fn write<R>(
        &self,
        act: impl FnOnce(&mut PresenceClient<U, D>, Duration) -> Result<R, PresenceError>,
    ) -> Result<R, PresenceError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(PresenceError::Closed { room: self.room.clone() });
        }
        let done = act(&mut inner.attendance, self.signal.now())?;
        self.tell(&mut inner, true);
        drop(inner);
        self.signal.wake.notify_one();
        Ok(done)
    }
}

impl<U: Shown, D: Shown> AnyPresence for SharedPresence<U, D> {
    fn room(&self) -> &Arc<str> {
        &self.room
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn type_name(&self) -> &'static str {
        type_name::<(U, D)>()
    }

    fn attach(&self, connection: u64, id: &str) {
        let mut inner = self.lock();
        if inner.connection != connection {
            inner.connection = connection;
            inner.attendance.connected(id.into());
        }
    }

    fn set_password(&self, password: &Secret) {
        self.lock().attendance.set_password(Some(password.clone()));
    }

    fn retry_join(&self) {
        self.lock().attendance.retry_join();
    }

    fn detach(&self) {
        let mut inner = self.lock();
        inner.attendance.disconnected();
        self.tell(&mut inner, false);
    }

    fn receive(&self, now: Duration, news: PresenceNews<'_>) {
        let mut inner = self.lock();
        let verdict = inner.attendance.receive(now, news);
        self.tell(&mut inner, false);
        drop(inner);
        if let Err(violation) = verdict {
            tracing::warn!(room = %self.room, %violation, "the server refuses what this client shows");
            self.errors.send_replace(Some(violation));
        }
    }

    fn tick(&self, now: Duration) {
        let mut inner = self.lock();
        let away = inner.attendance.is_away();
        inner.attendance.tick(now);
        if inner.attendance.is_away() != away {
            self.tell(&mut inner, true);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.lock().attendance.deadline()
    }

    fn poll_frame(&self, now: Duration) -> Option<Frame> {
        let frame = self.lock().attendance.poll_frame(now);
        if frame.is_some() {
            self.errors.send_if_modified(|error| error.take().is_some());
        }
        frame
    }

    fn end(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.attendance.disconnected();
        inner.events = None;
        drop(inner);
        self.seen.send_modify(|seen| (seen.live, seen.ended) = (false, true));
    }

    fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }
}

/// A client's part in a room's presence: what it shows of itself, and the others. Cheap to clone; with the last clone
/// and the last stream the client is gone for the others.
///
/// `U` is who somebody is, [`User`](crate::presence::User) say, and `D` what they do, their cursor say; both can be
/// any type that serde knows, and all who take part should agree on them. Nothing of it is stored, and nothing
/// waits for it: what changes often is sent often, of what changes faster than that the latest.
///
/// Works without a connection: the others are then those who were there last, see [`is_live`](Self::is_live).
pub struct Presence<U, D> {
    shared: Arc<SharedPresence<U, D>>,
    guard: Arc<Guard>,
}

impl Room {
    /// Takes part in the room's presence as `user`, showing `initial`. The room's state is not needed for it.
    ///
    /// A client takes part once in a room; asked again, this gives another handle, and `user` and `initial` are not
    /// looked at. If it cannot take part, see [`PresenceError`], the error is logged and the handle is a closed one,
    /// which shows nobody; [`try_presence`](Self::try_presence) tells.
    pub fn presence<U, D>(&self, user: U, initial: D) -> Presence<U, D>
    where
        U: Serialize + DeserializeOwned + Send + Sync + 'static,
        D: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let options = PresenceOptions::default();
        self.open(user, initial, options).unwrap_or_else(|(error, user, initial)| {
            tracing::error!(%error, "a presence that nobody sees");
            let json = || "null".to_owned();
            let (user, data) = ((user, json()), (initial, json()));
            let core = &self.guard.0;
            let attendance =
                PresenceClient::with_json(core.signal.now(), self.name.clone(), user, data, options);
            let shared = self.attend(attendance, options);
            shared.end();
            Presence::new(shared, self.guard.clone())
        })
    }

    /// [`presence`](Self::presence) with options, for those who want to know.
    ///
    /// # Errors
    /// The user or what is to be shown has no JSON form, the client takes part with other types already, no room can
    /// have this name, or the client has ended.
    pub fn try_presence<U, D>(
        &self,
        user: U,
        initial: D,
        options: PresenceOptions,
    ) -> Result<Presence<U, D>, PresenceError>
    where
        U: Serialize + DeserializeOwned + Send + Sync + 'static,
        D: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.open(user, initial, options).map_err(|(error, ..)| error)
    }

    fn open<U: Shown, D: Shown>(
        &self,
        user: U,
        data: D,
        options: PresenceOptions,
    ) -> Result<Presence<U, D>, (PresenceError, U, D)> {
        let room = self.name.clone();
        if !check_room_name(&room, Limits::default().room_name) {
            return Err((PresenceError::Name { name: room }, user, data));
        }
        let json = serde_json::to_string(&user).and_then(|user| Ok((user, serde_json::to_string(&data)?)));
        let (user_json, data_json) = match json {
            Ok(json) => json,
            Err(error) => return Err((PresenceError::Unsendable(error), user, data)),
        };
        let core = &self.guard.0;
        let mut rooms = lock(&core.rooms);
        if rooms.ended || core.is_closing() {
            return Err((PresenceError::Closed { room }, user, data));
        }
        let held = rooms.presences.get(&room).filter(|attendee| !attendee.is_abandoned());
        let shared = match held {
            Some(attendee) => match attendee.clone().into_any().downcast::<SharedPresence<U, D>>() {
                Ok(shared) => shared,
                Err(_) => {
                    let (held, asked) = (attendee.type_name(), type_name::<(U, D)>());
                    return Err((PresenceError::OtherType { room, held, asked }, user, data));
                }
            },
            None => {
                let (user, data) = ((user, user_json), (data, data_json));
                let now = core.signal.now();
                let shared =
                    self.attend(PresenceClient::with_json(now, room.clone(), user, data, options), options);
                rooms.passwords.get(&room).inspect(|password| shared.set_password(password));
                rooms.presences.insert(room, shared.clone());
                shared
            }
        };
        // Under the lock: the task forgets only those that nobody holds.
        let presence = Presence::new(shared, self.guard.clone());
        drop(rooms);
        core.signal.wake.notify_one();
        Ok(presence)
    }

    fn attend<U: Shown, D: Shown>(
        &self,
        attendance: PresenceClient<U, D>,
        options: PresenceOptions,
    ) -> Arc<SharedPresence<U, D>> {
        let (events, capacity, connection, closed) = (None, options.events.max(1), 0, false);
        Arc::new(SharedPresence {
            room: self.name.clone(),
            signal: self.guard.0.signal.clone(),
            handles: AtomicUsize::new(0),
            errors: watch::Sender::new(None),
            seen: watch::Sender::default(),
            inner: Mutex::new(Inner { attendance, events, capacity, connection, closed }),
        })
    }
}

impl<U, D> Presence<U, D> {
    fn new(shared: Arc<SharedPresence<U, D>>, guard: Arc<Guard>) -> Self {
        shared.handles.fetch_add(1, Ordering::AcqRel);
        Self { shared, guard }
    }
}

impl<U, D> Presence<U, D>
where
    U: Serialize + DeserializeOwned + Send + Sync + 'static,
    D: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// The room's name.
    #[must_use]
    pub fn room(&self) -> &Arc<str> {
        &self.shared.room
    }

    /// The other sessions that are present, in the order of their ids. Costs the list, not what is in it.
    #[must_use]
    pub fn others(&self) -> Vec<Peer<U, D>> {
        self.shared.lock().attendance.others().cloned().collect()
    }

    /// What this client shows.
    #[must_use]
    pub fn me(&self) -> Arc<D> {
        self.shared.lock().attendance.me().clone()
    }

    /// Who this client is.
    #[must_use]
    pub fn user(&self) -> Arc<U> {
        self.shared.lock().attendance.user().clone()
    }

    /// Everybody who is present, this client included unless it is hidden: one person with three tabs is one user with
    /// three sessions. [Who is a user](crate::presence).
    #[must_use]
    pub fn users(&self) -> Vec<UserSessions<U, D>> {
        self.shared.lock().attendance.users()
    }

    /// How many [users](Self::users) there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.users().len()
    }

    /// How many others are present whose user or data is not of these types: they are not shown.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.shared.lock().attendance.unreadable()
    }

    /// Shows something else. Counts as input.
    ///
    /// # Errors
    /// It has no JSON form, or the client has ended: nothing was changed. What the server refuses, because it is too
    /// long say, is among the [`errors`](Self::errors).
    pub fn set(&self, data: D) -> Result<(), PresenceError> {
        self.shared.write(|attendance, now| attendance.set(now, data))
    }

    /// Changes a copy of what this client shows, and shows it. `change` must not use a handle of the same presence.
    /// Counts as input.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn update(&self, change: impl FnOnce(&mut D)) -> Result<(), PresenceError>
    where
        D: Clone,
    {
        self.shared.write(|attendance, now| {
            let mut data = D::clone(attendance.me());
            change(&mut data);
            attendance.set(now, data)
        })
    }

    /// The user is there, though they show nothing new: they have scrolled, say. Ends their being away by itself.
    pub fn input(&self) {
        // Nobody is told of a closed one.
        let _ = self.shared.write(|attendance, now| {
            attendance.input(now);
            Ok(())
        });
    }

    /// Whether this client is kept from the others; it sees them all the same.
    ///
    /// # Errors
    /// The client has ended.
    pub fn set_hidden(&self, hidden: bool) -> Result<(), PresenceError> {
        self.shared.write(|attendance, _| {
            attendance.set_hidden(hidden);
            Ok(())
        })
    }

    /// Whether this client is kept from the others.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.shared.lock().attendance.is_hidden()
    }

    /// Whether the user is away, whatever their input.
    ///
    /// # Errors
    /// The client has ended.
    pub fn set_away(&self, away: bool) -> Result<(), PresenceError> {
        self.shared.write(|attendance, _| {
            attendance.set_away(away);
            Ok(())
        })
    }

    /// Whether the user is away: set so, or without input for [too long](PresenceOptions::away_after).
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.shared.lock().attendance.is_away()
    }

    /// Whether the others are those who are there now. Without a connection they are those who were there last.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.shared.lock().attendance.is_live()
    }

    /// Waits until the presence [is live](Self::is_live). `false` if the client has ended. Cancellation safe.
    pub async fn live(&self) -> bool {
        let mut seen = self.shared.seen.subscribe();
        // Fails only if the sender is gone, which this handle holds.
        seen.wait_for(|seen| seen.live || seen.ended).await.is_ok_and(|seen| seen.live)
    }

    /// What happens among the others from now on. If it is read too slowly the oldest are dropped, and
    /// [`Lagged`](PresenceEvent::Lagged) says how many. Takes part as long as it is kept; ends with the client.
    pub fn events(&self) -> Subscription<PresenceEvent<U, D>> {
        let receiver = {
            let mut inner = self.shared.lock();
            let capacity = inner.capacity;
            match inner.closed {
                true => broadcast::channel(1).1,
                false => inner.events.get_or_insert_with(|| broadcast::channel(capacity).0).subscribe(),
            }
        };
        subscription::broadcast(receiver, self.clone(), std::convert::identity, PresenceEvent::Lagged)
    }

    /// The others as they are now, and then each time that anything has changed, this client's own part included. If
    /// it is read too slowly it skips to the latest. Takes part as long as it is kept; ends with the client.
    pub fn watch(&self) -> Subscription<Vec<Peer<U, D>>> {
        let from = (self.clone(), self.shared.seen.subscribe(), true);
        Subscription::new(futures_util::stream::unfold(from, |(presence, mut seen, first)| async move {
            if !first {
                seen.changed().await.ok()?;
            }
            // Before they are read: a change after that is not missed.
            if seen.borrow_and_update().ended {
                return None;
            }
            Some((presence.others(), (presence, seen, false)))
        }))
    }

    /// Why the server refuses what this client shows, if it does.
    #[must_use]
    pub fn error(&self) -> Option<Violation> {
        self.shared.errors.borrow().clone()
    }

    /// What the server refuses now, if anything, and what it refuses then. If it is read too slowly it skips to the
    /// latest. Ends with the last handle.
    pub fn errors(&self) -> Subscription<Violation> {
        subscription::latest(self.shared.errors.subscribe(), Option::clone, |_| false)
    }

    /// This client's public name, by which the others know this session; `None` before the server has said it.
    #[must_use]
    pub fn id(&self) -> Option<ClientId> {
        lock(&self.guard.0.public).clone()
    }
}

impl<U, D> Clone for Presence<U, D> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone(), self.guard.clone())
    }
}

impl<U, D> Drop for Presence<U, D> {
    fn drop(&mut self) {
        if self.shared.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.signal.wake.notify_one();
        }
    }
}

impl<U, D> std::fmt::Debug for Presence<U, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence").field("room", &self.shared.room).finish_non_exhaustive()
    }
}
