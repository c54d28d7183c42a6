//! How a server is put together.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::core::{Roles, SharedState};
use crate::proto::Limits;
use crate::server::Server;
use crate::server::access::{Access, Action, Handshake};
use crate::server::connections::Connections;
use crate::server::membership::settings::RoomSettings;
use crate::server::membership::{Ask, RoomAccessTable};
use crate::server::presence::PresenceRooms;
use crate::server::rooms::channel_types::ChannelKind;
use crate::server::rooms::directory::Directory;
use crate::server::rooms::hooks::RoomHooks;
use crate::server::rooms::room_types::RoomTypes;
use crate::server::server::Inner;
use crate::store::{MemoryStore, RoomStore};

/// How long a room without anybody stays in memory if nothing else is said.
const IDLE: Duration = Duration::from_secs(60);

/// Configures a [`Server`]. Without a store the rooms end with the process.
#[must_use = "a builder does nothing until `build`"]
pub struct ServerBuilder {
    store: Arc<dyn RoomStore>,
    room_types: RoomTypes,
    untyped: bool,
    limits: Limits,
    idle: Duration,
    access: Access,
    settings: Option<Arc<Ask>>,
}

impl ServerBuilder {
    pub(super) fn new() -> Self {
        Self {
            store: Arc::new(MemoryStore::new()),
            room_types: RoomTypes::default(),
            untyped: false,
            limits: Limits::default(),
            idle: IDLE,
            access: Access::default(),
            settings: None,
        }
    }

    /// Where the rooms survive. Default: a [`MemoryStore`].
    pub fn store(mut self, store: impl RoomStore) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Rooms of type `S`, which begin as `initial` makes them: every change is decoded and checked.
    ///
    /// A pattern is a room's name, or the beginning of names and a `*`: `"document-*"`. If several match, the
    /// longest counts, and a whole name before a beginning.
    pub fn rooms<S: SharedState>(
        mut self,
        pattern: impl Into<String>,
        initial: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.room_types.add(pattern.into(), initial);
        self
    }

    /// Like [`rooms`](Self::rooms), with rules of the program's own about what happens there: who comes and goes, and
    /// what becomes of a client's change; see [`RoomHooks`]. A function of the state before, the state after and the
    /// author is one: what it returns as an error refuses the change. Each client's change of such a room costs a
    /// clone of its state.
    pub fn rooms_with<S: SharedState>(
        mut self,
        pattern: impl Into<String>,
        initial: impl Fn() -> S + Send + Sync + 'static,
        rules: impl RoomHooks<S>,
    ) -> Self {
        self.room_types.add_with(pattern.into(), initial, rules);
        self
    }

