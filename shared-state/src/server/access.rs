//! Authentication and authorization: wraps the program's functions and asks them.
//!
//! [`Access`] holds the functions given to the [`ServerBuilder`](crate::server::ServerBuilder), with the type of the
//! user erased, and the list of bans. An [`Identity`] is one authenticated user. Called by connections at the
//! handshake, at a token renewal and at each join, and by rooms through [`Permissions`] for each update.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{self, AsHeaderName, HeaderMap};
use hyper::{Request, Uri};
use tokio::time::timeout;

use crate::authority::{PathChange, Permissions};
use crate::core::Code;
use crate::core::Roles;
use crate::proto::{ClientId, Secret, Violation, split_address};
use crate::server::client_names::ClientNames;
use crate::server::membership::bans::BanList;

/// The longest time that `authenticate` may take.
const AUTHENTICATE_TIMEOUT: Duration = Duration::from_secs(10);

/// What [`authenticate`](crate::server::ServerBuilder::authenticate) decides on: the HTTP request a connection began
/// with, and the token that its client sent.
///
/// When a client sends a newer token over an open connection, `authenticate` is called again with a handshake that
/// holds that token, the path and the peer's address. Headers and query are absent then, because they are as old as
/// the connection.
#[derive(Clone)]
pub struct Handshake {
    headers: HeaderMap,
    uri: Uri,
    peer: Option<SocketAddr>,
    token: Option<String>,
}

impl fmt::Debug for Handshake {
    /// Shows the path and the peer. Headers, query and token may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("path", &self.path())
            .field("peer", &self.peer)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .finish_non_exhaustive()
    }
}

impl Handshake {
    pub(super) fn of<B>(request: &Request<B>, peer: Option<SocketAddr>) -> Self {
        Self { headers: request.headers().clone(), uri: request.uri().clone(), peer, token: None }
    }

    /// The same handshake with the token that the client sent.
    pub(super) fn with_token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    /// The handshake for later tokens: without headers and query, whose credentials are out of date by then.
    pub(super) fn rest(&self) -> Self {
        let uri = self.uri.path().parse().unwrap_or_default();
        Self { headers: HeaderMap::new(), uri, peer: self.peer, token: None }
    }

