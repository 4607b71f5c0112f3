//! Forwards pushes to the message server that the account already has, and its answers to WeChat.
//!
//! An account has one callback; this keeps the old server when ours is entered in WeChat's console.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::Url;

use crate::outbound::{self, ClientError};
use crate::telemetry;

/// The longest answer that is passed back. WeChat's own bound is not documented; a text reply has a
/// few KiB.
const MAX_ANSWER: usize = 64 * 1024;

/// How long the relay may take. WeChat waits for 5 s.
pub(crate) const RELAY_TIMEOUT: Duration = Duration::from_secs(4);

/// Maximum number of pushes under way: a server that hangs costs so many connections and no more.
/// Chosen: what it could not answer at 100 pushes a second.
pub(crate) const MAX_FORWARDED: usize = 400;

/// Forwards pushes to the account's own message server (reverse proxy). One is made at start and
/// shared.
#[derive(Debug)]
pub struct Relay {
    /// Without a pool: on a connection that the server is just closing a push would be lost, and
    /// one that may have arrived is not sent again.
    client: Client,
    url: Url,
    free: Semaphore,
}

/// A push to be forwarded: its query, Content-Type and body, unchanged, and no other header.
#[derive(Debug, Clone)]
pub struct RelayedPush {
    /// The query, without the question mark: it has the signatures.
    pub query: String,
    /// What WeChat calls the body's format.
    pub content_type: Option<HeaderValue>,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// What the server answered: a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayAnswer {
    /// 200 to 299.
    pub status: StatusCode,
    /// Its body's format.
    pub content_type: Option<HeaderValue>,
    /// Its body, byte for byte; at most 64 KiB.
    pub body: Bytes,
}

/// Why there is no answer to pass back. Says nothing of the server's address, which may have a
/// secret in its query.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// Too many pushes are under way.
    #[error("too many pushes wait for the relay")]
    Busy,
    /// No whole answer in time.
    #[error("the relay did not answer in time")]
    Timeout,
    /// No connection, or one that broke.
    #[error("the relay cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// An answer that is no success.
    #[error("the relay answered {0}")]
    Refused(StatusCode),
    /// An answer that cannot be read whole.
    #[error("the relay's answer cannot be read")]
    Body(#[from] outbound::ResponseBodyError),
}

impl From<reqwest::Error> for RelayError {
    fn from(error: reqwest::Error) -> Self {
        Self::Unreachable(error.without_url())
    }
}

impl RelayError {
    /// The label of a metric.
    fn outcome(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Timeout => "timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Refused(_) => "refused",
            Self::Body(_) => "invalid",
        }
    }
}

impl Relay {
    /// Creates a relay to `url`, whose own query, if it has one, comes before that of each push.
    /// `extra_ca` is a PEM bundle that is trusted besides the built-in roots.
    ///
    /// # Errors
    /// When the bundle holds no certificate that can be read.
    pub fn new(url: Url, extra_ca: Option<&[u8]>) -> Result<Self, ClientError> {
        Ok(Self {
            client: outbound::unpooled_http_client(extra_ca, None)?,
            url,
            free: Semaphore::new(MAX_FORWARDED),
        })
    }

    /// Forwards a push and returns the answer, in 4 s at most and by `deadline`. Cancel safe: the
    /// server may have got it.
    ///
    /// # Errors
    /// [`RelayError`]. A push is never sent twice.
    pub async fn pass_on(
        &self,
        push: RelayedPush,
        deadline: Instant,
    ) -> Result<RelayAnswer, RelayError> {
        let deadline = deadline.min(Instant::now() + RELAY_TIMEOUT);
        let answer = match self.free.try_acquire() {
            Err(_) => Err(RelayError::Busy),
            Ok(_one) => timeout_at(deadline, self.ask(push))
                .await
                .unwrap_or(Err(RelayError::Timeout)),
        };
        telemetry::relay_request(answer.as_ref().map_or_else(RelayError::outcome, |_| "ok"));
        answer
    }

    async fn ask(&self, push: RelayedPush) -> Result<RelayAnswer, RelayError> {
        let response = self.post(push).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(RelayError::Refused(status));
        }
        let content_type = response.headers().get(CONTENT_TYPE).cloned();
        let body = outbound::read_capped(response, MAX_ANSWER).await?;
        Ok(RelayAnswer {
            status,
            content_type,
            body: body.into(),
        })
    }

    async fn post(&self, push: RelayedPush) -> reqwest::Result<Response> {
        let mut request = self.client.post(self.url_with(&push.query)).body(push.body);
        if let Some(content_type) = push.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        request.send().await
    }

    fn url_with(&self, query: &str) -> Url {
        let own = self.url.query().filter(|own| !own.is_empty());
        let both = own.map(|own| format!("{own}&{query}"));
        let mut url = self.url.clone();
        url.set_query(Some(both.as_deref().unwrap_or(query)));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_query_comes_first_and_the_pushs_is_whole() {
        for (url, want) in [
            ("http://old/wx", "http://old/wx?signature=a&openid=o%2B"),
            ("http://old/wx?", "http://old/wx?signature=a&openid=o%2B"),
            (
                "http://old/wx?id=1",
                "http://old/wx?id=1&signature=a&openid=o%2B",
            ),
        ] {
            let relay = Relay::new(url.parse().unwrap(), None).unwrap();
            assert_eq!(relay.url_with("signature=a&openid=o%2B").as_str(), want);
        }
    }
}
