//! Who is there, and what they may do.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{self, AsHeaderName, HeaderMap};
use hyper::{Request, Uri};
use tokio::time::timeout;

use crate::authority::Permissions;
use crate::core::Code;
use crate::core::Roles;
use crate::proto::{Violation, split_address};
use crate::server::membership::bans::BanList;

/// How long the program may take to find out who somebody is.
const PATIENCE: Duration = Duration::from_secs(10);

/// The request a connection began with, and what its client has said of its user: what
/// [`authenticate`](crate::server::ServerBuilder::authenticate) decides on.
///
/// A client that says a newer token over a connection that stands is asked about anew: then there is the token, the
/// path and the peer, and neither headers nor a query, which are as old as the connection.
#[derive(Clone, Debug)]
pub struct Handshake {
    headers: HeaderMap,
    uri: Uri,
    peer: Option<SocketAddr>,
    token: Option<String>,
}

impl Handshake {
    pub(super) fn of<B>(request: &Request<B>, peer: Option<SocketAddr>) -> Self {
        Self { headers: request.headers().clone(), uri: request.uri().clone(), peer, token: None }
    }

    /// The same, with what the client has said.
    pub(super) fn with_token(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    /// What is left of it for the client's newer tokens: what the request said of its user is no longer it.
    pub(super) fn rest(&self) -> Self {
        let uri = self.uri.path().parse().unwrap_or_default();
        Self { headers: HeaderMap::new(), uri, peer: self.peer, token: None }
    }

    /// Where the connection comes from, if the server was told.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The request's path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// A header, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: impl AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The token that the client has said: in its first message, as browsers do, which cannot set headers, or
    /// later, before the one that it came with expires.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The token that the client [has said](Self::token), or else that of an `Authorization: Bearer` header.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        if let Some(token) = self.token() {
            return Some(token);
        }
        let (scheme, token) = self.header(header::AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// A parameter of the query, as it is written there: `/ws?token=..` is how a browser says who it is.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        let pairs = self.uri.query()?.split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A cookie's value.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let cookies = self.header(header::COOKIE)?.split(';');
        cookies
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }
}

