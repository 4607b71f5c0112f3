//! Presents an issued code as a page, an image element, JSON, a redirect or a picture.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use wechat::ticket::IssuedCode;

use crate::access::Link;
use crate::codes::{Freshness, Issued};
use crate::http::html;
use crate::http::microcache::Cacheable;
use crate::http::negotiation::format::Format;
use crate::http::problem::Problem;
use crate::http::qrcode::body::{CodeBody, SceneBody, TicketBody};
use crate::http::qrcode::caching::{CachePolicy, MAX_TEXT_AGE};
use crate::http::qrcode::link::{LinkQuery, LinkSigner};
use crate::http::qrcode::page::{CodePage, Expiry, image_element};
use crate::http::qrcode::request::QrcodeRequest;
use crate::http::site::Site;
use crate::http::time_format::date_header;
use crate::pictures::{ImageFormat, PictureCache};

/// The shortest time between two renewals of a page. Chosen.
const SHORTEST_RENEWAL: Duration = Duration::from_secs(10);

/// How long before the end of a code its page shows a newer one, at the latest: a cache may keep
/// the page for half of it. `templates/embed.js` has the same number.
const RENEWAL_LEAD: Duration = MAX_TEXT_AGE.saturating_mul(2);

/// An issued code, and what decides how it is shown.
pub(super) struct Presentation<'a> {
    pub(super) site: &'a Site,
    pub(super) signer: &'a LinkSigner,
    pub(super) request: &'a QrcodeRequest,
    pub(super) issued: Issued,
    pub(super) now: Timestamp,
}

impl Presentation<'_> {
    pub(super) async fn respond(
        &self,
        pictures: &PictureCache,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let view = self.request.view;
        match view.format {
            Format::Html if view.fragment => self.fragment(),
            Format::Html => self.html_page(),
            Format::Json => Ok(self.json()),
            Format::Jpg => Ok(self.redirect()),
            Format::Png => self.picture(pictures, ImageFormat::Png, headers).await,
            Format::Svg => self.picture(pictures, ImageFormat::Svg, headers).await,
        }
    }

    pub(super) fn code(&self) -> &IssuedCode {
        &self.issued.code
    }

    fn html_page(&self) -> Result<Response, Problem> {
        let template = CodePage {
            site: self.site,
            lang: self.request.view.lang,
            src: &self.site.image_url(&self.code().ticket),
            expiry: self.code().expires_at().map(Expiry::new),
            renew_in: renewal(&self.issued, self.now),
        };
        let response = html::page(&template, self.site.code_page_policy())?;
        Ok(self.with_headers(response, CachePolicy::for_page(&self.issued, self.now)))
    }

    fn fragment(&self) -> Result<Response, Problem> {
        let element = image_element(self.site, &self.code().ticket, self.request.view.lang)?;
        let policy = self.site.fragment_policy();
        let response = ([(header::CONTENT_SECURITY_POLICY, policy)], Html(element)).into_response();
        Ok(self.with_text_headers(response))
    }

    fn json(&self) -> Response {
        let link = LinkQuery::of(&self.request.query);
        let given = link.clone();
        let link = self.signer.signed_for(&self.request.caller, link);
        let mut response = (date_header(self.now), Json(self.body(&link))).into_response();
        if self.signer.is_active() {
            let vary = HeaderValue::from_static("authorization");
            response.headers_mut().append(header::VARY, vary);
        }
        if link == given {
            self.with_text_headers(response)
        } else {
            // A link that was signed for this caller is not for other clients of a shared cache.
            self.with_headers(response, CachePolicy::NoStore)
        }
    }

    fn redirect(&self) -> Response {
        let location = HeaderValue::try_from(self.site.image_url(&self.code().ticket))
            .expect("a base and an escaped ticket are ASCII");
        let response = (StatusCode::FOUND, [(header::LOCATION, location)]).into_response();
        self.with_picture_headers(response)
    }

    fn with_text_headers(&self, response: Response) -> Response {
        self.with_headers(response, CachePolicy::for_text(&self.issued, self.now))
    }

    pub(super) fn with_picture_headers(&self, response: Response) -> Response {
        self.with_headers(response, CachePolicy::for_picture(&self.issued, self.now))
    }

    fn with_headers(&self, mut response: Response, policy: CachePolicy) -> Response {
        let policy = match self.request.caller.link {
            Link::Signed { exp: Some(exp) } => policy.until(exp.at(), self.now),
            _ => policy,
        };
        response
            .headers_mut()
            .insert(header::CACHE_CONTROL, policy.header());
        if policy != CachePolicy::NoStore && self.is_for_everybody() {
            response.extensions_mut().insert(Cacheable {
                valid: self.now..unchanged_until(&self.issued, self.now),
                code: Arc::downgrade(&self.issued.code),
            });
        }
        if let Some(vary) = self.request.view.vary() {
            response.headers_mut().append(header::VARY, vary);
        }
        response
    }

    /// Whether every caller without a key gets this response, whenever the link ends.
    fn is_for_everybody(&self) -> bool {
        let caller = &self.request.caller;
        caller.key.is_none() && !matches!(caller.link, Link::Signed { exp: Some(_) })
    }

    fn body(&self, link: &LinkQuery) -> CodeBody {
        CodeBody {
            scene: SceneBody::new(&self.request.spec.scene()),
            ticket: TicketBody::new(self.site, self.code(), self.now, Some(link)),
        }
    }
}

/// Until when a response stays what a new one would be: all times in it are in whole seconds.
///
/// The date and the lifetime that is left change with the clock's second; `max-age` and the renewal
/// of a page, which count to a point of the lifetime, when a whole second before it is over.
fn unchanged_until(issued: &Issued, now: Timestamp) -> Timestamp {
    let second = Duration::from_secs(1);
    let subsecond = |time: Duration| Duration::from_nanos(time.subsec_nanos().into());
    let since_epoch = now.duration_since(Timestamp::UNIX_EPOCH).unsigned_abs();
    let mut unchanged = second.saturating_sub(subsecond(since_epoch));
    if let (Some(left), Freshness::Fresh { floor }) = (issued.code.left(now), issued.freshness) {
        for end in [floor, floor.min(RENEWAL_LEAD)] {
            unchanged = unchanged.min(subsecond(left.saturating_sub(end)));
        }
    }
    now + unchanged
}

/// The seconds after which a page fetches a newer code: as late as the freshness floor allows, so
/// that an open page costs few mints. None for a code that does not expire.
pub(super) fn renewal(issued: &Issued, now: Timestamp) -> Option<u64> {
    let left = issued.code.left(now)?;
    let wait = match issued.freshness {
        Freshness::Stale => SHORTEST_RENEWAL,
        // A second more, because a code exactly at its floor is still served.
        Freshness::Fresh { floor } => {
            left.saturating_sub(floor.min(RENEWAL_LEAD)) + Duration::from_secs(1)
        }
    };
    Some(wait.max(SHORTEST_RENEWAL).as_secs())
}

#[cfg(test)]
mod tests {
    use super::RENEWAL_LEAD;

    #[test]
    fn the_script_for_other_sites_renews_a_code_as_early_as_its_page() {
        let script = include_str!("../../../templates/embed.js");
        let milliseconds = RENEWAL_LEAD.as_millis();
        let lead = format!("left - {}_{:03},", milliseconds / 1000, milliseconds % 1000);
        assert!(script.contains(&lead), "{lead}");
    }
}
