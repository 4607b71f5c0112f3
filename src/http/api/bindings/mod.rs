//! `/api/bindings`: signing in to a web site by a scan.

mod new_binding;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, FromRequestParts, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_listener::ByteBudget;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use crate::bindings::{BindingStatus, Bindings, Error};
use crate::clock::Clock;
use crate::http::api::bindings::new_binding::BindingRequest;
use crate::http::extract::key_holder::{Bind, WithScope};
use crate::http::extract::query::form_pairs;
use crate::http::problem::{Document, ErrorCode, Problem};
use crate::http::qrcode::body::{CodeBody, SceneBody, TicketBody};
use crate::http::site::Site;
use crate::http::time_format::{date_header, rfc3339};

/// The longest wait for a scan, in seconds: below the 30 s after which proxies give up.
const MAX_WAIT: u64 = 25;

/// State of a binding.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Binding)]
pub(crate) struct BindingBody {
    /// Its id. With a key of the scope `bind` it is enough to claim.
    id: String,
    /// `pending`, `scanned`, `claimed` or `expired`.
    status: &'static str,
    /// When it ends (RFC 3339, UTC).
    expires_at: String,
}

/// A new binding.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewBindingBody {
    #[serde(flatten)]
    binding: BindingBody,
    /// The code to be scanned.
    code: CodeBody,
}

/// A claimed binding.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ClaimedBody {
    /// The binding.
    id: String,
    /// `claimed`.
    status: &'static str,
    /// The openid of the follower who scanned.
    openid: String,
    /// What was given when the binding was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

/// The query of [`show`], for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct WaitParams {
    /// Seconds to wait while it is pending.
    #[param(minimum = 0, maximum = 25, default = 0)]
    wait: Option<u64>,
}

/// Makes a binding: a temporary code that cannot be guessed, for one scan.
#[utoipa::path(
    post,
    path = "/api/bindings",
    request_body(content = BindingRequest, description = "May be empty"),
    responses(
        (status = 201, description = "The binding and its code", body = NewBindingBody),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "WeChat or the service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "bindings",
)]
pub(crate) async fn create(
    State(site): State<Arc<Site>>,
    State(clock): State<Arc<dyn Clock>>,
    State(bodies): State<ByteBudget>,
    _: WithScope<Bind>,
    EnabledBindings(bindings): EnabledBindings,
    body: Body,
) -> Result<Response, Problem> {
    let new = BindingRequest::read(body, &bodies).await?.checked()?;
    let created = bindings
        .create(new.lifetime, new.context, new.reply)
        .await?;
    let now = clock.now();
    let scene = created.spec.scene();
    let body = NewBindingBody {
        binding: BindingBody::new(created.id, BindingStatus::Pending, created.expires_at),
        code: CodeBody {
            scene: SceneBody::new(&scene),
            ticket: TicketBody::new(&site, &created.issued.code, now, None),
        },
    };
    Ok((StatusCode::CREATED, date_header(now), Json(body)).into_response())
}

/// Shows the state of a binding: at once, or once it is not pending (long poll). May be repeated.
#[utoipa::path(
    get,
    path = "/api/bindings/{id}",
    params(("id" = String, Path, description = "The binding"), WaitParams),
    responses(
        (status = 200, description = "State of the binding", body = BindingBody),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "bindings",
)]
pub(crate) async fn show(
    State(draining): State<CancellationToken>,
    _: WithScope<Bind>,
    EnabledBindings(bindings): EnabledBindings,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Json<BindingBody>, Problem> {
    let id = text(id)?;
    let wait = wait(raw.as_deref().unwrap_or_default())?;
    let state = bindings.state(&id, Instant::now() + wait);
    let state = tokio::select! {
        state = state => state?,
        // A waiting request must not delay the shutdown.
        () = draining.cancelled() => bindings.state(&id, Instant::now()).await?,
    };
    Ok(Json(BindingBody::new(id, state.status, state.expires_at)))
}

/// Gives the openid of the follower who scanned, once.
#[utoipa::path(
    post,
    path = "/api/bindings/{id}/claim",
    params(("id" = String, Path, description = "The binding")),
    responses(
        (status = 200, description = "Who scanned", body = ClaimedBody),
        (status = 409, description = "Not scanned yet (`binding_not_scanned`), or claimed before (`binding_claimed`)", body = Document, content_type = "application/problem+json"),
        (status = 410, description = "It has expired (`binding_expired`), or the follower has left the account (`follower_left`)", body = Document, content_type = "application/problem+json"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "bindings",
)]
pub(crate) async fn claim(
    _: WithScope<Bind>,
    EnabledBindings(bindings): EnabledBindings,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ClaimedBody>, Problem> {
    let id = text(id)?;
    let claimed = bindings.claim(&id).await?;
    Ok(Json(ClaimedBody {
        id,
        status: status_text(BindingStatus::Claimed),
        openid: claimed.openid.as_str().to_owned(),
        context: claimed.context,
    }))
}

/// The id in the path. One that is not UTF-8 does not exist.
fn text(id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(id) = id.map_err(|_| Error::Unknown)?;
    Ok(id)
}

/// The bindings, where pushes are encrypted.
#[derive(Debug)]
pub(crate) struct EnabledBindings(Arc<Bindings>);

impl<S> FromRequestParts<S> for EnabledBindings
where
    Option<Arc<Bindings>>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Problem> {
        let bindings = Option::<Arc<Bindings>>::from_ref(state);
        bindings.map(Self).ok_or_else(|| {
            let message =
                "bindings need the safe mode: set WXQR_CALLBACK_TOKEN and WXQR_ENCODING_AES_KEY";
            Problem::new(ErrorCode::BindingsNeedSafeMode, message)
        })
    }
}

fn wait(raw: &str) -> Result<Duration, Problem> {
    let mut wait = Duration::ZERO;
    for (name, value) in form_pairs(raw, &["wait"])? {
        if name != "wait" {
            let message = "is not a parameter here; accepted: wait";
            return Err(Problem::invalid_parameter(&name, message));
        }
        let seconds = value.parse().ok().filter(|&seconds| seconds <= MAX_WAIT);
        wait = seconds.map(Duration::from_secs).ok_or_else(|| {
            let message = format!("must be a whole number of seconds from 0 to {MAX_WAIT}");
            Problem::invalid_parameter("wait", message)
        })?;
    }
    Ok(wait)
}

impl BindingBody {
    fn new(id: String, status: BindingStatus, expires_at: Timestamp) -> Self {
        Self {
            id,
            status: status_text(status),
            expires_at: rfc3339(expires_at),
        }
    }
}

fn status_text(status: BindingStatus) -> &'static str {
    match status {
        BindingStatus::Pending => "pending",
        BindingStatus::Scanned => "scanned",
        BindingStatus::Claimed => "claimed",
        BindingStatus::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::openapi::schema_of;

    #[test]
    fn openapi_wait_is_that_of_the_parser() {
        let schema = schema_of::<WaitParams>("wait");
        assert_eq!(
            schema["maximum"].as_f64(),
            json!(MAX_WAIT).as_f64(),
            "{schema}"
        );
    }
}