    /// The client's address, if it is known: see [`Server::handler`](crate::server::Server::handler).
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The request's path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// A header's value; `None` if the header is absent or is not visible ASCII.
    #[must_use]
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The token that the client sent in a message: in its first one, which is how browsers send it, since they
    /// cannot set headers, or later, to renew a token that expires.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The token that the client [sent in a message](Self::token), or else the one of an `Authorization: Bearer`
    /// header.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        if let Some(token) = self.token() {
            return Some(token);
        }
        let (scheme, token) = self.header(header::AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// The value of a query parameter, as in `/ws?token=..`. It is not percent-decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let pairs = self.uri.query()?.split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A cookie's value, as it is in the header.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.header(header::COOKIE)?.split(';');
        cookies
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

/// What a user wants to do in a room, given to [`authorize`](crate::server::ServerBuilder::authorize).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// Join the room and read its state.
    Join,
    /// Take part in the room's presence: see who is there and be seen. Asked after [`Join`](Self::Join).
    Presence,
    /// Write at this path: a field's name, or a path inside a field. Asked about each path that a change changes,
    /// however it is written: for an item that is put as a whole, about the item, and about each part of it that is
    /// then different, was added or is gone, such as `cards/7`, `cards/7/votes` and `cards/7/votes/bob`.
    Write(&'a str),
    /// Join the room's channel of this name and read its messages. Asked after [`Join`](Self::Join).
    Channel(&'a str),
    /// Send messages or broadcasts in the room's channel of this name.
    Send(&'a str),
    /// Have a message of this type, one of the app's own, [relayed](crate::proto::Limits::relays) to the room's other
    /// legacy clients. Asked after [`Join`](Self::Join).
    Relay(&'a str),
}

/// The user that `authenticate` returned, with its type erased.
type User = dyn Any + Send + Sync;

type Future<T> = Pin<Box<dyn std::future::Future<Output = T> + Send>>;
type Authenticate = dyn Fn(Handshake) -> Future<Result<Arc<User>, String>> + Send + Sync;
type Authorize = dyn Fn(&User, &str, Action<'_>) -> Result<(), String> + Send + Sync;
type AuthorizeChange = dyn Fn(&User, &str, &PathChange<'_>) -> Result<(), String> + Send + Sync;
type UserId = dyn Fn(&User) -> Result<String, String> + Send + Sync;
type ValidUntil = dyn Fn(&User) -> Result<Option<SystemTime>, String> + Send + Sync;
type RolesOf = dyn Fn(&User, &str) -> Roles + Send + Sync;

/// The program's functions about users, and the bans.
#[derive(Default)]
pub(super) struct Access {
    names: ClientNames,
    bans: BanList,
    authenticate: Option<Box<Authenticate>>,
    /// Whether the users that `authenticate` returns are ids themselves, by their type.
    user_is_id: bool,
    authorize: Option<Box<Authorize>>,
    authorize_change: Option<Box<AuthorizeChange>>,
    user_id: Option<Box<UserId>>,
    valid_until: Option<Box<ValidUntil>>,
    roles: Option<Box<RolesOf>>,
}

impl Access {
    /// Sets how clients are named.
    pub(super) fn name_by(&mut self, names: ClientNames) {
        self.names = names;
        if self.authenticate.is_some() && self.user_id.is_none() && !self.user_is_id {
            tracing::warn!(
                "`authenticate` without `user_id`: client ids are not bound to their users; set `user_id`"
            );
        }
    }

    pub(super) fn authenticate_by<U, E, F>(&mut self, who: impl Fn(Handshake) -> F + Send + Sync + 'static)
    where
        U: Send + Sync + 'static,
        E: fmt::Display,
        F: std::future::Future<Output = Result<U, E>> + Send + 'static,
    {
        self.user_is_id = is_id::<U>();
        self.authenticate = Some(Box::new(move |handshake| {
            let known = who(handshake);
            Box::pin(async move {
                match known.await {
                    Ok(user) => Ok(Arc::new(user) as Arc<User>),
                    Err(error) => Err(error.to_string()),
                }
            })
        }));
    }

    pub(super) fn authorize_by<U: Send + Sync + 'static, E: fmt::Display>(
        &mut self,
        may: impl Fn(&U, &str, Action<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) {
        self.authorize = Some(Box::new(move |user, room, action| {
            may(known(user, "authorize")?, room, action).map_err(|error| error.to_string())
        }));
    }

    pub(super) fn authorize_change_by<U: Send + Sync + 'static, E: fmt::Display>(
        &mut self,
        may: impl Fn(&U, &str, &PathChange<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) {
        self.authorize_change = Some(Box::new(move |user, room, change| {
            may(known(user, "authorize_change")?, room, change).map_err(|error| error.to_string())
        }));
    }

    pub(super) fn user_id_by<U: Send + Sync + 'static>(
        &mut self,
        id: impl Fn(&U) -> String + Send + Sync + 'static,
    ) {
        self.user_id = Some(Box::new(move |user| known(user, "user_id").map(&id)));
    }

    pub(super) fn valid_until_by<U: Send + Sync + 'static>(
        &mut self,
        until: impl Fn(&U) -> Option<SystemTime> + Send + Sync + 'static,
    ) {
        self.valid_until = Some(Box::new(move |user| known(user, "valid_until").map(&until)));
    }

    pub(super) fn roles_by<U: Send + Sync + 'static>(
        &mut self,
        roles: impl Fn(&U, &str) -> Roles + Send + Sync + 'static,
    ) {
        // A user of another type than the function takes has no role.
        self.roles = Some(Box::new(move |user, room| {
            known(user, "roles").map_or(Roles::NONE, |user| roles(user, room))
        }));
    }

    /// Calls `authenticate`, and refuses a user that is already expired.
    pub(super) async fn identify(self: &Arc<Self>, handshake: Handshake) -> Result<Identity, String> {
        let user: Arc<User> = match &self.authenticate {
            Some(authenticate) => timeout(AUTHENTICATE_TIMEOUT, authenticate(handshake))
                .await
                .unwrap_or_else(|_| Err("the server took too long to find out who this is".to_owned()))?,
            None => Arc::new(()),
        };
        let identity = Identity { user, access: self.clone() };
        match identity.time_left()? {
            Some(Duration::ZERO) => Err("what identifies the user has expired".to_owned()),
            _ => Ok(identity),
        }
    }

    /// The bans of this server.
    pub(super) fn bans(&self) -> &BanList {
        &self.bans
    }
}

/// Calls `$visit` with each type of user that is an id by itself.
macro_rules! each_id_type {
    ($visit:ident) => {
        $visit!(String);
        $visit!(Arc<str>);
        $visit!(Box<str>);
        $visit!(Cow<'static, str>);
        $visit!(&'static str);
        $visit!(u32);
        $visit!(u64);
        $visit!(u128);
        $visit!(i32);
        $visit!(i64);
        $visit!(i128);
        $visit!(usize);
    };
}

/// Whether a user of this type is an id by itself: a string or an integer.
fn is_id<U: 'static>() -> bool {
    let this = std::any::TypeId::of::<U>();
    macro_rules! compare {
        ($of:ty) => {
            if this == std::any::TypeId::of::<$of>() {
                return true;
            }
        };
    }
    each_id_type!(compare);
    false
}

/// The user's own id, if it is a string or an integer.
fn own_id(user: &User) -> Option<String> {
    macro_rules! read {
        ($of:ty) => {
            if let Some(id) = user.downcast_ref::<$of>() {
                return Some(id.to_string());
            }
        };
    }
    each_id_type!(read);
    None
}

/// The user as the type that the program's function of this name takes.
fn known<'u, U: 'static>(user: &'u User, function: &'static str) -> Result<&'u U, String> {
    user.downcast_ref().ok_or_else(|| {
        let expected = std::any::type_name::<U>();
        tracing::error!(function, expected, "takes another type of user than `authenticate` returns");
        "the server cannot identify the user".to_owned()
    })
}

/// The user of a connection, and the functions that decide what the user may do.
#[derive(Clone)]
pub(crate) struct Identity {
    user: Arc<User>,
    access: Arc<Access>,
}

impl Identity {
    /// The user that `authenticate` returned.
    pub(super) fn user(&self) -> &User {
        &*self.user
    }

    /// The public id of this user's client. It is bound to the user's `user_id`, or to the user itself if that is a
    /// string or an integer; other users cannot be told apart.
    ///
    /// # Errors
    /// The program's `user_id` takes another type of user.
    pub(super) fn client_name(&self, secret: &Secret) -> Result<ClientId, String> {
        let user = match &self.access.user_id {
            Some(id) => Some(id(self.user())?),
            None => own_id(self.user()),
        };
        Ok(self.access.names.name(user.as_deref(), secret))
    }

    /// Whether both have the same `user_id`; true if the program does not set one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |id: &UserId| id(self.user()).is_ok_and(|own| id(other.user()) == Ok(own));
        self.access.user_id.as_ref().is_none_or(|id| same(id))
    }

    /// How long the user stays valid; `None`: without end.
    pub(super) fn time_left(&self) -> Result<Option<Duration>, String> {
        let Some(valid_until) = &self.access.valid_until else { return Ok(None) };
        let until = valid_until(self.user())?;
        Ok(until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default()))
    }

    fn may(&self, room: &str, action: Action<'_>) -> Result<(), String> {
        self.access.authorize.as_ref().map_or(Ok(()), |authorize| authorize(self.user(), room, action))
    }

    /// Whether the user may join a room or a channel.
    pub(super) fn may_join(&self, address: &str) -> Result<(), String> {
        let (room, channel) = split_address(address);
        self.may(room, Action::Join)?;
        channel.map_or(Ok(()), |channel| self.may(room, Action::Channel(channel)))
    }

    /// Whether the user may take part in a room's presence, and under which user id; `None`: as the client claims.
    pub(super) fn may_be_present(&self, room: &str) -> Result<Option<String>, String> {
        self.may_join(room)?;
        self.may(room, Action::Presence)?;
        self.access.user_id.as_ref().map(|id| id(self.user())).transpose()
    }

    /// Whether the user may have a message of this type relayed in a room.
    pub(super) fn may_relay(&self, room: &str, kind: &str) -> Result<(), String> {
        self.may_join(room)?;
        self.may(room, Action::Relay(kind))
    }

    /// The user's `user_id`, if the program gives users ids.
    fn id(&self) -> Option<String> {
        self.access.user_id.as_ref().and_then(|id| id(self.user()).ok())
    }

    /// The user's id: its `user_id`, or else the client's public id.
    pub(super) fn name_of(&self, client: &Arc<str>) -> Arc<str> {
        self.id().map_or_else(|| client.clone(), Arc::from)
    }

    /// Refuses a client or user that is banned from the room of this address.
    pub(super) fn check_bans(&self, client: &str, address: &str) -> Result<(), Violation> {
        let (bans, room) = (&self.access.bans, split_address(address).0);
        let banned = bans.banned(room, client).or_else(|| bans.banned(room, &self.id()?));
        banned.map_or(Ok(()), |reason| Err(Violation::new(Code::Banned, &*reason)))
    }

    /// The user's permissions at this address; `None`: everything is allowed.
    pub(super) fn permissions(&self, address: &Arc<str>) -> Option<Arc<dyn Permissions>> {
        let Access { authorize, authorize_change, roles, user_id, .. } = &*self.access;
        if authorize.is_none() && authorize_change.is_none() && roles.is_none() && user_id.is_none() {
            return None;
        }
        let roles = roles.as_ref().map_or(Roles::NONE, |of| of(self.user(), split_address(address).0));
        Some(Arc::new(InRoom { identity: self.clone(), address: address.clone(), roles, user: self.id() }))
    }
}

/// A user's permissions in one room or channel. The roles and the user's id are those at the time it was made.
struct InRoom {
    identity: Identity,
    address: Arc<str>,
    roles: Roles,
    user: Option<String>,
}

impl Permissions for InRoom {
    fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    fn write(&self, path: &str) -> Result<(), String> {
        let (room, channel) = split_address(&self.address);
        self.identity.may(room, channel.map_or(Action::Write(path), Action::Send))
    }

    fn change(&self, change: &PathChange<'_>) -> Result<(), String> {
        let Some(may) = &self.identity.access.authorize_change else { return Ok(()) };
        may(self.identity.user(), split_address(&self.address).0, change)
    }

    fn asks_paths(&self) -> bool {
        let Access { authorize, authorize_change, .. } = &*self.identity.access;
        authorize.is_some() || authorize_change.is_some()
    }

    fn wants_values(&self) -> bool {
        self.identity.access.authorize_change.is_some()
    }

    fn has(&self, role: &str) -> bool {
        self.roles.has(role)
    }

    fn refreshed(&self) -> Option<Arc<dyn Permissions>> {
        self.identity.permissions(&self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_tells_what_it_carries() {
        let request = Request::get("/ws?a=1&token=t%20k&b")
            .header("authorization", "bearer abc ")
            .header("cookie", "x=1; session=s; y")
            .body(())
            .unwrap();
        let handshake = Handshake::of(&request, None);
        assert_eq!((handshake.path(), handshake.bearer()), ("/ws", Some("abc")));
        assert_eq!((handshake.query("token"), handshake.query("b")), (Some("t%20k"), None));
        assert_eq!((handshake.cookie("session"), handshake.cookie("y")), (Some("s"), None));
        assert_eq!(handshake.header("x-none"), None);
        let said = handshake.rest().with_token(Some("newer".to_owned()));
        assert_eq!((said.token(), said.bearer(), said.path()), (Some("newer"), Some("newer"), "/ws"));
        assert_eq!((said.query("token"), said.cookie("session")), (None, None));
        assert_eq!(handshake.token(), None);
        assert_eq!(handshake.with_token(said.token).bearer(), Some("newer"));
    }
}
