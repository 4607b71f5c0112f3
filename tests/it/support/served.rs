//! `wxqr serve` as an operator runs it: a process with the settings of the test, and its sandbox.

use reqwest::Client;
use wechat_sandbox::Sandbox;

use super::answer::Answer;
use super::app::{APP_ID, APP_SECRET, spawn_sandbox};
use super::process::{Addresses, Process};
use super::{Server, client};

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

    async fn start(
        variables: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Process,
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
        let addresses = process.addresses().await;
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
