//! The task of a client: connects, passes what arrives to the state machines and sends theirs, waits after
//! the connection broke, and repeats that until the client is closed.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::task::connection::{Connection, End, Io, Welcome};
use crate::client::task::dial::{Dial, Socket, Token};
use crate::client::task::shared::{Core, EndWithTask};
use crate::client::task::slots::{AnyPresence, AnyReplica};
use crate::client::{DisconnectReason, Status, lock};
use crate::core::Code;
use crate::proto::{Envelope, RoomMessage, Violation, client, presence, split_address};
use crate::replica::{Link, LinkEvent};

/// How many messages are read before frames are sent again and other tasks may run.
const BATCH: usize = 64;

struct Driver {
    core: Arc<Core>,
    link: Link,
    /// The rooms and channels, as of the last [`refresh`](Self::refresh).
    replicas: BTreeMap<Arc<str>, Arc<dyn AnyReplica>>,
    /// The presences, as of the last [`refresh`](Self::refresh).
    presences: BTreeMap<Arc<str>, Arc<dyn AnyPresence>>,
    /// Counts connections, from 1.
    connection: u64,
    /// How many attempts in a row have failed.
    failed: u32,
    /// Until when a client that is closing waits for answers.
    closing: Option<Duration>,
    dial: Dial,
}

/// Runs a client until it ends.
pub(crate) async fn run(core: Arc<Core>, dial: Dial, secret: String) {
    let end = EndWithTask(core.clone());
    let mut driver = Driver {
        link: Link::new(secret, core.settings.link),
        core,
        replicas: BTreeMap::new(),
        presences: BTreeMap::new(),
        connection: 0,
        failed: 0,
        closing: None,
        dial,
    };
    let reason = driver.run().await;
    match &reason {
        DisconnectReason::Closed => tracing::debug!("the client has ended"),
        reason => tracing::error!(%reason, "the client has ended"),
    }
    end.0.end(reason);
}

