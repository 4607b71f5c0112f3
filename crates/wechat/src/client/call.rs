//! One API call with timeouts, exponential backoff and failover between hosts.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Response, StatusCode};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::api::Api;
use super::errcode::Class;
use super::error::Error;
use super::observer::Attempt;
use super::{WeChat, wire};

/// Maximum number of attempts. If three calls in ten fail, six attempts leave less than one failure
/// in a thousand.
const ATTEMPTS: u32 = 6;

/// First backoff between attempts; it doubles. All five together stay within a visitor's five
/// seconds.
const INITIAL_BACKOFF: Duration = Duration::from_millis(100);

/// Timeout of an attempt while there is another host to fail over to: half of a visitor's wait of
/// five seconds.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2500);

/// Timeout of an attempt on the last host. Longer than a visitor waits, because the next visitor
/// can use the result.
const LAST_HOST_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a failed call is retried.
const RETRY_WINDOW: Duration = Duration::from_secs(20);

/// The longest backoff: before the last attempt.
const LONGEST_BACKOFF: Duration = INITIAL_BACKOFF.saturating_mul(1 << (ATTEMPTS - 2));

/// The longest that a call takes: within the retry window it waits for its last attempt.
pub const MAX_CALL: Duration = RETRY_WINDOW
    .saturating_add(LONGEST_BACKOFF)
    .saturating_add(LAST_HOST_TIMEOUT);

/// How long a failed host is skipped while another one is available.
const HOST_COOLDOWN: Duration = Duration::from_secs(30);

/// Maximum length of an answer. WeChat's have a few hundred bytes; errors may have more.
const MAX_BODY: usize = 64 * 1024;

/// When a call may be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// After any transient failure: a duplicate costs little.
    Always,
    /// Only if the failed attempt certainly had no effect: a duplicate permanently uses up stock.
    IfWithoutEffect,
}

impl RetryPolicy {
    fn allows(self, error: &Error) -> bool {
        match error {
            Error::Refused(refusal) => refusal.errcode.class() == Class::Busy,
            _ => self == Self::Always || !error.is_ambiguous(),
        }
    }
}

/// A request, independent of the host. Has no `Debug`, because query and body hold secrets.
pub(super) struct Request<'a> {
    method: Method,
    path: &'static str,
    query: Vec<(&'static str, &'a str)>,
    body: Option<String>,
    secret: &'a str,
    unpooled: bool,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'static str) -> Self {
        Self {
            method: Method::GET,
            path,
            query: Vec::new(),
            body: None,
            secret: "",
            unpooled: false,
        }
    }

    pub(super) fn post(path: &'static str, body: String) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            ..Self::get(path)
        }
    }

    pub(super) fn query(mut self, pairs: &[(&'static str, &'a str)]) -> Self {
        self.query.extend_from_slice(pairs);
        self
    }

    /// With `unpooled`, keeps the request off reused connections: if the peer is closing one, the
    /// request fails and may or may not have been processed.
    pub(super) fn unpooled(mut self, unpooled: bool) -> Self {
        self.unpooled = unpooled;
        self
    }

    /// Names the secret in the request, to be redacted from whatever WeChat echoes.
    pub(super) fn redacting(mut self, secret: &'a str) -> Self {
        self.secret = secret;
        self
    }
}

