//! The task of one connection: its socket on one side, its queue on the other.
//!
//! It reads one frame at a time and hands it to the [`Inbound`]. What the frame asks for is done before the next one
//! is read, so a room that is slow to take changes slows down the clients that make them. It writes whatever its
//! queue holds, with one flush for many frames. It holds no lock while it waits. Joins, leaves and token renewals are
//! in `join`.

mod fragments;
mod join;
mod metered;
pub(crate) mod protocol;

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::authority::Relayed;
use crate::core::Code;
use crate::proto::Dialect;
use crate::proto::{Frame, JoinRequest, Limits, server};
use crate::server::access::{Access, Handshake, Identity};
use crate::server::addresses::Counted;
use crate::server::connection::fragments::Fragments;
use crate::server::connection::metered::{Arrival, Metered};
use crate::server::connection::protocol::{Inbound, Incoming, LegacyAction, Request, too_large};
use crate::server::connections::Registration;
use crate::server::fanout::queue::{CloseReason, Next, Queue, Signal, Work};
use crate::server::membership::Membership;
use crate::server::membership::memberships::Memberships;
use crate::server::presence::{PresenceRooms, PresenceSessions};
use crate::server::processor_time::{self, OwnTime, Spent};
use crate::server::rate_limit::TokenBucket;
use crate::server::rooms::directory::Directory;
use crate::server::rooms::legacy_listeners::Listening;
use crate::server::rooms::room::{Admission, Closed, Room};
use crate::server::rooms::room_session::RoomSession;

/// The longest time that the end of a connection may take: the last frames, and the client's answer to them.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection whose change takes at least this long to decide is not read for a while.
const LONG_WORK: Duration = Duration::from_millis(5);

/// After so many fragments of a frame, the other tasks have their turn.
const FRAGMENTS_AT_ONCE: u32 = 8;

/// An idle connection has a read buffer of this size; the write buffer is allocated with the first frame.
const BUFFER: usize = 4 << 10;

/// How many messages are read while the client waits for a password to be checked, unless they have as many bytes as one
/// frame may have. More wait in the socket.
const READ_AHEAD: usize = 8;

/// Why a connection ends.
pub(crate) enum End {
    /// The client is sent this reason.
    Told(CloseReason),
    /// Nothing can be sent to the client.
    Gone(&'static str),
}

impl From<SocketError> for End {
    fn from(_: SocketError) -> Self {
        Self::Gone("the socket failed")
    }
}

impl From<tokio::time::error::Elapsed> for End {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Gone("the client takes no bytes")
    }
}

enum Event {
    Kill(CloseReason),
    Write,
    Read(Option<Result<Message, SocketError>>),
    /// Bytes were read that are no message yet.
    Charge,
    Tick,
}

/// What the server knows of a connection when its task begins.
pub(crate) struct Entry {
    pub(crate) access: Arc<Access>,
    /// The user of the connection once it is known, or why it is refused.
    pub(crate) who: Result<Option<Identity>, String>,
    /// In the v1 protocol, what `authenticate` decides on, together with the token in the client's first message.
    pub(crate) handshake: Option<Box<Handshake>>,
    /// The client's public id, if it is a legacy client.
    pub(crate) legacy_client: Option<Arc<str>>,
    /// The client's address, if it is known.
    pub(crate) address: Option<IpAddr>,
    /// The connection among those of its address.
    pub(crate) counted: Option<Counted>,
}

