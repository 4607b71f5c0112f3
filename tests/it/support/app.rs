//! The service as a library, on a port of its own, with a sandbox of WeChat on another.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Command;
use reqwest::{Body, Client, Method, RequestBuilder};
use tokio::sync::oneshot;
use wechat_sandbox::{
    self as sandbox, Api, Call, Credentials, Fault, FaultKind, Options, Sandbox, Target,
};
use wxqr::app::App;
use wxqr::clock::{Clock, SystemClock};
use wxqr::config::Config;

use super::answer::Answer;
use super::{Server, client, keys};

pub(crate) const APP_ID: &str = "wx0123456789abcdef";
/// All visitors of a test have one address, and make more codes than one visitor may.
pub(crate) const HASTE: &str = "1000000/1s";
pub(crate) const APP_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A running service and its sandbox. Dropping it stops both.
pub(crate) struct TestApp {
    pub(crate) sandbox: Sandbox,
    pub(crate) sandbox_address: SocketAddr,
    pub(crate) address: SocketAddr,
    client: Client,
    _server: Server,
    /// Dropping it asks the service to stop.
    _stop: oneshot::Sender<()>,
}

/// The settings of a service that is about to start, as an operator gives them.
pub(crate) struct Builder {
    variables: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Builder {
    /// `name` without its `WXQR_`.
    pub(crate) fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((format!("WXQR_{name}"), value.into()));
        self
    }

    /// Makes the sandbox fail from before the service's first call.
    pub(crate) fn failing(mut self, api: Target, kind: FaultKind) -> Self {
        self.faults.push(Fault::new(api, kind));
        self
    }

    /// Starts both. The service calls the sandbox, unless `API_BASE` was set: a `{sandbox}` in
    /// there is its URL.
    pub(crate) async fn spawn(self) -> TestApp {
        self.spawn_by(Arc::new(SystemClock)).await
    }

    /// The same with a service whose clock the test moves.
    pub(crate) async fn spawn_by(self, clock: Arc<dyn Clock>) -> TestApp {
        let (sandbox, sandbox_address, server) = spawn_sandbox(APP_SECRET, |router| router).await;
        sandbox.set_faults(self.faults);
        let base = format!("http://{sandbox_address}");
        let mut variables = vec![
            ("WXQR_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("WXQR_APP_ID".to_owned(), APP_ID.to_owned()),
            ("WXQR_APP_SECRET".to_owned(), APP_SECRET.to_owned()),
            ("WXQR_DATABASE_URL".to_owned(), "sqlite::memory:".to_owned()),
            ("WXQR_API_BASE".to_owned(), base.clone()),
            ("WXQR_MP_BASE".to_owned(), base.clone()),
            ("WXQR_API_KEYS".to_owned(), keys::all()),
            ("WXQR_VISITOR_RATE".to_owned(), HASTE.to_owned()),
            ("WXQR_VISITOR_PACE".to_owned(), HASTE.to_owned()),
        ];
        for (name, value) in self.variables {
            variables.retain(|(known, _)| *known != name);
            variables.push((name, value.replace("{sandbox}", &base)));
        }
        let app = App::bind_by(clock, &config(variables)).await.unwrap();
        let address = app.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let until = async {
            stopped.await.ok();
        };
        tokio::spawn(async move { app.serve(until).await });
        TestApp {
            sandbox,
            sandbox_address,
            address,
            client: client(),
            _server: server,
            _stop: stop,
        }
    }
}

fn config(variables: Vec<(String, String)>) -> Config {
    let flags = wxqr::config::flags(Command::new("wxqr")).get_matches_from(["wxqr"]);
    let variables = variables
        .into_iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Config::load(&flags, variables).unwrap().0
}

/// A sandbox on a port of its own, its routes wrapped as the test likes.
pub(crate) async fn spawn_sandbox(
    app_secret: &str,
    wrap: impl FnOnce(axum::Router) -> axum::Router,
) -> (Sandbox, SocketAddr, Server) {
    spawn_sandbox_by(Arc::new(SystemClock), app_secret, wrap).await
}

/// The same by a clock whose hands the test moves.
pub(crate) async fn spawn_sandbox_by(
    clock: Arc<dyn Clock>,
    app_secret: &str,
    wrap: impl FnOnce(axum::Router) -> axum::Router,
) -> (Sandbox, SocketAddr, Server) {
    let sandbox = Sandbox::new(Options {
        base: String::new(),
        base_setting: "--public-url",
        accounts: vec![Credentials {
            app_id: APP_ID.to_owned(),
            app_secret: app_secret.into(),
        }],
        clock: sandbox::Clock::new(move || clock.now()),
    });
    let (server, address) = Server::spawn(|address| {
        sandbox.set_base(&format!("http://{address}"));
        wrap(sandbox.router())
    })
    .await;
    (sandbox, address, server)
}

impl TestApp {
    pub(crate) fn with() -> Builder {
        Builder {
            variables: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) async fn spawn() -> Self {
        Self::with().spawn().await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.request(Method::GET, path);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        Answer::to(request).await
    }

    /// Asks with a key.
    pub(crate) async fn get_as(&self, key: &str, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path).bearer_auth(key)).await
    }

    /// Sends a body with a key.
    pub(crate) async fn post_as(&self, key: &str, path: &str, body: impl Into<Body>) -> Answer {
        let request = self.request(Method::POST, path).bearer_auth(key);
        Answer::to(request.body(body)).await
    }

    /// The JSON of a scene number.
    pub(crate) async fn scene(&self, id: u32) -> Answer {
        self.get(&format!("/qrcode.json?scene_id={id}")).await
    }

    /// How often `qrcode/create` was called.
    pub(crate) fn creates(&self) -> usize {
        self.sandbox.count(Api::Create)
    }

    /// How often either token call was made.
    pub(crate) fn tokens(&self) -> usize {
        self.sandbox.count(Api::Token)
    }

    /// The calls of one API, oldest first.
    pub(crate) fn calls(&self, api: Api) -> Vec<Call> {
        let mut calls = self.sandbox.calls();
        calls.retain(|call| call.api == api);
        calls
    }

    /// Replaces the sandbox's faults by one that stays.
    pub(crate) fn fail(&self, api: Target, kind: FaultKind) {
        self.sandbox.set_faults(vec![Fault::new(api, kind)]);
    }

    /// Ends the sandbox's faults.
    pub(crate) fn heal(&self) {
        self.sandbox.set_faults(Vec::new());
    }
}
