//! The URL map, grouped by caller, and the middleware around it.
//!
//! Each group is a function; [`router`] puts them together.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Extension, Router};
use local_guard::OriginGuard;
use metrics_exporter_prometheus::PrometheusHandle;
use tower::ServiceBuilder;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::TrustedProxies;
use crate::clock::Clock;
use crate::config::CorsOrigins;
use crate::http::microcache::Microcache;
use crate::http::middleware::access_log::AccessLog;
use crate::http::middleware::stack::{self, Front, Stack};
use crate::http::middleware::{catch_panic, cors, metrics_listener, same_origin};
use crate::http::pages::by_language::PageByLanguage;
use crate::http::pages::console::assets;
use crate::http::pages::{console, demo, embed_script, home, robots, stats};
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::http::state::AppState;
use crate::http::{api, callback, openapi, operators, qrcode};
use crate::redact::SecretWords;

/// Routes for browsers and pages of other sites: the codes.
fn codes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(qrcode::show)) // GET /qrcode
        .route("/qrcode.html", get(qrcode::show))
        .route("/qrcode.json", get(qrcode::show))
        .route("/qrcode.png", get(qrcode::show))
        .route("/qrcode.svg", get(qrcode::show))
        .route("/qrcode.jpg", get(qrcode::show))
}

/// Routes for browsers: the pages.
fn pages() -> Router<AppState> {
    Router::new()
        .route("/", get(home::show).layer(static_pages()))
        .merge(console())
}

/// Routes for browsers of key holders: the console.
fn console() -> Router<AppState> {
    Router::new()
        .route("/codes", get(console::codes::show).layer(static_pages()))
        .route("/codes/new", get(console::new::show).layer(static_pages()))
        .route(
            "/codes/import",
            get(console::import::show).layer(static_pages()),
        )
        .route(
            "/codes/print",
            get(console::print::show).layer(static_pages()),
        )
        .route("/stats", get(stats::show).layer(static_pages()))
}

/// Routes for browsers, in the demo only.
fn demo_pages() -> Router<AppState> {
    Router::new().route(demo::PATH, get(demo::numbers)) // /demo/numbers
}

/// Routes for crawlers, pages of other sites and other programs, without a key.
fn files() -> Router<AppState> {
    Router::new()
        .route("/robots.txt", robots::file().route())
        .route("/embed.js", embed_script::file().route())
        .route("/openapi.json", openapi::file(&openapi_document()).route())
        .merge(assets::routes()) // /assets/*.js
}

/// Routes for programs with an API key.
fn api() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(api::codes::list::list, api::codes::make::make)) // GET, POST /api/codes
        .routes(routes!(api::codes::export::csv_file)) // GET /api/codes.csv
        .routes(routes!(api::codes::export::xlsx_file)) // GET /api/codes.xlsx
        .routes(routes!(api::codes::export::archive::zip_file)) // GET /api/codes.zip
        .routes(routes!(api::codes::plan::plan)) // POST /api/codes/plan
        .routes(routes!(api::groups::list)) // GET /api/groups
        .routes(routes!(api::me::show)) // GET /api/me
        .routes(routes!(api::stats::show)) // GET /api/stats
        .routes(routes!(api::stats::csv_file)) // GET /api/stats.csv
        .routes(routes!(api::stats::xlsx_file)) // GET /api/stats.xlsx
        .routes(routes!(api::scans::list)) // GET /api/scans
        .routes(routes!(api::bindings::create)) // POST /api/bindings
        .routes(routes!(api::bindings::show)) // GET /api/bindings/{id}
        .routes(routes!(api::bindings::claim)) // POST /api/bindings/{id}/claim
        .routes(routes!(api::account::show)) // GET /api/account
}

/// Routes for WeChat.
fn wechat() -> Router<AppState> {
    Router::new().route("/callback", get(callback::verify).post(callback::receive))
}

/// Routes for operators. `/metrics` is on a listener of its own.
fn operators() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(operators::healthz)) // GET /healthz
        .routes(routes!(operators::readyz)) // GET /readyz
}

/// Routes before the database is open.
fn starting() -> Router {
    Router::new()
        .route("/healthz", get(operators::healthz))
        .route("/readyz", get(operators::not_ready))
        .fallback(operators::starting)
}

/// Wraps all routes in the middleware.
fn with_middleware(routes: Router, settings: &RouterSettings) -> Front {
    let stack = Arc::new(Stack {
        log: settings.access_log(),
        site: Arc::clone(&settings.site),
        cache: Microcache::new(Arc::clone(&settings.clock)),
    });
    let middleware = ServiceBuilder::new()
        .layer(from_fn_with_state(Arc::clone(&stack), stack::run))
        .layer(catch_panic::layer());
    Front {
        stack,
        routes: routes.layer(middleware),
    }
}

/// What the routers depend on besides the state.
#[derive(Debug, Clone)]
pub struct RouterSettings {
    pub site: Arc<Site>,
    /// The path of the public URL, or empty. Everything answers with and without it, because some
    /// proxies strip it.
    pub base_path: String,
    /// What must not be logged of a path that a client chose.
    pub secret_words: Arc<SecretWords>,
    /// The proxies by which a client's address is found, if it is logged.
    pub log_client: Option<TrustedProxies>,
    pub clock: Arc<dyn Clock>,
}

