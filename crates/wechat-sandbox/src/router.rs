//! The sandbox's URL map, grouped by who calls.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, any, get, post};
use local_guard::OriginGuard;

use crate::api::log::Api;
use crate::api::{self, intercept};
use crate::pages::{home, phone, same_origin};
use crate::sandbox::Sandbox;
use crate::{control, own_paths};

/// The first path segments of WeChat's calls for Official Accounts, imitated or not.
///
/// The service that a sandbox is merged with must have its own routes elsewhere.
const WECHAT_FOLDERS: [&str; 12] = [
    "bizwifi",
    "card",
    "cgi-bin",
    "customservice",
    "datacube",
    "merchant",
    "product",
    "scan",
    "semantic",
    "shakearound",
    "sns",
    "wxa",
];

impl Sandbox {
    /// Routes WeChat's calls, the pages of codes, and the controls. It has no fallback, so that it
    /// merges with other routers.
    ///
    /// Cross-site requests are refused. Pages and controls may be called by the host of the base,
    /// as it is now.
    pub fn router(&self) -> Router {
        routes(self, &OriginGuard::new(self.trusted_hosts()))
    }

    /// Like [`Sandbox::router`], for a listener of its own: with the front page at `/`, and
    /// WeChat's refusal for every other path. Pages and controls may be called by `hosts` too, with
    /// a slash at the end or without.
    pub fn standalone_router(&self, hosts: &[&str]) -> Router {
        let guard = OriginGuard::new(self.trusted_hosts().and(hosts));
        standalone(self, &guard)
    }
}

/// The routes that both routers have: calls, pages and controls, without a fallback.
fn routes(sandbox: &Sandbox, guard: &OriginGuard) -> Router {
    let calls = wechat_calls(sandbox)
        .route_layer(from_fn_with_state(guard.clone(), same_origin::refuse_call));
    // Any page may embed a picture.
    let picture = intercepted(sandbox, Api::Show, any(api::show));
    pages_and_controls()
        .route_layer(from_fn_with_state(guard.clone(), same_origin::refuse))
        .merge(calls)
        .route("/cgi-bin/showqrcode", picture)
        .with_state(sandbox.clone())
}

/// All routes for a listener of its own.
fn standalone(sandbox: &Sandbox, guard: &OriginGuard) -> Router {
    let routes = routes(sandbox, guard).merge(front(sandbox, guard));
    Router::new()
        .fallback_service(routes)
        .layer(from_fn(own_paths::handle))
}

/// The front page at `/`, and the refusals of every other path.
fn front(sandbox: &Sandbox, guard: &OriginGuard) -> Router {
    Router::new()
        .route("/", get(home::show))
        .route_layer(from_fn_with_state(guard.clone(), same_origin::refuse))
        .route("/sandbox/{*path}", any(control::unknown))
        .fallback_service(
            Router::new()
                .fallback(api::unknown)
                .layer(from_fn_with_state(
                    (sandbox.clone(), Api::Other),
                    intercept::handle,
                ))
                .layer(from_fn_with_state(guard.clone(), same_origin::refuse_call)),
        )
        .with_state(sandbox.clone())
}

/// WeChat's calls except for the picture. Programs make them, by any name that they have for the
/// host.
fn wechat_calls(sandbox: &Sandbox) -> Router<Sandbox> {
    let imitated = Router::new()
        .route(
            "/cgi-bin/token",
            intercepted(sandbox, Api::Token, any(api::token)),
        )
        .route(
            "/cgi-bin/stable_token",
            intercepted(sandbox, Api::Token, any(api::stable_token)),
        )
        .route(
            "/cgi-bin/qrcode/create",
            intercepted(sandbox, Api::Create, any(api::create)),
        );
    WECHAT_FOLDERS.iter().fold(imitated, |router, folder| {
        let unknown = intercepted(sandbox, Api::Other, any(api::unknown));
        router.route(&format!("/{folder}/{{*path}}"), unknown)
    })
}

fn pages_and_controls() -> Router<Sandbox> {
    Router::new()
        .route("/sandbox", get(home::show))
        .route("/q/{id}", get(phone::page).post(phone::act))
        .route(
            "/sandbox/faults",
            get(control::faults)
                .put(control::set_faults)
                .post(home::change_faults),
        )
        .route("/sandbox/expire-token", post(control::expire_tokens))
        .route("/sandbox/rotate-token", post(control::rotate_tokens))
        .route("/sandbox/kill-token", post(control::kill_tokens))
        .route(
            "/sandbox/calls",
            get(control::calls).delete(control::forget_calls),
        )
        .route("/sandbox/verify-callback", post(control::verify_callbacks))
}

/// A route of WeChat's API behind [`intercept`], which records the call and injects faults.
fn intercepted(sandbox: &Sandbox, api: Api, route: MethodRouter<Sandbox>) -> MethodRouter<Sandbox> {
    route.layer(from_fn_with_state(
        (sandbox.clone(), api),
        intercept::handle,
    ))
}
