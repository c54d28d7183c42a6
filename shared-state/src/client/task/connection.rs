//! One connection, from its opening to its end: passes received frames to the state machines and sends
//! theirs.
//!
//! The task never waits for the socket to accept a frame. While the socket is blocked, messages are read and
//! the heartbeat continues, so that a half-open connection is detected then too.

use std::collections::{BTreeMap, VecDeque};
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, Sink as _, SinkExt as _, Stream as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::client::task::driver::{Driver, End, Socket, Token};
use crate::client::{DisconnectReason, Status, lock};
use crate::core::Code;
use crate::proto::{Envelope, Frame, RoomMessage, Violation, client, presence, split_address};
use crate::replica::LinkEvent;

/// How many messages are read before frames are sent again and other tasks may run.
const BATCH: usize = 64;

/// How long the server may take to answer the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What happened on the socket.
enum Io {
    Message(Option<Result<Message, Error>>),
    Flushed(Result<(), Error>),
}

/// A room that could not be joined for now.
struct Retry {
    failed: u32,
    /// When it is joined again; `None`: that was done, and the room has not answered yet.
    due: Option<Duration>,
}

/// The state of one connection.
struct Connection {
    socket: Socket,
    /// Frames of the connection itself: handshake, heartbeat, tokens and leaves.
    control: VecDeque<Frame>,
    /// How many unanswered changes the server allows in each room; `None` before its welcome.
    window: Option<usize>,
    retries: BTreeMap<Arc<str>, Retry>,
    /// Frames were written that may not have been flushed.
    dirty: bool,
    /// The socket did not accept every frame.
    blocked: bool,
}

impl Driver {
    /// Runs a connection until it ends.
    pub(crate) async fn run_connection(&mut self, socket: Socket) -> End {
        self.connection += 1;
        let hello = self.link.opened(self.core.signal.now(), None);
        let mut connection = Connection {
            socket,
            control: VecDeque::from([hello]),
            window: None,
            retries: BTreeMap::new(),
            dirty: false,
            blocked: false,
        };
        match self.exchange(&mut connection).await {
            End::Final(DisconnectReason::Closed) => {
                self.close(connection).await;
                End::Final(DisconnectReason::Closed)
            }
            end => {
                // Completes the closing handshake, if the server began it and the socket accepts the frame.
                let _ = connection.socket.flush().now_or_never();
                end
            }
        }
    }

