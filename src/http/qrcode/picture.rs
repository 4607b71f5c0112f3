//! A code as a PNG or SVG file.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::clock::China;
use crate::form::escaped;
use crate::http::problem::Problem;
use crate::http::qrcode::presentation::Presentation;
use crate::http::static_response::matches_etag;
use crate::pictures::{ImageFormat, PictureCache};

impl Presentation<'_> {
    /// Responds with a picture drawn here, or 304 if the client has it.
    pub(super) async fn picture(
        &self,
        pictures: &PictureCache,
        format: ImageFormat,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let picture = pictures
            .get(&self.code().url, format, self.request.style)
            .await
            .map_err(|error| Problem::from(&*error))?;
        let etag = HeaderValue::from_str(&picture.etag).expect("base64 is ASCII");
        let mut response = if matches_etag(headers, &picture.etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            self.file(format, picture.bytes)
        };
        let response_headers = response.headers_mut();
        response_headers.insert(header::ETAG, etag);
        if format == ImageFormat::Svg {
            // On a 304 too, because a cache takes over its headers.
            response_headers.insert(header::CONTENT_SECURITY_POLICY, self.site.svg_policy());
        }
        Ok(self.with_picture_headers(response))
    }

    fn file(&self, format: ImageFormat, bytes: bytes::Bytes) -> Response {
        const CROSS_ORIGIN: (HeaderName, HeaderValue) = (
            HeaderName::from_static("cross-origin-resource-policy"),
            HeaderValue::from_static("cross-origin"),
        );
        let named = [
            (header::CONTENT_DISPOSITION, self.disposition()),
            CROSS_ORIGIN,
        ];
        let media_type = |text| [(header::CONTENT_TYPE, HeaderValue::from_static(text))];
        match format {
            ImageFormat::Png => (media_type("image/png"), named, bytes).into_response(),
            ImageFormat::Svg => (media_type("image/svg+xml"), named, bytes).into_response(),
        }
    }

    /// Shown in place, saved under a name that says which code it is and when it expires.
    fn disposition(&self) -> HeaderValue {
        let scene = self.request.spec.scene().value().to_string();
        let life = match self.code().expires_at() {
            None => "permanent".to_owned(),
            Some(end) => China::time(end).strftime("until-%Y-%m-%d-%H%M").to_string(),
        };
        let extension = self.request.view.format.extension();
        let plain: String = scene
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let full = format!("qrcode-{scene}-{life}.{extension}").replace(['/', '\\'], "_");
        let text = format!(
            "inline; filename=\"qrcode-{plain}-{life}.{extension}\"; filename*=UTF-8''{}",
            escaped(&full)
        );
        HeaderValue::try_from(text).expect("letters, digits and escapes are ASCII")
    }
}
