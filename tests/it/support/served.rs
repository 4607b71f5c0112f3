//! `wxqr serve` as an operator runs it: a process with the settings of the test, and its sandbox.

use reqwest::{Client, StatusCode};
use tokio::sync::oneshot;
use wechat_sandbox::Sandbox;

use super::answer::Answer;
use super::app::{APP_ID, APP_SECRET, spawn_sandbox};
use super::process::{Addresses, Process};
use super::{Server, client, closed_port, eventually_async};

/// Dropping it ends both.
pub(crate) struct Served {
    pub(crate) process: Process,
    pub(crate) addresses: Addresses,
    pub(crate) sandbox: Sandbox,
    pub(crate) client: Client,
    _server: Server,
}

impl Served {
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let start = |all: &[(&str, &str)]| Process::start(&["serve"], all);
        Self::start(variables, start).await
    }

    /// Under a limit of open files, as [`Process::start_within`] takes it.
    pub(crate) async fn within(limit: &str, variables: &[(&str, &str)]) -> Self {
        let start = |all: &[(&str, &str)]| Process::start_within(limit, &["serve"], all);
        Self::start(variables, start).await
    }

    /// With metrics, and a pipe for the log that is not read until the sender is dropped.
    pub(crate) async fn with_unread_log() -> (Self, oneshot::Sender<()>) {
        let addresses = Addresses {
            http: closed_port(),
            metrics: Some(closed_port()),
        };
        let http = addresses.http.to_string();
        let metrics = addresses.metrics.unwrap().to_string();
        let variables = [("WXQR_LISTEN", &*http), ("WXQR_METRICS_LISTEN", &*metrics)];
        let mut read = None;
        let start = |all: &[(&str, &str)]| {
            let (process, sender) = Process::start_unread(&["serve"], all);
            read = Some(sender);
            process
        };
        let served = Self::start_at(&variables, start, async |_| addresses).await;
        eventually_async("it is ready", || async {
            let ready = served.client.get(format!("http://{http}/readyz"));
            let answer = ready.send().await;
            answer.is_ok_and(|answer| answer.status() == StatusCode::OK)
        })
        .await;
        (served, read.unwrap())
    }

    async fn start(
        variables: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Process,
    ) -> Self {
        Self::start_at(variables, start, Process::addresses).await
    }

    async fn start_at(
        variables: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Process,
        addresses: impl AsyncFnOnce(&Process) -> Addresses,
    ) -> Self {
        let (sandbox, address, server) = spawn_sandbox(APP_SECRET, |router| router).await;
        let base = format!("http://{address}");
        let mut all = vec![
            ("WXQR_LISTEN", "127.0.0.1:0"),
            ("WXQR_LOG_FORMAT", "json"),
            ("WXQR_APP_ID", APP_ID),
            ("WXQR_APP_SECRET", APP_SECRET),
            ("WXQR_API_BASE", &base),
            ("WXQR_MP_BASE", &base),
        ];
        all.extend_from_slice(variables);
        let process = start(&all);
        let addresses = addresses(&process).await;
        Self {
            process,
            addresses,
            sandbox,
            client: client(),
            _server: server,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.addresses.http);
        Answer::to(self.client.get(url)).await
    }
}