    async fn exchange(&mut self, connection: &mut Connection) -> End {
        // A connection that is never welcomed is a failed attempt.
        self.failed = self.failed.saturating_add(1);
        let core = self.core.clone();
        let mut token: Option<Token> = None;
        loop {
            if self.link.take_renewal(core.signal.now()) {
                token = self.dial.renew_token();
            }
            for room in self.refresh_presence() {
                if connection.window.is_some() {
                    connection.control.push_back(presence::leave(&room));
                }
            }
            for room in self.refresh() {
                connection.retries.remove(&room);
                if connection.window.is_some() {
                    connection.control.push_back(client::leave(&room));
                }
            }
            self.retry_join(connection);
            if self.is_done() {
                return End::Final(DisconnectReason::Closed);
            }
            if let Err(end) = self.tick(connection).and_then(|()| self.send_frames(connection)) {
                return end;
            }
            let deadline = self.deadline(connection);
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
                () = self.sleep_until(deadline) => continue,
            };
            let mut io = Some(io);
            for _ in 0..BATCH {
                match io.take() {
                    None => break,
                    Some(Io::Flushed(Ok(()))) => connection.dirty = false,
                    Some(Io::Flushed(Err(error))) => return End::Lost(error.to_string().into()),
                    Some(Io::Message(message)) => {
                        if let Err(end) = self.receive(connection, message) {
                            return end;
                        }
                    }
                }
                io = connection.socket.next().now_or_never().map(Io::Message);
            }
            if let Some(Io::Message(message)) = io
                && let Err(end) = self.receive(connection, message)
            {
                return end;
            }
        }
    }

    /// Joins the rooms again that the app has asked for. Rooms that were not joined yet are joined anyway.
    fn retry_join(&self, connection: &Connection) {
        let rooms = std::mem::take(&mut lock(&self.core.rooms).to_rejoin);
        let Some(window) = connection.window else { return };
        for room in rooms {
            let of_room = self.replicas.iter().filter(|replica| split_address(replica.room()).0 == &*room);
            of_room.filter(|replica| !replica.is_live()).for_each(|replica| replica.rejoin(window));
            let presences = self.presences.iter().filter(|presence| *presence.room() == room);
            presences.for_each(|presence| presence.retry_join());
        }
    }

    /// Does what is due: heartbeat, delayed writes, joins.
    fn tick(&mut self, connection: &mut Connection) -> Result<(), End> {
        let now = self.core.signal.now();
        match self.link.tick(now) {
            Ok(ping) => connection.control.extend(ping),
            Err(dead) => return Err(End::Lost(dead.to_string().into())),
        }
        for replica in &self.replicas {
            replica.tick(now);
            let Some(window) = connection.window else { continue };
            replica.attach(self.connection, window, self.link.limits());
            if let Some(retry) = connection.retries.get_mut(replica.room())
                && retry.due.is_some_and(|due| due <= now)
            {
                retry.due = None;
                replica.rejoin(window);
            }
        }
        for presence in &self.presences {
            presence.tick(now);
            if connection.window.is_some()
                && let Some(id) = self.link.public_id()
            {
                presence.attach(self.connection, id, self.link.limits());
            }
        }
        Ok(())
    }

    /// When the next step is due.
    fn deadline(&self, connection: &Connection) -> Option<Duration> {
        let rooms = self.replicas.iter().filter_map(|replica| replica.deadline());
        let retries = connection.retries.values().filter_map(|retry| retry.due);
        // While the socket is blocked, a due presence is sent once the socket accepts it.
        let presences = if connection.blocked { &[] } else { &*self.presences };
        let presence = presences.iter().filter_map(|presence| presence.deadline());
        let connection_timers =
            self.link.deadline().into_iter().chain(self.link.renewal()).chain(self.closing());
        rooms.chain(retries).chain(presence).chain(connection_timers).min()
    }

    /// Sends frames for as long as the socket accepts them.
    fn send_frames(&self, connection: &mut Connection) -> Result<(), End> {
        connection.blocked = true;
        while let Some(frame) = connection.control.front() {
            let frame = frame.clone();
            if !connection.write(frame)? {
                return Ok(());
            }
            connection.control.pop_front();
        }
        if connection.window.is_none() {
            return Ok(());
        }
        for replica in &self.replicas {
            while connection.is_ready()? {
                let Some(frame) = replica.poll_frame() else { break };
                connection.write(frame)?;
            }
        }
        for presence in &self.presences {
            if !connection.is_ready()? {
                return Ok(());
            }
            if let Some(frame) = presence.poll_frame(self.core.signal.now()) {
                connection.write(frame)?;
            }
        }
        connection.blocked = false;
        Ok(())
    }

    fn receive(
        &mut self,
        connection: &mut Connection,
        message: Option<Result<Message, Error>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => self.receive_text(connection, &text).map_err(broken)?,
            Some(Ok(Message::Binary(bytes))) => {
                let received = self.link.receive_brief(self.core.signal.now(), &bytes);
                let (room, message) = received.map_err(broken)?;
                self.receive_room(connection, &room, message);
                Ok(())
            }
            Some(Ok(Message::Ping(_))) => {
                // The socket has queued the pong.
                connection.dirty = true;
                Ok(())
            }
            Some(Ok(Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(frame))) => Err(End::Lost(match frame {
                Some(frame) => format!("the server closed the connection: {frame}").into(),
                None => "the server closed the connection".into(),
            })),
            Some(Err(error)) => Err(End::Lost(error.to_string().into())),
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
        match self.link.receive_envelope(self.core.signal.now(), &envelope)? {
            LinkEvent::Nothing => {}
            LinkEvent::Reply(frame) => connection.control.push_back(frame),
            LinkEvent::Welcome(window) => {
                connection.window = Some(window);
                self.failed = 0;
                *lock(&self.core.public) = self.link.public_id().map(Arc::from);
                tracing::info!(id = self.link.public_id(), "connected");
                self.core.status.send_replace(Status::Connected);
            }
            LinkEvent::Room(room, message) => self.receive_room(connection, &room, message),
            LinkEvent::Presence(room, news) => {
                // The presence may have been left a moment ago.
                if let Some(presence) = self.presences.iter().find(|presence| **presence.room() == *room) {
                    presence.receive(self.core.signal.now(), news);
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
                    _ => {}
                }
            }
        }
        Ok(Ok(()))
    }

    fn receive_room(&self, connection: &mut Connection, room: &str, message: RoomMessage<'_>) {
        // The room may have been left a moment ago.
        let Some(replica) = self.replicas.iter().find(|replica| &**replica.room() == room) else { return };
        let verdict = replica.receive(message);
        if let Err(violation) = verdict {
            tracing::warn!(%room, %violation, "a room reported an error or sent a message that does not fit");
            if matches!(
                violation.code,
                Code::Unavailable | Code::NotJoined | Code::ShuttingDown | Code::TooOften | Code::RulesFailed
            ) {
                replica.detach();
                let retry = connection
                    .retries
                    .entry(replica.room().clone())
                    .or_insert(Retry { failed: 0, due: None });
                if retry.due.is_none() {
                    retry.failed = retry.failed.saturating_add(1);
                    retry.due = Some(self.core.signal.now() + self.room_wait(retry.failed));
                }
            }
            replica.report(Some(violation));
        } else if replica.is_live() {
            connection.retries.remove(room);
            replica.report(None);
        }
    }

    /// Leaves the rooms and closes the connection; waits for the server's answer for a limited time.
    async fn close(&self, mut connection: Connection) {
        let closing = async {
            if connection.window.is_some() {
                for replica in &self.replicas {
                    let leave = client::leave(replica.room());
                    if let Some(message) = to_message(leave) {
                        connection.socket.feed(message).await?;
                    }
                }
            }
            connection.socket.close(None).await?;
            while let Some(message) = connection.socket.next().await {
                message?;
            }
            Ok::<_, Error>(())
        };
        match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection broke while it was closed"),
            Err(_) => tracing::debug!("the server did not answer the close frame in time"),
        }
    }
}

