//! An answer that was read to its end.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

/// Status, headers and the whole body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) took: Duration,
}

impl Answer {
    /// Sends a request and reads the answer.
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        Self::to_willing(request).await.unwrap()
    }

    /// The same where the listener may be gone.
    pub(crate) async fn to_willing(request: RequestBuilder) -> reqwest::Result<Self> {
        let started = Instant::now();
        let response = request.send().await?;
        Ok(Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?.to_vec(),
            took: started.elapsed(),
        })
    }

    /// Sends a request again while the database has too much to do for it: how long that is depends
    /// on the machine.
    pub(crate) async fn once_the_database_is_free(request: RequestBuilder) -> Self {
        Self::to_willing_once_free(request).await.unwrap()
    }

    /// Like [`Answer::once_the_database_is_free`], where the request may be impossible to make.
    pub(crate) async fn to_willing_once_free(request: RequestBuilder) -> reqwest::Result<Self> {
        let started = Instant::now();
        loop {
            let Some(again) = request.try_clone() else {
                // It says why it cannot be made.
                return Self::to_willing(request).await;
            };
            let answer = Self::to_willing(again).await?;
            if !answer.is_put_off() || started.elapsed() > super::TIMEOUT {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the database had too much to do, as programs or people read it.
    fn is_put_off(&self) -> bool {
        let body = String::from_utf8_lossy(&self.body);
        let said = [
            "store_unavailable",
            "The database cannot be used",
            "存储暂不可用",
        ];
        said.iter().any(|text| body.contains(text))
    }

    /// A header's text; empty if it is not there. Several are joined, as HTTP allows.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
        texts.join(", ")
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        let parsed = serde_json::from_str(text);
        parsed.unwrap_or_else(|error| {
            unreachable!("{} is not JSON ({error}): {text}", self.status);
        })
    }

    /// A text field of the JSON body.
    pub(crate) fn field(&self, name: &str) -> String {
        let json = self.json();
        let text = json[name].as_str();
        assert!(text.is_some(), "{name} in {json}");
        text.unwrap().to_owned()
    }

    pub(crate) fn ticket(&self) -> String {
        self.field("ticket")
    }

    /// The status and the code of a problem document.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16(), "{json}");
        let code = self.field("code");
        assert_eq!(json["type"], format!("urn:wxqr:problem:{code}"), "{json}");
        (self.status.as_u16(), code)
    }

    /// The seconds of `Retry-After`, which the document repeats.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        let seconds = self.headers.get("retry-after")?;
        let seconds: u64 = seconds.to_str().unwrap().parse().unwrap();
        assert_eq!(self.json()["retry_after"], seconds);
        Some(seconds)
    }
}
