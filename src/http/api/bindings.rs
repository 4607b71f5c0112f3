//! `/api/bindings`: a visitor of a web site signs in by scanning.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, FromRequestParts, Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::{IntoParams, ToSchema};

use crate::bindings::{Bindings, Error, Status};
use crate::clock::Clock;
use crate::http::extract::json::read_object;
use crate::http::extract::key_holder::{Bind, WithScope};
use crate::http::extract::query::form_pairs;
use crate::http::problem::{Document, ErrorCode, Problem};
use crate::http::qrcode::body::{CodeBody, SceneBody, TicketBody};
use crate::http::site::Site;
use crate::http::time_format::{date_header, rfc3339};
use crate::listen::ByteBudget;
use crate::scene::Lifetime;

/// The longest body, in bytes. The longest context fits with every byte escaped.
const MAX_BODY: usize = 16 * 1024;

/// The longest context, in bytes.
const MAX_CONTEXT: usize = 1024;

/// The lifetime of a binding, in seconds: time to take out a phone, and not a day in which a code can
/// be passed around. Chosen.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=1800;
const DEFAULT_LIFETIME: u64 = 300;

/// The longest wait for a scan, in seconds: below the 30 s after which proxies give up.
const MAX_WAIT: u64 = 25;

/// A binding that is wanted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = WantedBinding)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewBinding {
    /// Seconds until it ends, 60 to 1800. Default: 300.
    expire_seconds: Option<u64>,
    /// Comes back with the claim, at most 1024 bytes.
    context: Option<String>,
}

/// A binding as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Binding)]
pub(crate) struct BindingBody {
    /// Its name. Whoever knows it, and has a key with the scope `bind`, can claim.
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
    /// Who scanned, as WeChat calls a follower of this account.
    openid: String,
    /// What was given when the binding was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
}

/// How long to wait, as the document says it.
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
    request_body(content = NewBinding, description = "May be empty"),
    responses(
        (status = 201, description = "The binding and its code", body = NewBindingBody),
        (status = "4XX", description = "The request cannot be met", body = Document, content_type = "application/problem+json"),
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
    let (lifetime, context) = NewBinding::read(body, &bodies).await?.checked()?;
    let created = bindings.create(lifetime, context).await?;
    let now = clock.now();
    let scene = created.spec.scene();
    let body = NewBindingBody {
        binding: BindingBody::new(created.id, Status::Pending, created.expires_at),
        code: CodeBody {
            scene: SceneBody::new(&scene),
            ticket: TicketBody::new(&site, &created.served.code, now, None),
        },
    };
    Ok((StatusCode::CREATED, date_header(now), Json(body)).into_response())
}

/// Tells how a binding stands: at once, or as soon as it is not pending. May be asked again and again.
#[utoipa::path(
    get,
    path = "/api/bindings/{id}",
    params(("id" = String, Path, description = "The binding"), WaitParams),
    responses(
        (status = 200, description = "How it stands", body = BindingBody),
        (status = "4XX", description = "The request cannot be met", body = Document, content_type = "application/problem+json"),
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
    let standing = bindings.standing(&id, Instant::now() + wait);
    let standing = tokio::select! {
        standing = standing => standing?,
        // A waiting request must not delay the shutdown.
        () = draining.cancelled() => bindings.standing(&id, Instant::now()).await?,
    };
    Ok(Json(BindingBody::new(
        id,
        standing.status,
        standing.expires_at,
    )))
}

/// Tells who scanned, once.
#[utoipa::path(
    post,
    path = "/api/bindings/{id}/claim",
    params(("id" = String, Path, description = "The binding")),
    responses(
        (status = 200, description = "Who scanned", body = ClaimedBody),
        (status = 409, description = "Nobody has scanned yet (`binding_not_scanned`), or it was claimed before (`binding_claimed`)", body = Document, content_type = "application/problem+json"),
        (status = 410, description = "It has expired (`binding_expired`), or whoever scanned has left the account (`follower_left`)", body = Document, content_type = "application/problem+json"),
        (status = "4XX", description = "The request cannot be met", body = Document, content_type = "application/problem+json"),
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
        status: status_text(Status::Claimed),
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

/// The problem of an unknown field, or of a value of the wrong type.
fn misfit(name: &str) -> Problem {
    match name {
        "expire_seconds" => bad_life(),
        "context" => bad_context(),
        _ => Problem::invalid_body(
            name,
            "is not a field of a binding; accepted: expire_seconds, context",
        ),
    }
}

fn bad_life() -> Problem {
    let message = "must be a whole number of seconds from 60 to 1800, without quotes";
    Problem::invalid_parameter("expire_seconds", message)
}

fn bad_context() -> Problem {
    let message = format!("must be a text of {MAX_CONTEXT} bytes at most, without NUL");
    Problem::invalid_parameter("context", message)
}

impl NewBinding {
    async fn read(body: Body, budget: &ByteBudget) -> Result<Self, Problem> {
        let fields = read_object(body, MAX_BODY, budget).await?;
        // Every field is optional, so the one at fault fails alone too.
        for (name, value) in &fields {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if Self::deserialize(Value::Object(alone)).is_err() {
                return Err(misfit(name));
            }
        }
        Self::deserialize(Value::Object(fields)).map_err(|_| Problem::internal())
    }

    fn checked(self) -> Result<(Lifetime, Option<String>), Problem> {
        let seconds = self.expire_seconds.unwrap_or(DEFAULT_LIFETIME);
        let lifetime = Lifetime::try_from(seconds)
            .ok()
            .filter(|_| LIFETIMES.contains(&seconds));
        // PostgreSQL stores no NUL.
        let fits = |context: &String| context.len() <= MAX_CONTEXT && !context.contains('\0');
        if !self.context.as_ref().is_none_or(fits) {
            return Err(bad_context());
        }
        Ok((lifetime.ok_or_else(bad_life)?, self.context))
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
            let message = "must be a whole number of seconds from 0 to 25";
            Problem::invalid_parameter("wait", message)
        })?;
    }
    Ok(wait)
}

impl BindingBody {
    fn new(id: String, status: Status, expires_at: Timestamp) -> Self {
        Self {
            id,
            status: status_text(status),
            expires_at: rfc3339(expires_at),
        }
    }
}

fn status_text(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Scanned => "scanned",
        Status::Claimed => "claimed",
        Status::Expired => "expired",
    }
}
