//! Real processes of the service that share a database, and their sandbox, which is a listener in
//! the test.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::sync::watch;
use wechat_sandbox::{Api, Fault, FaultKind, Sandbox, Target};

use super::answer::Answer;
use super::app::{APP_ID, APP_SECRET, HASTE, spawn_sandbox};
use super::process::Process;
use super::{Server, client, keys};

/// Between a code that WeChat created and the replica that requested it. Open at first.
pub(crate) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(crate) fn shut(&self) {
        self.0.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.0.send_replace(true);
    }
}

/// A WeChat that outlives the processes that call it.
pub(crate) struct Upstream {
    pub(crate) sandbox: Sandbox,
    base: String,
    _server: Server,
}

impl Upstream {
    pub(crate) async fn spawn() -> Self {
        Self::wrapped(|router| router).await
    }

    /// The same with a gate, behind which the answers to `qrcode/create` wait.
    pub(crate) async fn gated() -> (Self, Gate) {
        let gate = Gate(Arc::new(watch::Sender::new(true)));
        let is_open = gate.0.subscribe();
        let wait = move |request: Request, next: Next| {
            let mut is_open = is_open.clone();
            async move {
                let is_create = request.uri().path().ends_with("/qrcode/create");
                let answer = next.run(request).await;
                if is_create {
                    is_open.wait_for(|open| *open).await.ok();
                }
                answer
            }
        };
        let upstream = Self::wrapped(|router| router.layer(from_fn(wait))).await;
        (upstream, gate)
    }

    async fn wrapped(wrap: impl FnOnce(Router) -> Router) -> Self {
        let (sandbox, address, server) = spawn_sandbox(APP_SECRET, wrap).await;
        Self {
            sandbox,
            base: format!("http://{address}"),
            _server: server,
        }
    }

    pub(crate) fn creates(&self) -> usize {
        self.sandbox.count(Api::Create)
    }

    pub(crate) fn tokens(&self) -> usize {
        self.sandbox.count(Api::Token)
    }

    /// Replaces the faults by one that stays.
    pub(crate) fn fail(&self, api: Target, kind: FaultKind) {
        self.sandbox.set_faults(vec![Fault::new(api, kind)]);
    }

    pub(crate) fn heal(&self) {
        self.sandbox.set_faults(Vec::new());
    }

    /// Starts a process on a database and waits until it is ready. `more` are settings without
    /// their `WXQR_`.
    pub(crate) async fn replica(&self, database: &str, more: &[(&str, &str)]) -> Replica {
        let process = self.process(database, more);
        let address = process.addresses().await.http;
        Replica {
            process,
            address,
            client: client(),
        }
    }

    /// Starts the service on a database.
    pub(crate) fn process(&self, database: &str, more: &[(&str, &str)]) -> Process {
        self.run("serve", database, more)
    }

    /// Starts a command with the settings of the service.
    pub(crate) fn run(&self, command: &str, database: &str, more: &[(&str, &str)]) -> Process {
        self.start(database, more, |variables| {
            Process::start(&[command], variables)
        })
    }

    /// Starts the service on a database by a line of shell.
    pub(crate) fn by_shell(&self, line: &str, database: &str, more: &[(&str, &str)]) -> Process {
        self.start(database, more, |variables| {
            Process::start_by_shell(line, &["serve"], variables)
        })
    }

    fn start(
        &self,
        database: &str,
        more: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> Process,
    ) -> Process {
        let mut variables = vec![
            ("WXQR_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("WXQR_LOG_FORMAT".to_owned(), "json".to_owned()),
            ("WXQR_APP_ID".to_owned(), APP_ID.to_owned()),
            ("WXQR_APP_SECRET".to_owned(), APP_SECRET.to_owned()),
            ("WXQR_API_BASE".to_owned(), self.base.clone()),
            ("WXQR_MP_BASE".to_owned(), self.base.clone()),
            ("WXQR_DATABASE_URL".to_owned(), database.to_owned()),
            ("WXQR_API_KEYS".to_owned(), keys::all()),
            ("WXQR_VISITOR_RATE".to_owned(), HASTE.to_owned()),
            ("WXQR_VISITOR_PACE".to_owned(), HASTE.to_owned()),
        ];
        for (name, value) in more {
            let name = format!("WXQR_{name}");
            variables.retain(|(known, _)| *known != name);
            variables.push((name, (*value).to_owned()));
        }
        let variables: Vec<_> = variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        start(&variables)
    }
}

/// One process of the service. Dropping it kills it, as `kill -9` does.
pub(crate) struct Replica {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
}

impl Replica {
    pub(crate) fn request(&self, path: &str) -> RequestBuilder {
        let request = self.client.get(format!("http://{}{path}", self.address));
        request.header("accept", "application/json")
    }

    /// As a visitor.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(path)).await
    }

    /// Makes codes with the key.
    pub(crate) async fn post(&self, wanted: &Value) -> Answer {
        let request = self
            .client
            .post(format!("http://{}/api/codes", self.address));
        Answer::to(request.bearer_auth(keys::ADMIN).json(wanted)).await
    }

    /// With the key.
    pub(crate) async fn keyed(&self, path: &str) -> Answer {
        Answer::to(self.request(path).bearer_auth(keys::ADMIN)).await
    }

    /// The same for a task of its own.
    pub(crate) fn keyed_owned(&self, path: &str) -> impl Future<Output = Answer> + Send + use<> {
        Answer::to(self.request(path).bearer_auth(keys::ADMIN))
    }

    /// The permanent stock: used, and unknown among them.
    pub(crate) async fn stock(&self) -> (u64, u64) {
        let account = self.keyed("/api/account").await.json();
        let number = |name: &str| account["permanent"][name].as_u64().unwrap();
        (number("used"), number("unknown"))
    }

    /// All codes that the database has, by the pages of the list.
    pub(crate) async fn listed(&self) -> Vec<Value> {
        let (mut items, mut path) = (Vec::new(), "/api/codes?limit=1000".to_owned());
        loop {
            let page = self.keyed(&path).await.json();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else {
                return items;
            };
            path = format!("/api/codes?limit=1000&cursor={cursor}");
        }
    }

    /// Kills the process at once and waits until it is gone.
    pub(crate) async fn kill(self) {
        self.process.kill().await;
    }
}

/// Sends requests, each to the next replica in turn, so many at a time, until the database is free
/// for each.
pub(crate) async fn spread(
    replicas: &[Replica],
    at_a_time: usize,
    paths: impl IntoIterator<Item = String>,
) -> Vec<Answer> {
    let requests: Vec<_> = paths
        .into_iter()
        .zip(replicas.iter().cycle())
        .map(|(path, replica)| replica.request(&path).bearer_auth(keys::ADMIN))
        .collect();
    stream::iter(requests.into_iter().map(Answer::once_the_database_is_free))
        .buffer_unordered(at_a_time)
        .collect()
        .await
}

/// The different tickets of answers that must all be good.
pub(crate) fn tickets(answers: &[Answer]) -> BTreeSet<String> {
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    answers.iter().map(Answer::ticket).collect()
}

/// The scenes that the sandbox was asked to make codes of, one for each call.
pub(crate) fn created(sandbox: &Sandbox) -> Vec<Value> {
    let mut calls = sandbox.calls();
    calls.retain(|call| call.api == Api::Create);
    calls
        .iter()
        .map(|call| {
            let body: Value = serde_json::from_str(&call.body).unwrap();
            body["action_info"]["scene"].clone()
        })
        .collect()
}
