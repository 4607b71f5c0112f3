//! Negotiates the representation and the language of the response, before the route runs, because
//! errors need them too.

use std::sync::Arc;

use axum::extract::{Request, State};

use crate::http::negotiation::view::View;

/// Puts the [`View`] into the request's extensions. `base_path` is the path of the public URL.
pub(crate) async fn insert_view(
    State(base_path): State<Arc<str>>,
    mut request: Request,
) -> Request {
    let view = View::of(request.uri(), request.headers(), &base_path);
    request.extensions_mut().insert(view);
    request
}
