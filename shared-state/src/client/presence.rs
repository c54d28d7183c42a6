//! The presence of a room, as an app holds it and as the client's task drives it: a [`PresenceClient`] behind
//! a lock, and its listeners.

use std::any::{Any, type_name};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, watch};

use crate::client::checked_mutex::{CheckedMutex, Locked};
use crate::client::task::connection::{Connection, End};
use crate::client::task::shared::Guard;
use crate::client::task::slots::{AnyPresence, Signal};
use crate::client::{Room, Subscription, lock, subscription};
use crate::core::Code;
use crate::core::read_back::encode_checked;
use crate::presence::{Peer, PresenceClient, PresenceError, PresenceEvent, PresenceOptions, UserSessions};
use crate::proto::presence::PresenceNews;
use crate::proto::{ClientId, Limits, Secret, Violation, check_room_name};

struct SharedPresence<U, D> {
    room: Arc<str>,
    signal: Arc<Signal>,
    handles: AtomicUsize,
    errors: watch::Sender<Option<Violation>>,
    seen: watch::Sender<Seen>,
    inner: CheckedMutex<Inner<U, D>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    revision: u64,
    live: bool,
    refused: bool,
    ended: bool,
}

struct Inner<U, D> {
    presence: PresenceClient<U, D>,
    events: Option<broadcast::Sender<PresenceEvent<U, D>>>,
    capacity: usize,
    /// The connection over which it was last joined, counted from 1.
    connection: u64,
    closed: bool,
}

/// A user or data that presence can show: any type that serde can write and read.
trait PresenceData: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> PresenceData for T {}

impl<U: PresenceData, D: PresenceData> SharedPresence<U, D> {
    fn lock(&self) -> Locked<'_, Inner<U, D>> {
        self.inner.lock()
    }

    /// Passes the events on. Called with the lock held, so that every listener gets them in the same order.
    fn notify(&self, inner: &mut Inner<U, D>, own: bool) {
        let mut visible = own;
        while let Some(event) = inner.presence.poll_event() {
            visible = true;
            if inner.events.as_ref().is_some_and(|events| events.send(event).is_err()) {
                // The last stream was dropped.
                inner.events = None;
            }
        }
        let (live, refused) = (inner.presence.is_live(), inner.presence.is_refused());
        self.seen.send_if_modified(|seen| {
            seen.revision += u64::from(visible);
            let changed = (seen.live, seen.refused) != (live, refused);
            (seen.live, seen.refused) = (live, refused);
            visible | changed
        });
    }

    /// Changes what this client shows, and wakes the task.
    fn write<R>(
        &self,
        act: impl FnOnce(&mut PresenceClient<U, D>, Duration) -> Result<R, PresenceError>,
    ) -> Result<R, PresenceError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(PresenceError::Closed { room: self.room.clone() });
        }
        let done = act(&mut inner.presence, self.signal.now())?;
        self.notify(&mut inner, true);
        drop(inner);
        self.signal.wake.notify_one();
        Ok(done)
    }
}

impl<U: PresenceData, D: PresenceData> AnyPresence for SharedPresence<U, D> {
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    fn type_name(&self) -> &'static str {
        type_name::<(U, D)>()
    }

    fn is_one_too_many(&self) -> bool {
        self.errors.borrow().as_ref().is_some_and(|error| error.code == Code::TooManyRooms)
    }

    fn set_password(&self, password: &Secret) {
        self.lock().presence.set_password(Some(password.clone()));
    }

    fn retry_join(&self) {
        let mut inner = self.lock();
        inner.presence.retry_join();
        self.notify(&mut inner, false);
    }

    fn detach(&self) {
        let mut inner = self.lock();
        inner.presence.disconnected();
        self.notify(&mut inner, false);
    }

    fn receive(&self, now: Duration, news: PresenceNews<'_>) {
        let mut inner = self.lock();
        let verdict = inner.presence.receive(now, news);
        self.notify(&mut inner, false);
        drop(inner);
        if let Err(violation) = verdict {
            tracing::warn!(room = %self.room, %violation, "the server refused this client's presence");
            self.errors.send_replace(Some(violation));
        }
    }

    fn turn(&self, now: Duration, connection: &mut Connection) -> Result<Option<Duration>, End> {
        let mut inner = self.lock();
        let Some(welcome) = &connection.welcome else { return Ok(None) };
        if inner.connection != connection.number {
            inner.connection = connection.number;
            inner.presence.set_limits(welcome.limits);
            inner.presence.connected(welcome.id.clone());
            if let Err(violation) = inner.presence.check_limits(now) {
                self.errors.send_replace(Some(violation));
            }
            self.notify(&mut inner, false);
        }
        let away = inner.presence.is_away();
        inner.presence.tick(now);
        if inner.presence.is_away() != away {
            self.notify(&mut inner, true);
        }
        connection.send(|| {
            let frame = inner.presence.poll_frame(now)?;
            self.errors.send_if_modified(|error| error.take().is_some());
            Some(frame)
        })?;
        // While the socket is blocked, a due presence is sent once the socket accepts it.
        Ok(if connection.blocked { None } else { inner.presence.deadline() })
    }

    fn end(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.presence.disconnected();
        inner.events = None;
        drop(inner);
        self.seen.send_modify(|seen| (seen.live, seen.ended) = (false, true));
    }

    fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }
}