/// One connection.
pub(crate) struct Connection<T> {
    access: Arc<Access>,
    who: Result<Option<Identity>, String>,
    handshake: Option<Box<Handshake>>,
    socket: WebSocketStream<Metered<T>>,
    /// What has arrived of the next message.
    arrival: Arrival,
    /// The frame that is being written.
    sending: Fragments,
    /// What was read while a password was checked, and is to be handled next.
    read_ahead: VecDeque<Result<Message, SocketError>>,
    inbound: Inbound<RoomSession>,
    queue: Arc<Queue>,
    directory: Arc<Directory>,
    presence_sessions: PresenceSessions,
    memberships: Memberships,
    /// The bucket that limits relayed messages; `None` until the first one.
    relays: Option<Box<TokenBucket>>,
    limits: Arc<Limits>,
    registration: Registration,
    /// The connection among those of its address, if that is known.
    counted: Option<Counted>,
    /// The processor time that it takes.
    time: OwnTime,
    /// The rooms whose channels a legacy client receives.
    listening: BTreeMap<Box<str>, (Listening, Arc<Membership>)>,
    /// When a frame was last read.
    last_read: Instant,
    /// When the user expires.
    expires: Option<Instant>,
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection<T> {
    /// A connection whose HTTP handshake is done; `read` is what was read of the socket after it.
    pub(crate) async fn new(
        (io, read): (T, Bytes),
        Entry { access, who, handshake, legacy_client, address, counted }: Entry,
        queue: Arc<Queue>,
        directory: Arc<Directory>,
        presence_rooms: Arc<PresenceRooms>,
        limits: Arc<Limits>,
        registration: Registration,
    ) -> Box<Self> {
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(limits.frame))
            .max_frame_size(Some(limits.frame));
        let mut registration = registration;
        let inbound = match legacy_client {
            Some(client) => {
                registration.identify(client.clone());
                Inbound::legacy(limits.clone(), client)
            }
            None => Inbound::v1(limits.clone()),
        };
        // Only a client that does not wait for the handshake's answer has sent anything yet. Its bytes cost another
        // buffer.
        let io = Metered::new(io);
        let socket = match read.is_empty() {
            true => WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await,
            false => WebSocketStream::from_partially_read(io, read.into(), Role::Server, Some(config)).await,
        };
        let presence_sessions = PresenceSessions::new(presence_rooms, &limits, registration.number());
        let mut this = Box::new(Self {
            access,
            who,
            handshake,
            socket,
            arrival: Arrival::default(),
            sending: Fragments::default(),
            read_ahead: VecDeque::new(),
            inbound,
            queue,
            directory,
            presence_sessions,
            memberships: Memberships::of(address),
            relays: None,
            limits,
            registration,
            counted,
            time: OwnTime::new(),
            listening: BTreeMap::new(),
            last_read: Instant::now(),
            expires: None,
        });
        this.set_expiry();
        this
    }

    /// Sets the time when the user expires; returns how long that is from now.
    fn set_expiry(&mut self) -> Option<Duration> {
        let who = self.who.as_ref().ok().and_then(Option::as_ref);
        let left = who.and_then(|who| who.time_left().transpose()).map(Result::unwrap_or_default);
        // A time beyond the clock's range never comes.
        self.expires = left.and_then(|left| Instant::now().checked_add(left));
        left
    }

