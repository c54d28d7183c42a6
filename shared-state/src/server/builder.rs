//! [`ServerBuilder`]: collects the configuration of a server and connects its parts.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::authority::PathChange;
use crate::core::{Roles, SharedState};
use crate::proto::Limits;
use crate::server::Server;
use crate::server::access::{Access, Action, Handshake};
use crate::server::addresses::{Addresses, ClientAddress};
use crate::server::client_names::ClientNames;
use crate::server::connections::Connections;
use crate::server::fanout::queue::QueuedBytes;
use crate::server::membership::settings::RoomSettings;
use crate::server::membership::{Ask, RoomAccessTable};
use crate::server::origins::Origins;
use crate::server::presence::PresenceRooms;
use crate::server::rooms::channel_kind::ChannelKind;
use crate::server::rooms::directory::Directory;
use crate::server::rooms::hooks::RoomHooks;
use crate::server::rooms::room_types::RoomTypes;
use crate::server::server::Inner;
use crate::store::{MemoryStore, RoomStore};

/// How long a room that nobody uses stays in memory, by default.
const IDLE: Duration = Duration::from_secs(60);

/// Configures a [`Server`].
///
/// | Setting | Default |
/// |---|---|
/// | [`store`](Self::store) | a [`MemoryStore`]: rooms end with the process |
/// | [`rooms`](Self::rooms), [`untyped_rooms`](Self::untyped_rooms) | none: every join is refused |
/// | [`channels`](Self::channels) | none |
/// | [`authenticate`](Self::authenticate), [`authorize`](Self::authorize) | everyone may connect and do everything |
/// | [`origins`](Self::origins) | pages of the server's own host, and clients that are no pages |
/// | [`roles`](Self::roles) | nobody has a role |
/// | [`room_settings`](Self::room_settings) | [`RoomSettings::new`]: no password, no limit of users |
/// | [`limits`](Self::limits) | [`Limits::default`] |
/// | [`idle`](Self::idle) | 60 s |
///
/// The functions given to [`authorize`](Self::authorize), [`valid_until`](Self::valid_until), [`roles`](Self::roles)
/// and [`user_id`](Self::user_id) take the user that [`authenticate`](Self::authenticate) returns, `()` without it.
/// One that takes another type is logged as an error when it is called: what it was asked about is refused, and
/// nobody has a role.
#[must_use = "a builder does nothing until `build`"]
pub struct ServerBuilder {
    store: Arc<dyn RoomStore>,
    room_types: RoomTypes,
    untyped: bool,
    limits: Limits,
    idle: Duration,
    access: Access,
    origins: Origins,
    client_address: ClientAddress,
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
            origins: Origins::default(),
            client_address: ClientAddress::default(),
            settings: None,
        }
    }

    /// Where rooms are stored. Default: a [`MemoryStore`], so that rooms end with the process.
    pub fn store(mut self, store: impl RoomStore) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// Rooms whose state is an `S`. A room of which nothing is stored begins with what `initial` returns. Every
    /// change is decoded as `S` and validated.
    ///
    /// `pattern` is a room's name, or a prefix followed by `*`, as in `"document-*"`. If several patterns match a
    /// name, the longest counts, and an exact name counts before any prefix. Of two equal patterns, the first counts.
    pub fn rooms<S: SharedState>(
        mut self,
        pattern: impl Into<String>,
        initial: impl Fn() -> S + Send + Sync + 'static,
    ) -> Self {
        self.room_types.add(pattern.into(), initial);
        self
    }

    /// Like [`rooms`](Self::rooms), with hooks: callbacks for who joins and leaves, and for each client's change; see
    /// [`RoomHooks`].
    ///
    /// A function `Fn(&S, &S, &Author) -> Result<(), E>` of the state before, the state after and the author is one,
    /// too: its error refuses the change.
    ///
    /// Cost: each client's change in such a room clones the state.
    pub fn rooms_with<S: SharedState>(
        mut self,
        pattern: impl Into<String>,
        initial: impl Fn() -> S + Send + Sync + 'static,
        hooks: impl RoomHooks<S>,
    ) -> Self {
        self.room_types.add_with(pattern.into(), initial, hooks);
        self
    }

    /// Channels whose messages are a `T`, in every room and with the default retention. Every message is decoded as
    /// `T`.
    ///
    /// `pattern` is a channel's name, or a prefix followed by `*`. For a channel of some rooms only, or with another
    /// retention, use [`channels`](Self::channels).
    pub fn channel<T: DeserializeOwned + 'static>(self, pattern: impl Into<String>) -> Self {
        self.channels(ChannelKind::of::<T>(pattern))
    }

    /// Adds a kind of channel: its names, its rooms, the type of its messages, and how many are retained; see
    /// [`ChannelKind`].
    ///
    /// If several kinds match a channel, the one with the longest pattern of rooms counts; among those, the one with
    /// the longest pattern of channels. A channel that no kind matches is refused with
    /// [`Code::UnknownChannel`](crate::core::Code::UnknownChannel).
    pub fn channels(mut self, kind: ChannelKind) -> Self {
        self.room_types.add_channel(kind);
        self
    }

    /// Whether rooms that no pattern matches may be opened; they hold any JSON object of at most [`Limits::state`]
    /// bytes. Default: no.
    pub fn untyped_rooms(mut self, allowed: bool) -> Self {
        self.untyped = allowed;
        self
    }

    /// Identifies the user of a connection from its [`Handshake`]: the HTTP request and the token that the client
    /// sends in its first message, if it sends one. Called again for each newer token that the client sends. Default:
    /// every user is `()`.
    ///
    /// An error closes the connection with [`Code::Unauthorized`](crate::core::Code::Unauthorized) and the error's
    /// text as the message. The function may take up to ten seconds, and only this connection waits for it; after
    /// that the connection is refused in the same way.
    pub fn authenticate<U, E, F>(mut self, who: impl Fn(Handshake) -> F + Send + Sync + 'static) -> Self
    where
        U: Send + Sync + 'static,
        E: fmt::Display,
        F: Future<Output = Result<U, E>> + Send + 'static,
    {
        self.access.authenticate_by(who);
        self
    }

    /// Which web pages may open a connection, by the header `Origin` of their request, whatever the dialect; see
    /// [`Origins`]. Default: pages of the server's own host (the header `Host`), and clients that send no `Origin`,
    /// which are not pages. A request from any other page is answered with 403, before
    /// [`authenticate`](Self::authenticate) is asked.
    ///
    /// This is what keeps a page of somebody else from acting with a visitor's cookies, which the browser sends along.
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Decides what a user may do in a room: `may` is called with the user that [`authenticate`](Self::authenticate)
    /// returned, the room's name and the [`Action`]. Default: everything is allowed.
    ///
    /// It is called when somebody joins a room, a channel or a presence, and for every path that they change, whatever
    /// the way it is written: by its own path, as a part of an item, an entry or a whole field, by a legacy client, by
    /// an undo, or by moving an item. The parts of a typed room's state are the fields of nested structs, items of
    /// lists and entries of maps; in an untyped room they are the members of objects, and the items of declared lists.
    /// So a rule that allows a path must allow what is inside it, too, where that may be changed. At the join, and when
    /// the program calls [`permissions_changed`](Server::permissions_changed), it is also called for every field of the
    /// room's struct, so that the client knows which fields it may not write.
    ///
    /// An error refuses the action with [`Code::Forbidden`](crate::core::Code::Forbidden) and the error's text as the
    /// message.
    ///
    /// The function runs under the room's lock: it must be quick and must not call the server.
    pub fn authorize<U: Send + Sync + 'static, E: fmt::Display>(
        mut self,
        may: impl Fn(&U, &str, Action<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.access.authorize_by(may);
        self
    }

    /// Decides about a change of the value at one path: as [`authorize`](Self::authorize) about
    /// [`Action::Write`](crate::server::Action::Write), with the values before and after at hand; see [`PathChange`].
    /// Asked in addition, for each path that `authorize` has allowed. Default: everything is allowed.
    ///
    /// ```
    /// use shared_state::server::{PathChange, Server};
    ///
    /// let server = Server::builder()
    ///     .untyped_rooms(true)
    ///     .authenticate(|request| async move { request.bearer().map(str::to_owned).ok_or("a token is needed") })
    ///     .authorize_change(|user: &String, _room: &str, change: &PathChange<'_>| {
    ///         match change.segments().iter().map(String::as_str).collect::<Vec<_>>()[..] {
    ///             // Whoever removes a card removes its votes; otherwise, votes are their voters'.
    ///             ["cards", _, "votes", voter] if voter != user && change.exists() => Err("this is another's vote"),
    ///             _ => Ok(()),
    ///         }
    ///     })
    ///     .build();
    /// ```
    ///
    /// The function runs under the room's lock: it must be quick and must not call the server. Cost in a typed room: an
    /// operation, such as an addition to a counter, reads its field twice.
    pub fn authorize_change<U: Send + Sync + 'static, E: fmt::Display>(
        mut self,
        may: impl Fn(&U, &str, &PathChange<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        self.access.authorize_change_by(may);
        self
    }

    /// Until when a user is valid, for example until their token expires. Called when a user has been identified; the
    /// client is told how long that is. Default, and for `None`: without end.
    ///
    /// A client that sends a newer token in time (`ClientBuilder::bearer_with`) stays connected:
    /// [`authenticate`](Self::authenticate) is called with that token and must return the same user, compared by
    /// [`user_id`](Self::user_id) if that is set. The user's permissions are then asked again.
    ///
    /// Otherwise the connection ends at that time with [`Code::Expired`](crate::core::Code::Expired), and the client
    /// reconnects and sends what is still unanswered. A user who is already expired is refused with
    /// [`Code::Unauthorized`](crate::core::Code::Unauthorized).
    pub fn valid_until<U: Send + Sync + 'static>(
        mut self,
        until: impl Fn(&U) -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Self {
        self.access.valid_until_by(until);
        self
    }

    /// Which roles a user has in a room, for fields that require one: `#[shared(write = "editor")]`, `#[shared(read =
    /// "dealer")]`. Called with the user that [`authenticate`](Self::authenticate) returned when they join, and again
    /// when the program calls [`permissions_changed`](Server::permissions_changed). Default: nobody has any role, so
    /// only the server writes, or reads, such a field.
    ///
    /// The function may run under the room's lock: it must be quick and must not call the server.
    pub fn roles<U: Send + Sync + 'static>(
        mut self,
        roles: impl Fn(&U, &str) -> Roles + Send + Sync + 'static,
    ) -> Self {
        self.access.roles_by(roles);
        self
    }

    /// The id by which the server recognises a user: in presence, for bans, for the limit of users, and when a token
    /// is renewed. Default: in presence, users are who they claim to be; elsewhere, each client is a user.
    ///
    /// A client's secret id is bound to its user: with the client id of somebody else, a user is another client, who
    /// can neither end the other's session nor use or read its changes. A user without `user_id` is its own id for
    /// this purpose if it is a string or an integer. Users of another type cannot be told apart then, so that their
    /// clients are protected by the secrecy of their ids alone; [`build`](Self::build) logs a warning.
    ///
    /// A connection that takes part in presence as another user is refused with
    /// [`Code::OtherUser`](crate::core::Code::OtherUser). The id is compared with the member `id`, a string or a
    /// number, of what the client sends as its user, or with all that it sends if that is a string or a number.
    pub fn user_id<U: Send + Sync + 'static>(
        mut self,
        id: impl Fn(&U) -> String + Send + Sync + 'static,
    ) -> Self {
        self.access.user_id_by(id);
        self
    }

    /// The settings of each room: password, limit of users, metadata, whether it is stored, whether it is closed; see
    /// [`RoomSettings`]. Default: [`RoomSettings::new`] for every room.
    ///
    /// Called with the room's name when somebody comes to a room that nobody is in and that is not in memory, and
    /// when the program calls [`settings_changed`](Server::settings_changed).
    ///
    /// The function may query a database: only those who want to enter that room wait for it, for ten seconds at
    /// most. If it fails, they are refused with [`Code::Unavailable`](crate::core::Code::Unavailable) and the error's
    /// text, and try again later. The program's own [`Server::room`] needs no password.
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

    /// The address of a client, for what is limited by address: connections, opened rooms and wrong passwords. Default: the
    /// address of the connection's other end, if it is known ([`Handshake::peer`]).
    ///
    /// Behind a proxy that is the proxy's own address, which all clients would share. Read the header then in which the
    /// proxy passes the client's address on, and only if nobody can reach the server around the proxy. With `None`
    /// nothing is limited by address.
    ///
    /// ```
    /// use shared_state::server::Server;
    ///
    /// // The last entry is the proxy's; what is before it may be a client's invention.
    /// let server = Server::builder().untyped_rooms(true).client_address(|request| {
    ///     request.header("x-forwarded-for")?.rsplit(',').next()?.trim().parse().ok()
    /// });
    /// ```
    pub fn client_address(
        mut self,
        address: impl Fn(&Handshake) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        self.client_address = ClientAddress::by(address);
        self
    }

    /// The limits of a connection, an address and a room. Default: [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How long a room that nobody uses stays in memory. Default: 60 s.
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// Makes the server. Starts no task and needs no runtime.
    #[must_use]
    pub fn build(mut self) -> Server {
        self.access.name_by(self.store.name_key().map_or_else(ClientNames::default, ClientNames::new));
        self.room_types.allow_untyped(self.untyped);
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
        Server(Arc::new(Inner {
            directory,
            presence_rooms,
            connections,
            queued: Arc::new(QueuedBytes::new(limits.queued_bytes)),
            addresses: Arc::new(Addresses::new(&limits)),
            client_address: self.client_address,
            limits,
            access: Arc::new(self.access),
            origins: self.origins,
            closing,
        }))
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
