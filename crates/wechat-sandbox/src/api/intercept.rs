//! Middleware of the imitated calls: bounds the body, records and logs the call, and injects
//! faults.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt as _};
use serde_json::Value;

use crate::api;
use crate::api::fault::FaultKind;
use crate::api::log::{Api, Call};
use crate::body;
use crate::errcode::Errcode;
use crate::form::Form;
use crate::sandbox::Sandbox;

/// How the huge body begins: as an answer does whose text never ends.
const HUGE_OPENING: &[u8] = b"{\"ticket\":\"";
/// What it goes on with, 64 KiB at a time.
static HUGE_CHUNK: [u8; 64 * 1024] = [b'A'; 64 * 1024];
/// How many chunks make 1 GiB.
const HUGE_CHUNKS: usize = 16 * 1024;
/// Neither JSON nor UTF-8.
const GARBAGE: &[u8] = b"\xff\xfe{\"ticket\": \x00\xc3\x28 <<< ";

/// Records, answers and logs a call. Cancel safe: a caller that leaves ends only the wait for a
/// slow answer.
pub(crate) async fn handle(
    State((sandbox, api)): State<(Sandbox, Api)>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let body = body::read(body, &sandbox).await;
    let seen: &[u8] = body
        .as_deref()
        .unwrap_or(b"(over 64 KiB, or not sent to its end)");
    let call = Call::new(sandbox.now(), api, &head, seen);
    sandbox.log().record(call);
    let body = match body {
        Ok(body) => body,
        // Such as a file that is uploaded: nothing of the answer depends on it.
        Err(StatusCode::PAYLOAD_TOO_LARGE) if api == Api::Other => Bytes::new(),
        Err(status) => {
            let answer = status.into_response();
            LogLine::new(&sandbox, api, None, &head, &Bytes::new()).write(Some(&answer));
            return answer;
        }
    };

    let fault = sandbox.fault_list().next(api);
    let line = LogLine::new(&sandbox, api, fault, &head, &body);
    if matches!(fault, Some(FaultKind::Hang)) {
        line.write(None);
    }
    let answer = respond(fault, head, body, next).await;
    line.write(Some(&answer));
    answer
}

/// Answers correctly, or as the fault makes it.
async fn respond(fault: Option<FaultKind>, head: Parts, body: Bytes, next: Next) -> Response {
    let answer = next.run(Request::from_parts(head, Body::from(body)));
    match fault {
        None => answer.await,
        Some(FaultKind::Slow(delay)) => slow(answer.await, delay).await,
        Some(FaultKind::Half) => half(answer.await).await,
        Some(FaultKind::Errcode(errcode)) => api::refusal(Errcode(errcode)),
        Some(FaultKind::Status(status)) => gateway_page(status),
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(FaultKind::Reset) => reset(),
        Some(FaultKind::Garbage) => (api::JSON, GARBAGE).into_response(),
        Some(FaultKind::Huge) => huge(),
    }
}

/// The log line of a call. It holds nothing of query and body, which hold secrets.
struct LogLine {
    api: Api,
    method: Method,
    path: String,
    account: Option<String>,
    fault: Option<&'static str>,
}

impl LogLine {
    /// The longest path that is logged, in bytes; ours have 24 at most.
    const MAX_PATH: usize = 200;

    fn new(
        sandbox: &Sandbox,
        api: Api,
        fault: Option<FaultKind>,
        head: &Parts,
        body: &Bytes,
    ) -> Self {
        let mut path = head.uri.path().to_owned();
        path.truncate(path.floor_char_boundary(Self::MAX_PATH));
        Self {
            api,
            method: head.method.clone(),
            path,
            account: account_of(sandbox, head, body),
            fault: fault.map(FaultKind::name),
        }
    }

    /// Writes the line; without an answer where none comes.
    fn write(&self, answer: Option<&Response>) {
        let refusal = answer.and_then(|answer| answer.extensions().get::<Errcode>());
        tracing::info!(
            api = self.api.name(),
            method = ?self.method,
            path = self.path,
            account = self.account,
            errcode = refusal.map(|refusal| refusal.0),
            status = answer.map(|answer| answer.status().as_u16()),
            fault = self.fault,
            "sandbox call"
        );
    }
}

/// Finds the account that a call is for: that of its `AppID`, in the query or in a JSON body, else
/// that of its access token.
fn account_of(sandbox: &Sandbox, head: &Parts, body: &Bytes) -> Option<String> {
    let query = Form::of_query(head.uri.query().map(str::to_owned));
    let app_id = match query.value("appid") {
        app_id if app_id.is_empty() => {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            body["appid"].as_str().unwrap_or_default().to_owned()
        }
        app_id => app_id,
    };
    let token = query.value("access_token");
    let now = sandbox.now();
    let state = sandbox.state();
    state.account_of(&app_id, &token, now).map(str::to_owned)
}

async fn slow(answer: Response, delay: Duration) -> Response {
    tokio::time::sleep(delay).await;
    answer
}

/// Promises the whole body and closes the connection in its middle. An empty body has no middle: a
/// reset.
async fn half(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let mut body = match to_bytes(body, usize::MAX).await {
        Ok(body) if !body.is_empty() => body,
        _ => return reset(),
    };
    head.headers
        .insert(header::CONTENT_LENGTH, body.len().into());
    body.truncate(body.len() / 2);
    let break_off = async {
        // The server polls the body before it flushes: without a pause the half would never leave.
        tokio::task::yield_now().await;
        Err(broken_off())
    };
    let body = stream::iter([Ok(body)]).chain(stream::once(break_off));
    Response::from_parts(head, Body::from_stream(body))
}

/// Fails the body before its first byte. The server has not flushed the headers by then, and drops
/// them with the connection (over HTTP/2 it resets the stream instead).
fn reset() -> Response {
    Body::from_stream(stream::iter([Err::<Bytes, _>(broken_off())])).into_response()
}

fn huge() -> Response {
    let chunks = std::iter::once(HUGE_OPENING)
        .chain(std::iter::repeat_n(&HUGE_CHUNK[..], HUGE_CHUNKS))
        .map(|chunk| Ok::<_, io::Error>(Bytes::from_static(chunk)));
    (api::JSON, Body::from_stream(stream::iter(chunks))).into_response()
}

fn gateway_page(status: StatusCode) -> Response {
    let reason = status.canonical_reason().unwrap_or("Sandbox fault");
    let page = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{} {reason}</h1></center>\r\n\
         <hr><center>sandbox</center>\r\n</body>\r\n</html>\r\n",
        status.as_u16()
    );
    (status, [(header::CONTENT_TYPE, "text/html")], page).into_response()
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "a fault of the sandbox")
}
