//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HeaderValue};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::body::{AnswerBody, RequestBody};
use super::socket::Socket;
use super::stream::Stream;
use super::strict;
use super::tls::Tls;
use super::turn::{Seat, Turn};

/// The most bytes of a request line and headers together; beyond it the answer is a bare 431. A router that wants to say
/// more must refuse below it.
const MAX_HEAD: usize = 25 * 1024;

/// The most bytes that are held of what was read or is to be written, an answer's last piece apart.
const MAX_BUFFER: usize = 32 * 1024;

/// Serves a connection until it ends, its client's turn has lasted too long, or another takes the seat. When `stop` is
/// cancelled, it ends with the request that it is at.
pub(super) async fn serve(
    stream: TcpStream,
    tls: Option<Tls>,
    peer: SocketAddr,
    router: Router,
    seat: Seat,
    stop: CancellationToken,
) {
    // An answer's last packet should not wait for the client to confirm the one before. Without it, it is only slower.
    stream.set_nodelay(true).ok();
    let turn = &seat.turn;
    let answer = service_fn(|request| answer(router.clone(), peer, Arc::clone(turn), request));
    let stream = TokioIo::new(Stream::new(
        Socket::new(stream, tls.as_ref()),
        Arc::clone(turn),
    ));
    let connection = http1::Builder::new()
        .max_header_size(MAX_HEAD)
        .max_buf_size(MAX_BUFFER)
        // The turn's deadlines are instead of this one, which does not cover an idle connection.
        .header_read_timeout(None)
        .serve_connection(stream, answer);
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut cut = pin!(turn.cut());
    let mut stopping = pin!(stop.cancelled());
    let mut stops = false;
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() || cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !stops && stopping.as_mut().poll(cx).is_ready() {
            stops = true;
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        // Asked last, because all that moves the deadline is done in the connection's poll.
        turn.poll_overdue(cx, timer.as_mut())
    })
    .await;
}

/// Has a request answered. The turn passes at once, not only when the future is polled.
///
/// With a body that was not read whole the connection ends. hyper would drain it and take the next request while the
/// client has yet to take the answer, and so give back the turn to a service that cannot answer before. It ends with a
/// chunked body too, because where that ends is seen by hyper alone, and with a request that is ambiguous.
fn answer(
    router: Router,
    peer: SocketAddr,
    turn: Arc<Turn>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> {
    let length = request.body().size_hint().exact();
    let begun = turn.request_begins(length);
    let checked =
        begun.and_then(|()| strict::check(request.version(), request.uri(), request.headers()));
    let mut request = request.map(|body| Body::new(RequestBody::new(body, &turn)));
    request.extensions_mut().insert(ConnectInfo(peer));
    async move {
        let mut response = match checked {
            Ok(()) => router.oneshot(request).await?,
            Err(fault) => {
                tracing::debug!(%fault, %peer, "a request is refused");
                // What comes behind it is nobody's.
                drop(request);
                fault.response()
            }
        };
        turn.answer_begins();
        if checked.is_err() || length.is_none() || turn.is_unread() {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response.map(|body| AnswerBody::new(body, turn)))
    }
}