/// What somebody wants to do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action<'a> {
    /// Be in it and see its state.
    Join,
    /// See who is there, and be seen; asked after [`Join`](Self::Join), when a session enters the room's presence.
    Presence,
    /// Write at this path: a field's name, or what is inside it.
    Write(&'a str),
    /// Be in the room's channel of this name and see its messages; asked after [`Join`](Self::Join).
    Channel(&'a str),
    /// Send messages, or broadcasts, in the room's channel of this name.
    Send(&'a str),
    /// Have a message of this type, which is the app's own, [relayed](crate::proto::Limits::relays) to the room's
    /// other clients of the original hook's dialect; asked after [`Join`](Self::Join).
    Relay(&'a str),
}

/// A value of the type of user that `authenticate` makes.
type User = dyn Any + Send + Sync;

type Future<T> = Pin<Box<dyn std::future::Future<Output = T> + Send>>;
type Authenticate = dyn Fn(Handshake) -> Future<Result<Arc<User>, String>> + Send + Sync;
type Authorize = dyn Fn(&User, &str, Action<'_>) -> Result<(), String> + Send + Sync;
type UserId = dyn Fn(&User) -> Result<String, String> + Send + Sync;
type ValidUntil = dyn Fn(&User) -> Result<Option<SystemTime>, String> + Send + Sync;
type RolesOf = dyn Fn(&User, &str) -> Roles + Send + Sync;

/// What the program says about its users: who is let in, and to do what.
#[derive(Default)]
pub(super) struct Access {
    doors: BanList,
    authenticate: Option<Box<Authenticate>>,
    authorize: Option<Box<Authorize>>,
    user_id: Option<Box<UserId>>,
    valid_until: Option<Box<ValidUntil>>,
    roles: Option<Box<RolesOf>>,
}

impl Access {
    pub(super) fn authenticate_by<U, E, F>(&mut self, who: impl Fn(Handshake) -> F + Send + Sync + 'static)
    where
        U: Send + Sync + 'static,
        E: fmt::Display,
        F: std::future::Future<Output = Result<U, E>> + Send + 'static,
    {
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
        // Of whom the server cannot tell, nobody has any.
        self.roles = Some(Box::new(move |user, room| {
            known(user, "roles").map_or(Roles::NONE, |user| roles(user, room))
        }));
    }

    /// Who is behind a connection.
    pub(super) async fn identify(self: &Arc<Self>, handshake: Handshake) -> Result<Identity, String> {
        let user: Arc<User> = match &self.authenticate {
            Some(authenticate) => timeout(PATIENCE, authenticate(handshake))
                .await
                .unwrap_or_else(|_| Err("it took too long to find out who this is".to_owned()))?,
            None => Arc::new(()),
        };
        let identity = Identity { user, access: self.clone() };
        match identity.time_left()? {
            Some(Duration::ZERO) => Err("what says who this is has expired".to_owned()),
            _ => Ok(identity),
        }
    }

    /// Who is not let into which rooms.
    pub(super) fn doors(&self) -> &BanList {
        &self.doors
    }
}

/// The user, as the program's function of this name takes them.
fn known<'u, U: 'static>(user: &'u User, function: &'static str) -> Result<&'u U, String> {
    user.downcast_ref().ok_or_else(|| {
        let expected = std::any::type_name::<U>();
        tracing::error!(function, expected, "it is given another type of user than `authenticate` makes");
        "the server cannot tell who this is".to_owned()
    })
}

/// Whoever is behind a connection, as the program knows them, and what it says about them.
#[derive(Clone)]
pub(crate) struct Identity {
    user: Arc<User>,
    access: Arc<Access>,
}

impl Identity {
    /// What `authenticate` made of it.
    pub(super) fn user(&self) -> &User {
        &*self.user
    }

    /// Whether this is the same user, as far as the program tells one from another.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let same = |id: &UserId| id(self.user()).is_ok_and(|own| id(other.user()) == Ok(own));
        self.access.user_id.as_ref().is_none_or(|id| same(id))
    }

    /// How long somebody stays known; `None`: for ever.
    pub(super) fn time_left(&self) -> Result<Option<Duration>, String> {
        let Some(valid_until) = &self.access.valid_until else { return Ok(None) };
        let until = valid_until(self.user())?;
        Ok(until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default()))
    }

    fn may(&self, room: &str, action: Action<'_>) -> Result<(), String> {
        self.access.authorize.as_ref().map_or(Ok(()), |authorize| authorize(self.user(), room, action))
    }

    /// Whether somebody may be in a room, or in a channel.
    pub(super) fn may_join(&self, address: &str) -> Result<(), String> {
        let (room, channel) = split_address(address);
        self.may(room, Action::Join)?;
        channel.map_or(Ok(()), |channel| self.may(room, Action::Channel(channel)))
    }

    /// Whether somebody may take part in a room's presence, and as which user; `None`: as whom they say.
    pub(super) fn may_be_present(&self, room: &str) -> Result<Option<String>, String> {
        self.may_join(room)?;
        self.may(room, Action::Presence)?;
        self.access.user_id.as_ref().map(|id| id(self.user())).transpose()
    }

    /// Whether somebody may have a message of this type relayed in a room.
    pub(super) fn may_relay(&self, room: &str, kind: &str) -> Result<(), String> {
        self.may_join(room)?;
        self.may(room, Action::Relay(kind))
    }

    /// The user's name: the one that the server knows, or the client's.
    pub(super) fn name_of(&self, client: &Arc<str>) -> Arc<str> {
        let known = self.access.user_id.as_ref().and_then(|id| id(self.user()).ok());
        known.map_or_else(|| client.clone(), Arc::from)
    }

    /// Whether somebody was banned from a room, or the room of a channel.
    pub(super) fn check_bans(&self, client: &str, address: &str) -> Result<(), Violation> {
        let (doors, room) = (&self.access.doors, split_address(address).0);
        let banned = doors.banned(room, client).or_else(|| {
            let id = self.access.user_id.as_ref()?;
            doors.banned(room, &id(self.user()).ok()?)
        });
        banned.map_or(Ok(()), |reason| Err(Violation::new(Code::Banned, &*reason)))
    }

    /// What somebody may do there; `None`: everything.
    pub(super) fn rights(&self, address: &Arc<str>) -> Option<Arc<dyn Permissions>> {
        let Access { authorize, roles, .. } = &*self.access;
        if authorize.is_none() && roles.is_none() {
            return None;
        }
        let roles = roles.as_ref().map_or(Roles::NONE, |of| of(self.user(), split_address(address).0));
        Some(Arc::new(InRoom { identity: self.clone(), address: address.clone(), roles }))
    }
}

struct InRoom {
    identity: Identity,
    address: Arc<str>,
    roles: Roles,
}

impl Permissions for InRoom {
    fn write(&self, path: &str) -> Result<(), String> {
        let (room, channel) = split_address(&self.address);
        self.identity.may(room, channel.map_or(Action::Write(path), Action::Send))
    }

    fn has(&self, role: &str) -> bool {
        self.roles.has(role)
    }

    fn asked_again(&self) -> Option<Arc<dyn Permissions>> {
        self.identity.rights(&self.address)
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
