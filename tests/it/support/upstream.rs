//! A WeChat that says exactly what a test wants, for what the sandbox would never say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::Server;

/// A call as it came, nothing masked.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: String,
    /// How many calls of the same path came before it.
    pub(crate) nth: usize,
}

impl Seen {
    pub(crate) fn is_token_call(&self) -> bool {
        self.path.ends_with("token")
    }

    pub(crate) fn is_forced(&self) -> bool {
        self.body.contains(r#""force_refresh":true"#)
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply(pub(crate) u16, pub(crate) String);

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        Self(200, value.to_string())
    }

    pub(crate) fn token(token: &str, expires_in: u64) -> Self {
        Self::json(&json!({"access_token": token, "expires_in": expires_in}))
    }

    /// A ticket and a url that are good for any scene.
    pub(crate) fn code(expire_seconds: u64) -> Self {
        Self::json(&json!({
            "ticket": "gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xL2taZ2Z3TVRtNzJXV1Brb3ZhYmJJAAIEZ23sUwMEmm3sUw==",
            "expire_seconds": expire_seconds,
            "url": "http://weixin.qq.com/q/kZgfwMTm72WWPkovabbI",
        }))
    }

    pub(crate) fn refusal(errcode: i64, errmsg: &str) -> Self {
        Self::json(&json!({"errcode": errcode, "errmsg": errmsg}))
    }
}

/// A listener that follows a script. Dropping it ends it.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _server: Server,
}

impl Upstream {
    /// Answers each call with what `script` makes of it.
    pub(crate) async fn spawn(
        script: impl Fn(Seen) -> BoxFuture<'static, Reply> + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let notes = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Request| {
            let (notes, script) = (Arc::clone(&notes), script.clone());
            async move { answer(&notes, script, request).await }
        });
        let (server, address) = Server::spawn(|_| router).await;
        Self {
            address,
            seen,
            _server: server,
        }
    }

    /// The same where no answer has to wait.
    pub(crate) async fn speaking(
        script: impl Fn(Seen) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::spawn(move |seen| {
            let reply = script(seen);
            Box::pin(async move { reply })
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All calls, oldest first.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many token calls there were.
    pub(crate) fn tokens(&self) -> usize {
        self.seen()
            .iter()
            .filter(|call| call.is_token_call())
            .count()
    }

    /// How many other calls there were.
    pub(crate) fn creates(&self) -> usize {
        self.seen().len() - self.tokens()
    }
}

async fn answer(
    notes: &Mutex<Vec<Seen>>,
    script: impl Fn(Seen) -> BoxFuture<'static, Reply>,
    request: Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let body: Bytes = to_bytes(body, 64 * 1024).await.unwrap();
    let seen = {
        let mut notes = notes.lock().unwrap();
        let path = head.uri.path().to_owned();
        let seen = Seen {
            nth: notes.iter().filter(|call| call.path == path).count(),
            path,
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        notes.push(seen.clone());
        seen
    };
    let Reply(status, text) = script(seen).await;
    let status = StatusCode::from_u16(status).unwrap();
    (status, text).into_response()
}