    /// Channels whose messages are a `T`: every message is decoded and checked. `pattern` is a channel's name, or the
    /// beginning of names and a `*`; it is for the channels of every room, and they have the default history. See
    /// [`ChannelKind`] for more, and [`channels`](Self::channels).
    pub fn channel<T: DeserializeOwned + 'static>(self, pattern: impl Into<String>) -> Self {
        self.channels(ChannelKind::of::<T>(pattern))
    }

    /// Which channels there are, beside those already said, how much of them is kept, and where. If several room_types
    /// match a channel, the one for the longest pattern of rooms counts, then that for the longest of channels. A
    /// room has no other channels: others are refused with
    /// [`Code::UnknownChannel`](crate::core::Code::UnknownChannel).
    pub fn channels(mut self, kind: ChannelKind) -> Self {
        self.room_types.add_channel(kind);
        self
    }

    /// Whether a room that no pattern matches can be opened: it then holds any JSON object. Default: no.
    pub fn untyped_rooms(mut self, allowed: bool) -> Self {
        self.untyped = allowed;
        self
    }

    /// Who is behind a connection, decided on the request it began with and on the token that its client says in its
    /// first message, if it does; and again on each newer token that it says. Default: nobody in particular, `()`.
    ///
    /// An error closes the connection with [`Code::Unauthorized`](crate::core::Code::Unauthorized) and what it says
    /// as the message. It may take its time, ten seconds at most; nobody waits for it but the connection itself.
    pub fn authenticate<U, E, F>(mut self, who: impl Fn(Handshake) -> F + Send + Sync + 'static) -> Self
    where
        U: Send + Sync + 'static,
        E: fmt::Display,
        F: Future<Output = Result<U, E>> + Send + 'static,
    {
        self.access.authenticate_by(who);
        self
    }

    /// What they may do: `may` is asked when somebody joins a room or its presence, and for every update they
    /// write, with the user that [`authenticate`](Self::authenticate) made. So that their client knows what it may
    /// not write, it is asked at the join about every field of the room's struct, too, and again when the program
    /// says that [rights have changed](Server::permissions_changed). An error refuses the action with
    /// [`Code::Forbidden`](crate::core::Code::Forbidden) and what it says as the message. Default: everything.
    ///
    /// It is called under the room's lock: it must be quick and must not call into the server.
    pub fn authorize<U: Send + Sync + 'static, E: fmt::Display>(
        mut self,
        may: impl Fn(&U, &str, Action<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.access.authorize_by(may);
        self
    }

    /// Until when a user that [`authenticate`](Self::authenticate) made is who they are: when the token they came
    /// with expires, say. Asked when a connection begins, and its client is told. One that says a newer token
    /// before then (`ClientBuilder::bearer_with`) goes on, with what [`authenticate`](Self::authenticate) makes of
    /// that: the same user, by [`user_id`](Self::user_id) where there is one, whose rights are asked again.
    /// Otherwise the connection is ended then with [`Code::Expired`](crate::core::Code::Expired), whatever it
    /// is doing, and its client connects again, with everything that was not yet answered. A user who has expired
    /// already is refused with [`Code::Unauthorized`](crate::core::Code::Unauthorized). `None`, and the
    /// default: for ever.
    pub fn valid_until<U: Send + Sync + 'static>(
        mut self,
        until: impl Fn(&U) -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Self {
        self.access.valid_until_by(until);
        self
    }

    /// Which roles they have in a room, for the fields that ask for one by `#[shared(write = "editor")]` or
    /// `#[shared(read = "dealer")]`: asked when somebody joins, with the user that
    /// [`authenticate`](Self::authenticate) made, and when the program says that [rights have
    /// changed](Server::permissions_changed). Default: nobody has any, so that such a field is written, or read, by the
    /// server alone.
    ///
    /// It may be called under the room's lock: it must be quick and must not call into the server.
    pub fn roles<U: Send + Sync + 'static>(
        mut self,
        roles: impl Fn(&U, &str) -> Roles + Send + Sync + 'static,
    ) -> Self {
        self.access.roles_by(roles);
        self
    }

    /// The id of a user in presence: who takes part in a room's presence as somebody else is refused with
    /// [`Code::OtherUser`](crate::core::Code::OtherUser). It is the member `id` of what a client says of its user, a
    /// string or a number, or all that it says. Default: users are who they say they are.
    pub fn user_id<U: Send + Sync + 'static>(
        mut self,
        id: impl Fn(&U) -> String + Send + Sync + 'static,
    ) -> Self {
        self.access.user_id_by(id);
        self
    }

    /// What there is to say of a room: a password, how many users it takes, metadata, whether it is stored, whether it is
    /// closed. Asked with the room's name when somebody comes to a room that nobody is in and that is not in memory, and
    /// when the program says that the [settings have changed](Server::settings_changed). Default:
    /// [`RoomSettings::new`].
    ///
    /// It may look into the program's database: those who want to be in that room wait for it, ten seconds at most. An
    /// error keeps them out with [`Code::Unavailable`](crate::core::Code::Unavailable) and what it says, so that
    /// they try again after a while. The server's own program opens rooms whatever their password.
    ///
    /// ```
    /// use shared_state::server::{RoomSettings, Server};
    ///
    /// let server = Server::builder()
    ///     .untyped_rooms(true)
    ///     .room_settings(|room| async move {
    ///         let private = room.starts_with("private-");
    ///         Ok::<_, std::io::Error>(RoomSettings::new().max_users(if private { 2 } else { 50 }))
    ///     })
    ///     .build();
    /// ```
    pub fn room_settings<E, F>(mut self, settings: impl Fn(Arc<str>) -> F + Send + Sync + 'static) -> Self
    where
        E: fmt::Display,
        F: Future<Output = Result<RoomSettings, E>> + Send + 'static,
    {
        self.settings = Some(Arc::new(move |room| {
            let settings = settings(room);
            Box::pin(async move { settings.await.map_err(|error| error.to_string()) })
        }));
        self
    }

    /// What a connection and a room may cost.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a room that nobody is in stays in memory. Default: 60 s.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// The server. It has no task of its own until it is used.
    #[must_use]
    pub fn build(mut self) -> Server {
        self.room_types.allow_untyped(self.untyped, self.limits.state);
        let limits = Arc::new(self.limits);
        let directory = Directory::new(
            self.room_types,
            self.store,
            limits.clone(),
            self.idle,
            RoomAccessTable::new(self.settings),
        );
        let connections = Arc::new(Connections::new());
        let presence_rooms = PresenceRooms::new(&limits);
        let closing = watch::Sender::new(false);
        let access = Arc::new(self.access);
        Server(Arc::new(Inner { directory, presence_rooms, connections, limits, access, closing }))
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("untyped", &self.untyped)
            .field("limits", &self.limits)
            .field("idle", &self.idle)
            .finish_non_exhaustive()
    }
}
