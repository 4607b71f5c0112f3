//! Around every request: an id, the headers that all answers share, one log line, the metrics, and errors written out.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::access::Key;
use crate::http::html;
use crate::http::html::site::Site;
use crate::http::i18n::message::Message;
use crate::http::negotiation::format::Format;
use crate::http::negotiation::view::{View, is_code_path};
use crate::http::problem::{Code, Problem};
use crate::redact::SecretWords;
use crate::telemetry;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How much of a path that matches no route is logged, in characters.
const LONGEST_LOGGED_PATH: usize = 200;

/// What the outermost layer knows of the service.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// The path of the public URL, below which everything answers too.
    pub(crate) base_path: Arc<str>,
    /// What must not be logged of a path that a stranger wrote.
    pub(crate) secrets: Arc<SecretWords>,
}

/// The outermost layer.
pub(crate) async fn observe(
    State(service): State<Service>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let id = RequestId::of(request.headers());
    let method = request.method().clone();
    let route = route_of(&request);
    let unmatched_path = unmatched_path(&request, &service.secrets);
    let view = View::of(request.uri(), request.headers(), &service.base_path);
    request.extensions_mut().insert(view);
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("request", request_id = %id.0, key = Empty);

    let mut response = next.run(request).instrument(span.clone()).await;

    add_common_headers(response.headers_mut(), &id);
    let _entered = span.entered();
    let is_probe = matches!(
        route.strip_prefix(&*service.base_path).unwrap_or(&route),
        "/healthz" | "/readyz"
    );
    let asked = Asked {
        method,
        route,
        unmatched_path,
        is_probe,
    };
    conclude(&asked, &response, started);
    response
}

/// Removes one trailing slash from the path, so that `/callback/` is `/callback`.
///
/// Rewrites instead of redirecting, because WeChat posts and follows no redirect. Exactly one slash: a proxy that guards
/// `/api/` must see the same path as the router, so `//api/account/` stays what it is.
pub(crate) fn without_trailing_slash(mut request: Request) -> Request {
    if let Some(uri) = shortened(request.uri()) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(SlashRemoved);
    }
    request
}

/// Marks a request whose path was sent with a slash more, so that the log can show it as it was.
#[derive(Debug, Clone, Copy)]
struct SlashRemoved;

/// The address without one trailing slash of its path; none where there is nothing to remove.
fn shortened(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/')?;
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

/// Names the key of the caller in every log line of the request that we are in, those of a mint that it starts too.
pub(crate) fn log_key(key: &Key) {
    Span::current().record("key", key.name());
}

/// The template of the route, so that neither logs nor metrics hold what a stranger typed.
fn route_of(request: &Request) -> String {
    let matched = request.extensions().get::<MatchedPath>();
    matched.map_or("unmatched", MatchedPath::as_str).to_owned()
}

/// The path of a request that matches no route, as it was sent, for the log: without the query, which may hold a signature,
/// and escaped so that it can neither end a line nor turn its direction.
fn unmatched_path(request: &Request, secrets: &SecretWords) -> Option<String> {
    /// What would have to be escaped in JSON, besides everything that is not ASCII.
    const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'\\');
    if request.extensions().get::<MatchedPath>().is_some() {
        return None;
    }
    let path = secrets.redact(before_query(request.uri().path()));
    let mut escaped = utf8_percent_encode(&path, UNSAFE).to_string();
    if request.extensions().get::<SlashRemoved>().is_some() {
        escaped.push('/');
    }
    Some(escaped.chars().take(LONGEST_LOGGED_PATH).collect())
}

/// The path without a query that an editor or a mail program has made a part of it: it may hold a signature.
fn before_query(path: &str) -> &str {
    let ends = ["&", ";", "%3F", "%3f", "%26", "%3B", "%3b"];
    let end = ends.iter().filter_map(|end| path.find(end)).min();
    end.map_or(path, |end| &path[..end])
}

/// What is logged of a request.
struct Asked {
    method: Method,
    route: String,
    /// Only where no route matches.
    unmatched_path: Option<String>,
    is_probe: bool,
}