/// A client's presence in a room: what it shows of itself, and the others. Cheap to clone. When the last
/// clone and the last stream are dropped, this client leaves the presence.
///
/// `U` describes the user, for example a [`User`](crate::presence::User), and `D` is what the user does, for
/// example a cursor. Both can be any type that serde can write and read, and all participants should use the
/// same ones. Nothing is stored, and nothing waits for an answer. Data that changes faster than it is
/// [sent](PresenceOptions::throttle) is sent in its latest value.
///
/// Works without a connection: the others are then those that were present last, see
/// [`is_live`](Self::is_live).
pub struct Presence<U, D> {
    shared: Arc<SharedPresence<U, D>>,
    guard: Arc<Guard>,
}

impl Room {
    /// Joins the room's presence as `user`, showing `initial`. Does not need the room's state.
    ///
    /// A client joins a room's presence once. Further calls return handles of the same presence and ignore
    /// `user` and `initial`. If it cannot be joined (see [`PresenceError`]), the error is logged and the
    /// returned handle is closed: it shows nobody. Use [`try_presence`](Self::try_presence) where that can
    /// happen.
    pub fn presence<U, D>(&self, user: U, initial: D) -> Presence<U, D>
    where
        U: Serialize + DeserializeOwned + Send + Sync + 'static,
        D: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        let options = PresenceOptions::default();
        self.open(user, initial, options).unwrap_or_else(|(error, user, initial)| {
            tracing::error!(%error, "the presence could not be joined, so its handle is closed");
            let json = || "null".to_owned();
            let (user, data) = ((user, json()), (initial, json()));
            let core = &self.guard.0;
            let presence =
                PresenceClient::with_json(core.signal.now(), self.name.clone(), user, data, options);
            let shared = self.shared_presence(presence, options);
            shared.end();
            Presence::new(shared, self.guard.clone())
        })
    }

    /// As [`presence`](Self::presence), with options and an error.
    ///
    /// # Errors
    /// The user or the data has no JSON form, the client has joined with other types, the room's name is
    /// invalid, or the client has ended.
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

    fn open<U: PresenceData, D: PresenceData>(
        &self,
        user: U,
        data: D,
        options: PresenceOptions,
    ) -> Result<Presence<U, D>, (PresenceError, U, D)> {
        let room = self.name.clone();
        if !check_room_name(&room, Limits::default().room_name) {
            return Err((PresenceError::Name { name: room }, user, data));
        }
        let json = encode_checked(&user).and_then(|(user, _)| Ok((user, encode_checked(&data)?.0)));
        let (user_json, data_json) = match json {
            Ok(json) => json,
            Err(error) => return Err((PresenceError::Unsendable(error), user, data)),
        };
        let core = &self.guard.0;
        let mut rooms = lock(&core.rooms);
        if rooms.ended || core.is_closing() {
            return Err((PresenceError::Closed { room }, user, data));
        }
        let held = rooms.presences.get(&room).filter(|presence| !presence.is_abandoned());
        let shared = match held {
            Some(presence) => match presence.clone().into_any().downcast::<SharedPresence<U, D>>() {
                Ok(shared) => shared,
                Err(_) => {
                    let (held, asked) = (presence.type_name(), type_name::<(U, D)>());
                    return Err((PresenceError::OtherType { room, held, asked }, user, data));
                }
            },
            None => {
                let (user, data) = ((user, user_json), (data, data_json));
                let now = core.signal.now();
                let shared = self.shared_presence(
                    PresenceClient::with_json(now, room.clone(), user, data, options),
                    options,
                );
                rooms.passwords.get(&room).inspect(|password| shared.set_password(password));
                rooms.presences.insert(room, shared.clone());
                shared
            }
        };
        // The lock is still held, because the task removes presences that have no handle.
        let presence = Presence::new(shared, self.guard.clone());
        drop(rooms);
        core.signal.rooms_changed();
        Ok(presence)
    }

    fn shared_presence<U: PresenceData, D: PresenceData>(
        &self,
        presence: PresenceClient<U, D>,
        options: PresenceOptions,
    ) -> Arc<SharedPresence<U, D>> {
        let (events, capacity, connection, closed) = (None, options.events.max(1), 0, false);
        Arc::new(SharedPresence {
            room: self.name.clone(),
            signal: self.guard.0.signal.clone(),
            handles: AtomicUsize::new(0),
            errors: watch::Sender::new(None),
            seen: watch::Sender::default(),
            inner: CheckedMutex::new(Inner { presence, events, capacity, connection, closed }),
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

    /// The other sessions that are present, in the order of their ids. Costs the length of the list; the
    /// users and data are shared, not copied.
    #[must_use]
    pub fn others(&self) -> Vec<Peer<U, D>> {
        self.shared.lock().presence.others().cloned().collect()
    }

    /// The data that this client shows.
    #[must_use]
    pub fn me(&self) -> Arc<D> {
        self.shared.lock().presence.me().clone()
    }

    /// The user that this client shows.
    #[must_use]
    pub fn user(&self) -> Arc<U> {
        self.shared.lock().presence.user().clone()
    }

    /// Everyone who is present, by user; this client is included unless it is hidden. A person with three
    /// tabs is one user with three sessions, see [who is a user](crate::presence). Costs a sort of the
    /// sessions.
    #[must_use]
    pub fn users(&self) -> Vec<UserSessions<U, D>> {
        self.shared.lock().presence.users()
    }

    /// How many [users](Self::users) there are. Costs the same.
    #[must_use]
    pub fn count(&self) -> usize {
        self.users().len()
    }

    /// How many other sessions are not shown because their user or data is not of these types.
    #[must_use]
    pub fn unreadable(&self) -> usize {
        self.shared.lock().presence.unreadable()
    }

    /// Shows other data. Counts as input.
    ///
    /// # Errors
    /// The data has no JSON form, or the client has ended; nothing was changed. What the server refuses, for
    /// example because it is too long, is reported by [`errors`](Self::errors).
    pub fn set(&self, data: D) -> Result<(), PresenceError> {
        self.shared.write(|presence, now| presence.set(now, data))
    }

    /// Changes a copy of the data and shows it. Counts as input.
    ///
    /// # Panics
    /// If `change` uses a handle of the same presence.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn update(&self, change: impl FnOnce(&mut D)) -> Result<(), PresenceError>
    where
        D: Clone,
    {
        self.shared.write(|presence, now| {
            let mut data = D::clone(presence.me());
            change(&mut data);
            presence.set(now, data)
        })
    }

    /// Reports input of the user that changes no data, for example scrolling. Ends an [away](Self::is_away)
    /// that began by itself.
    pub fn input(&self) {
        // Fails only if the presence is closed; nobody is interested in input then.
        let _ = self.shared.write(|presence, now| {
            presence.input(now);
            Ok(())
        });
    }

    /// Hides this client from the others, or shows it again. It sees the others either way.
    ///
    /// # Errors
    /// The client has ended.
    pub fn set_hidden(&self, hidden: bool) -> Result<(), PresenceError> {
        self.shared.write(|presence, _| {
            presence.set_hidden(hidden);
            Ok(())
        })
    }

    /// Whether this client is hidden from the others.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.shared.lock().presence.is_hidden()
    }

    /// Marks the user as away, whatever their input, or ends that.
    ///
    /// # Errors
    /// The client has ended.
    pub fn set_away(&self, away: bool) -> Result<(), PresenceError> {
        self.shared.write(|presence, _| {
            presence.set_away(away);
            Ok(())
        })
    }

    /// Whether the user is away: marked so, or without input for [too long](PresenceOptions::away_after).
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.shared.lock().presence.is_away()
    }

    /// Whether the others are up to date. Without a connection they are those that were present last.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.shared.lock().presence.is_live()
    }

    /// Waits until the presence [is live](Self::is_live). Returns `false` if the client has ended, or if the
    /// server refuses this client for a reason that does not pass by itself: there is no such room, this
    /// client may not be present in it, or what it shows is too large; [`error`](Self::error) says which.
    /// While the room is full or needs another password, it waits. Cancel safe.
    pub async fn live(&self) -> bool {
        let mut seen = self.shared.seen.subscribe();
        // Fails only if the sender is dropped, and this handle holds it.
        seen.wait_for(|seen| seen.live || seen.refused || seen.ended).await.is_ok_and(|seen| seen.live)
    }

    /// The others' events from now on. If the stream is read too slowly the oldest are dropped, and
    /// [`Lagged`](PresenceEvent::Lagged) reports how many. Keeps this client present; ends with the client.
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

    /// The others now, and then each time that anything has changed, including what this client shows. A
    /// stream that is read too slowly skips to the latest. Keeps this client present; ends with the client.
    pub fn watch(&self) -> Subscription<Vec<Peer<U, D>>> {
        let from = (self.clone(), self.shared.seen.subscribe(), true);
        Subscription::new(futures_util::stream::unfold(from, |(presence, mut seen, first)| async move {
            if !first {
                seen.changed().await.ok()?;
            }
            // Marked before the others are read, so that a later change is not missed.
            if seen.borrow_and_update().ended {
                return None;
            }
            Some((presence.others(), (presence, seen, false)))
        }))
    }

    /// Why the server refused what this client shows, if it did.
    #[must_use]
    pub fn error(&self) -> Option<Violation> {
        self.shared.errors.borrow().clone()
    }

    /// The current error, if any, and then each further one. A stream that is read too slowly skips to the
    /// latest. Ends with the last handle.
    pub fn errors(&self) -> Subscription<Violation> {
        subscription::latest(self.shared.errors.subscribe(), Option::clone, |_| false)
    }

    /// This client's public id, by which the others know this session. `None` before the server has sent it.
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
            self.shared.signal.rooms_changed();
        }
    }
}

impl<U, D> std::fmt::Debug for Presence<U, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence").field("room", &self.shared.room).finish_non_exhaustive()
    }
}
