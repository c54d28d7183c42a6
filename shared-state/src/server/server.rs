//! The server, as a program holds it: connections are taken here, and rooms are reached from here.

use std::collections::BTreeSet;
use std::convert::Infallible;
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
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::Instrument as _;

use crate::core::Code;
use crate::core::SharedState;
use crate::presence::{Present, is_known_by};
use crate::proto::Dialect;
use crate::proto::{ClientId, JSON, Limits, channel_address};
use crate::store::CloseError;

use crate::server::access::{Access, Handshake};
use crate::server::connection::{Connection, Entry};
use crate::server::connections::Connections;
use crate::server::fanout::queue::{CloseReason, Queue};
use crate::server::presence::PresenceRooms;
use crate::server::rooms::channel_handle::Channel;
use crate::server::rooms::directory::{Directory, LiveRoom, OpenRoomError};
use crate::server::rooms::handle::State;
use crate::server::rooms::room::Room;
use crate::server::{ServerBuilder, upgrade};

/// How long a client may take to send its request.
const REQUEST: Duration = Duration::from_secs(10);

/// How long to wait when no connection can be accepted, for want of file descriptors say.
const PAUSE: Duration = Duration::from_millis(100);

/// A server of shared rooms. Cheap to clone; all clones are the same server.
#[derive(Clone)]
pub struct Server(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) directory: Arc<Directory>,
    pub(super) presence_rooms: Arc<PresenceRooms>,
    pub(super) connections: Arc<Connections>,
    pub(super) limits: Arc<Limits>,
    pub(super) access: Arc<Access>,
    pub(super) closing: watch::Sender<bool>,
}