/// The line and the numbers of one request. Probes come every few seconds for ever, and would hide the rest of the log.
fn conclude(asked: &Asked, response: &Response, started: Instant) {
    let method = known(&asked.method);
    let took = started.elapsed();
    let status = response.status().as_u16();
    let problem = response.extensions().get::<Problem>();
    let unmatched_path = asked.unmatched_path.as_deref().filter(|_| status == 404);
    // A level cannot be chosen at run time.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                http.method = method,
                http.route = asked.route,
                http.path = unmatched_path,
                http.status = status,
                duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                problem = problem.map(|problem| problem.code.as_str()),
                parameter = problem.and_then(|problem| problem.parameter.as_deref()),
                "request"
            )
        };
    }
    if asked.is_probe {
        line!(debug);
    } else {
        line!(info);
    }
    telemetry::http_request(&asked.route, method, status, took);
}

/// A method by a name of ours, because strangers may send any word.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

fn add_common_headers(headers: &mut HeaderMap, id: &RequestId) {
    const DEFAULTS: [(HeaderName, &str); 3] = [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in DEFAULTS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        REQUEST_ID,
        HeaderValue::from_str(&id.0).expect("an id is checked to be ASCII"),
    );
}

/// Names a request in the answer and in the log.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    const MAX_LEN: usize = 64;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The caller's, if it is sane; else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(&REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        let sane = given.filter(|id| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=Self::MAX_LEN).contains(&id.len()) && id.bytes().all(plain)
        });
        Self(sane.map_or_else(|| Uuid::now_v7().to_string().into(), Into::into))
    }
}

/// Writes out the problem that a handler returned, in the form that the caller wants.
pub(crate) async fn write_problems(
    State(site): State<Arc<Site>>,
    Extension(view): Extension<View>,
    Extension(id): Extension<RequestId>,
    request: Request,
    next: Next,
) -> Response {
    let of_code = is_code_path(request.uri().path());
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Problem>().cloned() else {
        return response;
    };
    let body = match view.format {
        Format::Html if view.fragment && of_code => {
            html::problem_fragment(&site, &problem, view.lang)
        }
        Format::Html => html::problem_page(&site, &problem, view.lang, of_code, &id.0),
        _ => Ok(json(&problem, &id)),
    };
    with_body(response, body.unwrap_or_else(|_| json(&problem, &id)), view)
}

/// The bare answer with a body. Its status and headers stay.
fn with_body(bare: Response, body: Response, view: View) -> Response {
    let (mut parts, _) = bare.into_parts();
    let (body_parts, body) = body.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(body_parts.headers);
    if let Some(vary) = view.vary() {
        parts.headers.append(header::VARY, vary);
    }
    Response::from_parts(parts, body)
}

fn json(problem: &Problem, id: &RequestId) -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/problem+json")];
    (media_type, Json(problem.document(&id.0))).into_response()
}

/// A handler panicked: a defect of ours, which must not take the process with it.
pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Response {
    drop(payload); // The panic hook has logged it.
    Problem::internal().into_response()
}

/// No such path.
pub(crate) async fn not_found() -> Problem {
    let message = Message::new(
        "该网址下没有内容，请检查链接是否完整",
        "there is nothing at this path",
    );
    Problem::new(Code::NotFound, message)
}

/// No such method on this path.
pub(crate) async fn method_not_allowed() -> Problem {
    let message = Message::new(
        "响应头 Allow 列出了该网址支持的方法",
        "the Allow header names the methods of this path",
    );
    Problem::new(Code::MethodNotAllowed, message)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn exactly_one_trailing_slash_is_removed() {
        for (uri, want) in [
            ("/callback/", Some("/callback")),
            (
                "/callback/?signature=1&nonce=2",
                Some("/callback?signature=1&nonce=2"),
            ),
            ("/wx/", Some("/wx")),
            (
                "http://wxqr:8080/callback/",
                Some("http://wxqr:8080/callback"),
            ),
            ("//api/account/", Some("//api/account")),
            ("/callback", None),
            ("/callback?a=/", None),
            ("/callback//", None),
            ("/", None),
            ("//", None),
            ("*", None),
        ] {
            let got = shortened(&uri.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(got.as_deref(), want, "{uri}");
        }
    }

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
            let request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            let request = without_trailing_slash(request);
            let got = unmatched_path(&request, &SecretWords::default());
            assert_eq!(got.as_deref(), Some(want));
        }
    }
}
