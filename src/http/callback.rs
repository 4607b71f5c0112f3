//! `/callback`: where WeChat asks whether we are the account's server, and says what its followers do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use crate::callback::{
    Content, Diagnosis, Flaw, Gate, History, Push, Reason, Refused, Sender, Summary,
};
use crate::http::AppState;
use crate::http::i18n::message::Message;
use crate::http::middleware::access_log::not_found;
use crate::http::middleware::request_limits::{broken_off, read_body};
use crate::http::problem::{Code, Problem};
use crate::listen::ByteBudget;
use crate::relay::{Delivery, Relay};
use crate::scans::{NotRecorded, Scans};
use crate::telemetry::{self, Causes};

/// When an answer must be on its way, after a push came: WeChat waits for 5 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(4700);

/// What bodies of pushes hold together, in bytes, while they are read and while the relay has them: those of two thousand
/// messages of the longest kind.
const SIGNED_BODIES: usize = 16 * 1024 * 1024;

/// The same for those of unknown senders. WeChat signs its queries, so that what strangers hold costs its pushes nothing; a
/// push that is not signed there comes in the time of some packets, in which strangers would have to send all of this.
const STRANGERS_BODIES: usize = 16 * 1024 * 1024;

/// What WeChat takes for "I have it, and nothing to say". An empty body means the same.
const SUCCESS: &str = "success";

/// What pushes go through.
#[derive(Debug)]
pub struct Callback {
    gate: Gate,
    relay: Option<Relay>,
    history: History,
    /// Of pushes whose query is signed with the token: WeChat's, unless somebody has seen one.
    signed_bodies: ByteBudget,
    /// Of those that anybody may have sent.
    strangers_bodies: ByteBudget,
    told_of_unreadable: AtomicBool,
    told_of_previous_key: AtomicBool,
}

impl Callback {
    /// Pushes that the gate lets in are passed on to the relay, if there is one.
    pub fn new(gate: Gate, relay: Option<Relay>) -> Self {
        Self {
            gate,
            relay,
            history: History::default(),
            signed_bodies: ByteBudget::new(SIGNED_BODIES),
            strangers_bodies: ByteBudget::new(STRANGERS_BODIES),
            told_of_unreadable: AtomicBool::new(false),
            told_of_previous_key: AtomicBool::new(false),
        }
    }

    fn bodies_of(&self, sender: Sender) -> &ByteBudget {
        match sender {
            Sender::HasToken => &self.signed_bodies,
            Sender::Unknown => &self.strangers_bodies,
        }
    }

    /// What came since the process started.
    pub(crate) fn summary(&self) -> Summary {
        self.history.summary()
    }

    /// One answer for whatever is wrong; what was wrong is for the operator.
    fn refuse(&self, refused: Refused, now: Timestamp) -> Problem {
        telemetry::callback_rejected(refused.reason().as_str());
        self.history.refused(refused.diagnosis(), now);
        let message = Message::new("请求并非来自微信", "this is not from WeChat");
        Problem::new(Code::NotFromWeChat, message)
    }

    /// Counts what is proven to be WeChat's, and needs no repeat. What cannot be read is lost, though it is acknowledged.
    fn count(&self, diagnosis: Option<Diagnosis>, now: Timestamp) {
        match diagnosis {
            None => self.history.accepted(now),
            Some(_) => self.history.refused(diagnosis, now),
        }
    }
}

/// WeChat's question whether the callback is ours, asked once by its console.
pub(crate) async fn verify(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let Some(callback) = &app.callback else {
        return Err(not_found().await);
    };
    let now = app.clock.now();
    let echo = callback
        .gate
        .verify_url(&query.unwrap_or_default(), now)
        .map_err(|refused| callback.refuse(refused, now))?;
    tracing::info!("the callback was verified");
    Ok(echo.into_response())
}

/// What a follower did, or anything else that WeChat has to say.
pub(crate) async fn receive(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let arrived = Instant::now();
    let Some(callback) = &app.callback else {
        return Err(not_found().await);
    };
    let query = query.unwrap_or_default();
    let now = app.clock.now();
    let sender = callback
        .gate
        .admit(&query, now)
        .map_err(|refused| callback.refuse(refused, now))?;
    let read = read_body(body, Gate::MAX_BODY, callback.bodies_of(sender));
    // What comes later is an answer that nobody waits for.
    let body = timeout_at(arrived + ANSWER_WITHIN, read)
        .await
        .unwrap_or_else(|_| Err(broken_off()))
        .inspect_err(count_too_large)?;
    let now = app.clock.now();
    let push = callback
        .gate
        .open(&query, &body, now)
        .map_err(|refused| callback.refuse(refused, now))?;
    telemetry::push(now);
    if push.needed_previous_key {
        tell_of_previous_key(callback);
    }
    let unread = unread(&push.content);
    take_in(callback, &app.scans, push).await?;
    callback.count(unread, now);
    let delivery = Delivery {
        query,
        content_type: headers.get(header::CONTENT_TYPE).cloned(),
        body: Bytes::from_owner(body),
    };
    Ok(match &callback.relay {
        None => SUCCESS.into_response(),
        Some(relay) => relayed(relay, delivery, arrived + ANSWER_WITHIN).await,
    })
}

/// Why a push that is proven to be WeChat's says nothing to us; none: it does.
fn unread(content: &Content) -> Option<Diagnosis> {
    match content {
        Content::Event(_) | Content::Other => None,
        Content::Unreadable(Flaw::Sealed) => Some(Diagnosis::NoKey),
        Content::Unreadable(_) => Some(Diagnosis::Unreadable),
    }
}

/// Stores what is counted. Anything else needs no store.
async fn take_in(callback: &Callback, scans: &Scans, push: Push) -> Result<(), Problem> {
    match push.content {
        Content::Event(event) => {
            scans.record(event).await?;
        }
        Content::Other => telemetry::scan("other"),
        Content::Unreadable(flaw) => {
            telemetry::scan("unreadable");
            tell_of_unreadable(callback, flaw);
        }
    }
    Ok(())
}

/// The old server's answer; else an empty one, which WeChat takes for a silent success: an error would be shown to the
/// follower.
async fn relayed(relay: &Relay, delivery: Delivery, deadline: Instant) -> Response {
    match relay.pass_on(delivery, deadline).await {
        Ok(answer) => {
            let mut response = (answer.status, answer.body).into_response();
            response.headers_mut().remove(header::CONTENT_TYPE);
            if let Some(content_type) = answer.content_type {
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, content_type);
            }
            response
        }
        Err(error) => {
            tracing::warn!(error = %Causes(&error), "a push was not answered by the relay");
            ().into_response()
        }
    }
}

fn tell_of_unreadable(callback: &Callback, flaw: Flaw) {
    if !callback.told_of_unreadable.swap(true, Ordering::Relaxed) {
        tracing::warn!(%flaw, "a push of WeChat's makes no sense; not told again");
    }
}

/// For an owner who wonders how long to keep it.
fn tell_of_previous_key(callback: &Callback) {
    if !callback.told_of_previous_key.swap(true, Ordering::Relaxed) {
        tracing::info!(
            "WeChat still encrypts with the key in WXQR_ENCODING_AES_KEY_PREVIOUS; not told again"
        );
    }
}

/// It does not get as far as the gate.
fn count_too_large(problem: &Problem) {
    if problem.code == Code::TooLarge {
        telemetry::callback_rejected(Reason::TooLarge.as_str());
    }
}

impl From<NotRecorded> for Problem {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::Store(error) => error.into(),
            NotRecorded::Crowded | NotRecorded::Late => Self::store_unavailable(),
        }
    }
}