impl Server {
    /// A server to be configured.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::new()
    }

    /// A handler for a route of the application's own router:
    /// `Router::new().route("/ws", server.handler())`.
    ///
    /// The log names the peer if the router is served with connect info of a [`SocketAddr`]. Set `TCP_NODELAY` on
    /// the listener's sockets: the messages are small.
    pub fn handler<T: Clone + Send + Sync + 'static>(&self) -> MethodRouter<T> {
        let server = self.clone();
        get(move |request: Request<Body>| ready(server.upgrade(request)))
    }

    /// Accepts connections and serves the path `/ws`, until [`shutdown`](Self::shutdown).
    ///
    /// Cancel safe: dropping the future stops accepting, and connections go on.
    pub async fn serve(&self, listener: TcpListener) {
        let mut closing = self.0.closing.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // The sender is in `self`, so this does not fail.
                _ = closing.wait_for(|closing| *closing) => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    tokio::spawn(self.clone().serve_stream(stream, peer));
                }
                Err(error) => {
                    tracing::warn!("no connection could be accepted: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn serve_stream(self, stream: TcpStream, peer: SocketAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, "TCP_NODELAY was not set: {error}");
        }
        let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            ready(Ok::<_, Infallible>(match request.uri().path() {
                "/ws" => self.upgrade(request),
                _ => answer(StatusCode::NOT_FOUND, "the path is `/ws`".to_owned()),
            }))
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        if let Err(error) = connection.await {
            tracing::debug!(%peer, "no request: {error}");
        }
    }

    /// Answers a request for a WebSocket, and serves it once the answer is sent.
    fn upgrade<B>(&self, mut request: Request<B>) -> Response<Body> {
        let upgrade::Offer { dialect, accept } = match upgrade::read(&request) {
            Ok(offer) => offer,
            Err((status, message)) => return answer(status, message),
        };
        let Ok(accept) = HeaderValue::try_from(accept) else {
            return answer(StatusCode::BAD_REQUEST, "the `Sec-WebSocket-Key` is wrong".to_owned());
        };
        let queue = Arc::new(Queue::new(self.0.limits.queue));
        let Some(registration) = self.0.connections.register(queue.clone()) else {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down".to_owned());
        };
        let hook = match dialect {
            Dialect::V1 => None,
            Dialect::Legacy => match getrandom::u64() {
                Ok(random) => Some(ClientId::from(format!("{random:016x}"))),
                Err(error) => {
                    let message = format!("the system has no randomness: {error}");
                    return answer(StatusCode::SERVICE_UNAVAILABLE, message);
                }
            },
        };
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        let asked = Handshake::of(&request, peer);
        let span = {
            let client = tracing::field::Empty;
            tracing::info_span!("connection", peer = peer.map(tracing::field::display), ?dialect, client)
        };
        if let Some(client) = &hook {
            span.record("client", &**client);
        }
        let upgrade = hyper::upgrade::on(&mut request);
        let (directory, presence_rooms) = (self.0.directory.clone(), self.0.presence_rooms.clone());
        let limits = self.0.limits.clone();
        let access = self.0.access.clone();
        let task = async move {
            let (who, handshake) = match dialect {
                // What its client says of its user comes with its first message.
                Dialect::V1 => (Ok(None), Some(Box::new(asked))),
                // Boxed, so that the connection's task does not keep room for it.
                Dialect::Legacy => (Box::pin(access.identify(asked)).await.map(Some), None),
            };
            let entry = Entry { access, who, handshake, hook };
            match upgrade.await {
                // Bare TCP is served without what makes all room_types of I/O alike.
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

    /// A room's state, for the server's own program: it reads it, and writes it with the server's rights, also the
    /// fields that are read-only for clients.
    ///
    /// Opens the room if need be. Cancel safe.
    ///
    /// # Errors
    /// No room of this name can be opened, its state has another type, or the store cannot give it.
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

    /// What somebody may do in this room, or in its channels, is no longer what it was: of everybody who is there, the
    /// [roles](ServerBuilder::roles) are asked again, and what [`authorize`](ServerBuilder::authorize) says of writing.
    /// Who may now read other fields than before is sent the state as they may see it, with the fields that came and
    /// without those that went; who may write other fields is told so. Changes are decided by the new rights from here
    /// on, those that waited at their writer among them.
    ///
    /// Who may not be there any more is not put out by this: [`kick`](Self::kick) them. Nothing happens if the room is
    /// not in memory: rights are asked at each join. Costs a look at each room in memory.
    pub fn permissions_changed(&self, room: &str) {
        self.0.directory.with_channels(room).iter().for_each(Room::ask_rights_again);
    }

    /// Who takes part in a room's presence now, those too who are not shown to others. Costs a copy of the list.
    #[must_use]
    pub fn present(&self, room: &str) -> Vec<Present> {
        self.0.presence_rooms.present(room)
    }

    /// Puts somebody out of a room, its channels and its presence: they are told with [`Code::Kicked`] and `reason`, and
    /// do not come back by themselves. `who` is a client's public name, or the id of a user in the room's presence.
    /// Gives how many connections that is; one that has not joined the room notices nothing.
    pub fn kick(&self, room: &str, who: &str, reason: &str) -> usize {
        self.put_out(room, self.clients_of(room, who), &CloseReason::new(Code::Kicked, reason))
    }

    /// As [`kick`](Self::kick), and for `time` whoever it is is not let in again, with [`Code::Banned`] and `reason`.
    /// What is banned is `who`, as a client and as the [`user_id`](ServerBuilder::user_id) of a connection, and the
    /// clients that showed themselves as that user. A server that does not
    /// [`authenticate`](ServerBuilder::authenticate) lets the same person in as another client. A server remembers
    /// 10,000 bans, those that end last, and not beyond its own end.
    pub fn ban(&self, room: &str, who: &str, time: Duration, reason: &str) -> usize {
        let clients = self.clients_of(room, who);
        self.0.access.doors().ban(room, who, &clients, time, reason);
        self.put_out(room, clients, &CloseReason::new(Code::Banned, reason))
    }

    /// Ends a ban before its time, by the name that was banned; says whether there was one.
    pub fn lift_ban(&self, room: &str, who: &str) -> bool {
        self.0.access.doors().lift(room, who)
    }

    /// What is said of a room is no longer what it was: the program is [asked](ServerBuilder::room_settings) again. Another
    /// password or number of users is for those who come from here on; whoever is in stays. Those in its state are told
    /// its metadata. If it is now [closed](RoomSettings::closed), everybody is put out, as by
    /// [`close_room`](Self::close_room).
    ///
    /// Nothing happens if nobody is in the room and it is not in memory: the program is asked when somebody comes.
    /// Cancel safe, and dropped before the end it may not have happened.
    ///
    /// # Errors
    /// The program's function failed, or took longer than ten seconds: what was said of the room still holds.
    pub async fn settings_changed(&self, room: &str) -> Result<(), OpenRoomError> {
        let Some(house) = self.0.directory.accesses().opened(room) else { return Ok(()) };
        match house.retry_join().await {
            Ok(None) => Ok(()),
            Ok(Some(reason)) => {
                self.close_room(room, &reason).await;
                Ok(())
            }
            Err(violation) => Err(OpenRoomError::Refused { room: room.into(), violation }),
        }
    }

    /// Ends a room for now: everybody is put out of it, its channels and its presence, with [`Code::RoomClosed`] and
    /// `reason`, and it leaves memory, where a [temporary](RoomSettings::temporary) one ends. Resolves when its last
    /// changes are durable; gives how many connections were put out. The server's own handles of it are of no more use.
    ///
    /// Who comes afterwards opens the room anew, unless its [settings](ServerBuilder::room_settings) say that it is
    /// closed. Begins when this is called, and goes on if the future is dropped.
    ///
    /// # Panics
    /// Called outside of a tokio runtime.
    pub fn close_room(&self, room: &str, reason: &str) -> impl Future<Output = usize> + Send + use<> {
        let why = CloseReason::new(Code::RoomClosed, reason);
        let out = self.0.directory.accesses().opened(room).map_or(0, |house| house.end(&why));
        tracing::info!(room, out, reason, "a room is closed");
        let (directory, room) = (self.0.directory.clone(), room.to_owned());
        let closing = tokio::spawn(async move { directory.close_room(&room, &why).await });
        async move {
            // It is not aborted, and what it does has caught its panics.
            let _ = closing.await;
            out
        }
    }

    /// The names that somebody has in a room.
    fn clients_of(&self, room: &str, who: &str) -> BTreeSet<ClientId> {
        let present = self.present(room).into_iter();
        let sessions =
            present.filter(|present| is_known_by(&present.user, who)).map(|present| present.client);
        sessions.chain([who.into()]).collect()
    }

    fn put_out(&self, room: &str, clients: BTreeSet<ClientId>, why: &CloseReason) -> usize {
        tracing::info!(room, code = %why.code, ?clients, "put out of a room: {}", why.message);
        clients.iter().filter(|client| self.0.connections.eject(client, room, why)).count()
    }

    /// A room's channel, for the server's own program to speak in. Opens it if need be. Cancel safe.
    ///
    /// # Errors
    /// There is no such room, it has no such channel, or the store cannot give it.
    pub async fn channel(&self, room: &str, channel: &str) -> Result<Channel, OpenRoomError> {
        self.0.directory.hold(&channel_address(room, channel)).await.map(Channel::new)
    }

    /// The rooms that are in memory, by name, without their channels. Costs a look at each.
    #[must_use]
    pub fn rooms(&self) -> Vec<LiveRoom> {
        self.0.directory.rooms()
    }

    /// How many rooms are in memory, channels among them.
    #[must_use]
    pub fn open_rooms(&self) -> usize {
        self.0.directory.len()
    }

    /// Ends the server: accepts nothing more, tells every connection, waits until the changes on their way are
    /// durable, stores a snapshot of each room that has changed, and closes the store.
    ///
    /// Resolves when all is done; a connection that does not listen holds it up for two seconds at most. Dropped
    /// before, the server stays as far as it was; it may be called again.
    ///
    /// # Errors
    /// The store was not closed cleanly. What was acknowledged is durable all the same.
    pub async fn shutdown(&self) -> Result<(), CloseError> {
        tracing::info!("shutting down");
        self.0.closing.send_replace(true);
        let goodbye = CloseReason::new(Code::ShuttingDown, "the server is shutting down; connect again");
        self.0.connections.close(&goodbye).await;
        self.0.directory.close(&goodbye).await;
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
