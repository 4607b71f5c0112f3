//! `wxqr demo` as a process.

use reqwest::{Client, StatusCode};
use serde_json::Value;

use super::following_client;
use super::process::Process;

/// The demo on a port of its own. Dropping it ends it.
pub(crate) struct Demo {
    /// Without a trailing slash.
    pub(crate) base: String,
    pub(crate) key: String,
    pub(crate) client: Client,
    _process: Process,
}

impl Demo {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with these variables.
    pub(crate) async fn start_with(variables: &[(&str, &str)]) -> Self {
        let process = Process::start(&["demo", "--listen", "127.0.0.1:0"], variables);
        let after = async |start: &str| {
            let line = process.wait_for_line(start).await;
            let rest = line.strip_prefix(start).unwrap();
            rest.split_whitespace().next().unwrap().to_owned()
        };
        let (base, key) = (after("Page:").await, after("API key:").await);
        Self {
            base: base.trim_end_matches('/').to_owned(),
            key,
            client: following_client(),
            _process: process,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The code of a query, as JSON; made with the key, so that permanent ones are too.
    pub(crate) async fn code(&self, query: &str) -> Value {
        let request = self.client.get(self.url(&format!("/qrcode.json?{query}")));
        let answer = request.bearer_auth(&self.key).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{query}");
        answer.json().await.unwrap()
    }
}
