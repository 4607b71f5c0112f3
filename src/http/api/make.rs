//! `POST /api/codes`: makes one code or many, names them, and records codes that were minted elsewhere.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::super::AppState;
use super::super::auth::Authenticated;
use super::super::code_body::{CodeBody, SceneBody, TicketBody, scene_pairs};
use super::super::observe::RequestId;
use super::super::problem::{Code, Document, Problem};
use super::require;
use crate::access::{Caller, Scope};
use crate::codes::{Served, Source};
use crate::scene::{CodeSpec, Lifetime, PermanentScene, TemporaryScene};
use crate::store::Channel;
use crate::ticket::{IssuedCode, Life};

/// The most codes of one request.
const MOST_ITEMS: usize = 100;

/// A hundred items with the longest scenes, labels and tickets fit.
const MAX_BODY: usize = 512 * 1024;

/// How long a request with many codes may take. What is not done by then says so, and may be sent again.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many codes of one request are made at a time.
const AT_A_TIME: usize = 16;

/// The longest label or group name, in characters.
const LONGEST_NAME: usize = 100;

/// A code that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// 1 to 4294967295, for a permanent code 1 to 100000. This or `scene_str`.
    scene_id: Option<u64>,
    /// 1 to 64 characters. This or `scene_id`.
    scene_str: Option<String>,
    /// Default: false.
    permanent: Option<bool>,
    /// Seconds, 1 to 2592000; for temporary codes only.
    expire_seconds: Option<u64>,
    /// The owner's name for the scene, 1 to 100 characters. If absent, the one it has stays.
    label: Option<String>,
    /// The group that the scene belongs to, 1 to 100 characters. If absent, the one it has stays.
    group: Option<String>,
    /// With `url`, for a permanent code that was minted elsewhere: its ticket. Needs the scope `admin`.
    ticket: Option<String>,
    /// With `ticket`: the text inside its picture.
    url: Option<String>,
}

/// A code with the names that its owner gave it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamedCode {
    #[serde(flatten)]
    code: CodeBody,
    /// The owner's name for the scene.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The group that the scene belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

/// What became of one of many.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Item {
    /// The status that this code alone would have had.
    status: u16,
    /// The code.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<NamedCode>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Document>,
}

/// What became of many, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Items {
    items: Vec<Item>,
}

/// Makes codes.
///
/// One object or an array of at most 100. A permanent code that exists is answered as it is, so a request may be sent
/// again. Temporary codes need the scope `mint`, permanent ones `permanent`, recording one `admin`.
#[utoipa::path(
    post,
    path = "/api/codes",
    request_body(content = Wanted, description = "One object, or an array of at most 100"),
    responses(
        (status = 200, description = "One code, which was known", body = NamedCode),
        (status = 201, description = "One code, which is new", body = NamedCode),
        (status = 207, description = "Many codes, each with its own status", body = Items),
        (status = "4XX", description = "The request cannot be met", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "WeChat or the service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn make(
    State(app): State<AppState>,
    caller: Authenticated,
    axum::Extension(id): axum::Extension<RequestId>,
    body: Body,
) -> Result<Response, Problem> {
    if matches!(caller.0, Caller::Visitor) {
        require(&caller, Scope::Mint)?;
    }
    match json_body(body).await? {
        Value::Array(wanted) if wanted.len() > MOST_ITEMS => Err(Problem::new(
            Code::InvalidBody,
            format!("an array may have {MOST_ITEMS} items at most"),
        )),
        Value::Array(wanted) => Ok(make_many(&app, &caller, &id, wanted).await),
        wanted => {
            let (status, code) = make_one(&app, &caller, wanted).await?;
            Ok((status, Json(code)).into_response())
        }
    }
}

async fn json_body(body: Body) -> Result<Value, Problem> {
    let bytes = axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| {
        Problem::new(
            Code::TooLarge,
            format!("the body may have {MAX_BODY} bytes at most"),
        )
    })?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::new(Code::InvalidBody, format!("the body must be JSON: {error}")))
}

async fn make_many(
    app: &AppState,
    caller: &Authenticated,
    id: &RequestId,
    wanted: Vec<Value>,
) -> Response {
    let deadline = Instant::now() + PATIENCE;
    let late = || {
        Problem::new(
            Code::UpstreamTimeout,
            "there was no time left for this one; send it again",
        )
    };
    let makings = wanted.into_iter().map(|wanted| async move {
        let made = timeout_at(deadline, make_one(app, caller, wanted)).await;
        match made.unwrap_or_else(|_| Err(late())) {
            Ok((status, code)) => Item {
                status: status.as_u16(),
                code: Some(code),
                problem: None,
            },
            Err(problem) => Item {
                status: problem.code.status().as_u16(),
                code: None,
                problem: Some(problem.document(id.as_str())),
            },
        }
    });
    let items = stream::iter(makings).buffered(AT_A_TIME).collect().await;
    (StatusCode::MULTI_STATUS, Json(Items { items })).into_response()
}

