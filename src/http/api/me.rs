//! `GET /api/me`: the key of the request.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::http::extract::key_holder::KeyHolder;
use crate::http::problem::Document;

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Me {
    /// Its name in `WXQR_API_KEYS`.
    name: String,
    /// All that it may do, also what `admin` implies.
    scopes: Vec<&'static str>,
}

/// Names the key of the request, and what it may do. It needs no scope.
#[utoipa::path(
    get,
    path = "/api/me",
    responses(
        (status = 200, description = "The key", body = Me),
        (status = "4XX", description = "There is no key", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "operating",
)]
pub(crate) async fn show(holder: KeyHolder) -> Json<Me> {
    let scopes = Scope::ALL.into_iter();
    let scopes = scopes.filter(|scope| holder.caller().allows(*scope));
    Json(Me {
        name: holder.key().name().to_owned(),
        scopes: scopes.map(Scope::as_str).collect(),
    })
}
