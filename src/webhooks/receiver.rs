//! One attempt to deliver a batch: the signed request, and what the answer means.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::receiver_url::ReceiverUrl;
use super::signature::SigningSecrets;
use crate::outbound;
use crate::text::decimal;

/// How long the receiver may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// How much of an answer's body is read, so that its connection can be used again. Chosen.
const MAX_ANSWER: usize = 16 * 1024;

/// The receiver: where it is, and what signs for it.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) client: Client,
    pub(super) url: ReceiverUrl,
    pub(super) secrets: SigningSecrets,
}

/// The content of one webhook: a message, as Standard Webhooks calls it.
#[derive(Debug)]
pub(super) struct WebhookMessage {
    /// Names the batch, the same in every attempt.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Vec<u8>,
}

/// Why an attempt failed. The message may have arrived all the same. Says nothing of the URL, which
/// may be a secret, and nothing of the answer's body.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttemptError {
    #[error("the receiver answered {status}")]
    Refused {
        status: StatusCode,
        /// The time of its `Retry-After`.
        retry_after: Option<Duration>,
    },
    #[error("the receiver did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the receiver cannot be reached")]
    Unreachable(#[source] reqwest::Error),
}

/// Why an attempt failed, as it is stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    /// The receiver answered 410 Gone, which ends the deliveries.
    Gone,
    /// It answered another status that is no success, redirects included.
    Refused(u16),
    /// It did not answer in time.
    Timeout,
    /// No connection, or one that broke.
    Unreachable,
}

impl FailureReason {
    /// The label of a metric, and the name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Refused(_) => "refused",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
        }
    }

    /// The status that the receiver answered, if it did.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Gone => Some(StatusCode::GONE.as_u16()),
            Self::Refused(status) => Some(status),
            Self::Timeout | Self::Unreachable => None,
        }
    }
}

impl From<reqwest::Error> for AttemptError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else {
            Self::Unreachable(error.without_url())
        }
    }
}

impl AttemptError {
    pub(super) fn reason(&self) -> FailureReason {
        match self {
            Self::Refused { status, .. } if *status == StatusCode::GONE => FailureReason::Gone,
            Self::Refused { status, .. } => FailureReason::Refused(status.as_u16()),
            Self::Timeout => FailureReason::Timeout,
            Self::Unreachable(_) => FailureReason::Unreachable,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Timeout | Self::Unreachable(_) => None,
        }
    }
}

impl Receiver {
    /// Sends a message once. Cancel safe: the receiver may have it.
    ///
    /// # Errors
    /// [`AttemptError`] without a success in time.
    pub(super) async fn attempt(
        &self,
        message: &WebhookMessage,
        now: Timestamp,
    ) -> Result<(), AttemptError> {
        let WebhookMessage { id, body } = message;
        let request = self
            .client
            .post(self.url.expose().clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now.as_second())
            .header("webhook-signature", self.secrets.sign(id, now, body))
            .body(body.clone());
        let deadline = Instant::now() + TIMEOUT;
        let response = timeout_at(deadline, request.send())
            .await
            .map_err(|_| AttemptError::Timeout)??;
        let result = judge(&response, now);
        let drained = timeout_at(deadline, outbound::read_capped(response, MAX_ANSWER));
        // The status has said all.
        drained.await.ok();
        result
    }
}

fn judge(response: &Response, now: Timestamp) -> Result<(), AttemptError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    Err(AttemptError::Refused {
        status,
        retry_after: retry_after(response.headers(), now),
    })
}

/// Reads `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    let seconds = decimal(value).map(Duration::from_secs);
    seconds.or_else(|| {
        let until = DateTimeParser::new().parse_timestamp(value).ok()?;
        now.duration_until(until).try_into().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_has_seconds_or_a_date() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        for (value, want_s) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", None),
            ("-1", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            let want = want_s.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), want, "{value}");
        }
    }
}
