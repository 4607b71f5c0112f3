//! A client's stream that reports its reads, writes and flushes to the connection's state.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::socket::Socket;
use super::state::ConnectionState;

/// Size of a discarding read of a lingering close, in bytes.
const DISCARD: usize = 8 * 1024;

/// Maximum size of a read, in bytes: below hyper's initial read buffer.
///
/// hyper grows a buffer that one read fills, up to its maximum, for each client that sends fast.
const MAX_READ: u64 = 4 * 1024;

/// Adapter between a socket and hyper: reports what is read and written to the connection's state,
/// and closes with a lingering close.
pub(super) struct Stream {
    socket: Socket,
    state: Arc<ConnectionState>,
    closing: Closing,
}

/// Progress of the close of our half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    Lingering,
    Closed,
}

impl Stream {
    pub(super) fn new(socket: Socket, state: Arc<ConnectionState>) -> Self {
        Self {
            socket,
            state,
            closing: Closing::Open,
        }
    }

    /// Discards input until the client has closed its half too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut discarded = [0; DISCARD];
            let mut discarded = ReadBuf::new(&mut discarded);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut discarded))?;
            if discarded.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !ready!(self.socket.poll_handshake(cx))? {
            // An end of the stream for hyper, and the start of a head for the state: the close then
            // lingers, so that the client can read the response.
            self.state.received(b"?");
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let mut limited = (&mut self.socket).take(MAX_READ);
        ready!(Pin::new(&mut limited).poll_read(cx, buffer))?;
        self.state.received(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.socket).poll_write(cx, bytes))?;
        self.state.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.socket).poll_write_vectored(cx, slices))?;
        self.state.sent(sent);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.state.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing == Closing::Open {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.closing = if self.state.start_lingering() {
                Closing::Lingering
            } else {
                Closing::Closed
            };
        }
        if self.closing == Closing::Lingering {
            ready!(self.poll_linger(cx))?;
            self.closing = Closing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}
