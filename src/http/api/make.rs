//! `POST /api/codes`: makes one code or many, names them, and records codes that were minted elsewhere.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use futures_util::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::super::AppState;
use super::super::auth::Authenticated;
use super::super::bounds::read_body;
use super::super::code_body::{CodeBody, SceneBody, TicketBody, dated, scene_pairs};
use super::super::observe::RequestId;
use super::super::problem::{Code, Document, Problem};
use super::super::wish::{Wish, parsed};
use super::require;
use crate::access::{Caller, Scope};
use crate::codes::{Served, Source};
use crate::scene::{CodeSpec, Lifetime, PermanentScene, Scene};
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
            format!(
                "the array has {} items; accepted: {MOST_ITEMS} at most",
                wanted.len()
            ),
        )),
        Value::Array(wanted) => Ok(make_many(&app, &caller, &id, wanted).await),
        wanted => {
            let made = make_one(&app, &caller, wanted).await?;
            let now = app.clock.now();
            Ok((made.status(), dated(now), Json(made.named(&app, now))).into_response())
        }
    }
}

async fn json_body(body: Body) -> Result<Value, Problem> {
    let bytes = read_body(body, MAX_BODY).await?;
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
    let makings = wanted.into_iter().map(|wanted| async move {
        // Asked first, because a making that is polled even once may start a mint that nobody waits for.
        if Instant::now() >= deadline {
            return Err(late());
        }
        let made = timeout_at(deadline, make_one(app, caller, wanted)).await;
        made.unwrap_or_else(|_| Err(late()))
    });
    let made: Vec<_> = stream::iter(makings).buffered(AT_A_TIME).collect().await;
    // One instant for all, because one `Date` goes with all.
    let now = app.clock.now();
    let items = made.into_iter().map(|made| match made {
        Ok(made) => Item {
            status: made.status().as_u16(),
            code: Some(made.named(app, now)),
            problem: None,
        },
        Err(problem) => Item {
            status: problem.code.status().as_u16(),
            code: None,
            problem: Some(problem.document(id.as_str())),
        },
    });
    let items = Items {
        items: items.collect(),
    };
    (StatusCode::MULTI_STATUS, dated(now), Json(items)).into_response()
}

fn late() -> Problem {
    Problem::new(
        Code::UpstreamTimeout,
        "there was no time left for this one; send it again",
    )
}

async fn make_one(app: &AppState, caller: &Authenticated, wanted: Value) -> Result<Made, Problem> {
    let order = Wanted::read(wanted)?.order(app.default_expire)?;
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
    Ok(Made {
        scene,
        served,
        channel,
    })
}

/// A code that was made or known, and its names.
struct Made {
    scene: Scene,
    served: Served,
    channel: Channel,
}

impl Made {
    fn status(&self) -> StatusCode {
        if self.served.source == Source::Minted {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        }
    }

    fn named(self, app: &AppState, now: Timestamp) -> NamedCode {
        let pairs = scene_pairs(&self.scene);
        let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
        let code = CodeBody {
            scene: SceneBody::new(&self.scene),
            ticket: TicketBody::new(&app.site, &self.served.code, now, pairs),
        };
        NamedCode {
            code,
            label: self.channel.label,
            group: self.channel.group,
        }
    }
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
    fn read(value: Value) -> Result<Self, Problem> {
        let Value::Object(fields) = value else {
            let message = "a code must be a JSON object, such as {\"scene_id\": 123}";
            return Err(Problem::new(Code::InvalidBody, message));
        };
        // Every field is optional, so the one at fault is at fault alone too.
        for (name, value) in &fields {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if Self::deserialize(Value::Object(alone)).is_err() {
                return Err(misfit(name));
            }
        }
        Self::deserialize(Value::Object(fields))
            .map_err(|error| Problem::new(Code::InvalidBody, error.to_string()))
    }

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
                    ticket: parsed("ticket", ticket)?,
                    url: parsed("url", url)?,
                    life: Life::Permanent,
                };
                Some((scene.clone(), code))
            }
            (CodeSpec::Permanent { .. }, Some(_), None) => {
                let message = "must be given with ticket, for a code that was minted elsewhere";
                return Err(Problem::invalid_parameter("url", message));
            }
            (CodeSpec::Permanent { .. }, None, Some(_)) => {
                let message = "must be given with url, for a code that was minted elsewhere";
                return Err(Problem::invalid_parameter("ticket", message));
            }
            (CodeSpec::Temporary { .. }, ..) => {
                let message = "must be true where ticket and url are given: only permanent codes are recorded";
                return Err(Problem::invalid_parameter("permanent", message));
            }
        };
        Ok(Order {
            spec,
            channel,
            minted_elsewhere,
        })
    }

    fn spec(&self, default_expire: Lifetime) -> Result<CodeSpec, Problem> {
        let [scene_id, expire_seconds] = [self.scene_id, self.expire_seconds]
            .map(|number| number.map(|number| number.to_string()));
        let wish = Wish {
            scene_id: scene_id.as_deref(),
            scene_str: self.scene_str.as_deref(),
            permanent: self.permanent.unwrap_or(false),
            expire_seconds: expire_seconds.as_deref(),
        };
        wish.checked(default_expire)
    }
}

/// A field that is not ours, or whose value is of another type than ours.
fn misfit(name: &str) -> Problem {
    let accepted = match name {
        "scene_id" => {
            "must be a whole number from 1 to 4294967295, for a permanent code to 100000, without quotes"
        }
        "expire_seconds" => {
            "must be a whole number of seconds from 1 to 2592000 (30 days), without quotes"
        }
        "permanent" => "must be true or false, without quotes",
        "scene_str" | "label" | "group" | "ticket" | "url" => "must be a text in quotes",
        _ => {
            return Problem::invalid_body(
                name,
                "is not a field of a code; accepted: scene_id, scene_str, permanent, expire_seconds, label, group, ticket, url",
            );
        }
    };
    Problem::invalid_parameter(name, accepted)
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
