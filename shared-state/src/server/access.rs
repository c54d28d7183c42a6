//! Who is there, and what they may do.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{self, AsHeaderName, HeaderMap};
use hyper::{Request, Uri};

use crate::authority::Rights;
use crate::protocol::{Code, Violation, split_address};
use crate::server::bans::Doors;
use crate::state::Roles;

/// The request a connection began with: what [`authenticate`](crate::server::ServerBuilder::authenticate) decides on.
#[derive(Clone, Debug)]
pub struct Handshake {
    headers: HeaderMap,
    uri: Uri,
    peer: Option<SocketAddr>,
}

impl Handshake {
    pub(super) fn of<B>(request: &Request<B>, peer: Option<SocketAddr>) -> Self {
        Self { headers: request.headers().clone(), uri: request.uri().clone(), peer }
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

    /// The token of an `Authorization: Bearer` header.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
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
    /// Have a message of this type, which is the app's own, [relayed](crate::protocol::Limits::relays) to the room's
    /// other clients of the original hook's dialect; asked after [`Join`](Self::Join).
    Relay(&'a str),
}

/// Whoever is behind a connection, as the program knows them.
pub(super) type Identity = Arc<dyn Any + Send + Sync>;

type Future<T> = Pin<Box<dyn std::future::Future<Output = T> + Send>>;
type Authenticate = dyn Fn(Handshake) -> Future<Result<Identity, String>> + Send + Sync;
type ValidUntil = dyn Fn(&Identity) -> Result<Option<SystemTime>, String> + Send + Sync;
type RolesOf = dyn Fn(&Identity, &str) -> Roles + Send + Sync;
type UserId = dyn Fn(&Identity) -> Option<String> + Send + Sync;
type Authorize = dyn Fn(&Identity, &str, Action<'_>) -> Result<(), String> + Send + Sync;

/// Who is let in, and to do what.
#[derive(Clone, Default)]
pub(super) struct Access {
    doors: Doors,
    authenticate: Option<Arc<Authenticate>>,
    authorize: Option<Arc<Authorize>>,
    user_id: Option<Arc<UserId>>,
    valid_until: Option<Arc<ValidUntil>>,
    roles: Option<Arc<RolesOf>>,
}

impl Access {
    pub(super) fn authenticate_by<U, E, F>(&mut self, who: impl Fn(Handshake) -> F + Send + Sync + 'static)
    where
        U: Send + Sync + 'static,
        E: fmt::Display,
        F: std::future::Future<Output = Result<U, E>> + Send + 'static,
    {
        self.authenticate = Some(Arc::new(move |handshake| {
            let known = who(handshake);
            Box::pin(async move {
                match known.await {
                    Ok(user) => Ok(Arc::new(user) as Identity),
                    Err(error) => Err(error.to_string()),
                }
            })
        }));
    }

    pub(super) fn authorize_by<U: Send + Sync + 'static, E: fmt::Display>(
        &mut self,
        may: impl Fn(&U, &str, Action<'_>) -> Result<(), E> + Send + Sync + 'static,
    ) {
        self.authorize = Some(Arc::new(move |identity, room, action| match user_of(identity, "authorize") {
            Some(user) => may(user, room, action).map_err(|error| error.to_string()),
            None => Err("the server cannot tell what anybody may do".to_owned()),
        }));
    }

    /// Who is behind a connection.
    pub(super) async fn identify(&self, handshake: Handshake) -> Result<Identity, String> {
        let identity = match &self.authenticate {
            Some(authenticate) => authenticate(handshake).await?,
            None => Arc::new(()),
        };
        match self.time_left(&identity)? {
            Some(Duration::ZERO) => Err("what says who this is has expired".to_owned()),
            _ => Ok(identity),
        }
    }

    pub(super) fn valid_until_by<U: Send + Sync + 'static>(
        &mut self,
        until: impl Fn(&U) -> Option<SystemTime> + Send + Sync + 'static,
    ) {
        self.valid_until = Some(Arc::new(move |identity| match user_of(identity, "valid_until") {
            Some(user) => Ok(until(user)),
            None => Err("the server cannot tell until when anybody is known".to_owned()),
        }));
    }

    /// How long somebody stays known; `None`: for ever.
    pub(super) fn time_left(&self, identity: &Identity) -> Result<Option<Duration>, String> {
        let Some(valid_until) = &self.valid_until else { return Ok(None) };
        let until = valid_until(identity)?;
        Ok(until.map(|until| until.duration_since(SystemTime::now()).unwrap_or_default()))
    }

    /// Whether somebody may be in a room, or in a channel.
    pub(super) fn may_join(&self, identity: &Identity, address: &str) -> Result<(), String> {
        let Some(authorize) = &self.authorize else { return Ok(()) };
        let (room, channel) = split_address(address);
        authorize(identity, room, Action::Join)?;
        channel.map_or(Ok(()), |channel| authorize(identity, room, Action::Channel(channel)))
    }

    pub(super) fn user_id_by<U: Send + Sync + 'static>(
        &mut self,
        id: impl Fn(&U) -> String + Send + Sync + 'static,
    ) {
        self.user_id = Some(Arc::new(move |identity| identity.downcast_ref::<U>().map(&id)));
    }

    /// Whether somebody may take part in a room's presence, and as which user; `None`: as whom they say.
    pub(super) fn may_be_present(&self, identity: &Identity, room: &str) -> Result<Option<String>, String> {
        self.may_join(identity, room)?;
        if let Some(authorize) = &self.authorize {
            authorize(identity, room, Action::Presence)?;
        }
        match &self.user_id {
            Some(id) => id(identity).map(Some).ok_or_else(|| "the server cannot tell who this is".to_owned()),
            None => Ok(None),
        }
    }

    /// Whether somebody may have a message of this type relayed in a room.
    pub(super) fn may_relay(&self, identity: &Identity, room: &str, kind: &str) -> Result<(), String> {
        self.may_join(identity, room)?;
        self.authorize.as_ref().map_or(Ok(()), |authorize| authorize(identity, room, Action::Relay(kind)))
    }

    /// The name of a connection's user: the one that the server knows, or the client's.
    pub(super) fn name_of(&self, identity: &Identity, client: &Arc<str>) -> Arc<str> {
        let known = self.user_id.as_ref().and_then(|id| id(identity));
        known.map_or_else(|| client.clone(), Arc::from)
    }

    /// Who is not let into which rooms.
    pub(super) fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Whether somebody was banned from a room, or the room of a channel.
    pub(super) fn check_bans(
        &self,
        identity: &Identity,
        client: &str,
        address: &str,
    ) -> Result<(), Violation> {
        let room = split_address(address).0;
        let banned = self.doors.banned(room, client).or_else(|| {
            let user = self.user_id.as_ref().and_then(|id| id(identity))?;
            self.doors.banned(room, &user)
        });
        banned.map_or(Ok(()), |reason| Err(Violation::new(Code::Banned, &*reason)))
    }

    /// What somebody may do there; `None`: everything.
    pub(super) fn rights(&self, identity: &Identity, room: &Arc<str>) -> Option<Arc<dyn Rights>> {
        if self.authorize.is_none() && self.roles.is_none() {
            return None;
        }
        let (authorize, roles_of) = (self.authorize.clone(), self.roles.clone());
        Some(Arc::new(InRoom::new(authorize, roles_of, identity.clone(), room.clone())))
    }

    pub(super) fn roles_by<U: Send + Sync + 'static>(
        &mut self,
        roles: impl Fn(&U, &str) -> Roles + Send + Sync + 'static,
    ) {
        self.roles = Some(Arc::new(move |identity, room| {
            // Of whom the server cannot tell, nobody has any.
            user_of(identity, "roles").map_or(Roles::NONE, |user| roles(user, room))
        }));
    }
}

/// The user, as the program's function of this name takes them.
fn user_of<'i, U: 'static>(identity: &'i Identity, function: &'static str) -> Option<&'i U> {
    let user = identity.downcast_ref();
    if user.is_none() {
        let expected = std::any::type_name::<U>();
        tracing::error!(function, expected, "it is given another type of user than `authenticate` makes");
    }
    user
}

