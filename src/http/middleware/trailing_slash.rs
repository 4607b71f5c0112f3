//! Removes one trailing slash from the path, so that `/callback/` is `/callback`.
//!
//! It rewrites instead of redirecting, because WeChat posts and follows no redirect. Exactly one
//! slash goes: a proxy that guards `/api/` must see the same path as the router, so
//! `//api/account/` stays what it is.

use axum::extract::Request;
use http_listener::without_trailing_slash;

/// Marks a request whose path was sent with a trailing slash, so that the log shows it as sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlashRemoved;

/// Removes a trailing slash from the request's path.
pub(super) fn remove(request: &mut Request) {
    if let Some(uri) = without_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
        request.extensions_mut().insert(SlashRemoved);
    }
}