    /// Serves the connection until it ends. Its rooms are left then, and also if the future is dropped.
    ///
    /// Boxed, because an async function's future holds its arguments twice.
    pub(crate) async fn run(mut self: Box<Self>) {
        let end = {
            let (mut serve, mut uncharged) = (pin!(self.serve()), Duration::ZERO);
            let poll = |context: &mut Context<'_>| {
                processor_time::counted(&mut uncharged, || serve.as_mut().poll(context))
            };
            let Err(end) = poll_fn(poll).await;
            end
        };
        // The rooms are left first, so that nothing more is queued and the queue can be emptied.
        self.inbound.retain(|_| false);
        self.listening.clear();
        self.presence_sessions.leave_all();
        match end {
            End::Told(reason) => {
                tracing::debug!(code = %reason.code, message = ?reason.message, "connection ended");
                // A client that does not read in time misses the reason.
                let _ = timeout(CLOSE_TIMEOUT, Box::pin(self.close_socket(&reason))).await;
            }
            End::Gone(why) => tracing::debug!("connection ended: {why}"),
        }
    }

    async fn serve(&mut self) -> Result<std::convert::Infallible, End> {
        if let Err(message) = &self.who {
            return Err(End::Told(CloseReason::new(Code::Unauthorized, message.clone())));
        }
        let queue = self.queue.clone();
        let mut tick = pin!(sleep_until(self.or_expired(self.last_read + self.limits.heartbeat)));
        let mut expires = self.expires;
        // Reading and writing take turns: a busy room does not keep the connection from being read, and a busy client
        // does not keep it from being written.
        let mut read_first = false;
        loop {
            // Checked here, because the timer is not polled while there is always something to read or write.
            if self.expires.is_some_and(|expires| expires <= Instant::now()) {
                return Err(End::Told(expired()));
            }
            let event = poll_fn(|context| {
                if read_first && let Poll::Ready(message) = self.poll_read(context) {
                    return Poll::Ready(Event::Read(message));
                }
                match queue.poll(context) {
                    Poll::Ready(Signal::Filled) => return Poll::Ready(Event::Write),
                    Poll::Ready(Signal::Killed(reason)) => return Poll::Ready(Event::Kill(reason)),
                    Poll::Pending => {}
                }
                if !read_first && let Poll::Ready(message) = self.poll_read(context) {
                    return Poll::Ready(Event::Read(message));
                }
                if tick.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Event::Tick);
                }
                if self.socket.get_ref().is_chargeable() {
                    return Poll::Ready(Event::Charge);
                }
                Poll::Pending
            })
            .await;
            read_first = matches!(event, Event::Write);
            match event {
                Event::Kill(reason) => return Err(End::Told(reason)),
                Event::Write => self.serve_queue().await?,
                Event::Read(message) => self.read(message).await?,
                Event::Charge => {}
                Event::Tick => {
                    let next = self.tick().await?;
                    tick.as_mut().reset(self.or_expired(next));
                }
            }
            if self.expires != expires {
                expires = self.expires;
                tick.as_mut().reset(self.or_expired(self.last_read + self.limits.heartbeat));
            }
            // Boxed, so that an idle connection does not reserve memory for the futures.
            if let Some(bytes) = self.socket.get_mut().charge() {
                Box::pin(self.rest_if_fast(bytes)).await?;
            }
            if let Some(spent) = processor_time::charge() {
                Box::pin(self.rest_if_short(spent)).await?;
            }
        }
    }

    /// Reads nothing for a while after these bytes, if the address sends more than it may.
    async fn rest_if_fast(&mut self, bytes: usize) -> Result<(), End> {
        match self.counted.as_ref().map(|counted| counted.received(bytes)) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(rest) => self.meanwhile(Box::pin(tokio::time::sleep(rest))).await,
        }
    }

    /// Lets other connections have their turn. Reads nothing for a while if there is too little processor time, and this
    /// connection takes more than its part.
    async fn rest_if_short(&mut self, spent: Spent) -> Result<(), End> {
        let others_wait = processor_time::take_turns().await;
        let Some(counted) = &self.counted else { return Ok(()) };
        // The clock of the sockets may be stopped in tests, that of the processors is not.
        let now = std::time::Instant::now();
        let part = counted.spend(spent, others_wait, now);
        match self.time.take(spent, part, now) {
            Some(rest) => self.meanwhile(Box::pin(tokio::time::sleep(rest))).await,
            None => Ok(()),
        }
    }

    /// The next message of the socket.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, SocketError>>> {
        if let Some(message) = self.read_ahead.pop_front() {
            if self.read_ahead.is_empty() {
                // An idle connection keeps no memory for it.
                self.read_ahead = VecDeque::new();
            }
            return Poll::Ready(Some(message));
        }
        self.socket.poll_next_unpin(context)
    }

    /// Sends the queued frames, then does what rooms have asked for.
    async fn serve_queue(&mut self) -> Result<(), End> {
        self.write().await?;
        while let Some(work) = self.queue.take_work() {
            // Boxed, so that an idle connection does not reserve memory for the future.
            match work {
                Work::Join(channel, from) => Box::pin(self.join_channel(&channel, Some(from))).await?,
                Work::Leave(room, why) => Box::pin(self.eject(&room, &why)).await?,
                Work::Inform(room) => Box::pin(self.inform(&room)).await?,
            }
        }
        Ok(())
    }

    /// `at`, or the time when the user expires if that is earlier.
    fn or_expired(&self, at: Instant) -> Instant {
        self.expires.map_or(at, |expires| expires.min(at))
    }

    /// Pings a silent client, or ends the connection. Returns the time of the next check.
    async fn tick(&mut self) -> Result<Instant, End> {
        let heartbeat = self.limits.heartbeat;
        self.arrival.look(self.socket.get_ref());
        self.check_arrival()?;
        let silent = self.last_read.elapsed();
        if self.expires.is_some_and(|expires| expires <= Instant::now()) {
            // The loop in `serve` ends the connection.
            return Ok(self.last_read + heartbeat);
        }
        if self.inbound.client().is_none() {
            return Err(End::Told(CloseReason::new(Code::HelloExpected, "expected `hello`, found silence")));
        }
        if silent >= heartbeat * 2 {
            return Err(End::Gone("the client was silent for too long"));
        }
        if silent < heartbeat {
            return Ok(self.last_read + heartbeat);
        }
        match self.inbound.dialect() {
            Dialect::V1 => self.reply(server::ping()).await?,
            // Every WebSocket implementation answers this ping by itself.
            Dialect::Legacy => self.send(Message::Ping(Default::default())).await?,
        }
        Ok(self.last_read + heartbeat * 2)
    }

    /// Ends the connection of a client that does not finish a message.
    fn check_arrival(&self) -> Result<(), End> {
        let limit = self.limits.heartbeat * 4;
        if self.arrival.is_longer_than(limit) {
            let message = format!("a message was not finished within {} s", limit.as_secs());
            return Err(End::Told(CloseReason::new(Code::BadMessage, message)));
        }
        Ok(())
    }

    async fn read(&mut self, message: Option<Result<Message, SocketError>>) -> Result<(), End> {
        self.last_read = Instant::now();
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(error)) => return Err(unreadable(&error)),
            None => return Err(End::Gone("closed by the client")),
        };
        let incoming = match &message {
            Message::Text(text) => Incoming::Text(text.as_str()),
            Message::Binary(_) => Incoming::Binary,
            // The socket answers pings. The answer is written before the next frame is read, so that answers do not pile
            // up for a client that does not read them.
            Message::Ping(payload) => {
                self.arrival.control(self.socket.get_ref(), payload.len());
                self.flush().await?;
                return self.check_arrival();
            }
            Message::Pong(payload) => {
                self.arrival.control(self.socket.get_ref(), payload.len());
                return self.check_arrival();
            }
            Message::Close(_) | Message::Frame(_) => return Ok(()),
        };
        self.arrival.finished(self.socket.get_ref());
        match self.inbound.read(incoming) {
            Request::Nothing => Ok(()),
            Request::Reply(frame) => self.reply(frame).await,
            Request::Close(reason) => Err(End::Told(reason)),
            // Boxed, so that an idle connection does not reserve memory for the future.
            Request::Hello { secret, token } => Box::pin(self.hello(&secret, token)).await,
            Request::Token(token) => Box::pin(self.renew(token)).await,
            Request::Join { room, request } => Box::pin(self.join(&room, request)).await.map(drop),
            Request::Leave { room } => {
                self.inbound.left(&room);
                Ok(())
            }
            Request::Change { room: RoomSession { room, session, .. }, change } => {
                let (room, session) = (room.clone(), *session);
                if let Ok(admission) = self.admission(&room, change.updates.get().len()).await? {
                    return self.rest_after(room.submit(session, &change, admission)).await;
                }
                Ok(())
            }
            Request::Refuse { room: RoomSession { room, session, .. }, seq, reject } => {
                // A room that has ended has notified its sessions.
                let _ = room.refuse(*session, seq, reject);
                Ok(())
            }
            Request::Broadcast { room: RoomSession { room, session, .. }, value } => {
                if let Ok(Relayed::Refused(reject)) = room.broadcast(*session, value) {
                    let frame = server::broadcast_rejected(room.name(), reject.code, &reject.message);
                    return self.reply(frame).await;
                }
                Ok(())
            }
            // Boxed, so that an idle connection does not reserve memory for the future.
            Request::Presence { room, action } => Box::pin(self.attend(&room, action)).await,
            Request::Relay { room, kind, value } => Box::pin(self.relay(&room, &kind, value.get())).await,
            Request::Legacy { room: name, joined, action } => {
                let open = joined.filter(|session| !session.room.is_closed());
                let (room, session) = match open.map(|joined| (joined.room.clone(), joined.session)) {
                    Some(place) => place,
                    None => {
                        let joined = Box::pin(self.join(&name, JoinRequest::default())).await?;
                        // If the room could not be joined, the client was answered.
                        let Some(joined) = joined else { return Ok(()) };
                        self.watch_presence(&name);
                        joined
                    }
                };
                self.listen(&name).await?;
                match action {
                    LegacyAction::Sync => {
                        // A room that has ended has notified its sessions.
                        let _ = room.legacy_sync(session);
                    }
                    LegacyAction::Change(updates, claim) => {
                        if let Ok(admission) = self.admission(&room, updates.len()).await? {
                            let decided = room.submit_legacy(session, &updates, claim, admission);
                            return self.rest_after(decided).await;
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// Reads nothing for a while after a change that took long to decide, so that no connection takes more than a
    /// quarter of a processor.
    async fn rest_after(&mut self, decided: Result<Duration, Closed>) -> Result<(), End> {
        match decided {
            Ok(work) if work >= LONG_WORK => self.meanwhile(Box::pin(tokio::time::sleep(work * 3))).await,
            // A room that has ended has notified its sessions.
            Ok(_) | Err(Closed) => Ok(()),
        }
    }

    /// Waits until the room takes a change of `bytes`.
    async fn admission(&mut self, room: &Room, bytes: usize) -> Result<Result<Admission, Closed>, End> {
        match room.admission_now(bytes) {
            Some(admission) => Ok(Ok(admission)),
            None => self.meanwhile(Box::pin(room.admission(bytes))).await,
        }
    }

    /// Awaits `work` while the queue is still written and the connection can be ended.
    async fn meanwhile<R>(&mut self, work: impl Future<Output = R> + Unpin) -> Result<R, End> {
        self.await_beside(work, 0).await
    }

    /// As [`meanwhile`](Self::meanwhile), and ends the connection if the client goes away meanwhile: nothing is done for
    /// clients that have gone. To notice that, up to [`READ_AHEAD`] messages of the client are read, which are handled
    /// after this.
    async fn meanwhile_connected<R>(&mut self, work: impl Future<Output = R> + Unpin) -> Result<R, End> {
        self.await_beside(work, READ_AHEAD).await
    }

    /// Awaits `work`, while the queue is written and up to `most` messages are read ahead.
    async fn await_beside<R>(
        &mut self,
        mut work: impl Future<Output = R> + Unpin,
        most: usize,
    ) -> Result<R, End> {
        let queue = self.queue.clone();
        loop {
            let ahead = &mut self.read_ahead;
            let bytes: usize = ahead.iter().flatten().map(Message::len).sum();
            let has_space = ahead.len() < most && bytes < self.limits.frame;
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                signal = queue.signal() => match signal {
                    Signal::Filled => self.write().await?,
                    Signal::Killed(reason) => return Err(End::Told(reason)),
                },
                message = self.socket.next(), if has_space => match message {
                    None | Some(Ok(Message::Close(_))) => return Err(End::Gone("closed by the client")),
                    Some(Err(error)) => match unreadable(&error) {
                        End::Told(_) => ahead.push_back(Err(error)),
                        gone @ End::Gone(_) => return Err(gone),
                    },
                    Some(Ok(message)) => ahead.push_back(Ok(message)),
                },
            }
        }
    }

    /// Sends an answer, after the frames queued before it.
    async fn reply(&mut self, frame: Frame) -> Result<(), End> {
        self.queue.reply(frame);
        self.write().await
    }

    /// Writes the queued frames; stops if the connection is to end.
    async fn write(&mut self) -> Result<(), End> {
        let queue = self.queue.clone();
        tokio::select! {
            biased;
            written = self.write_queued() => written,
            reason = queue.killed() => Err(End::Told(reason)),
        }
    }

    async fn write_queued(&mut self) -> Result<(), End> {
        // Bounded, because a busy room must not keep the connection from being read.
        for _ in 0..=self.limits.queue {
            match self.queue.next() {
                Next::Frame(frame) => self.feed_frame(frame).await?,
                Next::LostRoom => self.inbound.retain(|session| !session.room.is_closed()),
                Next::Drained => self.inbound.rooms().for_each(|joined| joined.room.drained(joined.session)),
                Next::Presence(frames) => {
                    for frame in frames.iter() {
                        self.feed_frame(frame.clone()).await?;
                    }
                }
                Next::PresenceDrained(lane) => self.presence_sessions.drained(lane),
                Next::Nothing => return self.flush().await,
            }
        }
        self.queue.look_again();
        self.flush().await
    }

    async fn feed(&mut self, message: Message) -> Result<(), End> {
        timeout(self.limits.heartbeat * 2, self.socket.feed(message)).await??;
        Ok(())
    }

    /// Feeds a frame. If this is dropped, [`close_socket`](Self::close_socket) sends the rest of it.
    async fn feed_frame(&mut self, frame: Frame) -> Result<(), End> {
        self.sending = Fragments::of(frame);
        let mut sent = 0;
        while !self.sending.is_empty() {
            let ready = poll_fn(|context| self.socket.poll_ready_unpin(context));
            timeout(self.limits.heartbeat * 2, ready).await??;
            if let Some(fragment) = self.sending.next() {
                self.socket.start_send_unpin(fragment)?;
            }
            sent += 1;
            if sent % FRAGMENTS_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Feeds the rest of the frame that is being written.
    async fn feed_rest(&mut self) -> Result<(), SocketError> {
        for fragment in &mut self.sending {
            self.socket.feed(fragment).await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), End> {
        timeout(self.limits.heartbeat * 2, self.socket.flush()).await??;
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        self.feed(message).await?;
        self.flush().await
    }

    /// Ends the connection: sends the queued frames, unless the user has expired, then the reason and a close frame,
    /// and waits until the client has read them. If a socket is closed while it has unread bytes, it is reset, and
    /// the last frames may be lost.
    async fn close_socket(&mut self, reason: &CloseReason) {
        loop {
            // The rest of a frame that was begun first: no other frame may come between its fragments.
            if self.feed_rest().await.is_err() {
                return;
            }
            match self.queue.next() {
                Next::Frame(_) if reason.code == Code::Expired => {}
                Next::Frame(frame) => self.sending = Fragments::of(frame),
                Next::LostRoom | Next::Drained | Next::Presence(_) | Next::PresenceDrained(_) => {}
                Next::Nothing => break,
            }
        }
        let error = server::error(reason.code, &reason.message);
        let code = match reason.code {
            Code::BadFrame => CloseCode::Protocol,
            Code::BinaryFrame => CloseCode::Unsupported,
            Code::FrameTooLarge => CloseCode::Size,
            Code::ShuttingDown => CloseCode::Away,
            _ => CloseCode::Policy,
        };
        let close = CloseFrame { code, reason: reason.code.as_str().into() };
        self.sending = Fragments::of(error);
        if self.feed_rest().await.is_err() || self.socket.send(Message::Close(Some(close))).await.is_err() {
            return;
        }
        loop {
            match self.socket.next().await {
                Some(Ok(_)) => {}
                // The client has answered the close frame, so it has read everything.
                None => return,
                Some(Err(_)) => break,
            }
        }
        // What follows is not WebSocket frames, for example the rest of a frame that is too large.
        let io = &mut self.socket.get_mut().io;
        if io.shutdown().await.is_ok() {
            let mut rest = vec![0; BUFFER];
            while matches!(io.read(&mut rest).await, Ok(read) if read > 0) {}
        }
    }
}

/// Why a connection ends whose socket cannot be read: the client has sent something wrong, or has gone.
fn unreadable(error: &SocketError) -> End {
    use ProtocolError::{ReceivedAfterClosing, ResetWithoutClosingHandshake, SendAfterClosing};
    End::Told(match error {
        SocketError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            too_large(*size, *max_size)
        }
        SocketError::Utf8(_) => CloseReason::new(Code::NotJson, "expected UTF-8 text"),
        SocketError::Protocol(ReceivedAfterClosing | ResetWithoutClosingHandshake | SendAfterClosing) => {
            return End::Gone("the client has closed the connection");
        }
        SocketError::Protocol(error) => CloseReason::new(Code::BadFrame, error.to_string()),
        _ => return End::Gone("the socket failed"),
    })
}

fn expired() -> CloseReason {
    CloseReason::new(Code::Expired, "what identifies the user has expired; connect again with a newer token")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::connections::Connections;
    use crate::server::fanout::queue::QueuedBytes;
    use crate::server::rooms::room_types::RoomTypes;
    use crate::store::MemoryStore;

    /// Together with the connection, the read buffer, the queue and a session, an idle connection takes less than 8
    /// kB.
    #[tokio::test]
    async fn a_connections_task_is_small() {
        let limits = Arc::new(Limits::default());
        let store = Arc::new(MemoryStore::new());
        let accesses = crate::server::membership::RoomAccessTable::new(None);
        let directory =
            Directory::new(RoomTypes::default(), store, limits.clone(), Duration::from_secs(1), accesses);
        let presence_rooms = PresenceRooms::new(&limits);
        let queue = Arc::new(Queue::new(1, 1, Arc::new(QueuedBytes::new(1))));
        let registration = Arc::new(Connections::new()).register(queue.clone()).unwrap();
        let (io, _peer) = tokio::io::duplex(64);
        let request = hyper::Request::get("/").body(()).unwrap();
        let handshake = Some(Box::new(Handshake::of(&request, None)));
        let entry = Entry {
            access: Arc::default(),
            who: Ok(None),
            handshake,
            legacy_client: None,
            address: None,
            counted: None,
        };
        let task = Connection::new(
            (io, Bytes::new()),
            entry,
            queue,
            directory,
            presence_rooms,
            limits,
            registration,
        )
        .await
        .run();
        let size = size_of_val(&task);
        assert!(size <= 1664, "{size} bytes");
    }
}
