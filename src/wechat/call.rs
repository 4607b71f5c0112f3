//! One call in spite of a bad network: which host, how long, how often.

use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tokio::time::Instant;
use url::Url;

use super::error::Error;
use super::{Api, WeChat, errcode::Class, wire};
use crate::outbound::read_capped;
use crate::telemetry::{self, Causes};

/// How often a call is sent at most. With three calls in ten failing, six leave less than one in a thousand.
const ATTEMPTS: u32 = 6;

/// The first pause between attempts; it doubles. All five together stay within a visitor's five seconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long an answer may take where another host is there to try: half of what a visitor waits.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long an answer of the last host may take. Longer than a visitor waits, because the next one profits.
const LAST_HOST_TIMEOUT: Duration = Duration::from_secs(8);

/// How long a failed call is sent again. With the last attempt's own deadline it stays under the 30 s of a mint.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a host that failed is passed over while another one is there.
const HOST_REST: Duration = Duration::from_secs(30);

/// WeChat's answers have a few hundred bytes; errors may have more.
const MAX_BODY: usize = 64 * 1024;

/// When a call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resend {
    /// After any passing failure: a second effect costs little.
    Freely,
    /// Only when the call certainly had no effect: a second one costs stock that never comes back.
    IfWithoutEffect,
}

impl Resend {
    fn allows(self, error: &Error) -> bool {
        match error {
            Error::Refused(refusal) => refusal.errcode.class() == Class::Busy,
            _ => self == Self::Freely || !error.is_ambiguous(),
        }
    }
}

/// A call as it is sent, whatever the host. Without `Debug`, because query and body hold secrets.
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

    /// Keeps the request off connections that were used before, if `unpooled`: on one that the peer is just closing it would
    /// fail without anybody knowing whether it was seen.
    pub(super) fn unpooled(mut self, unpooled: bool) -> Self {
        self.unpooled = unpooled;
        self
    }

    /// Names the secret in the request, which is struck out of whatever WeChat echoes.
    pub(super) fn hiding(mut self, secret: &'a str) -> Self {
        self.secret = secret;
        self
    }
}

impl WeChat {
    /// Sends a request until it succeeds, fails for good or has been sent [`ATTEMPTS`] times.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        api: Api,
        resend: Resend,
        request: Request<'_>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let mut attempt = 1;
        // Whatever comes after it, a request has left.
        let mut sent: Option<Error> = None;
        loop {
            let host = self.hosts.pick(attempt, resend);
            let error = match self.send(api, &host, &request).await {
                Ok(answer) => {
                    self.hosts.worked(host.index);
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if error.suggests_another_host() {
                self.hosts.failed(host.index);
            }
            let patient = attempt < ATTEMPTS && started.elapsed() < PATIENCE;
            if !patient || !resend.allows(&error) {
                return Err(sent.filter(|_| error.is_before_sending()).unwrap_or(error));
            }
            tracing::debug!(
                api = api.as_str(),
                attempt,
                error = %Causes(&error),
                "sending the call again"
            );
            if !(error.suggests_another_host() && self.hosts.has_untried(attempt)) {
                tokio::time::sleep(pause_after(attempt)).await;
            }
            if error.is_ambiguous() {
                sent = Some(error);
            }
            attempt += 1;
        }
    }

    /// Sends a request once and counts it.
    async fn send<T: DeserializeOwned>(
        &self,
        api: Api,
        host: &Host,
        request: &Request<'_>,
    ) -> Result<T, Error> {
        let started = Instant::now();
        let result = self
            .exchange(host, request)
            .await
            .map_err(|error| scrub(error, &[request.secret, self.app_secret.expose_secret()]));
        let outcome = result
            .as_ref()
            .map_or_else(Error::outcome, |_| "ok".to_owned());
        telemetry::upstream_call(api.as_str(), outcome, started.elapsed());
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
        wire::decode(&read_capped(response, MAX_BODY).await?)
    }
}

/// WeChat echoes what it is sent, and gateways before it do.
fn scrub(error: Error, secrets: &[&str]) -> Error {
    match error {
        Error::Refused(refusal) => Error::Refused(refusal.fit_for_a_log(secrets)),
        other => other,
    }
}

/// Half of the doubling pause for certain, the other half by chance, so that callers do not come back in step.
fn pause_after(attempt: u32) -> Duration {
    let full = FIRST_PAUSE * 2_u32.pow(attempt - 1);
    let chance = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
    full.mul_f64(0.5 + chance / 2.0)
}

/// A host chosen for one attempt.
#[derive(Debug)]
struct Host {
    index: usize,
    base: Url,
    timeout: Duration,
}

/// The API's hosts in order of preference, and which of them failed of late.
#[derive(Debug)]
pub(super) struct Hosts {
    bases: Vec<Url>,
    resting_until: Mutex<Vec<Option<Instant>>>,
}

impl Hosts {
    pub(super) fn new(bases: Vec<Url>) -> Self {
        assert!(!bases.is_empty(), "the settings demand an API host");
        let resting_until = Mutex::new(vec![None; bases.len()]);
        Self {
            bases,
            resting_until,
        }
    }

    /// The first host that did not fail of late; if all did, each in turn.
    fn pick(&self, attempt: u32, resend: Resend) -> Host {
        let now = Instant::now();
        let resting = self
            .resting_until
            .lock()
            .expect("no one panics while holding the list");
        let awake: Vec<usize> = (0..self.bases.len())
            .filter(|&i| resting[i].is_none_or(|until| until <= now))
            .collect();
        let index = match awake.first() {
            Some(&first) => first,
            None => (attempt as usize - 1) % self.bases.len(),
        };
        let another_is_left = resend == Resend::Freely && awake.len() > 1;
        let timeout = if another_is_left {
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

    fn failed(&self, index: usize) {
        self.set(index, Some(Instant::now() + HOST_REST));
    }

    fn worked(&self, index: usize) {
        self.set(index, None);
    }

    fn set(&self, index: usize, until: Option<Instant>) {
        self.resting_until
            .lock()
            .expect("no one panics while holding the list")[index] = until;
    }

    /// Whether a call that has been sent `attempts` times can still meet a host for the first time.
    fn has_untried(&self, attempts: u32) -> bool {
        (attempts as usize) < self.bases.len()
    }
}
