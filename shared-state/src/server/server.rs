//! The [`Server`] handle: takes connections, and gives the program access to rooms.
//!
//! It performs the WebSocket handshake and spawns a [`Connection`] task for each socket; everything after that
//! belongs to the task, the directory and the rooms. Listeners are in [`serve`](super::serve).

use std::collections::BTreeSet;
use std::fmt;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{MethodRouter, get};
use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::upgrade::Parts;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::core::Code;
use crate::core::SharedState;
use crate::presence::{Present, is_known_by};
use crate::proto::Dialect;
use crate::proto::{ClientId, JSON, Limits, channel_address};
use crate::store::CloseError;

use crate::server::access::{Access, Handshake};
use crate::server::addresses::{Addresses, ClientAddress};
use crate::server::client_names::ClientNames;
use crate::server::connection::{Connection, Entry};
use crate::server::connections::Connections;
use crate::server::fanout::queue::{CloseReason, Queue, QueuedBytes};
use crate::server::origins::Origins;
use crate::server::presence::PresenceRooms;
use crate::server::rooms::channel_handle::Channel;
use crate::server::rooms::directory::{Directory, LiveRoom, OpenRoomError};
use crate::server::rooms::handle::State;
use crate::server::rooms::room::Room;
use crate::server::{ServerBuilder, upgrade};

/// A server of shared rooms, embedded in your program.
///
/// Configure it with [`Server::builder`]. Pass it connections with [`handler`](Self::handler), as a route of your own
/// axum router, or with [`serve`](Self::serve), on a listener of its own. Your program reads and writes a room's
/// state through [`room`](Self::room), sends in its channels through [`channel`](Self::channel), and puts users out
/// with [`kick`](Self::kick), [`ban`](Self::ban) and [`close_room`](Self::close_room). End it with
/// [`shutdown`](Self::shutdown).
///
/// A `Server` is a handle: cheap to clone, and all clones are the same server. Dropping the last clone does not end
/// open connections; [`shutdown`](Self::shutdown) does.
///
/// Rooms are opened on demand and stay in memory while a client has joined them or a handle of the program exists,
/// and for [`idle`](ServerBuilder::idle) after that.
///
/// # Example
/// ```no_run
/// use serde::{Deserialize, Serialize};
/// use shared_state::SharedState;
/// use shared_state::server::Server;
///
/// #[derive(SharedState, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
/// struct Document {
///     title: String,
/// }
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder().rooms("document-*", Document::default).build();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// let serving = tokio::spawn({
///     let server = server.clone();
///     async move { server.serve(listener).await }
/// });
///
/// // The program writes too; the receipt resolves when the change is durable.
/// let document = server.room::<Document>("document-1").await?;
/// document.set_title("Plans")?.await?;
///
/// server.shutdown().await?;
/// serving.await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) directory: Arc<Directory>,
    pub(super) presence_rooms: Arc<PresenceRooms>,
    pub(super) connections: Arc<Connections>,
    pub(super) queued: Arc<QueuedBytes>,
    pub(super) limits: Arc<Limits>,
    pub(super) access: Arc<Access>,
    pub(super) origins: Origins,
    pub(super) addresses: Arc<Addresses>,
    pub(super) client_address: ClientAddress,
    pub(super) closing: watch::Sender<bool>,
}

