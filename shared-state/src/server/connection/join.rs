//! How a connection identifies its user, joins rooms, channels and presence, and leaves them: everything that must be
//! asked of [`Access`](crate::server::access::Access), of the room's access and of the directory before a frame has
//! an effect.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;

use super::{Connection, End, expired};
use crate::authority::SessionId;
use crate::core::Code;
use crate::proto::Dialect;
use crate::proto::room;
use crate::proto::{ClientId, JoinRequest, Resume, Secret, Violation, presence, server, split_address};
use crate::server::access::{Handshake, Identity};
use crate::server::fanout::queue::CloseReason;
use crate::server::membership::Membership;
use crate::server::presence::{PresenceAction, PresenceEntry};
use crate::server::rate_limit::TokenBucket;
use crate::server::rooms::participant::Participant;
use crate::server::rooms::room::{Room, now};

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection<T> {
    /// Identifies the user and answers the client's `hello`. The client's name is computed from its user and its
    /// secret id.
    pub(crate) async fn hello(&mut self, secret: &Secret, token: Option<String>) -> Result<(), End> {
        let Some(handshake) = self.handshake.take() else { return Ok(()) };
        self.handshake = Some(Box::new(handshake.rest()));
        let who = self.identify(handshake.with_token(token)).await?;
        let unknown = |message| End::Told(CloseReason::new(Code::Unauthorized, message));
        let client = who.client_name(secret).map_err(unknown)?;
        self.who = Ok(Some(who));
        self.inbound.identified(client.clone());
        let left = self.set_expiry();
        tracing::Span::current().record("client", &*client);
        self.registration.identify(client.clone());
        self.reply(server::welcome(&client, &self.limits, left)).await
    }

    /// Identifies the user by a newer token, which must be the same user, and applies their permissions to the rooms
    /// and presences of the connection. What they may no longer be in is left.
    pub(crate) async fn renew(&mut self, token: String) -> Result<(), End> {
        let Some(rest) = self.handshake.clone() else { return Ok(()) };
        let who = self.identify(rest.with_token(Some(token))).await?;
        if let Ok(Some(before)) = &self.who
            && !before.is_same(&who)
        {
            let message = "a connection belongs to one user; another user must open another one";
            return Err(End::Told(CloseReason::new(Code::OtherUser, message)));
        }
        self.who = Ok(Some(who.clone()));
        let left = self.set_expiry();
        let mut frames = Vec::new();
        self.inbound.retain(|session| {
            let address = session.room.name();
            let may = who.may_join(address);
            match &may {
                Ok(()) => session.room.grant(session.session, who.permissions(address)),
                Err(message) => frames.push(server::room_error(address, Code::Forbidden, message)),
            }
            may.is_ok()
        });
        self.presence_sessions.retain(|room| {
            let may = who.may_be_present(room);
            if let Err(message) = &may {
                frames.push(presence::reject(room, Code::Forbidden, message));
            }
            may.is_ok()
        });
        frames.push(server::renewed(left));
        for frame in frames {
            self.reply(frame).await?;
        }
        Ok(())
    }

    /// Calls `authenticate`, for no longer than the current user is valid.
    async fn identify(&mut self, handshake: Handshake) -> Result<Identity, End> {
        let (access, until) = (self.access.clone(), self.expires);
        let asked = async move {
            let asked = access.identify(handshake);
            match until {
                Some(until) => timeout_at(until, asked).await.map_err(|_| expired()),
                None => Ok(asked.await),
            }
        };
        let known = self.meanwhile(Box::pin(asked)).await?.map_err(End::Told)?;
        known.map_err(|message| End::Told(CloseReason::new(Code::Unauthorized, message)))
    }

    /// Joins a channel whose messages a legacy client receives, if that is allowed and there is room for one more.
    pub(crate) async fn join_channel(&mut self, channel: &str, from: Option<Resume>) -> Result<(), End> {
        let client = self.inbound.client();
        let may = |who: &Identity| {
            client.is_some_and(|client| who.check_bans(client, channel).is_ok())
                && who.may_join(channel).is_ok()
        };
        let who = self.who.as_ref().ok().and_then(Option::as_ref);
        if self.inbound.is_in_or_full(channel) || !who.is_some_and(may) {
            return Ok(());
        }
        let request = JoinRequest { resume: from, ..JoinRequest::default() };
        Box::pin(self.join(channel, request)).await.map(drop)
    }

    /// Makes a legacy client receive the channels of the room of this address from now on.
    pub(crate) async fn listen(&mut self, address: &str) -> Result<(), End> {
        let room = split_address(address).0;
        if self.inbound.dialect() == Dialect::V1 || self.listening.contains_key(room) {
            return Ok(());
        }
        // A connection that has joined the room, a channel or its presence has a membership.
        let Some(membership) = self.memberships.membership(room) else { return Ok(()) };
        let (listening, live) = self.directory.listeners().listen(room, &self.queue);
        self.listening.insert(room.into(), (listening, membership));
        for channel in live {
            self.join_channel(&channel, None).await?;
        }
        Ok(())
    }

    /// Lets a legacy client that uses a room's state see the presence of others, whether or not it shows a user itself.
    pub(crate) fn watch_presence(&mut self, address: &str) {
        let room = split_address(address).0;
        let (Some(client), Ok(Some(who))) = (self.inbound.client(), &self.who) else { return };
        if let Some(membership) = self.memberships.membership(room)
            && who.may_be_present(room).is_ok()
        {
            self.presence_sessions.watch(room, client, &self.queue, membership);
        }
    }

    /// Makes the connection enter a room, for its state, a channel or its presence, unless it is banned or the room's
    /// settings refuse it.
    async fn admit(
        &mut self,
        address: &str,
        client: &ClientId,
        who: &Identity,
        password: Option<&Secret>,
    ) -> Result<Result<Arc<Membership>, Violation>, End> {
        if let Err(banned) = who.check_bans(client, address) {
            return Ok(Err(banned));
        }
        if !self.directory.is_open(address)
            && self.counted.as_ref().is_some_and(|counted| !counted.open_room())
        {
            let most = self.limits.rooms_opened_per_address;
            let message = format!("your address opens more than {most} rooms a second; try again later");
            return Ok(Err(Violation::new(Code::TooOften, message)));
        }
        let who = (self.registration.number(), who.name_of(client));
        let (accesses, queue) = (self.directory.accesses().clone(), self.queue.clone());
        let mut memberships = std::mem::take(&mut self.memberships);
        let entering = memberships.enter(&accesses, split_address(address).0, who, password, &queue);
        let entered = self.meanwhile_connected(Box::pin(entering)).await;
        self.memberships = memberships;
        entered
    }

    /// Performs what a frame asks of a room's presence, after the connection has entered the room if it must.
    pub(crate) async fn attend(&mut self, room: &str, mut action: PresenceAction<'_>) -> Result<(), End> {
        let (Some(client), Ok(Some(who))) = (self.inbound.client().cloned(), self.who.clone()) else {
            return Ok(());
        };
        let mut entry = None;
        if action.enters() && !self.presence_sessions.is_in(room) {
            let user = self.directory.check_known(room).and_then(|()| {
                let may = who.may_be_present(room);
                may.map_err(|message| Violation::new(Code::Forbidden, message))
            });
            let entered = match user {
                Ok(user) => {
                    let admitted = self.admit(room, &client, &who, action.password()).await?;
                    admitted.map(|membership| PresenceEntry { user, membership })
                }
                Err(refusal) => Err(refusal),
            };
            match entered {
                Ok(entered) => entry = Some(entered),
                Err(refusal) => return self.reply(action.refused(room, &refusal)).await,
            }
        }
        if let PresenceAction::Join { details, .. } = &mut action {
            let directory = self.directory.clone();
            match self.meanwhile(Box::pin(directory.open(room))).await? {
                Ok(room) => *details = room.access().details(room.created_at()),
                Err(error) => return self.reply(action.refused(room, &error.violation())).await,
            }
        }
        let refusal = self.presence_sessions.apply(room, &action, &client, &self.queue, entry);
        if self.inbound.dialect() == Dialect::Legacy
            && !matches!(action, PresenceAction::Leave(_))
            && self.inbound.rooms().any(|session| **session.room.name() == *room)
        {
            self.watch_presence(room);
        }
        if let Some(refusal) = refusal {
            return self.reply(refusal).await;
        }
        match self.presence_sessions.is_in(room) {
            // A legacy client that is present in a room receives its channels.
            true => self.listen(room).await,
            false => {
                if matches!(action, PresenceAction::Leave(_)) {
                    self.stop_listening(room);
                }
                Ok(())
            }
        }
    }

    /// Stops receiving a room's channels, unless the connection has joined the room's state.
    fn stop_listening(&mut self, room: &str) {
        if self.inbound.rooms().any(|session| **session.room.name() == *room) {
            return;
        }
        self.listening.remove(room);
        self.presence_sessions.leave(room);
        self.inbound.retain(|session| split_address(session.room.name()).0 != room);
    }

    /// Relays a message of the app's own to the other legacy clients in a room.
    pub(crate) async fn relay(&mut self, room: &str, kind: &str, value: &str) -> Result<(), End> {
        let (Some(client), Ok(Some(who))) = (self.inbound.client().cloned(), self.who.clone()) else {
            return Ok(());
        };
        let limits = self.limits.clone();
        let may = self.directory.check_known(room).and_then(|()| {
            if value.len() > limits.relay {
                let message = format!("at most {} bytes are relayed, found {}", limits.relay, value.len());
                return Err(Violation::new(Code::MessageTooLarge, message));
            }
            let relays = self.relays.get_or_insert_with(|| {
                Box::new(TokenBucket::new(limits.relays, Duration::from_secs(1) / limits.relays.max(1)))
            });
            if !relays.take(std::time::Instant::now()) {
                let message = format!("at most {} messages are relayed in a second", limits.relays);
                return Err(Violation::new(Code::TooOften, message));
            }
            let may = who.may_relay(room, kind);
            may.map_err(|message| Violation::new(Code::Forbidden, message))
        });
        let admitted = match may {
            Ok(()) => self.admit(room, &client, &who, None).await?,
            Err(refusal) => Err(refusal),
        };
        // Held until the subscription of `listen` holds it.
        let _membership = match admitted {
            Ok(membership) => membership,
            Err(refusal) => {
                return self.reply(server::room_error(room, refusal.code, &refusal.message)).await;
            }
        };
        self.listen(room).await?;
        let frame = server::legacy_relay(room, kind, &client, now(), value);
        self.directory.listeners().relay(room, &self.queue, &frame);
        Ok(())
    }

    /// Joins a room or channel, or joins it again. `None` if that is refused; the client has been answered then.
    pub(crate) async fn join(
        &mut self,
        name: &str,
        request: JoinRequest,
    ) -> Result<Option<(Arc<Room>, SessionId)>, End> {
        // Holds the membership while the room is left and joined again.
        let _before = self.memberships.membership(split_address(name).0);
        self.inbound.left(name);
        let (Some(client), Ok(Some(who))) = (self.inbound.client().cloned(), self.who.clone()) else {
            return Ok(None);
        };
        if let Err(message) = who.may_join(name) {
            self.reply(server::room_error(name, Code::Forbidden, &message)).await?;
            return Ok(None);
        }
        let admitted = match self.directory.check_known(name) {
            Ok(()) => self.admit(name, &client, &who, request.password.as_ref()).await?,
            Err(unknown) => Err(unknown),
        };
        let membership = match admitted {
            Ok(membership) => membership,
            Err(violation) => {
                self.reply(server::room_error(name, violation.code, &violation.message)).await?;
                return Ok(None);
            }
        };
        let permissions = who.permissions(&Arc::from(name));
        let (directory, queue, dialect) =
            (self.directory.clone(), self.queue.clone(), self.inbound.dialect());
        let participant = Participant::new(client, self.registration.number(), who, membership);
        let joining = async { directory.join(name, participant, dialect, request, permissions, queue).await };
        let joined = self.meanwhile(Box::pin(joining)).await?;
        match joined.unwrap_or_else(|error| Err(error.violation())) {
            Ok(joined) => {
                let (room, session) = (joined.room.clone(), joined.session);
                self.inbound.joined(room.name().clone(), joined);
                Ok(Some((room, session)))
            }
            Err(violation) => {
                self.reply(server::room_error(name, violation.code, &violation.message)).await?;
                Ok(None)
            }
        }
    }

    /// Sends a room's details, if the client asked for them when it joined.
    pub(crate) async fn inform(&mut self, name: &str) -> Result<(), End> {
        let session = self.inbound.rooms().find(|session| **session.room.name() == *name && session.informed);
        let Some(session) = session else { return Ok(()) };
        let details = session.membership.access().details(session.room.created_at());
        self.reply(room::info(name, &details)).await
    }

    /// Leaves a room, its channels and its presence, and sends the client the reason. Does nothing if the connection
    /// is in none of them.
    pub(crate) async fn eject(&mut self, room: &str, why: &CloseReason) -> Result<(), End> {
        let (mut frames, dialect) = (Vec::new(), self.inbound.dialect());
        self.inbound.retain(|session| {
            let address = session.room.name();
            let leaves = split_address(address).0 == room;
            // A room that has ended has notified its sessions. A legacy client does not know channels by their address,
            // so it is notified once, about the room.
            let is_told = frames.is_empty() || dialect == Dialect::V1;
            if leaves && is_told && !session.room.is_closed() {
                let address = if dialect == Dialect::V1 { address } else { room };
                frames.push(server::room_error(address, why.code, &why.message));
            }
            !leaves
        });
        let listened = self.listening.remove(room).is_some();
        if self.presence_sessions.leave(room) || listened {
            match dialect {
                Dialect::V1 => frames.push(presence::reject(room, why.code, &why.message)),
                Dialect::Legacy if frames.is_empty() => {
                    frames.push(server::room_error(room, why.code, &why.message));
                }
                Dialect::Legacy => {}
            }
        }
        for frame in frames {
            self.reply(frame).await?;
        }
        Ok(())
    }
}
