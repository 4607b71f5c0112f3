//! The map of URLs, and what stands around every request.

use std::sync::Arc;

use axum::http::{HeaderValue, Method, header};
use axum::middleware::{from_fn, from_fn_with_state, map_request};
use axum::routing::get;
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::config::CorsOrigins;
use crate::http::html::constant::PageByLanguage;
use crate::http::html::site::Site;
use crate::http::middleware::{access_log, request_limits, same_origin};
use crate::http::pages::{demo, home, stats};
use crate::http::state::AppState;
use crate::http::{api, callback, openapi, operators, qrcode};
use crate::origin::OriginGuard;
use crate::redact::SecretWords;

/// The whole service. `others` are routes that stand beside ours, such as the sandbox's. In the demo, `guard` keeps other web
/// sites from its pages and from `/api`.
///
/// With a public URL that has a path, everything answers with and without that path, because some proxies strip it.
pub fn router(
    state: AppState,
    cors: &CorsOrigins,
    base_path: &str,
    secrets: Arc<SecretWords>,
    others: Router,
    guard: Option<&OriginGuard>,
) -> Router {
    let site = Arc::clone(&state.site);
    let pages = guarded(page_routes(state.site.sandbox), guard).with_state(state.clone());
    let ours = routes_of(state, cors, guard).merge(pages).merge(others);
    let routes = if base_path.is_empty() {
        ours
    } else {
        Router::new().nest(base_path, ours.clone()).merge(ours)
    };
    let routes = routes
        .fallback(access_log::not_found)
        .method_not_allowed_fallback(access_log::method_not_allowed);
    observed(routes, site, base_path, secrets)
}

/// What is answered until the store is open: the process lives and is not ready.
pub fn starting_router(site: Arc<Site>, base_path: &str, secrets: Arc<SecretWords>) -> Router {
    let ours = Router::new()
        .route("/healthz", get(operators::healthz))
        .route("/readyz", get(operators::not_ready));
    let routes = if base_path.is_empty() {
        ours
    } else {
        Router::new().nest(base_path, ours.clone()).merge(ours)
    };
    observed(
        routes.fallback(operators::starting),
        site,
        base_path,
        secrets,
    )
}

fn observed(routes: Router, site: Arc<Site>, base_path: &str, secrets: Arc<SecretWords>) -> Router {
    let about = access_log::Service {
        base_path: base_path.into(),
        secrets,
    };
    let observed = routes
        .layer(CatchPanicLayer::custom(access_log::panicked))
        .layer(from_fn(request_limits::check))
        .layer(from_fn_with_state(site, access_log::write_problems))
        .layer(from_fn_with_state(about, access_log::observe));
    // A layer sees a request after its route was chosen, so what changes the path stands around the router.
    Router::new()
        .fallback_service(observed)
        .layer(map_request(async |request| {
            access_log::without_trailing_slash(request)
        }))
}

/// The pages for people, and what the demo shows on them.
fn page_routes(is_demo: bool) -> Router<AppState> {
    let pages = Router::new()
        .route("/", get(home::show).layer(written_once()))
        .route("/stats", get(stats::show).layer(written_once()));
    if is_demo {
        pages.route(demo::PATH, get(demo::numbers))
    } else {
        pages
    }
}

fn guarded(routes: Router<AppState>, guard: Option<&OriginGuard>) -> Router<AppState> {
    match guard {
        Some(guard) => routes.route_layer(from_fn_with_state(guard.clone(), same_origin::refuse)),
        None => routes,
    }
}

fn routes_of(state: AppState, cors: &CorsOrigins, guard: Option<&OriginGuard>) -> Router {
    let browsers = Router::new()
        .route("/qrcode.html", get(qrcode::show))
        .route("/qrcode.json", get(qrcode::show))
        .route("/qrcode.png", get(qrcode::show))
        .route("/qrcode.svg", get(qrcode::show))
        .route("/qrcode.jpg", get(qrcode::show));
    let (documented, document) = documented_routes();
    let codes = browsers
        .merge(documented.codes)
        // Before the layer: set later, it would take the place of what the layer answers to OPTIONS.
        .method_not_allowed_fallback(access_log::method_not_allowed)
        .layer(cors_layer(cors));
    codes
        .merge(documented.operating)
        .merge(guarded(documented.api, guard))
        .route("/callback", get(callback::verify).post(callback::receive))
        .route("/robots.txt", operators::robots().route())
        .route("/openapi.json", openapi::file(&document).route())
        .with_state(state)
}

/// The place of a route's pages that are written once.
fn written_once() -> Extension<Arc<PageByLanguage>> {
    Extension(Arc::default())
}

/// The routes in the OpenAPI document.
struct Documented {
    /// Other origins may call them.
    codes: Router<AppState>,
    operating: Router<AppState>,
    /// For keys.
    api: Router<AppState>,
}

fn documented_routes() -> (Documented, utoipa::openapi::OpenApi) {
    let codes =
        OpenApiRouter::with_openapi(openapi::Document::openapi()).routes(routes!(qrcode::show));
    let api = OpenApiRouter::new()
        .routes(routes!(api::list::list, api::make::make))
        .routes(routes!(api::account::show))
        .routes(routes!(api::bindings::create))
        .routes(routes!(api::bindings::show))
        .routes(routes!(api::bindings::claim))
        .routes(routes!(api::scans::list))
        .routes(routes!(api::stats::show))
        .routes(routes!(api::stats::csv_file));
    let operating = OpenApiRouter::new()
        .routes(routes!(operators::healthz))
        .routes(routes!(operators::readyz));
    let (codes, mut document) = codes.split_for_parts();
    let (operating, more) = operating.split_for_parts();
    document.merge(more);
    let (api, more) = api.split_for_parts();
    document.merge(more);
    let routes = Documented {
        codes,
        operating,
        api,
    };
    (routes, document)
}

/// The OpenAPI document of the whole service, as `/openapi.json` answers it.
pub fn openapi_document() -> utoipa::openapi::OpenApi {
    documented_routes().1
}

/// Other sites' scripts may read `/qrcode`, without credentials.
fn cors_layer(origins: &CorsOrigins) -> CorsLayer {
    let layer = CorsLayer::new().allow_methods([Method::GET, Method::HEAD]);
    match origins {
        CorsOrigins::Any => layer.allow_origin(tower_http::cors::Any).vary([]),
        CorsOrigins::List(list) => {
            let values = list
                .iter()
                .map(|origin| HeaderValue::from_str(origin.as_str()));
            let values = values
                .collect::<Result<Vec<_>, _>>()
                .expect("origins are checked to be ASCII");
            layer
                .allow_origin(AllowOrigin::list(values))
                .vary([header::ORIGIN])
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// What a stranger gets of a handler that panics with a secret.
    #[tokio::test]
    async fn a_panic_is_an_error_that_says_nothing_of_its_cause() {
        let site = Arc::new(Site {
            public_url: String::new(),
            image_base: "https://mp.weixin.qq.com".to_owned(),
            frame_ancestors: "*".to_owned(),
            sandbox: false,
        });
        let broken = async || -> &str { panic!("CANARY in {}", std::hint::black_box("a panic")) };
        let routes = Router::new().route("/broken", get(broken));
        let service = observed(routes, site, "", Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
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
