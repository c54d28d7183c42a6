//! One connection's socket: writes frames to it and reads messages from it. Knows no room; the client's task
//! asks the rooms for their frames.
//!
//! A write never waits for the socket. While the socket is blocked, messages are read and the heartbeat
//! continues, so that a half-open connection is detected then too.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{FutureExt as _, Sink as _, SinkExt as _, Stream as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::client::DisconnectReason;
use crate::client::task::dial::Socket;
use crate::proto::{ClientLimits, Frame};

/// How long the server may take to answer the close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How a connection, or an attempt to connect, ended.
pub(crate) enum End {
    /// The connection was lost; there will be another attempt.
    Lost(Arc<str>),
    /// The client ends.
    Final(DisconnectReason),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Lost(error.to_string().into())
    }
}

/// What happened on the socket.
pub(crate) enum Io {
    /// A message arrived; `None`: the connection was closed.
    Message(Option<Result<Message, Error>>),
    /// The socket, which was blocked, accepts frames again.
    Writable,
}

/// What the server said in its welcome.
pub(crate) struct Welcome {
    /// The client's public id.
    pub(crate) id: Arc<str>,
    /// How many unanswered changes it allows in each room.
    pub(crate) window: usize,
    /// Its limits on what this client sends.
    pub(crate) limits: ClientLimits,
}

pub(crate) struct Connection {
    socket: Socket,
    /// Counts the client's connections, from 1.
    pub(crate) number: u64,
    /// `None` before the server's welcome.
    pub(crate) welcome: Option<Welcome>,
    /// The room that is being joined, or sent a change, although that has ended connections before. No other such room
    /// is joined meanwhile, so that the one which ends this connection too is known.
    pub(crate) suspect: Option<Arc<str>>,
    /// Whether the server has said that what it was sent is why it ends the connection.
    pub(crate) blamed: bool,
    /// Frames of the connection itself: handshake, heartbeat, tokens and leaves.
    pub(crate) control: VecDeque<Frame>,
    /// Frames were written that may not have been flushed.
    dirty: bool,
    /// The socket did not accept a frame. [`io`](Self::io) flushes it until it does.
    pub(crate) blocked: bool,
}

impl Connection {
    /// A connection that begins with the frame `hello`.
    pub(crate) fn new(socket: Socket, number: u64, hello: Frame) -> Self {
        let control = VecDeque::from([hello]);
        Self {
            socket,
            number,
            welcome: None,
            suspect: None,
            blamed: false,
            control,
            dirty: false,
            blocked: false,
        }
    }

    /// Waits for a message, or until a blocked socket accepts frames again. Cancel safe.
    pub(crate) async fn io(&mut self) -> Io {
        poll_fn(|context| {
            let mut socket = Pin::new(&mut self.socket);
            if self.dirty
                && let Poll::Ready(flushed) = socket.as_mut().poll_flush(context)
            {
                self.dirty = false;
                if let Err(error) = flushed {
                    return Poll::Ready(Io::Message(Some(Err(error))));
                }
                if std::mem::take(&mut self.blocked) {
                    return Poll::Ready(Io::Writable);
                }
            }
            socket.poll_next(context).map(Io::Message)
        })
        .await
    }

    /// The next message, if one has arrived.
    pub(crate) fn arrived(&mut self) -> Option<Option<Result<Message, Error>>> {
        self.socket.next().now_or_never()
    }

    /// The socket has queued a frame by itself.
    pub(crate) const fn has_queued(&mut self) {
        self.dirty = true;
    }

    /// Sends the connection's own frames.
    pub(crate) fn send_control(&mut self) -> Result<(), End> {
        let mut control = std::mem::take(&mut self.control);
        self.send(|| control.pop_front())?;
        self.control = control;
        Ok(())
    }

    /// Sends the frames that `next` returns, for as long as the socket accepts them. Once it does not, nothing
    /// is sent until [`io`](Self::io) has returned that it does again.
    pub(crate) fn send(&mut self, mut next: impl FnMut() -> Option<Frame>) -> Result<(), End> {
        // `io` follows and registers the real waker.
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut socket = Pin::new(&mut self.socket);
        while !self.blocked {
            if socket.as_mut().poll_ready(&mut context)?.is_pending() {
                (self.blocked, self.dirty) = (true, true);
            } else if let Some(frame) = next() {
                if let Some(message) = to_message(frame) {
                    socket.as_mut().start_send(message)?;
                    self.dirty = true;
                }
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Completes the closing handshake, if the server began it and the socket accepts the frame.
    pub(crate) fn lost(&mut self) {
        let _ = self.socket.flush().now_or_never();
    }

    /// Sends the last frames and closes the connection; waits for the server's answer for a limited time.
    pub(crate) async fn close(mut self, last: impl Iterator<Item = Frame>) {
        let closing = async {
            for message in last.filter_map(to_message) {
                self.socket.feed(message).await?;
            }
            self.socket.close(None).await?;
            while let Some(message) = self.socket.next().await {
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

/// A frame as a WebSocket message.
fn to_message(frame: Frame) -> Option<Message> {
    // A client's frames are always text.
    Utf8Bytes::try_from(frame.into_bytes()).ok().map(Message::Text)
}
