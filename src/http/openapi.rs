//! `/openapi.json`, made from the handlers' own types.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, Modify, OpenApi};

use crate::http::html::constant::{AN_HOUR, Constant};

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
        (name = "statistics", description = "Who came through which code"),
        (name = "bindings", description = "Signing in by a scan"),
        (name = "operating", description = "For operators"),
    ),
    modifiers(&Keys),
)]
pub(crate) struct Document;

/// The document with its paths, written out: cloning and writing it for each request costs as much as twenty pages.
pub(crate) fn file(document: &utoipa::openapi::OpenApi) -> Constant {
    let json = serde_json::to_vec(document).expect("names and texts are JSON");
    Constant::new("application/json", AN_HOUR, json)
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

/// The query of `/qrcode`, for the document only: [`crate::http::extract::query`] reads it, more strictly than a schema can say.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct CodeParams {
    /// A number: 1 to 4294967295 for a temporary code, 1 to 100000 for a permanent one. This or `scene_str`.
    #[param(minimum = 1, maximum = 4_294_967_295_i64)]
    scene_id: Option<u32>,
    /// A text of 1 to 64 characters, without control characters. This or `scene_id`.
    #[param(min_length = 1, max_length = 64)]
    scene_str: Option<String>,
    /// A code that lives for ever. It must exist, unless a key with the scope `permanent` asks.
    #[param(default = false)]
    permanent: Option<bool>,
    /// The life to ask for, in seconds; for temporary codes only. The default is `WXQR_DEFAULT_EXPIRE`.
    #[param(minimum = 1, maximum = 2_592_000)]
    expire_seconds: Option<u32>,
    /// The representation.
    #[param(pattern = "^(html|json|png|svg|jpg)$")]
    format: Option<String>,
    /// `1`: answer only the `<img>` element.
    #[param(pattern = "^1$")]
    fragment: Option<String>,
    /// Pixels on a side of a PNG or SVG; at least 2 × (33 + 2 × `margin`), so that every module has two.
    #[param(minimum = 64, maximum = 2048, default = 430)]
    size: Option<u32>,
    /// Empty modules around the symbol of a PNG or SVG.
    #[param(minimum = 0, maximum = 16, default = 4)]
    margin: Option<u32>,
    /// The dark colour of a PNG or SVG: 3 or 6 hex digits.
    #[param(pattern = "^([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$", default = "000")]
    color: Option<String>,
    /// The light colour of a PNG or SVG: 3 or 6 hex digits, with a contrast of 3:1 at least.
    #[param(pattern = "^([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})$", default = "fff")]
    bg: Option<String>,
    /// The language of a page. The default is what `Accept-Language` says, else Chinese.
    #[param(pattern = "^(zh|en)$")]
    lang: Option<String>,
    /// When a signed link ends, in Unix seconds. Goes with `sig` only.
    #[param(minimum = 0)]
    exp: Option<i64>,
    /// The signature of the link: HMAC-SHA256, unpadded base64url.
    #[param(pattern = "^[A-Za-z0-9_-]{43}$")]
    sig: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::openapi::path::ParameterIn;

    use super::*;
    use crate::http::extract::query::OURS;

    #[test]
    fn the_document_has_every_parameter_of_a_code() {
        let described = CodeParams::into_params(|| Some(ParameterIn::Query));
        let names: BTreeSet<&str> = described.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, OURS.iter().copied().collect());
    }
}