impl Server {
    /// A builder with the default configuration; see [`ServerBuilder`].
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// A handler that upgrades requests to WebSocket connections, for a route of your own axum router:
    /// `Router::new().route("/ws", server.handler())`.
    ///
    /// A request that is not a valid WebSocket upgrade is answered with an HTTP error, one from a page that may not
    /// connect ([`origins`](ServerBuilder::origins)) with 403, and a valid one during
    /// [`shutdown`](Self::shutdown) with 503.
    ///
    /// Logs and [`Handshake::peer`] have the client's address if the router is served with connect info of a
    /// [`SocketAddr`]. Set `TCP_NODELAY` on the listener's sockets, because messages are small.
    pub fn handler<T: Clone + Send + Sync + 'static>(&self) -> MethodRouter<T> {
        let server = self.clone();
        get(move |request: Request<Body>| ready(server.upgrade(request)))
    }

    /// Answers a request for a WebSocket upgrade, and spawns the task that serves the connection once it is upgraded.
    fn upgrade<B>(&self, mut request: Request<B>) -> Response<Body> {
        let upgrade::Offer { dialect, accept } = match upgrade::read(&request, &self.0.origins) {
            Ok(offer) => offer,
            Err((status, message)) => return answer(status, message),
        };
        let Ok(accept) = HeaderValue::try_from(accept) else {
            return answer(StatusCode::BAD_REQUEST, "the `Sec-WebSocket-Key` is wrong".to_owned());
        };
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        let asked = Handshake::of(&request, peer);
        let address = self.0.client_address.of(&asked);
        let counted = match address.map(|address| self.0.addresses.connect(address)).transpose() {
            Ok(counted) => counted,
            Err(crowded) => return answer(StatusCode::TOO_MANY_REQUESTS, crowded.to_string()),
        };
        let queue =
            Arc::new(Queue::new(self.0.limits.queue, self.0.limits.queue_bytes, self.0.queued.clone()));
        let Some(registration) = self.0.connections.register(queue.clone()) else {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down".to_owned());
        };
        let legacy_client = match dialect {
            Dialect::V1 => None,
            Dialect::Legacy => match ClientNames::random() {
                Ok(name) => Some(name),
                Err(error) => {
                    let message = format!("the system has no randomness: {error}");
                    return answer(StatusCode::SERVICE_UNAVAILABLE, message);
                }
            },
        };
        let span = {
            let client = tracing::field::Empty;
            tracing::info_span!("connection", peer = peer.map(tracing::field::display), ?dialect, client)
        };
        if let Some(client) = &legacy_client {
            span.record("client", &**client);
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let (directory, presence_rooms) = (self.0.directory.clone(), self.0.presence_rooms.clone());
        let limits = self.0.limits.clone();
        let access = self.0.access.clone();
        let task = async move {
            let (who, handshake) = match dialect {
                // A v1 client sends its token with its first message, so its user is identified then.
                Dialect::V1 => (Ok(None), Some(Box::new(asked))),
                // Boxed, so that the connection's task does not reserve memory for this future.
                Dialect::Legacy => (Box::pin(access.identify(asked)).await.map(Some), None),
            };
            let entry = Entry { access, who, handshake, legacy_client, address, counted };
            match upgrade.await {
                // A plain TCP stream is served directly, without the wrapper that hides the kind of I/O.
                Ok(upgraded) => match upgraded.downcast::<TokioIo<TcpStream>>() {
                    Ok(Parts { io, read_buf, .. }) => {
                        let io = (io.into_inner(), read_buf);
                        Connection::new(io, entry, queue, directory, presence_rooms, limits, registration)
                            .await
                            .run()
                            .await;
                    }
                    Err(upgraded) => {
                        let io = (TokioIo::new(upgraded), Bytes::new());
                        Connection::new(io, entry, queue, directory, presence_rooms, limits, registration)
                            .await
                            .run()
                            .await;
                    }
                },
                Err(error) => tracing::debug!("no upgrade: {error}"),
            }
        };
        tokio::spawn(task.instrument(span));

        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if dialect == Dialect::V1 {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(JSON));
        }
        response
    }

    /// Opens a room's state for the program, which reads and writes it with the server's permissions: it may also
    /// write fields that are read-only for clients.
    ///
    /// Loads the room from the store if it is not in memory; that takes time in proportion to the room's snapshot and
    /// the changes after it. The room stays in memory as long as the returned handle. A password, a limit of users
    /// and a ban do not apply to the program.
    ///
    /// Cancel safe: if the future is dropped, the room is loaded all the same and leaves memory when it has been
    /// idle.
    ///
    /// # Errors
    /// No pattern matches `name`, the room's state is not an `S`, the store cannot load the room, the room's settings
    /// or [`on_create`](crate::server::RoomHooks::on_create) failed, or the server is shutting down; see
    /// [`OpenRoomError`].
    pub async fn room<S: SharedState>(&self, name: &str) -> Result<S::Handle<State<S>>, OpenRoomError> {
        let room = self.0.directory.hold(name).await?;
        match State::new(room) {
            Ok(state) => Ok(state.into()),
            Err(room) => Err(OpenRoomError::WrongType {
                room: room.name().clone(),
                expected: std::any::type_name::<S>(),
                found: room.type_name(),
            }),
        }
    }

    /// Applies changed permissions in a room and its channels: for everyone in them, the
    /// [roles](ServerBuilder::roles) are asked again, and so is what [`authorize`](ServerBuilder::authorize) says
    /// about writing each field.
    ///
    /// Call it when the data behind those functions has changed. A client that may now read other fields is sent the
    /// state it may see, with the fields it gained and without those it lost. A client that may now write other
    /// fields is informed. Later changes are checked against the new permissions, including changes that were
    /// received and are still waiting for the room.
    ///
    /// Somebody who may no longer be in the room is not removed: [`kick`](Self::kick) them. Nothing happens if the
    /// room is not in memory, because permissions are asked at each join.
    ///
    /// Cost: linear in the number of rooms in memory, plus the calls of your functions for each session in this room.
    pub fn permissions_changed(&self, room: &str) {
        self.0.directory.with_channels(room).iter().for_each(Room::refresh_permissions);
    }

    /// The sessions in a room's presence now, hidden ones included. Returns a copy, so the cost is linear in their
    /// number.
    #[must_use]
    pub fn present(&self, room: &str) -> Vec<Present> {
        self.0.presence_rooms.present(room)
    }

    /// Removes a client or user from a room, its channels and its presence. They are sent [`Code::Kicked`] with
    /// `reason` and do not join again by themselves.
    ///
    /// `who` is a client's public id, or the id of a user in the room's presence; the latter removes every client
    /// that shows itself as that user.
    ///
    /// Returns how many of those clients are connected. A client that is connected but not in the room is counted and
    /// notices nothing.
    pub fn kick(&self, room: &str, who: &str, reason: &str) -> usize {
        self.eject(room, self.clients_of(room, who), &CloseReason::new(Code::Kicked, reason))
    }

    /// Like [`kick`](Self::kick), and refuses them with [`Code::Banned`] and `reason` when they come back before
    /// `time` has passed.
    ///
    /// The ban is recorded for `who`, which is compared with a client's public id and with the
    /// [`user_id`](ServerBuilder::user_id) of a connection, and for the clients that show themselves as that user in
    /// the room's presence. A server that does not [`authenticate`](ServerBuilder::authenticate) cannot recognise the
    /// same person with another client.
    ///
    /// Bans are held in memory and end with the process. A server holds at most 10,000 records, one per room and
    /// name; at the limit, a new one replaces the one that would end first.
    pub fn ban(&self, room: &str, who: &str, time: Duration, reason: &str) -> usize {
        let clients = self.clients_of(room, who);
        self.0.access.bans().ban(room, who, &clients, time, reason);
        self.eject(room, clients, &CloseReason::new(Code::Banned, reason))
    }

    /// Ends a ban before its time, given the name that was banned. Returns whether there was one.
    pub fn lift_ban(&self, room: &str, who: &str) -> bool {
        self.0.access.bans().lift(room, who)
    }

    /// Applies changed settings of a room: the program's [`room_settings`](ServerBuilder::room_settings) function is
    /// called again.
    ///
    /// A changed password or limit of users applies to those who come from now on; whoever is in the room stays.
    /// Clients in the room that asked for its details are sent them again. If the room is now
    /// [closed](crate::server::RoomSettings::closed), everyone is put out, as by [`close_room`](Self::close_room).
    ///
    /// Nothing happens if nobody is in the room and it is not in memory: the function is called when somebody comes.
    ///
    /// Cancel safe. If the future is dropped before it resolves, the new settings may not have been applied.
    ///
    /// # Errors
    /// [`OpenRoomError::Refused`] if the function returned an error, panicked or took longer than ten seconds. The
    /// previous settings stay in force.
    pub async fn settings_changed(&self, room: &str) -> Result<(), OpenRoomError> {
        let Some(access) = self.0.directory.accesses().opened(room) else { return Ok(()) };
        match access.reload_settings().await {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => {
                self.close_room(room, &reason).await;
                Ok(())
            }
            Err(violation) => Err(OpenRoomError::Refused { room: room.into(), violation }),
        }
    }

    /// Closes a room for now: puts everyone out of the room, its channels and its presence with [`Code::RoomClosed`]
    /// and `reason`, and unloads it. A [temporary](crate::server::RoomSettings::temporary) room ends with that.
    ///
    /// The future resolves when the room's last changes are durable, to the number of connections that were put out.
    /// Writes through the program's handles of the room fail with
    /// [`WriteError::Closed`](crate::core::WriteError::Closed) afterwards.
    ///
    /// A client that comes later opens the room again, unless its [settings](ServerBuilder::room_settings) say that
    /// it is closed.
    ///
    /// Closing begins with the call, not with the first poll, and continues if the future is dropped.
    ///
    /// # Panics
    /// If called outside of a tokio runtime.
    pub fn close_room(&self, room: &str, reason: &str) -> impl Future<Output = usize> + Send + use<> {
        let why = CloseReason::new(Code::RoomClosed, reason);
        let out = self.0.directory.accesses().opened(room).map_or(0, |access| access.end(&why));
        tracing::info!(room, out, reason, "a room is closed");
        let (directory, room) = (self.0.directory.clone(), room.to_owned());
        let closing = tokio::spawn(async move { directory.close_room(&room, &why).await });
        async move {
            // The task is not aborted, and the rooms' locks catch their panics, so joining it does not fail.
            let _ = closing.await;
            out
        }
    }

    /// The clients that `who` names: itself, and those that show themselves as that user in the room's presence.
    fn clients_of(&self, room: &str, who: &str) -> BTreeSet<ClientId> {
        let present = self.present(room).into_iter();
        let sessions =
            present.filter(|present| is_known_by(&present.user, who)).map(|present| present.client);
        sessions.chain([who.into()]).collect()
    }

    fn eject(&self, room: &str, clients: BTreeSet<ClientId>, why: &CloseReason) -> usize {
        tracing::info!(room, code = %why.code, ?clients, "put out of a room: {}", why.message);
        clients.iter().filter(|client| self.0.connections.eject(client, room, why)).count()
    }

    /// Opens a room's channel, for the program to send messages in. Loads the channel if it is not in memory.
    ///
    /// Cancel safe, as [`room`](Self::room).
    ///
    /// # Errors
    /// There is no such room, the room has no such channel, the store cannot load it, or the server is shutting down.
    pub async fn channel(&self, room: &str, channel: &str) -> Result<Channel, OpenRoomError> {
        self.0.directory.hold(&channel_address(room, channel)).await.map(Channel::new)
    }

    /// The rooms in memory, sorted by name, without their channels. Locks each room in turn.
    #[must_use]
    pub fn rooms(&self) -> Vec<LiveRoom> {
        self.0.directory.rooms()
    }

    /// How many rooms are in memory or being loaded, channels included.
    #[must_use]
    pub fn open_rooms(&self) -> usize {
        self.0.directory.len()
    }

    /// Ends the server: accepts no more connections, ends the open ones with [`Code::ShuttingDown`], waits until all
    /// changes in flight are durable, stores a snapshot of each room that has changed, and closes the store.
    ///
    /// Resolves when all of that is done. A client that does not read delays it by at most two seconds.
    ///
    /// If the future is dropped, the shutdown stops where it was; call the method again to complete it.
    ///
    /// # Errors
    /// The store was not closed cleanly. Acknowledged changes are durable all the same.
    pub async fn shutdown(&self) -> Result<(), CloseError> {
        tracing::info!("shutting down");
        self.0.closing.send_replace(true);
        let why = CloseReason::new(Code::ShuttingDown, "the server is shutting down; connect again");
        self.0.connections.close(&why).await;
        self.0.directory.close(&why).await;
        self.0.directory.store().close().await
    }
}

fn answer(status: StatusCode, message: String) -> Response<Body> {
    let mut response = Response::new(Body::from(message));
    *response.status_mut() = status;
    response
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("open_rooms", &self.open_rooms()).finish_non_exhaustive()
    }
}
