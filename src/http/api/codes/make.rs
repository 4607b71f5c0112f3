//! `POST /api/codes`: mints one code or many, names them, and records codes minted elsewhere.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt;
use futures_util::stream;
use http_listener::ByteBudget;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;
use wechat::push::Reply;
use wechat::scene::{Lifetime, Scene};

use crate::access::Caller;
use crate::channels::{ChannelRecord, ChannelStore};
use crate::clock::Clock;
use crate::codes::{Codes, Issued, Source};
use crate::http::api::codes::channel_body::ChannelBody;
use crate::http::api::codes::new_code::{self, CheckedNewCode, NewCode};
use crate::http::extract::json::JsonBody;
use crate::http::extract::key_holder::KeyHolder;
use crate::http::middleware::request_id::RequestId;
use crate::http::problem::{Document, ErrorCode, Problem};
use crate::http::qrcode::body::{CodeBody, CodePresenter, SceneBody};
use crate::http::qrcode::issue::issue_named;
use crate::http::qrcode::link::LinkQuery;
use crate::http::time_format::date_header;

/// How long a request with many codes may take. Items that are not done by then say so, and may be
/// sent again. Chosen.
const BATCH_TIMEOUT: Duration = Duration::from_secs(20);

/// How many codes of one request are made at a time. Chosen.
const CONCURRENCY: usize = 16;

/// A code with what is kept of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NamedCode {
    #[serde(flatten)]
    code: CodeBody,
    #[serde(flatten)]
    channel: ChannelBody,
    /// What to look at, although it was taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Result of one code of a batch.
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

/// Results of a batch, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Items {
    items: Vec<Item>,
}

