//! Who asks: nobody in particular, or the holder of a key.

use axum::extract::FromRequestParts;
use axum::http::{header, request::Parts};

use super::AppState;
use super::message::Message;
use super::observe::log_key;
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
        let secret = header
            .to_str()
            .ok()
            .and_then(bearer)
            .ok_or_else(not_a_key)?;
        let key = app.keys.find(secret).ok_or_else(unknown_key)?;
        log_key(key);
        Ok(Self(Caller::Key(key.clone())))
    }
}

fn not_a_key() -> Problem {
    let message = Message::new(
        "请求头 Authorization 须写作“Bearer 密钥”",
        "the Authorization header must be \"Bearer KEY\"",
    );
    Problem::new(Code::Unauthorized, message)
}

fn unknown_key() -> Problem {
    let message = Message::new(
        "请求头 Authorization 中的密钥无效",
        "the key in the Authorization header is not known",
    );
    Problem::new(Code::Unauthorized, message)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, secret) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
