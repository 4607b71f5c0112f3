//! A receiver of webhooks on a port of its own, which keeps what comes and answers as a test likes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Status(u16),
    /// 503, and when to come again.
    RetryAfter(&'static str),
    /// To another path of the receiver.
    Redirect,
    /// 200, after so long.
    Slow(Duration),
    /// Never.
    Hangs,
}

/// A webhook as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) path: String,
    /// `null` where there is none.
    pub(crate) body: Value,
    /// The body, byte for byte.
    pub(crate) raw: Vec<u8>,
}

/// Dropping it closes its port.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    notes: Arc<Notes>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Notes {
    answers: Mutex<Answers>,
    received: Mutex<Vec<Received>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn id(&self) -> &str {
        self.header("webhook-id")
    }

    pub(crate) fn events(&self) -> &[Value] {
        self.body["data"]["events"].as_array().unwrap()
    }

    /// The ids of its events.
    pub(crate) fn event_ids(&self) -> Vec<&str> {
        let events = self.events().iter();
        events.map(|event| event["id"].as_str().unwrap()).collect()
    }
}

impl Receiver {
    pub(crate) async fn spawn() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap()).await
    }

    /// At an address where nothing listens.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let notes = Arc::new(Notes {
            answers: Mutex::new(Answers::Status(200)),
            received: Mutex::default(),
        });
        let router = Router::new().fallback(receive);
        let router = router.with_state(Arc::clone(&notes));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            notes,
            task: task.abort_handle(),
        }
    }

    /// Its URL, with secrets that must not be shown.
    pub(crate) fn url(&self) -> String {
        url_at(self.address)
    }

    pub(crate) fn answer(&self, answers: Answers) {
        *self.notes.answers.lock().unwrap() = answers;
    }

    /// Everything that came, oldest first.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.notes.received.lock().unwrap().clone()
    }

    /// How many webhooks came.
    pub(crate) fn count(&self) -> usize {
        self.notes.received.lock().unwrap().len()
    }

    /// The ids of the events that came, in order, repeats too.
    pub(crate) fn event_ids(&self) -> Vec<String> {
        let received = self.received();
        let ids = received.iter().flat_map(Received::event_ids);
        ids.map(str::to_owned).collect()
    }
}

/// The URL of a receiver at this address.
pub(crate) fn url_at(address: SocketAddr) -> String {
    format!("http://{address}/CANARY-path?token=CANARY-token")
}

async fn receive(
    State(notes): State<Arc<Notes>>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let received = Received {
        headers,
        path: uri.to_string(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
        raw: body.to_vec(),
    };
    notes.received.lock().unwrap().push(received);
    let answers = *notes.answers.lock().unwrap();
    match answers {
        Answers::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answers::RetryAfter(when) => {
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", when)]).into_response()
        }
        Answers::Redirect => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response()
        }
        Answers::Slow(wait) => {
            tokio::time::sleep(wait).await;
            StatusCode::OK.into_response()
        }
        Answers::Hangs => std::future::pending().await,
    }
}
