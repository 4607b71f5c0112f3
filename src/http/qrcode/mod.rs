//! `GET /qrcode`: one code in five representations.

pub(crate) mod body;
mod caching;
#[cfg(test)]
mod fixture;
pub(crate) mod issue;

use std::time::Duration;

use axum::Extension;
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use qr_image::Style;

use crate::access::{Caller, Verdict};
use crate::clock::China;
use crate::codes::{Served, Standing};
use crate::form::escaped;
use crate::http::AppState;
use crate::http::extract::caller::{Access, Authenticated};
use crate::http::extract::query::Query;
use crate::http::html::constant::names_tag;
use crate::http::html::site::Site;
use crate::http::html::{self, CodePage, Expiry, image_element};
use crate::http::i18n::message::Message;
use crate::http::negotiation::format::Format;
use crate::http::negotiation::view::View;
use crate::http::problem::Problem;
use crate::http::qrcode::body::{CodeBody, LinkQuery, SceneBody, TicketBody, dated};
use crate::http::qrcode::caching::CachePolicy;
use crate::http::qrcode::issue::issue;
use crate::pictures::{Drawn, PictureError};
use crate::scene::Scene;
use crate::ticket::IssuedCode;

/// A page is not renewed more often than this.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(10);

/// How much life of a code is left, at the latest, when its page shows a newer one: twice what a cache may keep the page.
const RENEWAL_LEAD: Duration = Duration::from_mins(2);

/// A code that was found or made, with what is needed to show it.
struct Shown<'a> {
    site: &'a Site,
    query: &'a Query,
    view: View,
    scene: Scene,
    served: Served,
    caller: Caller,
    access: &'a Access,
    now: Timestamp,
}

/// Answers the code of a scene.
///
/// As a page, as JSON, as a PNG or SVG drawn here, or as a redirect to WeChat's own picture. The representation is the
/// path extension (`/qrcode.png`), else `format`, else what `Accept` weighs highest, else the page.
#[utoipa::path(
    get,
    path = "/qrcode",
    params(crate::http::openapi::CodeParams),
    responses(
        (status = 200, description = "The code", body = CodeBody),
        (status = 302, description = "With `format=jpg`: to WeChat's picture"),
        (status = 304, description = "The picture that the caller has is still the one"),
        (status = "4XX", description = "The request cannot be met", body = crate::http::problem::Document, content_type = "application/problem+json"),
        (status = "5XX", description = "WeChat or the service failed", body = crate::http::problem::Document, content_type = "application/problem+json"),
    ),
    security((), ("key" = [])),
    tag = "codes",
)]
pub(crate) async fn show(
    State(app): State<AppState>,
    Extension(view): Extension<View>,
    Authenticated(caller): Authenticated,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::parse(raw.as_deref().unwrap_or_default())?;
    check_presentation(&query, view)?;
    let spec = query.code_spec(app.default_expire)?;
    let style = query.style()?;
    let caller = app.access.of_link(caller, &query, app.clock.now())?;
    let served = issue(&app, &spec, &caller).await?;
    let scene = spec.scene();
    let shown = Shown {
        site: &app.site,
        query: &query,
        view,
        scene,
        served,
        caller,
        access: &app.access,
        now: app.clock.now(),
    };
    match view.format {
        Format::Html if view.fragment => shown.fragment(),
        Format::Html => shown.page(),
        Format::Json => Ok(shown.json()),
        Format::Jpg => Ok(shown.redirect()),
        Format::Png => shown.picture(&app, Drawn::Png, style, &headers).await,
        Format::Svg => shown.picture(&app, Drawn::Svg, style, &headers).await,
    }
}

/// The view was made leniently, so that errors could be shown; here its parameters must be right.
fn check_presentation(query: &Query, view: View) -> Result<(), Problem> {
    query.format()?;
    query.lang()?;
    if query.fragment()? && view.format != Format::Html {
        let message = Message::new("仅用于 html", "goes with html only");
        return Err(Problem::invalid_parameter("fragment", message));
    }
    Ok(())
}