impl Connection {
    /// Waits for a message, or for a flush to complete. Cancel safe.
    async fn io(&mut self) -> Io {
        poll_fn(|context| {
            let mut socket = Pin::new(&mut self.socket);
            if self.dirty
                && let Poll::Ready(flushed) = socket.as_mut().poll_flush(context)
            {
                return Poll::Ready(Io::Flushed(flushed));
            }
            socket.poll_next(context).map(Io::Message)
        })
        .await
    }

    /// Whether the socket accepts a frame now. If not, [`io`](Self::io) returns when its flush completes.
    fn is_ready(&mut self) -> Result<bool, End> {
        // [`io`](Self::io) follows and registers the real waker.
        let mut context = Context::from_waker(std::task::Waker::noop());
        match Pin::new(&mut self.socket).poll_ready(&mut context) {
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(error)) => Err(End::Lost(error.to_string().into())),
            Poll::Pending => Ok(false),
        }
    }

    /// Writes a frame if the socket accepts it now; returns whether it did.
    fn write(&mut self, frame: Frame) -> Result<bool, End> {
        if !self.is_ready()? {
            return Ok(false);
        }
        if let Some(message) = to_message(frame) {
            let sent = Pin::new(&mut self.socket).start_send(message);
            sent.map_err(|error| End::Lost(error.to_string().into()))?;
            self.dirty = true;
        }
        Ok(true)
    }
}

fn broken(violation: Violation) -> End {
    tracing::error!(%violation, "the server broke the protocol");
    End::Lost(format!("the server broke the protocol: {violation}").into())
}

/// A frame as a WebSocket message.
fn to_message(frame: Frame) -> Option<Message> {
    // A client's frames are always text.
    Utf8Bytes::try_from(frame.into_bytes()).ok().map(Message::Text)
}
