//! A client's socket, with TLS or without.
//!
//! The handshake is part of the first read, so that the header timeout and slow-client eviction
//! cover it too.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use crate::tls::TlsConfig;

/// The first byte of a TLS handshake record (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The response to plain HTTP on a TLS listener.
const USE_HTTPS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 68\r\n\
    Connection: close\r\n\r\nThis port speaks HTTPS only: use https:// instead of http:// for it\n";

/// A TCP socket, on its way to TLS or without it.
pub(super) enum Socket {
    Plain(TcpStream),
    /// Waits for the first byte, which shows whether the client speaks TLS.
    Undetected(TcpStream, TlsAcceptor),
    Handshake(Box<Accept<TcpStream>>),
    Tls(Box<TlsStream<TcpStream>>),
    /// The client does not speak TLS. Without a socket only between two states.
    Refused(Option<TcpStream>),
}

impl Socket {
    pub(super) fn new(socket: TcpStream, tls: Option<&TlsConfig>) -> Self {
        match tls {
            Some(tls) => Self::Undetected(socket, tls.acceptor()),
            None => Self::Plain(socket),
        }
    }

    /// Drives the handshake.
    ///
    /// Ready with true once a request can be read; with false if the client left, or was sent
    /// [`USE_HTTPS`] because it does not speak TLS.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            match self {
                Self::Plain(_) | Self::Tls(_) => return Poll::Ready(Ok(true)),
                Self::Refused(_) => return Poll::Ready(Ok(false)),
                Self::Handshake(accept) => {
                    let stream = ready!(Pin::new(accept).poll(cx))?;
                    *self = Self::Tls(Box::new(stream));
                }
                Self::Undetected(socket, _) => {
                    let mut first = [0];
                    let mut buffer = ReadBuf::new(&mut first);
                    let length = ready!(socket.poll_peek(cx, &mut buffer))?;
                    let Self::Undetected(socket, acceptor) =
                        std::mem::replace(self, Self::Refused(None))
                    else {
                        return Poll::Ready(Ok(false));
                    };
                    *self = match (length, first) {
                        (0, _) => Self::Refused(Some(socket)),
                        (_, [HANDSHAKE]) => Self::Handshake(Box::new(acceptor.accept(socket))),
                        _ => {
                            // The send buffer of a new socket is empty; if this fails, the
                            // connection just closes.
                            socket.try_write(USE_HTTPS).ok();
                            Self::Refused(Some(socket))
                        }
                    };
                }
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_handshake(cx))?;
        match &mut *self {
            Self::Plain(socket) | Self::Refused(Some(socket)) => {
                Pin::new(socket).poll_read(cx, buffer)
            }
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Undetected(..) | Self::Handshake(_) | Self::Refused(None) => Poll::Ready(Ok(())),
        }
    }
}

/// Nothing is written before the handshake: the first response follows the first request.
impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) | Self::Undetected(socket, _) | Self::Refused(Some(socket)) => {
                Pin::new(socket).poll_shutdown(cx)
            }
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Handshake(_) | Self::Refused(None) => Poll::Ready(Ok(())),
        }
    }
}