impl WeChat {
    /// Sends a request until it succeeds, fails permanently or has been sent [`ATTEMPTS`] times.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        api: Api,
        retry: RetryPolicy,
        request: Request<'_>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let mut attempt = 1;
        // The last ambiguous failure: a request was sent, whatever fails later.
        let mut sent: Option<Error> = None;
        loop {
            let host = self.hosts.pick(attempt, retry);
            let error = match self.send(api, attempt, &host, &request).await {
                Ok(answer) => {
                    self.hosts.record_success(host.index);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.allows_failover() {
                self.hosts.record_failure(host.index);
            }
            let may_retry = attempt < ATTEMPTS && started.elapsed() < RETRY_WINDOW;
            if !may_retry || !retry.allows(&error) {
                return Err(sent.filter(|_| error.is_before_sending()).unwrap_or(error));
            }
            if !(error.allows_failover() && self.hosts.has_untried(attempt)) {
                tokio::time::sleep(backoff(attempt)).await;
            }
            if error.is_ambiguous() {
                sent = Some(error);
            }
            attempt += 1;
        }
    }

    /// Sends a request once, and reports it to the observer.
    async fn send<T: DeserializeOwned>(
        &self,
        api: Api,
        number: u32,
        host: &Host,
        request: &Request<'_>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let result = self
            .exchange(host, request)
            .await
            .map_err(|error| redact(error, &[request.secret, self.app_secret.expose_secret()]));
        (self.observer)(&Attempt {
            api,
            number,
            error: result.as_ref().err(),
            took: started.elapsed(),
        });
        result
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        host: &Host,
        request: &Request<'_>,
    ) -> Result<T, Error> {
        let url = host.base.join(request.path).expect("our paths are plain");
        let client = if request.unpooled {
            &self.http.unpooled
        } else {
            &self.http.pooled
        };
        let mut builder = client
            .request(request.method.clone(), url)
            .query(&request.query)
            .timeout(host.timeout);
        if let Some(body) = &request.body {
            builder = builder
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = builder.send().await?;
        if response.status() != StatusCode::OK {
            return Err(Error::Status(response.status().as_u16()));
        }
        wire::decode(&read_body(response).await?)
    }
}

/// Reads a body of at most [`MAX_BODY`], and stops reading beyond it.
async fn read_body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Error::of_body)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Error::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Redacts secrets: WeChat echoes requests, and so do gateways before it.
fn redact(error: Error, secrets: &[&str]) -> Error {
    match error {
        Error::Refused(refusal) => Error::Refused(refusal.redacted(secrets)),
        other => other,
    }
}

/// Exponential backoff with jitter: half of it is fixed, half random, so that callers do not retry
/// in step.
fn backoff(attempt: u32) -> Duration {
    let full = INITIAL_BACKOFF * 2_u32.pow(attempt - 1);
    let jitter = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    full.mul_f64(0.5 + jitter / 2.0)
}

/// The host of one attempt, with its timeout.
#[derive(Debug)]
struct Host {
    index: usize,
    base: Url,
    timeout: Duration,
}

/// API hosts in order of preference, with the cooldowns of failed ones.
#[derive(Debug)]
pub(super) struct Hosts {
    bases: Vec<Url>,
    cooldown_until: Mutex<Vec<Option<Instant>>>,
}

impl Hosts {
    pub(super) fn new(bases: Vec<Url>) -> Self {
        assert!(!bases.is_empty(), "the settings demand an API host");
        let cooldown_until = Mutex::new(vec![None; bases.len()]);
        Self {
            bases,
            cooldown_until,
        }
    }

    /// The first host without a cooldown; round-robin if all have one.
    fn pick(&self, attempt: u32, retry: RetryPolicy) -> Host {
        let now = Instant::now();
        let cooldowns = self
            .cooldown_until
            .lock()
            .expect("no one panics while holding the list");
        let available: Vec<usize> = (0..self.bases.len())
            .filter(|&i| cooldowns[i].is_none_or(|until| until <= now))
            .collect();
        let index = match available.first() {
            Some(&first) => first,
            None => (attempt as usize - 1) % self.bases.len(),
        };
        let another_host_is_left = retry == RetryPolicy::Always && available.len() > 1;
        let timeout = if another_host_is_left {
            ATTEMPT_TIMEOUT
        } else {
            LAST_HOST_TIMEOUT
        };
        Host {
            index,
            base: self.bases[index].clone(),
            timeout,
        }
    }

    fn record_failure(&self, index: usize) {
        self.set_cooldown(index, Some(Instant::now() + HOST_COOLDOWN));
    }

    fn record_success(&self, index: usize) {
        self.set_cooldown(index, None);
    }

    fn set_cooldown(&self, index: usize, until: Option<Instant>) {
        self.cooldown_until
            .lock()
            .expect("no one panics while holding the list")[index] = until;
    }

    /// Whether a call that was sent `attempts` times can still reach a host that it has not tried.
    fn has_untried(&self, attempts: u32) -> bool {
        (attempts as usize) < self.bases.len()
    }
}
