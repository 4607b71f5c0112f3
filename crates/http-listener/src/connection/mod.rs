//! One connection, from its first byte to its last.

mod body;
mod body_progress;
mod phase;
mod response_progress;
mod slot;
mod socket;
mod state;
mod stream;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

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

use self::body::{RequestBody, ResponseBody};
use self::socket::Socket;
use self::state::ConnectionState;
use self::stream::Stream;
use crate::service::HttpService;
use crate::smuggling;
use crate::tls::TlsConfig;

pub(crate) use self::slot::Slot;

/// Bytes of hyper's buffers beyond the largest head: for the start of a body, and for a response.
const BUFFER_BEYOND_HEAD: usize = 7 * 1024;

/// The smallest buffer that hyper accepts, in bytes.
const MIN_BUFFER: usize = 8 * 1024;

/// How long a connection may still send its first request when the server stops; chosen: the round
/// trip of a client that has just connected. It cannot know that the server stops.
const FIRST_REQUEST_GRACE: Duration = Duration::from_secs(1);

/// Serves a connection until it ends, misses a deadline or is evicted.
///
/// When `stop` is cancelled, it ends with the request in flight. One that has sent nothing yet may
/// send one request, within [`FIRST_REQUEST_GRACE`].
pub(crate) async fn serve(
    stream: TcpStream,
    tls: Option<TlsConfig>,
    peer: SocketAddr,
    service: impl HttpService,
    slot: Slot,
    stop: CancellationToken,
) {
    // A response's last packet must not wait for the ACK of the one before. If this fails, the
    // connection is only slower.
    stream.set_nodelay(true).ok();
    let state = slot.state();
    let max_head = state.limits().max_head_bytes;
    let service = service_fn(|request| respond(service.clone(), peer, Arc::clone(state), request));
    let stream = Stream::new(Socket::new(stream, tls.as_ref()), Arc::clone(state));
    let connection = http1::Builder::new()
        .max_header_size(max_head)
        .max_buf_size((max_head + BUFFER_BEYOND_HEAD).max(MIN_BUFFER))
        // The deadlines of the phases replace this one, which does not cover idle connections.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut aborted = pin!(state.aborted());
    let mut stopping = pin!(stop.cancelled());
    let mut is_stopping = false;
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() || aborted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !is_stopping && stopping.as_mut().poll(cx).is_ready() {
            is_stopping = true;
            // hyper closes a connection that has sent nothing.
            if !state.allow_one_request_within(FIRST_REQUEST_GRACE) {
                connection.as_mut().graceful_shutdown();
                if connection.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
            }
        }
        // Last, because all that moves the deadline happens while the connection is polled.
        state.poll_deadline(cx, timer.as_mut())
    })
    .await;
}

/// Answers a request. The phase changes at once, not only when the future is polled.
///
/// The connection ends with a body that was not read whole: hyper would drain it and start the next
/// request while the client has yet to take the response, and the phase would change without an end
/// of the write deadline. It also ends with a chunked body, whose end only hyper sees, and with an
/// ambiguous request.
fn respond(
    service: impl HttpService,
    peer: SocketAddr,
    state: Arc<ConnectionState>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> {
    let length = request.body().size_hint().exact();
    let checked = state
        .head_parsed(length)
        .and_then(|()| smuggling::check(request.version(), request.uri(), request.headers()));
    let mut request = request.map(|body| Body::new(RequestBody::new(body, &state)));
    request.extensions_mut().insert(ConnectInfo(peer));
    async move {
        let mut response = match checked {
            Ok(()) => service.oneshot(request).await?,
            Err(ambiguity) => {
                tracing::debug!(%ambiguity, %peer, "an ambiguous request is refused");
                // Bytes behind an ambiguous head belong to no request.
                drop(request);
                ambiguity.response()
            }
        };
        state.response_started();
        if checked.is_err()
            || length.is_none()
            || state.has_unread_body()
            || state.is_last_request()
        {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response.map(|body| ResponseBody::new(body, state)))
    }
}
