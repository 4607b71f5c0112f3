//! Layer of the demo: refuses what another web site makes a developer's browser send.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::i18n::message::Message;
use crate::http::problem::{Code, Problem};
use crate::origin::{Foreign, OriginGuard};

/// Layer before routes that show something or take a key.
pub(crate) async fn refuse(
    State(guard): State<OriginGuard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => problem(foreign).into_response(),
    }
}

fn problem(foreign: Foreign) -> Problem {
    let message = Message::new(foreign.zh(), foreign.to_string());
    Problem::new(Code::ForeignRequest, message)
}
