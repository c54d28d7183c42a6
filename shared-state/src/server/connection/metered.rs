//! A socket that counts what is read of it, so that an address can be held to a rate, a message that is never finished can be
//! noticed, and whoever sends frames that are no messages is not read for long at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The bytes of a client's control frame besides its payload: two, and the mask.
const CONTROL: u64 = 6;

/// The bytes are charged in parts that are at least this long. When so many were read, the next read waits for its turn.
const PART: u64 = 16 << 10;

/// A socket with a count of the bytes that were read.
#[derive(Debug)]
pub(super) struct Metered<T> {
    pub(super) io: T,
    read: u64,
    /// How many of them were charged.
    charged: u64,
    /// How many had been read when reading last waited for its turn.
    waited: u64,
}

impl<T> Metered<T> {
    pub(super) const fn new(io: T) -> Self {
        Self { io, read: 0, charged: 0, waited: 0 }
    }

    /// Whether the bytes that were read are worth charging for.
    pub(super) const fn is_chargeable(&self) -> bool {
        self.read - self.charged >= PART
    }

    /// The bytes that were read since this was last called, if they are worth charging for: they are charged now.
    pub(super) fn charge(&mut self) -> Option<usize> {
        self.is_chargeable().then(|| {
            let bytes = self.read - self.charged;
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
        // A caller that wants a message would otherwise read frames for as long as there are any.
        if self.read - self.waited >= PART {
            self.waited = self.read;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
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
    use std::task::Waker;

    use super::*;

    #[test]
    fn no_more_than_a_part_is_read_at_once() {
        let bytes = vec![1; 3 * PART as usize];
        let mut socket = Metered::new(&bytes[..]);
        let mut context = Context::from_waker(Waker::noop());
        let mut read = || {
            let mut piece = [0; 1 << 10];
            let mut buffer = ReadBuf::new(&mut piece);
            Pin::new(&mut socket).poll_read(&mut context, &mut buffer).map(|read| {
                read.unwrap();
                buffer.filled().len()
            })
        };
        for _ in 0..3 {
            for _ in 0..PART >> 10 {
                assert_eq!(read(), Poll::Ready(1 << 10));
            }
            assert_eq!(read(), Poll::Pending);
        }
        assert_eq!(read(), Poll::Ready(0));
        assert_eq!(socket.charge(), Some(bytes.len()));
        assert!(!socket.is_chargeable());
    }

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
