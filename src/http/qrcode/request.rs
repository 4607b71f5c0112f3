//! A request to `/qrcode`: code, presentation and caller.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use qr_image::Style;
use wechat::scene::{CodeSpec, Lifetime};

use crate::access::Caller;
use crate::clock::Clock;
use crate::http::extract::authenticator::{Authenticator, Identity};
use crate::http::extract::query::QrcodeQuery;
use crate::http::i18n::message::Message;
use crate::http::negotiation::format::Format;
use crate::http::negotiation::view::View;
use crate::http::problem::Problem;

/// A valid request: every parameter and the signature of the link are checked.
#[derive(Debug)]
pub(crate) struct QrcodeRequest {
    pub(super) query: QrcodeQuery,
    pub(super) view: View,
    pub(super) spec: CodeSpec,
    pub(super) style: Style,
    pub(super) caller: Caller,
}

impl<S> FromRequestParts<S> for QrcodeRequest
where
    Arc<Authenticator>: FromRef<S>,
    Arc<dyn Clock>: FromRef<S>,
    Lifetime: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let identity = Identity::from_request_parts(parts, state).await?;
        let view = parts.extensions.get::<View>();
        let &view = view.ok_or_else(Problem::internal)?;
        let query = QrcodeQuery::parse(parts.uri.query().unwrap_or_default())?;
        check_presentation(&query, view)?;
        let spec = query.code_spec(Lifetime::from_ref(state))?;
        let style = query.style()?;
        let now = Arc::<dyn Clock>::from_ref(state).now();
        let caller = Arc::<Authenticator>::from_ref(state).caller(identity, &query, now)?;
        Ok(Self {
            query,
            view,
            spec,
            style,
            caller,
        })
    }
}

/// Checks the parameters that the [`View`] was made from leniently, so that errors could be shown.
fn check_presentation(query: &QrcodeQuery, view: View) -> Result<(), Problem> {
    query.format()?;
    query.lang()?;
    if query.fragment()? && view.format != Format::Html {
        let message = Message::new("仅用于 html", "goes with html only");
        return Err(Problem::invalid_parameter("fragment", message));
    }
    Ok(())
}
