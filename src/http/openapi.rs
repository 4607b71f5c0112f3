//! `GET /openapi.json`, generated from the handlers' own types.

use qr_image::{Margin, PixelSize};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, Modify, OpenApi};

use crate::http::static_response::{ONE_HOUR, StaticResponse};

/// The document without the paths, which the router adds.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "wxqr",
        description = "Parametric QR codes of a WeChat Official Account.",
        license(name = "MIT", identifier = "MIT"),
    ),
    tags(
        (name = "codes", description = "The codes"),
        (name = "statistics", description = "Scans and followers of each code"),
        (name = "bindings", description = "Sign-in by a scan"),
        (name = "operating", description = "For operators"),
    ),
    modifiers(&Keys),
)]
pub(crate) struct ApiDocument;

/// The serialized document. Serializing it for each request would cost as much as twenty pages.
pub(crate) fn file(document: &utoipa::openapi::OpenApi) -> StaticResponse {
    let json = serde_json::to_string(document).expect("names and texts are JSON");
    let json = joined_lines(&json).into_bytes();
    StaticResponse::new("application/json", ONE_HOUR, json)
}

/// Joins the lines of each paragraph of a description. They are lines of a source comment, whose
/// width is of no use to a reader of the document.
fn joined_lines(json: &str) -> String {
    let paragraphs = json.split(r"\n\n").map(|lines| lines.replace(r"\n", " "));
    paragraphs.collect::<Vec<_>>().join(r"\n\n")
}

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A key of WXQR_API_KEYS"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(scheme.build()));
    }
}

/// How a code is shown, for the document only: [`QrcodeQuery`] reads it, more strictly than a
/// schema can say.
///
/// [`QrcodeQuery`]: crate::http::extract::query::QrcodeQuery
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct ShowParams {
    /// The representation.
    #[param(pattern = "^(html|json|png|svg|jpg)$")]
    format: Option<String>,
    /// `1`: answer only the `<img>` element.
    #[param(pattern = "^1$")]
    fragment: Option<String>,
    /// The language of a page. The default is what `Accept-Language` says, else Chinese.
    #[param(pattern = "^(zh|en)$")]
    lang: Option<String>,
}

/// The style of a picture that is drawn here, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct StyleParams {
    /// Pixels on a side of a PNG or SVG; at least 2 × (33 + 2 × `margin`), so that every module
    /// has two.
    #[param(minimum = 64, maximum = 2048, default = json!(PixelSize::DEFAULT))]
    size: Option<u32>,
    /// Empty modules around the symbol of a PNG or SVG.
    #[param(minimum = 0, maximum = 16, default = json!(Margin::DEFAULT))]
    margin: Option<u32>,
    /// The dark colour of a PNG or SVG: 3 or 6 hex digits.
    #[param(pattern = "^([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$", default = "000")]
    color: Option<String>,
    /// The light colour of a PNG or SVG: 3 or 6 hex digits, with a contrast of 3:1 at least.
    #[param(pattern = "^([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$", default = "fff")]
    bg: Option<String>,
}

/// The signature of a link, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct LinkParams {
    /// When a signed link ends, in Unix seconds. Only with `sig`.
    #[param(minimum = 0)]
    exp: Option<i64>,
    /// The signature of the link: HMAC-SHA256, unpadded base64url.
    #[param(pattern = "^[A-Za-z0-9_-]{43}$")]
    sig: Option<String>,
}

/// The schema of a parameter, to compare its bounds, which the macro takes as literals only, with
/// the constants of the parsers.
#[cfg(test)]
pub(crate) fn schema_of<P: IntoParams>(name: &str) -> serde_json::Value {
    let params = P::into_params(|| Some(utoipa::openapi::path::ParameterIn::Query));
    let param = params.into_iter().find(|param| param.name == name);
    serde_json::to_value(param.expect("the parameter exists").schema).expect("a schema is JSON")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use utoipa::openapi::path::ParameterIn;

    use super::*;
    use crate::http::extract::query::{KNOWN, WECHAT_SYMBOL};
    use crate::http::scene_params::SceneParams;
    use crate::http::{MAX_FILE, openapi_document};
    use wechat::scene::{Lifetime, SceneId, SceneText};

    #[test]
    fn the_document_has_every_parameter_of_a_code() {
        let in_query = || Some(ParameterIn::Query);
        let described = [
            SceneParams::into_params(in_query),
            ShowParams::into_params(in_query),
            StyleParams::into_params(in_query),
            LinkParams::into_params(in_query),
        ]
        .concat();
        let names: BTreeSet<&str> = described.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, KNOWN.iter().copied().collect());
    }

    /// Its texts are comments in the code, which cannot name a constant.
    #[test]
    fn the_texts_of_the_document_have_the_limits_of_the_code() {
        let document = openapi_document().to_json().unwrap();
        let (rows, mib) = (channel_files::MAX_ROWS, MAX_FILE / (1024 * 1024));
        let rows = format!("{},{:03}", rows / 1000, rows % 1000);
        for limit in [
            format!("at most {rows} and {mib} MiB"),
            format!("at least 2 × ({WECHAT_SYMBOL} + 2 × `margin`)"),
        ] {
            assert!(document.contains(&limit), "{limit}");
        }
    }

    #[test]
    fn openapi_bounds_are_those_of_the_types() {
        for (schema, bound, want) in [
            (
                schema_of::<StyleParams>("size"),
                "minimum",
                json!(PixelSize::MIN),
            ),
            (
                schema_of::<StyleParams>("size"),
                "maximum",
                json!(PixelSize::MAX),
            ),
            (
                schema_of::<StyleParams>("margin"),
                "maximum",
                json!(Margin::MAX),
            ),
            (
                schema_of::<SceneParams>("scene_id"),
                "maximum",
                json!(SceneId::MAX),
            ),
            (
                schema_of::<SceneParams>("scene_str"),
                "maxLength",
                json!(SceneText::MAX_CHARS),
            ),
            (
                schema_of::<SceneParams>("expire_seconds"),
                "maximum",
                json!(Lifetime::MAX_SECONDS),
            ),
        ] {
            let got = schema[bound].as_f64();
            assert_eq!(got, want.as_f64(), "{bound} of {schema}");
        }
    }
}
