//! `/api/bindings`: a visitor of a web site signs in by scanning.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::require;
use super::wanted::object;
use crate::access::Scope;
use crate::bindings::{Bindings, Error, Status};
use crate::http::AppState;
use crate::http::extract::caller::Authenticated;
use crate::http::extract::query::form_pairs;
use crate::http::html::whole_seconds;
use crate::http::i18n::message::Message;
use crate::http::problem::{Code, Document, Problem};
use crate::http::qrcode::body::{CodeBody, SceneBody, TicketBody, dated};
use crate::listen::ByteBudget;
use crate::scene::Lifetime;

/// A context of the longest kind, escaped, fits.
const MAX_BODY: usize = 16 * 1024;

/// The longest context, in bytes.
const LONGEST_CONTEXT: usize = 1024;

/// The life of a binding, in seconds: time to take out a telephone, and not a day in which a code can be sent around.
const LIVES: std::ops::RangeInclusive<u64> = 60..=1800;
const DEFAULT_LIFE: u64 = 300;

/// How long a caller may wait, in seconds: below the half minute after which proxies give up.
const LONGEST_WAIT: u64 = 25;

/// A binding that is wanted.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedBinding {
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
    request_body(content = WantedBinding, description = "May be empty"),
    responses(
        (status = 201, description = "The binding and its code", body = NewBindingBody),
        (status = "4XX", description = "The request cannot be met", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "WeChat or the service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "bindings",
)]
pub(crate) async fn create(
    State(app): State<AppState>,
    caller: Authenticated,
    body: Body,
) -> Result<Response, Problem> {
    let bindings = bindings(&app, &caller)?;
    let (lifetime, context) = wanted(body, &app.bodies).await?.checked()?;
    let created = bindings.create(lifetime, context).await?;
    let now = app.clock.now();
    let scene = created.spec.scene();
    let body = NewBindingBody {
        binding: BindingBody::new(created.id, Status::Pending, created.expires_at),
        code: CodeBody {
            scene: SceneBody::new(&scene),
            ticket: TicketBody::new(&app.site, &created.served.code, now, None),
        },
    };
    Ok((StatusCode::CREATED, dated(now), Json(body)).into_response())
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
    State(app): State<AppState>,
    caller: Authenticated,
    id: Result<Path<String>, PathRejection>,
    RawQuery(raw): RawQuery,
) -> Result<Json<BindingBody>, Problem> {
    let bindings = bindings(&app, &caller)?;
    let id = text(id)?;
    let wait = wait(raw.as_deref().unwrap_or_default())?;
    let standing = bindings.standing(&id, Instant::now() + wait);
    let standing = tokio::select! {
        standing = standing => standing?,
        // Nobody who waits holds up the end.
        () = app.draining.cancelled() => bindings.standing(&id, Instant::now()).await?,
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
    State(app): State<AppState>,
    caller: Authenticated,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ClaimedBody>, Problem> {
    let bindings = bindings(&app, &caller)?;
    let id = text(id)?;
    let claimed = bindings.claim(&id).await?;
    Ok(Json(ClaimedBody {
        id,
        status: status_text(Status::Claimed),
        openid: claimed.openid.as_str().to_owned(),
        context: claimed.context,
    }))
}

/// The id of a path. What is not UTF-8 is one that nobody knows.
fn text(id: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    let Path(id) = id.map_err(|_| Error::Unknown)?;
    Ok(id)
}

/// The use case, for a key that may use it.
fn bindings<'a>(app: &'a AppState, caller: &Authenticated) -> Result<&'a Bindings, Problem> {
    require(caller, Scope::Bind)?;
    app.bindings.as_deref().ok_or_else(|| {
        let message = Message::new(
            "扫码绑定需要安全模式：请设置 WXQR_CALLBACK_TOKEN 和 WXQR_ENCODING_AES_KEY",
            "bindings need the safe mode: set WXQR_CALLBACK_TOKEN and WXQR_ENCODING_AES_KEY",
        );
        Problem::new(Code::BindingsNeedSafeMode, message)
    })
}

async fn wanted(body: Body, budget: &ByteBudget) -> Result<WantedBinding, Problem> {
    let fields = object(body, MAX_BODY, budget).await?;
    // Every field is optional, so the one at fault is at fault alone too.
    for (name, value) in &fields {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        if WantedBinding::deserialize(Value::Object(alone)).is_err() {
            return Err(misfit(name));
        }
    }
    WantedBinding::deserialize(Value::Object(fields)).map_err(|_| Problem::internal())
}

/// A field that is not ours, or whose value is of another type than ours.
fn misfit(name: &str) -> Problem {
    match name {
        "expire_seconds" => bad_life(),
        "context" => bad_context(),
        _ => Problem::invalid_body(
            name,
            Message::new(
                "不是可用的字段，可用的有 expire_seconds、context",
                "is not a field of a binding; accepted: expire_seconds, context",
            ),
        ),
    }
}

fn bad_life() -> Problem {
    let message = Message::new(
        "须为 60 至 1800 的整数，单位为秒，不加引号",
        "must be a whole number of seconds from 60 to 1800, without quotes",
    );
    Problem::invalid_parameter("expire_seconds", message)
}

fn bad_context() -> Problem {
    let message = Message::new(
        format!("须为最多 {LONGEST_CONTEXT} 字节的文本，不含空字符"),
        format!("must be a text of {LONGEST_CONTEXT} bytes at most, without NUL"),
    );
    Problem::invalid_parameter("context", message)
}

impl WantedBinding {
    fn checked(self) -> Result<(Lifetime, Option<String>), Problem> {
        let seconds = self.expire_seconds.unwrap_or(DEFAULT_LIFE);
        let lifetime = Lifetime::try_from(seconds)
            .ok()
            .filter(|_| LIVES.contains(&seconds));
        // PostgreSQL has no place for a NUL.
        let fits = |context: &String| context.len() <= LONGEST_CONTEXT && !context.contains('\0');
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
            let message = Message::new(
                "不是可用的参数，可用的有 wait",
                "is not a parameter here; accepted: wait",
            );
            return Err(Problem::invalid_parameter(&name, message));
        }
        let seconds = value
            .parse()
            .ok()
            .filter(|&seconds| seconds <= LONGEST_WAIT);
        wait = seconds.map(Duration::from_secs).ok_or_else(|| {
            let message = Message::new(
                "须为 0 至 25 的整数，单位为秒",
                "must be a whole number of seconds from 0 to 25",
            );
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
            expires_at: whole_seconds(expires_at),
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
