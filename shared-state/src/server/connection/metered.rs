//! A socket that counts what is read of it, so that a message that is never finished can be noticed.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The most bytes of a control frame besides its payload.
const CONTROL: u64 = 14;

/// A socket with a count of the bytes that were read.
#[derive(Debug)]
pub(super) struct Metered<T> {
    pub(super) io: T,
    read: u64,
}

impl<T> Metered<T> {
    pub(super) const fn new(io: T) -> Self {
        Self { io, read: 0 }
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
    /// The bytes that were read when this was last looked at.
    read: u64,
    /// When a part of a message was first seen; `None` if none was.
    since: Option<Instant>,
}

impl Arrival {
    /// A message is complete.
    pub(super) fn finished<T>(&mut self, socket: &Metered<T>) {
        *self = Self { read: socket.read, since: None };
    }

    /// A control frame with a payload of `length` bytes was read, or with 0 nothing was. What was read besides is a part
    /// of a message.
    pub(super) fn looked<T>(&mut self, socket: &Metered<T>, length: usize) {
        let control = if length > 0 { length as u64 + CONTROL } else { 0 };
        if socket.read - self.read > control {
            self.since.get_or_insert_with(Instant::now);
        }
        self.read = socket.read;
    }

    /// Whether a message has been arriving for longer than this.
    pub(super) fn is_longer_than(&self, limit: Duration) -> bool {
        self.since.is_some_and(|since| since.elapsed() > limit)
    }
}
