//! A socket that counts what is read of it, so that an address can be held to a rate, and a message that is never finished
//! can be noticed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The bytes of a client's control frame besides its payload: two, and the mask.
const CONTROL: u64 = 6;

/// The bytes are charged in parts that are at least this long.
const PART: u64 = 16 << 10;

/// A socket with a count of the bytes that were read.
#[derive(Debug)]
pub(super) struct Metered<T> {
    pub(super) io: T,
    read: u64,
    /// How many of them were charged.
    charged: u64,
}

impl<T> Metered<T> {
    pub(super) const fn new(io: T) -> Self {
        Self { io, read: 0, charged: 0 }
    }

    /// The bytes that were read since this was last called, if they are worth charging for: they are charged now.
    pub(super) fn charge(&mut self) -> Option<usize> {
        let bytes = self.read - self.charged;
        (bytes >= PART).then(|| {
            self.charged = self.read;
            usize::try_from(bytes).unwrap_or(usize::MAX)
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(context, buffer));
        self.read += (buffer.filled().len() - before) as u64;
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// How long a message has been arriving.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    /// How many of the bytes that were read belong to messages and control frames that are complete.
    complete: u64,
    /// When more than that was first seen; `None` if there was no more.
    since: Option<Instant>,
}

impl Arrival {
    /// A message is complete. It is not known how many bytes its frames had: what was read behind it counts to it.
    pub(super) fn finished<T>(&mut self, socket: &Metered<T>) {
        *self = Self { complete: socket.read, since: None };
    }

    /// A control frame with a payload of `length` bytes is complete.
    pub(super) fn control<T>(&mut self, socket: &Metered<T>, length: usize) {
        self.complete = socket.read.min(self.complete + CONTROL + length as u64);
        self.look(socket);
    }

    /// Notes whether a part of a message has arrived.
    pub(super) fn look<T>(&mut self, socket: &Metered<T>) {
        if socket.read == self.complete {
            self.since = None;
        } else {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether a message has been arriving for longer than this.
    pub(super) fn is_longer_than(&self, limit: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() > limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_complete_frame_is_a_message_that_arrives() {
        let (mut socket, mut arrival) = (Metered::new(()), Arrival::default());
        // Two pings in one read, with payloads of 3 bytes.
        socket.read = 2 * (CONTROL + 3);
        arrival.control(&socket, 3);
        assert!(arrival.since.is_some());
        arrival.control(&socket, 3);
        assert!(arrival.since.is_none());
        // The first part of a message, which its control frames do not finish.
        socket.read += 5;
        arrival.look(&socket);
        let since = arrival.since;
        socket.read += CONTROL;
        arrival.control(&socket, 0);
        assert!(since.is_some() && arrival.since == since);
        // The rest, and a ping in the same read.
        socket.read += 50;
        arrival.finished(&socket);
        arrival.control(&socket, 3);
        assert!(arrival.since.is_none());
    }
}