async fn make_one(
    app: &AppState,
    caller: &Authenticated,
    wanted: Value,
) -> Result<(StatusCode, NamedCode), Problem> {
    let wanted: Wanted = serde_json::from_value(wanted).map_err(|error| {
        Problem::new(
            Code::InvalidBody,
            format!("a code must be an object: {error}"),
        )
    })?;
    let order = wanted.order(app.default_expire)?;
    require(caller, order.scope())?;
    let served = match &order.minted_elsewhere {
        Some((scene, code)) => app
            .codes
            .import(scene, code)
            .await
            .map_err(crate::codes::Error::Store)?,
        None => app.codes.issue(&order.spec, &caller.0).await?,
    };
    let scene = order.spec.scene();
    let channel = app
        .store
        .name_channel(&scene, &order.channel)
        .await
        .map_err(crate::codes::Error::Store)?;
    Ok(named(app, &order.spec, &served, channel))
}

fn named(
    app: &AppState,
    spec: &CodeSpec,
    served: &Served,
    channel: Channel,
) -> (StatusCode, NamedCode) {
    let status = if served.source == Source::Minted {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let scene = spec.scene();
    let pairs = scene_pairs(&scene);
    let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    let code = CodeBody {
        scene: SceneBody::new(&scene),
        ticket: TicketBody::new(&app.site, &served.code, app.clock.now(), pairs),
    };
    (
        status,
        NamedCode {
            code,
            label: channel.label,
            group: channel.group,
        },
    )
}

/// A wanted code, checked.
struct Order {
    spec: CodeSpec,
    channel: Channel,
    minted_elsewhere: Option<(PermanentScene, IssuedCode)>,
}

impl Order {
    fn scope(&self) -> Scope {
        match (&self.minted_elsewhere, &self.spec) {
            (Some(_), _) => Scope::Admin,
            (None, CodeSpec::Permanent { .. }) => Scope::Permanent,
            (None, CodeSpec::Temporary { .. }) => Scope::Mint,
        }
    }
}

impl Wanted {
    fn order(self, default_expire: Lifetime) -> Result<Order, Problem> {
        let channel = Channel {
            label: name("label", self.label.as_deref())?,
            group: name("group", self.group.as_deref())?,
        };
        let spec = self.spec(default_expire)?;
        let minted_elsewhere = match (&spec, &self.ticket, &self.url) {
            (_, None, None) => None,
            (CodeSpec::Permanent { scene }, Some(ticket), Some(url)) => {
                let code = IssuedCode {
                    ticket: ticket
                        .parse()
                        .map_err(|error| Problem::invalid_parameter("ticket", error))?,
                    url: url
                        .parse()
                        .map_err(|error| Problem::invalid_parameter("url", error))?,
                    life: Life::Permanent,
                };
                Some((scene.clone(), code))
            }
            _ => {
                let message = "and url go together, and with permanent codes only";
                return Err(Problem::invalid_parameter("ticket", message));
            }
        };
        Ok(Order {
            spec,
            channel,
            minted_elsewhere,
        })
    }

    fn spec(&self, default_expire: Lifetime) -> Result<CodeSpec, Problem> {
        let bad_scene = |error| Problem::invalid_parameter("scene_id", error);
        let bad_text = |error| Problem::invalid_parameter("scene_str", error);
        let permanent = self.permanent.unwrap_or(false);
        if permanent && self.expire_seconds.is_some() {
            return Err(Problem::invalid_parameter(
                "expire_seconds",
                "goes with temporary codes only",
            ));
        }
        let lifetime = match self.expire_seconds {
            None => default_expire,
            Some(seconds) => seconds
                .try_into()
                .map_err(|error| Problem::invalid_parameter("expire_seconds", error))?,
        };
        Ok(
            match (
                permanent,
                self.scene_id.map(|id| id.to_string()),
                &self.scene_str,
            ) {
                (false, Some(id), None) => CodeSpec::Temporary {
                    scene: TemporaryScene::Id(id.parse().map_err(bad_scene)?),
                    lifetime,
                },
                (false, None, Some(text)) => CodeSpec::Temporary {
                    scene: TemporaryScene::Text(text.parse().map_err(bad_text)?),
                    lifetime,
                },
                (true, Some(id), None) => CodeSpec::Permanent {
                    scene: PermanentScene::Id(id.parse().map_err(bad_scene)?),
                },
                (true, None, Some(text)) => CodeSpec::Permanent {
                    scene: PermanentScene::Text(text.parse().map_err(bad_text)?),
                },
                (_, None, None) | (_, Some(_), Some(_)) => {
                    let message = "or scene_str must be given, and not both";
                    return Err(Problem::invalid_parameter("scene_id", message));
                }
            },
        )
    }
}

/// A label or the name of a group.
fn name(parameter: &str, given: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(text) = given else { return Ok(None) };
    let plain = !text.chars().any(char::is_control);
    if plain && (1..=LONGEST_NAME).contains(&text.chars().count()) {
        return Ok(Some(text.to_owned()));
    }
    let message =
        format!("must have 1 to {LONGEST_NAME} characters, none of them a control character");
    Err(Problem::invalid_parameter(parameter, message))
}