impl RouterSettings {
    fn access_log(&self) -> AccessLog {
        AccessLog {
            base_path: self.base_path.as_str().into(),
            secrets: Arc::clone(&self.secret_words),
            log_client: self.log_client.clone(),
        }
    }
}

/// The whole service. `others` are routes beside ours, such as the sandbox's. In the demo, `guard`
/// refuses cross-site requests to pages and to `/api`.
pub fn router(
    state: AppState,
    settings: &RouterSettings,
    cors_origins: &CorsOrigins,
    others: Router,
    guard: Option<&OriginGuard>,
) -> Front {
    let mut pages = pages();
    if settings.site.sandbox {
        pages = pages.merge(demo_pages());
    }
    let codes = Router::from(codes())
        // Before the layer: set later, it would replace the layer's answer to OPTIONS.
        .method_not_allowed_fallback(method_not_allowed)
        .layer(cors::layer(cors_origins));
    let routes = codes
        .merge(guarded(pages, guard))
        .merge(guarded(api().into(), guard))
        .merge(files())
        .merge(wechat())
        .merge(Router::from(operators()))
        .with_state(state)
        .merge(others);
    let routes = with_base_path(routes, &settings.base_path)
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed);
    with_middleware(routes, settings)
}

/// The service before the database is open: alive, not ready.
pub fn starting_router(settings: &RouterSettings) -> Front {
    with_middleware(with_base_path(starting(), &settings.base_path), settings)
}

/// The metrics listener. `read_gauges` is called before each answer.
pub fn metrics_router(
    handle: PrometheusHandle,
    settings: &RouterSettings,
    read_gauges: impl Fn() + Clone + Send + Sync + 'static,
) -> Router {
    let metrics = async move || {
        read_gauges();
        operators::metrics(&handle)
    };
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .fallback(operators::only_metrics);
    let log = Arc::new(settings.access_log());
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(log, metrics_listener::run))
}

/// The OpenAPI document of the whole service, as `/openapi.json` answers it.
pub fn openapi_document() -> utoipa::openapi::OpenApi {
    OpenApiRouter::with_openapi(openapi::ApiDocument::openapi())
        .merge(codes())
        .merge(api())
        .merge(operators())
        .into_openapi()
}

fn with_base_path(routes: Router, base_path: &str) -> Router {
    if base_path.is_empty() {
        routes
    } else {
        Router::new().nest(base_path, routes.clone()).merge(routes)
    }
}

fn guarded(routes: Router<AppState>, guard: Option<&OriginGuard>) -> Router<AppState> {
    match guard {
        Some(guard) => routes.route_layer(from_fn_with_state(guard.clone(), same_origin::check)),
        None => routes,
    }
}

/// The place where a route keeps its pages that are the same for everybody.
fn static_pages() -> Extension<Arc<PageByLanguage>> {
    Extension(Arc::default())
}

async fn not_found() -> Problem {
    Problem::not_found()
}

async fn method_not_allowed() -> Problem {
    Problem::method_not_allowed()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::Extension;
    use axum::body::{Body, to_bytes};
    use axum::extract::Request;
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tower::ServiceExt;

    use super::*;
    use crate::clock::ManualClock;
    use crate::codes::Freshness;
    use crate::http::microcache::Cacheable;
    use crate::http::qrcode::fixture::{issued, site};

    fn settings() -> RouterSettings {
        RouterSettings {
            site: Arc::new(site()),
            base_path: String::new(),
            secret_words: Arc::default(),
            log_client: None,
            clock: Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH)),
        }
    }

    #[tokio::test]
    async fn from_the_third_request_in_a_second_on_the_microcache_answers() {
        let code = issued(0, Freshness::Stale).code;
        let asked = Arc::new(AtomicUsize::new(0));
        let handler = {
            let (code, asked) = (Arc::downgrade(&code), Arc::clone(&asked));
            async move || {
                asked.fetch_add(1, Ordering::Relaxed);
                let valid = Timestamp::MIN..Timestamp::MAX;
                (Extension(Cacheable { valid, code }), "the code")
            }
        };
        let routes = Router::new().route("/qrcode", get(handler));
        let service = with_middleware(routes, &settings());
        let ask = async |cookie: Option<&str>| {
            let mut request = Request::builder().uri("/qrcode?scene_id=1");
            if let Some(cookie) = cookie {
                request = request.header("cookie", cookie);
            }
            let request = request.body(Body::empty()).unwrap();
            let response = service.clone().oneshot(request).await.unwrap();
            let body = to_bytes(response.into_body(), 100).await.unwrap();
            assert_eq!(&body[..], b"the code");
            asked.load(Ordering::Relaxed)
        };
        let counts = [ask(None).await, ask(None).await, ask(None).await];
        assert_eq!(counts, [1, 2, 2]);
        assert_eq!(ask(Some("a=b")).await, 3);
        drop(code);
        assert_eq!(ask(None).await, 4, "there is a newer code");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_that_says_nothing_of_its_cause() {
        let broken = async || -> &str { panic!("CANARY in {}", std::hint::black_box("a panic")) };
        let routes = Router::new().route("/broken", get(broken));
        let service = with_middleware(routes, &settings());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Router::new().fallback_service(service);
        tokio::spawn(async { axum::serve(listener, service).await.unwrap() });
        for accept in ["text/html", "application/json"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!(
                "GET /broken HTTP/1.1\r\nHost: wxqr\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
            assert!(answer.contains("cache-control: no-store"), "{answer}");
            assert!(!answer.contains("CANARY"), "{answer}");
        }
    }
}
