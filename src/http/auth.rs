//! Who asks: nobody in particular, or the holder of a key.

use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};

use super::AppState;
use super::problem::{Code, Problem};
use crate::access::Caller;

/// The caller, by `Authorization: Bearer SECRET`. Without the header it is a visitor; with an unknown key it is an error.
#[derive(Debug)]
pub(crate) struct Authenticated(pub(crate) Caller);

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
            return Ok(Self(Caller::Visitor));
        };
        let secret = header.to_str().ok().and_then(bearer);
        let key = secret.and_then(|secret| app.keys.find(secret));
        let unknown = || {
            Problem::new(
                Code::Unauthorized,
                "the Authorization header must be \"Bearer \" and a known key",
            )
        };
        key.map(|key| Self(Caller::Key(key.clone())))
            .ok_or_else(unknown)
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, secret) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
