//! The running service, as its API shows it.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use wxqr::outbound;

use super::failure::{CallFailure, ReceivedProblem};
use super::file_type::FileType;
use super::rows::Plan;

/// Timeout of a plan or a new code: above the service's own.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Timeout of a whole file. Its pieces have [`TIMEOUT`].
const FILE_TIMEOUT: Duration = Duration::from_hours(24);

/// The longest answer to a plan or a new code. A plan of 10,000 rows has some 5 MB.
const MAX_ANSWER: usize = 32 * 1024 * 1024;

/// A service, called with a key.
pub(super) struct Service {
    client: Client,
    base: String,
    key: SecretString,
}

impl Service {
    /// `extra_ca` is PEM of certificates to trust besides the built-in roots.
    pub(super) fn new(
        base: &str,
        key: SecretString,
        extra_ca: Option<&[u8]>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            client: outbound::http_client(extra_ca, None).context("no call can be made")?,
            base: base.to_owned(),
            key,
        })
    }

    /// What a file would make.
    pub(super) async fn plan(&self, file: Vec<u8>, media_type: &str) -> Result<Plan, CallFailure> {
        let request = self.client.post(self.url("/api/codes/plan"));
        let request = request.header(CONTENT_TYPE, media_type).body(file);
        self.json(request).await
    }

    /// Makes a code, or changes its names.
    pub(super) async fn make(&self, code: &Map<String, Value>) -> Result<(), CallFailure> {
        let body = Value::Object(code.clone()).to_string();
        let request = self.client.post(self.url("/api/codes"));
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        self.json::<Map<String, Value>>(request).await.map(drop)
    }

    /// Asks for the list of codes as a file. Its body comes with [`piece`].
    ///
    /// Another service, as at a wrong address, may answer with a page: then nothing is to be
    /// written.
    pub(super) async fn codes(
        &self,
        file_type: FileType,
        query: &str,
    ) -> Result<Response, CallFailure> {
        let mark = if query.is_empty() { "" } else { "?" };
        let url = self.url(&format!("/api/codes.{}{mark}{query}", file_type.extension));
        let response = self
            .send(self.client.get(url).timeout(FILE_TIMEOUT))
            .await?;
        let media_type = response.headers().get(CONTENT_TYPE);
        let media_type = media_type
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if media_type.starts_with(file_type.media_type) {
            Ok(response)
        } else {
            Err(CallFailure::foreign(response.status().as_u16()))
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CallFailure> {
        let response = self.send(request.timeout(TIMEOUT)).await?;
        let status = response.status().as_u16();
        let body = outbound::read_capped(response, MAX_ANSWER).await;
        let body = body.map_err(CallFailure::unanswered)?;
        serde_json::from_slice(&body).map_err(|_| CallFailure::foreign(status))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, CallFailure> {
        let request = request.bearer_auth(self.key.expose_secret());
        let sent = request.send().await;
        let response =
            sent.map_err(|error| CallFailure::unanswered(outbound::ConnectionError::from(error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        let body = outbound::read_capped(response, MAX_ANSWER).await;
        let document = serde_json::from_slice::<ReceivedProblem>(&body.unwrap_or_default());
        let document = match (document, retry_after) {
            (Ok(document), _) => document,
            // A proxy's, while the service is away.
            (Err(_), Some(_)) => ReceivedProblem::default(),
            (Err(_), None) if status.is_server_error() => {
                return Err(CallFailure::unanswered(format_args!(
                    "HTTP {}",
                    status.as_u16()
                )));
            }
            (Err(_), None) => return Err(CallFailure::foreign(status.as_u16())),
        };
        Err(CallFailure::refused(status.as_u16(), document, retry_after))
    }
}

/// The next piece of a file; none at its end.
pub(super) async fn piece(response: &mut Response) -> Result<Option<Vec<u8>>, CallFailure> {
    let chunk = tokio::time::timeout(TIMEOUT, response.chunk()).await;
    let chunk = chunk.map_err(|_| CallFailure::unanswered("the file stands still"))?;
    match chunk {
        Ok(chunk) => Ok(chunk.map(Into::into)),
        Err(_) => Err(CallFailure::unanswered("the file was cut off")),
    }
}
