//! `/callback`: receives WeChat's pushes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_listener::{BufferedBody, ByteBudget};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use wechat::event::EventKind;
use wechat::push::{
    Content, Diagnosis, MessageError, Push, PushVerifier, QuerySignature, Reason, Rejected, Reply,
    ReplyAddress, ReplyBody,
};

use crate::callback::{History, Summary};
use crate::clock::Clock;
use crate::http::extract::body::read_body;
use crate::http::problem::{ErrorCode, Problem};
use crate::statistics::{self, EventRecorder, Relay, RelayAnswer, RelayedPush};
use crate::telemetry::{self, Causes};

/// How long WeChat waits for the answer of a push.
pub(crate) const WECHAT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long after a push the response must start. The rest of WeChat's time is for the network.
const RESPONSE_TIMEOUT: Duration = WECHAT_TIMEOUT.saturating_sub(Duration::from_millis(300));

// The event is stored first, in half of WeChat's time at most. A relay then has what is left until
// the response must start, and its own timeout at most.
const _: () = assert!(statistics::RECORD_TIMEOUT.as_millis() * 2 == WECHAT_TIMEOUT.as_millis());
const _: () = assert!(statistics::RELAY_TIMEOUT.as_millis() < RESPONSE_TIMEOUT.as_millis());

/// Byte budget of pushes whose query is signed, while they are read and relayed: 2000 of the
/// longest messages.
const SIGNED_BODIES: usize = 16 * 1024 * 1024;

/// Byte budget of pushes of unknown senders. They cannot use up the budget of WeChat's signed
/// queries; to evict a push with an unsigned one, strangers would have to send all of this in the
/// time of some packets.
const STRANGERS_BODIES: usize = 16 * 1024 * 1024;

/// The body that acknowledges a push without a reply to the follower. An empty one means the same.
const SUCCESS: &str = "success";

/// Verifies, records and relays pushes.
#[derive(Debug)]
pub struct Callback {
    verifier: PushVerifier,
    relay: Option<Relay>,
    /// What a new follower gets whose code has no reply.
    default_reply: Option<Reply>,
    history: History,
    /// For pushes whose query is signed: WeChat's, or replays of them.
    signed_bodies: ByteBudget,
    /// For pushes without a valid signature in the query.
    strangers_bodies: ByteBudget,
    logged_unreadable: AtomicBool,
    logged_previous_key: AtomicBool,
}

impl Callback {
    /// Creates the handler of pushes. A relay, if given, gets each verified push.
    pub fn new(verifier: PushVerifier, relay: Option<Relay>, default_reply: Option<Reply>) -> Self {
        Self {
            verifier,
            relay,
            default_reply,
            history: History::default(),
            signed_bodies: ByteBudget::new(SIGNED_BODIES),
            strangers_bodies: ByteBudget::new(STRANGERS_BODIES),
            logged_unreadable: AtomicBool::new(false),
            logged_previous_key: AtomicBool::new(false),
        }
    }

    fn bodies_of(&self, sender: QuerySignature) -> &ByteBudget {
        match sender {
            QuerySignature::Valid => &self.signed_bodies,
            QuerySignature::Unproven => &self.strangers_bodies,
        }
    }

    /// The pushes since the process started.
    pub(crate) fn summary(&self) -> Summary {
        self.history.summary()
    }

    /// Gives the same response for every cause; the cause is for the operator.
    fn reject(&self, rejected: Rejected, now: Timestamp) -> Problem {
        telemetry::callback_rejected(rejected.reason().as_str());
        self.history.rejected(rejected.diagnosis(), now);
        let message = "this is not from WeChat";
        Problem::new(ErrorCode::NotFromWeChat, message)
    }

    /// Counts a verified push. What cannot be parsed is lost, though it is acknowledged.
    fn count(&self, diagnosis: Option<Diagnosis>, now: Timestamp) {
        match diagnosis {
            None => self.history.accepted(now),
            Some(_) => self.history.rejected(diagnosis, now),
        }
    }
}

/// Answers WeChat's console, which asks once whether the callback is ours.
pub(crate) async fn verify(
    State(callback): State<Option<Arc<Callback>>>,
    State(clock): State<Arc<dyn Clock>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let callback = callback.ok_or_else(Problem::not_found)?;
    let now = clock.now();
    let echo = callback
        .verifier
        .verify_url(&query.unwrap_or_default(), now)
        .map_err(|rejected| callback.reject(rejected, now))?;
    tracing::info!("the callback was verified");
    Ok(echo.into_response())
}

/// Receives a push: an event or anything else that WeChat sends.
pub(crate) async fn receive(
    State(callback): State<Option<Arc<Callback>>>,
    State(recorder): State<Arc<EventRecorder>>,
    State(clock): State<Arc<dyn Clock>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let deadline = Instant::now() + RESPONSE_TIMEOUT;
    let callback = callback.ok_or_else(Problem::not_found)?;
    let query = query.unwrap_or_default();
    let sender = callback.admit(&query, clock.now())?;
    let body = callback.read_body(body, sender, deadline).await?;
    let now = clock.now();
    let push = callback.open(&query, &body, now)?;
    let unread = unread(&push.content);
    let reply = callback.record(&recorder, push.content).await?;
    callback.count(unread, now);
    let reply = callback.written(reply, push.reply_to.as_ref(), now);
    let original = RelayedPush {
        query,
        content_type: headers.get(header::CONTENT_TYPE).cloned(),
        body: Bytes::from_owner(body),
    };
    let relayed = match &callback.relay {
        None => None,
        Some(relay) => Some(relayed(relay, original, deadline).await),
    };
    Ok(acknowledgement(relayed, reply))
}

