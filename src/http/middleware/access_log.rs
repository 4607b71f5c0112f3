//! One log line for each request, written within its span.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::response::Response;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::access::TrustedProxies;
use crate::http::extract::authenticator::forwarded_for;
use crate::http::middleware::labels::Labels;
use crate::http::middleware::trailing_slash::SlashRemoved;
use crate::http::problem::Problem;
use crate::redact::SecretWords;

/// How much of a path that matches no route is logged, in characters. Chosen.
const MAX_PATH_CHARS: usize = 200;

/// What the log line depends on besides the request.
#[derive(Debug, Clone)]
pub(crate) struct AccessLog {
    /// The path of the public URL, below which everything answers too.
    pub(crate) base_path: Arc<str>,
    /// What must not be logged of a path that a client chose.
    pub(crate) secrets: Arc<SecretWords>,
    /// The proxies by which a client's address is found; none: it is not logged.
    pub(crate) log_client: Option<TrustedProxies>,
}

/// What is logged of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    pub(super) labels: Labels,
    /// Only where no route matches.
    unmatched_path: Option<String>,
    /// Only if it is wanted; personal data.
    client: Option<IpAddr>,
}

impl AccessLog {
    pub(super) fn line(&self, request: &Request) -> Line {
        let labels = Labels::of(request);
        let unmatched_path = (!labels.is_matched()).then(|| unmatched_path(request, &self.secrets));
        let proxies = self.log_client.as_ref();
        Line {
            labels,
            unmatched_path,
            client: proxies.and_then(|proxies| client_address(request, proxies)),
        }
    }

    /// Logs a request. Health checks are logged at `debug`: they come every few seconds and would
    /// hide the rest.
    pub(super) fn write(&self, line: &Line, response: &Response, took: Duration) {
        let status = response.status().as_u16();
        let problem = response.extensions().get::<Problem>();
        let unmatched_path = line.unmatched_path.as_deref().filter(|_| status == 404);
        let client = line.client.filter(|_| is_refusal(response.status()));
        // A level cannot be chosen at run time.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    http.method = line.labels.method,
                    http.route = line.labels.route(),
                    http.path = unmatched_path,
                    http.status = status,
                    client.address = client.map(tracing::field::display),
                    duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                    problem = problem.map(|problem| problem.code.as_str()),
                    parameter = problem.and_then(|problem| problem.parameter.as_deref()),
                    "request"
                )
            };
        }
        if is_health_check(line.labels.route(), &self.base_path) {
            line!(debug);
        } else {
            line!(info);
        }
    }
}

/// A mistake of the client, or more than the service takes on.
fn is_refusal(status: StatusCode) -> bool {
    status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE
}

/// The client's address, which a trusted proxy in between names.
fn client_address(request: &Request, proxies: &TrustedProxies) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let lines = forwarded_for(request.headers());
    Some(proxies.client_address(peer.ip(), lines).address)
}

fn is_health_check(route: &str, base_path: &str) -> bool {
    let route = route.strip_prefix(base_path).unwrap_or(route);
    matches!(route, "/healthz" | "/readyz")
}

/// The path of a request that matches no route, as it was sent.
///
/// It has no query, which may hold a signature, and is escaped so that it can neither end a line
/// nor change the direction of text.
fn unmatched_path(request: &Request, secrets: &SecretWords) -> String {
    /// What JSON would have to escape, besides everything that is not ASCII.
    const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'\\');
    let path = secrets.redact(before_query(request.uri().path()));
    let mut escaped = utf8_percent_encode(&path, UNSAFE).to_string();
    if request.extensions().get::<SlashRemoved>().is_some() {
        escaped.push('/');
    }
    escaped.chars().take(MAX_PATH_CHARS).collect()
}

/// The path up to a query that an editor or a mail program made a part of it, signature included.
fn before_query(path: &str) -> &str {
    let ends = ["&", ";", "%3F", "%3f", "%26", "%3B", "%3b"];
    let end = ends.iter().filter_map(|end| path.find(end)).min();
    end.map_or(path, |end| &path[..end])
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Uri;

    use super::*;
    use crate::http::middleware::trailing_slash;

    #[test]
    fn a_path_that_is_logged_is_printable_and_short() {
        let long = format!("/{}", "a".repeat(300));
        for (uri, want) in [
            ("/callbak/?signature=secret", "/callbak/"),
            ("/qrcode%3Fscene_id=1&sig=secret", "/qrcode"),
            ("/qrcode.json&scene_id=1&sig=secret", "/qrcode.json"),
            ("/a%0Ab", "/a%0Ab"),
            ("/a\u{202e}b\u{85}展", "/a%E2%80%AEb%C2%85%E5%B1%95"),
            ("/a\"b{c}", "/a%22b{c}"),
            (long.as_str(), &long[..200]),
        ] {
            let uri = Uri::try_from(uri).unwrap();
            let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            trailing_slash::remove(&mut request);
            let got = unmatched_path(&request, &SecretWords::default());
            assert_eq!(got, want);
        }
    }
}
