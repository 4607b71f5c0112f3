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
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::require;
use super::wanted::{Given, Wanted};
use crate::access::Scope;
use crate::codes::{Served, Source};
use crate::http::AppState;
use crate::http::extract::caller::Authenticated;
use crate::http::i18n::message::Message;
use crate::http::middleware::access_log::RequestId;
use crate::http::problem::{Code, Document, Problem};
use crate::http::qrcode::body::{CodeBody, LinkQuery, SceneBody, TicketBody, dated};
use crate::http::qrcode::issue::issue;
use crate::scene::CodeSpec;
use crate::store::Channel;

/// How long a request with many codes may take. What is not done by then says so, and may be sent again.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many codes of one request are made at a time.
const AT_A_TIME: usize = 16;

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
        (status = 409, description = "The permanent codes are used up, or something else is recorded for the scene, the ticket or the url", body = Document, content_type = "application/problem+json"),
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
    // Before the body is read; which scope it takes is in the body.
    if caller.0.key.is_none() {
        require(&caller, Scope::Mint)?;
    }
    match Given::read(body, &app.bodies).await? {
        Given::Array(wanted) => Ok(make_many(&app, &caller, &id, wanted).await),
        wanted => {
            let made = make_one(&app, &caller, wanted).await?;
            let now = app.clock.now();
            Ok((
                made.status(),
                dated(now),
                Json(made.named(&app, &caller, now)),
            )
                .into_response())
        }
    }
}

async fn make_many(
    app: &AppState,
    caller: &Authenticated,
    id: &RequestId,
    wanted: Vec<Given>,
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
            code: Some(made.named(app, caller, now)),
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
    let message = Message::new(
        "没有时间处理这一项，请重发",
        "there was no time left for this one; send it again",
    );
    Problem::new(Code::UpstreamTimeout, message)
}

async fn make_one(app: &AppState, caller: &Authenticated, wanted: Given) -> Result<Made, Problem> {
    let order = wanted.order(app.default_expire)?;
    require(caller, order.scope())?;
    // Asked before anything is made: without the store the names of the code could not be kept.
    if !app.store.is_up() {
        return Err(Problem::store_unavailable());
    }
    let served = match &order.minted_elsewhere {
        Some((scene, code)) => app.codes.import(scene, code.clone()).await?,
        None => issue(app, &order.spec, &caller.0).await?,
    };
    let scene = order.spec.scene();
    let channel = app.store.name_channel(&scene, &order.channel).await?;
    Ok(Made {
        spec: order.spec,
        served,
        channel,
    })
}

/// A code that was made or known, and its names.
struct Made {
    spec: CodeSpec,
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

    fn named(self, app: &AppState, caller: &Authenticated, now: Timestamp) -> NamedCode {
        let code = &self.served.code;
        let link = LinkQuery::to(&self.spec.scene(), self.spec.lifetime());
        let link = link.signed_for(&caller.0, &app.access);
        let code = CodeBody {
            scene: SceneBody::new(&self.spec.scene()),
            ticket: TicketBody::new(&app.site, code, now, Some(&link)),
        };
        NamedCode {
            code,
            label: self.channel.label,
            group: self.channel.group,
        }
    }
}
