//! `GET /qrcode`: one code in five representations.

pub(crate) mod body;
mod caching;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod issue;
pub(crate) mod link;
pub(crate) mod page;
mod picture;
mod presentation;
mod request;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::clock::Clock;
use crate::codes::Codes;
use crate::http::openapi::{LinkParams, ShowParams, StyleParams};
use crate::http::problem::{Document, Problem};
use crate::http::qrcode::body::CodeBody;
use crate::http::qrcode::issue::issue;
use crate::http::qrcode::link::LinkSigner;
use crate::http::qrcode::presentation::Presentation;
use crate::http::qrcode::request::QrcodeRequest;
use crate::http::scene_params::SceneParams;
use crate::http::site::Site;
use crate::pictures::PictureCache;

/// Answers the code of a scene.
///
/// As a page, as JSON, as a PNG or SVG drawn here, or as a redirect to WeChat's own picture. The
/// representation is the path extension (`/qrcode.png`), else `format`, else what `Accept` weighs
/// highest, else the page.
#[utoipa::path(
    get,
    path = "/qrcode",
    params(SceneParams, ShowParams, StyleParams, LinkParams),
    responses(
        (status = 200, description = "The code", body = CodeBody),
        (status = 302, description = "With `format=jpg`: to WeChat's picture"),
        (status = 304, description = "The caller's picture is still current"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "WeChat or the service failed", body = Document, content_type = "application/problem+json"),
    ),
    security((), ("key" = [])),
    tag = "codes",
)]
pub(crate) async fn show(
    State(codes): State<Arc<Codes>>,
    State(pictures): State<Arc<PictureCache>>,
    State(site): State<Arc<Site>>,
    State(signer): State<LinkSigner>,
    State(clock): State<Arc<dyn Clock>>,
    request: QrcodeRequest,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let issued = issue(&codes, &request.spec, &request.caller).await?;
    let presentation = Presentation {
        site: &site,
        signer: &signer,
        request: &request,
        issued,
        now: clock.now(),
    };
    presentation.respond(&pictures, &headers).await
}

#[cfg(test)]
mod tests;
