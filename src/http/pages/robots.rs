//! `GET /robots.txt`.

use crate::http::static_response::{ONE_HOUR, StaticResponse};

/// Keeps crawlers away: they would mint a code for each link they find.
pub(crate) fn file() -> StaticResponse {
    let rules = "User-agent: *\nDisallow: /\n";
    StaticResponse::new("text/plain; charset=utf-8", ONE_HOUR, rules)
}