impl Driver {
    async fn run(&mut self) -> DisconnectReason {
        loop {
            let end = match self.connect().await {
                Ok(socket) => {
                    let (end, blamed) = self.run_connection(socket).await;
                    self.link.closed();
                    self.replicas.values().for_each(|replica| replica.detach(blamed));
                    self.presences.values().for_each(|presence| presence.detach());
                    end
                }
                Err(end) => end,
            };
            match end {
                End::Final(reason) => return reason,
                End::Lost(cause) => {
                    if let Err(reason) = self.pause(cause).await {
                        return reason;
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<Socket, End> {
        let core = self.core.clone();
        let timeout = core.settings.link.handshake;
        let dial = self.dial.clone();
        let mut attempt = std::pin::pin!(tokio::time::timeout(timeout, dial.connect()));
        loop {
            if core.signal.take_changed() {
                self.refresh(None);
            }
            if self.is_done() {
                return Err(End::Final(DisconnectReason::Closed));
            }
            let error: Arc<str> = tokio::select! {
                socket = &mut attempt => match socket {
                    Ok(Ok(socket)) => return Ok(socket),
                    Ok(Err(error)) => error,
                    Err(_) => format!("no answer within {timeout:?}").into(),
                },
                () = core.signal.wake.notified() => continue,
                () = self.sleep_until(self.closing) => continue,
            };
            self.failed = self.failed.saturating_add(1);
            return Err(End::Lost(error));
        }
    }

    /// Waits until the next attempt is due.
    async fn pause(&mut self, cause: Arc<str>) -> Result<(), DisconnectReason> {
        let Some(wait) = self.core.settings.link.backoff.wait(self.failed, fastrand::f64()) else {
            return Err(DisconnectReason::GaveUp { attempts: self.failed, cause });
        };
        let core = self.core.clone();
        let attempt = self.failed.saturating_add(1);
        let until = core.signal.now() + wait;
        tracing::warn!(%cause, attempt, ?wait, "not connected, waiting for the next attempt");
        let next_try = core.signal.instant(until);
        core.status.send_replace(Status::Reconnecting { attempt, next_try, cause });
        loop {
            if core.signal.take_changed() {
                self.refresh(None);
            }
            if self.is_done() {
                return Err(DisconnectReason::Closed);
            }
            let until = self.closing.map_or(until, |closing| closing.min(until));
            tokio::select! {
                () = self.sleep_until(Some(until)) => return Ok(()),
                () = core.signal.wake.notified() => {}
            }
        }
    }

    /// Waits until this time, or forever if there is none.
    fn sleep_until(&self, until: Option<Duration>) -> impl Future<Output = ()> + use<> {
        let until = until.map(|until| self.core.signal.instant(until));
        async move {
            match until {
                Some(until) => tokio::time::sleep_until(until.into()).await,
                None => pending().await,
            }
        }
    }

    /// Runs a connection until it ends. Returns whether the server has said that what it was sent is why.
    async fn run_connection(&mut self, socket: Socket) -> (End, bool) {
        self.connection += 1;
        // A connection on which nothing that is open can be joined is a failed attempt.
        self.failed = self.failed.saturating_add(1);
        let hello = self.link.opened(self.core.signal.now(), None);
        let mut connection = Connection::new(socket, self.connection, hello);
        match self.exchange(&mut connection).await {
            End::Final(DisconnectReason::Closed) => {
                let joined = self.replicas.keys().filter(|_| connection.welcome.is_some());
                let leaves: Vec<_> = joined.map(|room| client::leave(room)).collect();
                connection.close(leaves.into_iter()).await;
                (End::Final(DisconnectReason::Closed), false)
            }
            end => {
                connection.lost();
                (end, connection.blamed)
            }
        }
    }

    async fn exchange(&mut self, connection: &mut Connection) -> End {
        let core = self.core.clone();
        let mut token: Option<Token> = None;
        loop {
            if core.signal.take_changed() {
                self.refresh(Some(connection));
            }
            if self.is_done() {
                return End::Final(DisconnectReason::Closed);
            }
            let deadline = match self.turn(connection) {
                Ok(deadline) => deadline,
                Err(end) => return end,
            };
            let timer = core.signal.instant(deadline.unwrap_or_default());
            let io = tokio::select! {
                io = connection.io() => io,
                asked = async { match &mut token { Some(token) => token.await, None => pending().await } } => {
                    token = None;
                    match asked {
                        Ok(token) => connection.control.push_back(client::token(&token)),
                        // The next connection asks again.
                        Err(error) => tracing::warn!(%error, "could not get a newer token"),
                    }
                    continue;
                }
                () = core.signal.wake.notified() => continue,
                () = tokio::time::sleep_until(timer.into()), if deadline.is_some() => {
                    let now = core.signal.now();
                    if self.link.take_renewal(now) {
                        token = self.dial.renew_token();
                    }
                    match self.link.tick(now) {
                        Ok(ping) => connection.control.extend(ping),
                        Err(dead) => return End::Lost(dead.to_string().into()),
                    }
                    continue;
                }
            };
            let Io::Message(first) = io else { continue };
            let mut next = Some(first);
            for more in (0..BATCH).rev() {
                let Some(message) = next else { break };
                if let Err(end) = self.receive(connection, message) {
                    return end;
                }
                next = if more > 0 { connection.arrived() } else { None };
            }
        }
    }

    /// Does what is due and sends what the rooms have to send. Returns when the next step is due.
    fn turn(&self, connection: &mut Connection) -> Result<Option<Duration>, End> {
        if !connection.control.is_empty() {
            connection.send_control()?;
        }
        let now = self.core.signal.now();
        let timers = [self.link.deadline(), self.link.renewal(), self.closing];
        let mut deadline = timers.into_iter().flatten().min();
        for replica in self.replicas.values() {
            deadline = deadline.into_iter().chain(replica.turn(now, connection)?).min();
        }
        for presence in self.presences.values() {
            deadline = deadline.into_iter().chain(presence.turn(now, connection)?).min();
        }
        Ok(deadline)
    }

    fn receive(
        &mut self,
        connection: &mut Connection,
        message: Option<Result<Message, Error>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(Message::Binary(bytes))) => {
                let now = self.core.signal.now();
                let (room, message) = self.link.receive_compact(now, &bytes).map_err(broken)?;
                self.receive_room(now, &room, message);
                Ok(())
            }
            Some(Ok(Message::Text(text))) => self.receive_text(connection, &text).map_err(broken)?,
            Some(Ok(Message::Ping(_))) => {
                connection.has_queued();
                Ok(())
            }
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(frame))) => {
                connection.blamed |= frame.as_ref().is_some_and(|frame| blames(frame.code));
                Err(End::Lost(match frame {
                    Some(frame) => format!("the server closed the connection: {frame}").into(),
                    None => "the server closed the connection".into(),
                }))
            }
            Some(Err(error)) => Err(error.into()),
            None => Err(End::Lost("the connection was closed".into())),
        }
    }

    fn receive_text(
        &mut self,
        connection: &mut Connection,
        text: &str,
    ) -> Result<Result<(), End>, Violation> {
        let envelope = Envelope::read(text)?;
        self.core.listeners.dispatch(&envelope, text);
        let now = self.core.signal.now();
        match self.link.receive_envelope(now, &envelope)? {
            LinkEvent::Nothing => {}
            LinkEvent::Reply(frame) => connection.control.push_back(frame),
            LinkEvent::Welcome(window) => {
                let id: Arc<str> = self.link.public_id().unwrap_or_default().into();
                let limits = self.link.limits();
                if self.replicas.is_empty() && self.presences.is_empty() {
                    self.failed = 0;
                }
                *lock(&self.core.public) = Some(id.clone());
                tracing::info!(%id, "connected");
                connection.welcome = Some(Welcome { id, window, limits });
                self.core.status.send_replace(Status::Connected);
            }
            LinkEvent::Room(room, message) => self.receive_room(now, &room, message),
            LinkEvent::Presence(room, news) => {
                self.failed = 0;
                // The presence may have been left a moment ago.
                if let Some(presence) = self.presences.get(&*room) {
                    presence.receive(now, news);
                }
            }
            LinkEvent::Error(violation) => {
                tracing::warn!(%violation, "the server reported an error");
                match violation.code {
                    Code::BadClientId | Code::Superseded | Code::Unauthorized => {
                        return Ok(Err(End::Final(DisconnectReason::Refused(violation))));
                    }
                    // The next connection continues as the token's user.
                    Code::ShuttingDown | Code::Expired | Code::OtherUser => {
                        return Ok(Err(End::Lost(violation.to_string().into())));
                    }
                    _ => connection.blamed = true,
                }
            }
        }
        Ok(Ok(()))
    }

    fn receive_room(&mut self, now: Duration, room: &str, message: RoomMessage<'_>) {
        // What is told of a room before its state is not yet a success.
        if !matches!(message, RoomMessage::Info(_)) {
            self.failed = 0;
        }
        // The room may have been left a moment ago.
        if let Some(replica) = self.replicas.get(room) {
            replica.receive(now, message);
        }
    }

    /// Picks up what the handles did since the last call: what was opened, what has no handle any more and is
    /// left, what the app wants to join again, and the closing of the client.
    fn refresh(&mut self, connection: Option<&mut Connection>) {
        let mut left = Vec::new();
        let mut rooms = lock(&self.core.rooms);
        rooms.presences.retain(|_, presence| !presence.is_abandoned());
        let before = std::mem::replace(&mut self.presences, rooms.presences.clone());
        for (room, old) in before {
            if self.presences.get(&room).is_none_or(|new| !Arc::ptr_eq(&old, new)) {
                left.push(presence::leave(&room));
            }
        }
        rooms.replicas.retain(|room, replica| {
            let leave = replica.is_abandoned() && replica.pending() == 0;
            if leave {
                left.push(client::leave(room));
            }
            !leave
        });
        self.replicas.clone_from(&rooms.replicas);
        let to_rejoin = std::mem::take(&mut rooms.to_rejoin);
        // Asked for with the lock held: after that nothing can be opened any more.
        let is_closing = self.core.is_closing();
        drop(rooms);
        if is_closing && self.closing.is_none() {
            let now = self.core.signal.now();
            self.closing = Some(now + self.core.settings.linger);
            self.replicas.values().for_each(|replica| replica.close(now));
        }
        // Without a connection nothing is joined, and with the next one everything is.
        let Some(connection) = connection else { return };
        let Some(Welcome { window, .. }) = connection.welcome else { return };
        if !left.is_empty() {
            let replicas = self.replicas.values().filter(|replica| replica.is_one_too_many());
            replicas.for_each(|replica| replica.retry_join(window));
            let presences = self.presences.values().filter(|presence| presence.is_one_too_many());
            presences.for_each(|presence| presence.retry_join());
        }
        connection.control.extend(left);
        for room in to_rejoin {
            let of_room = self.replicas.iter().filter(|(address, _)| split_address(address).0 == &*room);
            of_room.for_each(|(_, replica)| replica.retry_join(window));
            if let Some(presence) = self.presences.get(&room) {
                presence.retry_join();
            }
        }
    }

    /// Whether the client is closing and has nothing left to wait for.
    fn is_done(&self) -> bool {
        let Some(until) = self.closing else { return false };
        self.core.signal.now() >= until || self.replicas.values().all(|replica| replica.pending() == 0)
    }
}

/// Whether a server that closes with this code does not like what it was sent.
const fn blames(code: CloseCode) -> bool {
    use CloseCode::{Invalid, Policy, Protocol, Size, Unsupported};
    matches!(code, Invalid | Policy | Protocol | Size | Unsupported)
}

fn broken(violation: Violation) -> End {
    tracing::error!(%violation, "the server broke the protocol");
    End::Lost(format!("the server broke the protocol: {violation}").into())
}