impl Shown<'_> {
    fn code(&self) -> &IssuedCode {
        &self.served.code
    }

    fn page(&self) -> Result<Response, Problem> {
        let template = CodePage {
            site: self.site,
            lang: self.view.lang,
            image: image_element(self.site, &self.code().ticket, self.view.lang)?,
            expiry: self.code().expires_at().map(Expiry::new),
            renew_in: self.renew_in(),
        };
        let response = html::page(&template, self.site.code_page_policy())?;
        Ok(self.with_headers(response, CachePolicy::for_page(&self.served, self.now)))
    }

    fn fragment(&self) -> Result<Response, Problem> {
        let element = image_element(self.site, &self.code().ticket, self.view.lang)?;
        let policy = self.site.fragment_policy();
        let response = ([(header::CONTENT_SECURITY_POLICY, policy)], Html(element)).into_response();
        Ok(self.with_text_headers(response))
    }

    fn json(&self) -> Response {
        let link = LinkQuery::of(self.query);
        let given = link.clone();
        let link = link.signed_for(&self.caller, self.access);
        let mut response = (dated(self.now), Json(self.body(&link))).into_response();
        if self.access.signs() {
            let vary = HeaderValue::from_static("authorization");
            response.headers_mut().append(header::VARY, vary);
        }
        if link == given {
            self.with_text_headers(response)
        } else {
            // A link that was signed for this caller is not for whoever asks the same cache.
            self.with_headers(response, CachePolicy::NoStore)
        }
    }

    fn redirect(&self) -> Response {
        let location = HeaderValue::from_str(&self.site.image_url(&self.code().ticket))
            .expect("a base and an escaped ticket are ASCII");
        let response = (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
        self.with_picture_headers(response)
    }

    /// A picture of ours, or 304 if the caller has it.
    async fn picture(
        &self,
        app: &AppState,
        drawn: Drawn,
        style: Style,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let picture = app
            .pictures
            .get(&self.code().url, drawn, style)
            .await
            .map_err(|error| Problem::from(&*error))?;
        let etag = HeaderValue::from_str(&picture.etag).expect("base64 is ASCII");
        let mut response = if names_tag(headers, &picture.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.file(drawn, picture.bytes)
        };
        let answer = response.headers_mut();
        answer.insert(header::ETAG, etag);
        if drawn == Drawn::Svg {
            // On a 304 too, because a cache takes over its headers.
            answer.insert(header::CONTENT_SECURITY_POLICY, self.site.svg_policy());
        }
        Ok(self.with_picture_headers(response))
    }

    fn file(&self, drawn: Drawn, bytes: bytes::Bytes) -> Response {
        const CROSS_ORIGIN: (HeaderName, HeaderValue) = (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        );
        let named = [
            (header::CONTENT_DISPOSITION, self.disposition()),
            CROSS_ORIGIN,
        ];
        let media_type = |text| [(header::CONTENT_TYPE, HeaderValue::from_static(text))];
        match drawn {
            Drawn::Png => (media_type("image/png"), named, bytes).into_response(),
            Drawn::Svg => (media_type("image/svg+xml"), named, bytes).into_response(),
        }
    }

    /// Shown in place, saved under a name that says which code it is and how long it is good.
    fn disposition(&self) -> HeaderValue {
        let scene = self.scene.value().to_string();
        let life = match self.code().expires_at() {
            None => "permanent".to_owned(),
            Some(end) => China::time(end).strftime("until-%Y-%m-%d-%H%M").to_string(),
        };
        let extension = self.view.format.extension();
        let plain: String = scene
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let full = format!("qrcode-{scene}-{life}.{extension}").replace(['/', '\\'], "_");
        let text = format!(
            "inline; filename=\"qrcode-{plain}-{life}.{extension}\"; filename*=UTF-8''{}",
            escaped(&full)
        );
        HeaderValue::from_str(&text).expect("letters, digits and escapes are ASCII")
    }

    fn with_text_headers(&self, response: Response) -> Response {
        self.with_headers(response, CachePolicy::for_text(&self.served, self.now))
    }

    fn with_picture_headers(&self, response: Response) -> Response {
        self.with_headers(response, CachePolicy::for_picture(&self.served, self.now))
    }

    fn with_headers(&self, mut response: Response, policy: CachePolicy) -> Response {
        let policy = match self.caller.link {
            Verdict::Valid { exp: Some(exp) } => policy.until(exp.at(), self.now),
            _ => policy,
        };
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, policy.header());
        if let Some(vary) = self.view.vary() {
            response.headers_mut().append(header::VARY, vary);
        }
        response
    }

    fn renew_in(&self) -> Option<u64> {
        renewal(&self.served, self.now)
    }

    fn body(&self, link: &LinkQuery) -> CodeBody {
        CodeBody {
            scene: SceneBody::new(&self.scene),
            ticket: TicketBody::new(self.site, self.code(), self.now, Some(link)),
        }
    }
}

/// In how many seconds a page should look for a newer code: as late as the floor allows, so that an open page costs few
/// mints. None for a code that does not die.
fn renewal(served: &Served, now: Timestamp) -> Option<u64> {
    let left = served.code.left(now)?;
    let wait = match served.standing {
        Standing::Stale => SHORTEST_RENEWAL,
        // A second more, because a code exactly at its floor is still served.
        Standing::Fresh { floor } => {
            left.saturating_sub(floor.min(RENEWAL_LEAD)) + Duration::from_secs(1)
        }
    };
    Some(wait.max(SHORTEST_RENEWAL).as_secs())
}

impl From<&PictureError> for Problem {
    fn from(error: &PictureError) -> Self {
        match error {
            // The url is longer than any that WeChat was known to give, so that its symbol is larger than was asked room for.
            PictureError::Render(error) => Self::invalid_parameter("size", *error),
            PictureError::Crowded => Self::crowded(),
        }
    }
}

#[cfg(test)]
mod tests;
