//! A client's stream that tells what comes and goes on it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::socket::Socket;
use super::turn::Turn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is thrown away at a time of what is not read any more, in bytes.
const SCRAP: usize = 8 * 1024;

/// How much is read at a time, in bytes: less than hyper's first read buffer, which hyper makes larger for as long as it is
/// filled by one read, up to all that it may hold, for every connection that sends fast.
const MOST_AT_ONCE: usize = 8 * 1024 - 1;

pub(super) struct Stream {
    socket: Socket,
    turn: Arc<Turn>,
    closing: Closing,
}

/// How far our half is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    Lingers,
    Closed,
}

impl Stream {
    pub(super) fn new(socket: Socket, turn: Arc<Turn>) -> Self {
        Self {
            socket,
            turn,
            closing: Closing::Open,
        }
    }

    /// Throws away what comes, until the client has closed its half too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut scrap = [0; SCRAP];
            let mut scrap = ReadBuf::new(&mut scrap);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut scrap))?;
            if scrap.filled().is_empty() {
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
        if !ready!(self.socket.poll_open(cx))? {
            // The end, for HTTP. What the client still sends is taken in, so that it can read the answer.
            self.turn.received(b"?");
            return Poll::Ready(Ok(()));
        }
        let most = buffer.remaining().min(MOST_AT_ONCE);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut part))?;
        self.turn.received(part.filled());
        let length = part.filled().len();
        buffer.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.turn.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing == Closing::Open {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
            self.closing = if self.turn.lingers() {
                Closing::Lingers
            } else {
                Closing::Closed
            };
        }
        if self.closing == Closing::Lingers {
            ready!(self.poll_linger(cx))?;
            self.closing = Closing::Closed;
        }
        Poll::Ready(Ok(()))
    }
}