/// Makes codes.
///
/// One object or an array of at most 100. A permanent code that exists is answered as it is, so a
/// request may be sent again. Temporary codes need the scope `mint`, permanent ones `permanent`,
/// recording one `admin`.
#[utoipa::path(
    post,
    path = "/api/codes",
    request_body(content = NewCode, description = "One object, or an array of at most 100"),
    responses(
        (status = 200, description = "One code that existed", body = NamedCode),
        (status = 201, description = "One new code", body = NamedCode),
        (status = 207, description = "Many codes, each with its own status", body = Items),
        (status = 409, description = "The permanent codes are used up, or something else is recorded for the scene, the ticket or the url", body = Document, content_type = "application/problem+json"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "WeChat or the service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn make(
    State(maker): State<CodeMaker>,
    State(presenter): State<CodePresenter>,
    State(clock): State<Arc<dyn Clock>>,
    State(bodies): State<ByteBudget>,
    holder: KeyHolder,
    Extension(id): Extension<RequestId>,
    body: Body,
) -> Result<Response, Problem> {
    match new_code::read(body, &bodies).await? {
        JsonBody::Array(items) => {
            let made = maker.make_many(&holder, items).await;
            let now = clock.now();
            let items = made.into_iter().map(|made| match made {
                Ok(made) => Item::made(made.status(), made.named(&presenter, &holder, now)),
                Err(problem) => Item::failed(&problem, &id),
            });
            let items = Items {
                items: items.collect(),
            };
            Ok((StatusCode::MULTI_STATUS, date_header(now), Json(items)).into_response())
        }
        json => {
            let made = maker.make(&holder, json).await?;
            let now = clock.now();
            let status = made.status();
            let code = made.named(&presenter, &holder, now);
            Ok((status, date_header(now), Json(code)).into_response())
        }
    }
}

impl Item {
    fn made(status: StatusCode, code: NamedCode) -> Self {
        Self {
            status: status.as_u16(),
            code: Some(code),
            problem: None,
        }
    }

    fn failed(problem: &Problem, id: &RequestId) -> Self {
        Self {
            status: problem.code.status().as_u16(),
            code: None,
            problem: Some(problem.document(id.as_str())),
        }
    }
}

/// The parts of the service that make codes for key holders.
#[derive(Debug, Clone)]
pub(crate) struct CodeMaker {
    pub(crate) codes: Arc<Codes>,
    pub(crate) channels: ChannelStore,
    pub(crate) default_expire: Lifetime,
}

impl CodeMaker {
    /// Makes codes concurrently, in their order, until [`BATCH_TIMEOUT`].
    async fn make_many(
        &self,
        holder: &KeyHolder,
        items: Vec<JsonBody>,
    ) -> Vec<Result<Made, Problem>> {
        let deadline = Instant::now() + BATCH_TIMEOUT;
        let makings = items.into_iter().map(|item| async move {
            // Checked first, because a future that is polled even once may start a mint.
            if Instant::now() >= deadline {
                return Err(late());
            }
            let made = timeout_at(deadline, self.make(holder, item)).await;
            made.unwrap_or_else(|_| Err(late()))
        });
        stream::iter(makings).buffered(CONCURRENCY).collect().await
    }

    async fn make(&self, holder: &KeyHolder, json: JsonBody) -> Result<Made, Problem> {
        let checked = CheckedNewCode::of(json, self.default_expire)?;
        holder.require(checked.scope())?;
        // Checked before anything is minted: without the database the code's names could not be
        // kept.
        if !self.channels.is_up() {
            return Err(Problem::store_unavailable());
        }
        let caller = holder.caller();
        let issued = match &checked.minted_elsewhere {
            Some((scene, code)) => self.codes.import(scene, code.clone(), caller).await?,
            None => self.issue(&checked, caller).await?,
        };
        let scene = checked.spec.scene();
        let record = self.channels.change(&scene, &checked.change).await?;
        let lifetime = if checked.renew {
            checked.spec.lifetime()
        } else {
            issued.code.asked()
        };
        Ok(Made {
            scene,
            lifetime,
            issued,
            record,
        })
    }

    /// Returns the code that there is, if the request keeps it; else issues one that is fresh
    /// enough.
    async fn issue(&self, new: &CheckedNewCode, caller: &Caller) -> Result<Issued, Problem> {
        if !new.renew
            && let Some(existing) = self.codes.existing(&new.spec.scene()).await?
        {
            return Ok(existing);
        }
        issue_named(&self.codes, &new.spec, caller, new.change.given_names()).await
    }
}

/// Warns of what keeps followers from seeing the reply.
fn warnings(reply: Option<&Reply>, has_callback: bool) -> Vec<String> {
    let Some(reply) = reply else {
        return Vec::new();
    };
    let mut warnings = unencrypted(reply);
    if !has_callback {
        warnings.push("reply is not sent, because WXQR_CALLBACK_TOKEN is not set".to_owned());
    }
    warnings
}

/// Warns of addresses that are not encrypted in transit.
fn unencrypted(reply: &Reply) -> Vec<String> {
    let Reply::News(article) = reply else {
        return Vec::new();
    };
    let addresses = [
        ("image_url", article.image_url.as_ref()),
        ("url", Some(&article.url)),
    ];
    let unencrypted = addresses
        .into_iter()
        .filter(|(_, url)| url.is_some_and(|url| !url.is_https()));
    let warning = |(field, _)| {
        format!("reply.news.{field} is http: phones may warn of it or not show it; use https")
    };
    unencrypted.map(warning).collect()
}

fn late() -> Problem {
    let message = "no time was left for this one; send it again";
    Problem::new(ErrorCode::UpstreamTimeout, message)
}

/// A code that was minted or known, and what is kept of it.
struct Made {
    scene: Scene,
    /// What the links to its pictures ask for.
    lifetime: Option<Lifetime>,
    issued: Issued,
    record: ChannelRecord,
}

impl Made {
    fn status(&self) -> StatusCode {
        if self.issued.source == Source::Minted {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        }
    }

    fn named(self, presenter: &CodePresenter, holder: &KeyHolder, now: Timestamp) -> NamedCode {
        let link = LinkQuery::to(&self.scene, self.lifetime);
        let code = CodeBody {
            scene: SceneBody::new(&self.scene),
            ticket: presenter.ticket(&self.issued.code, link, holder.caller(), now),
        };
        NamedCode {
            code,
            warnings: warnings(self.record.reply.as_ref(), presenter.site.has_callback),
            channel: self.record.into(),
        }
    }
}