struct InRoom {
    authorize: Option<Arc<Authorize>>,
    roles_of: Option<Arc<RolesOf>>,
    identity: Identity,
    room: Arc<str>,
    roles: Roles,
}

impl InRoom {
    fn new(
        authorize: Option<Arc<Authorize>>,
        roles_of: Option<Arc<RolesOf>>,
        identity: Identity,
        room: Arc<str>,
    ) -> Self {
        let roles =
            roles_of.as_ref().map_or(Roles::NONE, |roles_of| roles_of(&identity, split_address(&room).0));
        Self { authorize, roles_of, identity, room, roles }
    }
}

impl Rights for InRoom {
    fn write(&self, path: &str) -> Result<(), String> {
        let Some(authorize) = &self.authorize else { return Ok(()) };
        let (room, channel) = split_address(&self.room);
        authorize(&self.identity, room, channel.map_or(Action::Write(path), Action::Send))
    }

    fn has(&self, role: &str) -> bool {
        self.roles.has(role)
    }

    fn asked_again(&self) -> Option<Arc<dyn Rights>> {
        let (authorize, roles_of) = (self.authorize.clone(), self.roles_of.clone());
        Some(Arc::new(Self::new(authorize, roles_of, self.identity.clone(), self.room.clone())))
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
    }
}