impl Callback {
    /// Checks the query, before the body is read.
    fn admit(&self, query: &str, now: Timestamp) -> Result<QuerySignature, Problem> {
        let admitted = self.verifier.check_query(query, now);
        admitted.map_err(|rejected| self.reject(rejected, now))
    }

    /// Reads the body within the sender's byte budget and the deadline of a push.
    async fn read_body(
        &self,
        body: Body,
        sender: QuerySignature,
        deadline: Instant,
    ) -> Result<BufferedBody, Problem> {
        let read = read_body(body, PushVerifier::MAX_BODY, self.bodies_of(sender));
        timeout_at(deadline, read)
            .await
            .unwrap_or_else(|_| Err(Problem::body_cut_short()))
            .inspect_err(count_too_large)
    }

    /// Verifies and parses the push.
    fn open(&self, query: &str, body: &[u8], now: Timestamp) -> Result<Push, Problem> {
        let push = self
            .verifier
            .verify(query, body, now)
            .map_err(|rejected| self.reject(rejected, now))?;
        telemetry::push(now);
        if push.needed_previous_key {
            self.log_previous_key();
        }
        Ok(push)
    }

    /// Stores an event, and gives the reply to its follower. Anything else needs no database and
    /// has no reply.
    async fn record(
        &self,
        recorder: &EventRecorder,
        content: Content,
    ) -> Result<Option<Reply>, Problem> {
        match content {
            Content::Event(event) => {
                let is_new_follower = event.kind == EventKind::Subscribe;
                let receipt = recorder.record(event).await?;
                let default = || self.default_reply.clone().filter(|_| is_new_follower);
                return Ok(receipt.reply.or_else(default));
            }
            Content::Other => telemetry::scan("other"),
            Content::Unreadable(flaw) => {
                telemetry::scan("unreadable");
                self.log_unreadable(flaw);
            }
        }
        Ok(None)
    }

    /// A reply as the body that answers the push.
    fn written(
        &self,
        reply: Option<Reply>,
        to: Option<&ReplyAddress>,
        now: Timestamp,
    ) -> Option<ReplyBody> {
        Some(self.verifier.write_reply(to?, &reply?, now))
    }

    fn log_unreadable(&self, flaw: MessageError) {
        if !self.logged_unreadable.swap(true, Ordering::Relaxed) {
            tracing::warn!(%flaw, "a push from WeChat cannot be read (logged once)");
        }
    }

    /// Logs once that the previous key is still in use.
    fn log_previous_key(&self) {
        if !self.logged_previous_key.swap(true, Ordering::Relaxed) {
            tracing::info!(
                "WeChat still encrypts with the key in WXQR_ENCODING_AES_KEY_PREVIOUS (logged once)"
            );
        }
    }
}

/// Why a verified push could not be parsed, if it could not.
fn unread(content: &Content) -> Option<Diagnosis> {
    match content {
        Content::Event(_) | Content::Other => None,
        Content::Unreadable(MessageError::Encrypted) => Some(Diagnosis::NoKey),
        Content::Unreadable(_) => Some(Diagnosis::Unreadable),
    }
}

/// The response of the relay's target. After a failure an empty one, because WeChat shows the
/// follower an error for anything else.
async fn relayed(relay: &Relay, push: RelayedPush, deadline: Instant) -> RelayAnswer {
    let answer = relay.pass_on(push, deadline).await;
    answer.unwrap_or_else(|error| {
        tracing::warn!(error = %Causes(&error), "the relay did not answer a push");
        RelayAnswer {
            status: StatusCode::OK,
            content_type: None,
            body: Bytes::new(),
        }
    })
}

/// The response to a push that is stored: a message from the relay's target, else ours, else none.
fn acknowledgement(relayed: Option<RelayAnswer>, reply: Option<ReplyBody>) -> Response {
    match (relayed, reply) {
        (Some(answer), Some(reply)) if is_silent(&answer) => reply_response(reply),
        (Some(answer), _) => passed_on(answer),
        (None, Some(reply)) => reply_response(reply),
        (None, None) => SUCCESS.into_response(),
    }
}

/// Whether it has no message to the follower.
fn is_silent(answer: &RelayAnswer) -> bool {
    let body = answer.body.trim_ascii();
    body.is_empty() || body == SUCCESS.as_bytes()
}

fn reply_response(reply: ReplyBody) -> Response {
    let media_type = HeaderValue::from_static(reply.media_type);
    ([(header::CONTENT_TYPE, media_type)], reply.text).into_response()
}

fn passed_on(answer: RelayAnswer) -> Response {
    let mut response = (answer.status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    if let Some(content_type) = answer.content_type {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, content_type);
    }
    response
}

/// Counts a body that is too large to be verified.
fn count_too_large(problem: &Problem) {
    if problem.code == ErrorCode::TooLarge {
        telemetry::callback_rejected(Reason::TooLarge.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::{SIGNED_BODIES, STRANGERS_BODIES};

    #[test]
    fn the_pages_have_the_byte_budgets_of_the_code() {
        let mib = |bytes: usize| bytes / (1024 * 1024);
        let (signed, others) = (mib(SIGNED_BODIES), mib(STRANGERS_BODIES));
        let page = include_str!("../../docs/operating.md");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let phrase = format!(
            "{signed} MiB for pushes whose query WeChat has signed, {others} MiB for other pushes"
        );
        assert!(page.contains(&phrase), "{phrase}");
        let phrase = format!("查询串带有微信签名的推送 {signed} MiB，其他推送 {others} MiB");
        let page = include_str!("../../docs/zh/operating.md");
        assert!(page.contains(&phrase), "{phrase}");
    }
}
