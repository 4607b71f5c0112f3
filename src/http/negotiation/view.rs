//! The negotiated representation and language of a response, errors included. It never fails: what
//! cannot be parsed counts as absent.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, Uri, header};

use crate::form;
use crate::http::i18n::lang::Lang;
use crate::http::negotiation::format::Format;
use crate::http::negotiation::language::preferred;

/// The representation and language of a response, and which headers decided them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    pub(crate) format: Format,
    pub(crate) fragment: bool,
    pub(crate) lang: Lang,
    by_accept: bool,
    by_accept_language: bool,
}

impl View {
    /// The path's extension wins over `format`, and that over `Accept`; `lang` wins over
    /// `Accept-Language`. At `/callback` and below `/api`, where programs call, it is always JSON.
    /// `base_path` is the path of the public URL.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap, base_path: &str) -> Self {
        if is_for_programs(uri.path(), base_path) {
            return Self {
                format: Format::Json,
                fragment: false,
                lang: Lang::En,
                by_accept: false,
                by_accept_language: false,
            };
        }
        let raw = uri.query().unwrap_or_default();
        let [format, lang, fragment] = first_of(raw, ["format", "lang", "fragment"]);
        let named = extension(uri.path())
            .map(Cow::Borrowed)
            .or(format)
            .and_then(|text| text.parse().ok());
        let spoken = lang.and_then(|text| text.parse().ok());
        let fragment = fragment.as_deref() == Some("1");
        // The element is HTML, whatever the caller takes besides.
        let named = named.or(fragment.then_some(Format::Html));
        Self {
            format: named.unwrap_or_else(|| Format::from_accept(&all(headers, header::ACCEPT))),
            fragment,
            lang: spoken.unwrap_or_else(|| preferred(text(headers, header::ACCEPT_LANGUAGE))),
            by_accept: named.is_none(),
            by_accept_language: spoken.is_none(),
        }
    }

    /// The `lang` parameter for links to other pages, if the request has one.
    pub(crate) fn lang_pair(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let pair = ("lang", self.lang.pick("zh", "en"));
        (!self.by_accept_language).then_some(pair).into_iter()
    }

    /// The `Vary` header: what the response depends on.
    pub(crate) fn vary(self) -> Option<HeaderValue> {
        let by_language = self.by_accept_language && self.format == Format::Html;
        match (self.by_accept, by_language) {
            (true, true) => Some(HeaderValue::from_static("accept, accept-language")),
            (true, false) => Some(HeaderValue::from_static("accept")),
            (false, true) => Some(HeaderValue::from_static("accept-language")),
            (false, false) => None,
        }
    }

    /// Like [`Self::vary`], for a page that has no other representation.
    pub(crate) fn vary_of_a_page(self) -> Option<HeaderValue> {
        self.by_accept_language
            .then(|| HeaderValue::from_static("accept-language"))
    }
}

/// Whether the path is `/callback`, or `/api` or below it, with or without the public URL's path.
/// If that path itself begins with `/api`, only what follows it counts.
fn is_for_programs(path: &str, base_path: &str) -> bool {
    let leads_to_api =
        |path: &str| matches!(path, "/api" | "/callback") || path.starts_with("/api/");
    match path.strip_prefix(base_path) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => leads_to_api(rest),
        _ => leads_to_api(path),
    }
}

/// Whether the last path segment is `qrcode`, with an extension or without.
pub(crate) fn is_code_path(path: &str) -> bool {
    let segment = path.rsplit('/').next().unwrap_or_default();
    segment.split('.').next() == Some("qrcode")
}

/// What follows the dot of the last path segment.
fn extension(path: &str) -> Option<&str> {
    let (_, segment) = path.rsplit_once('/')?;
    segment.rsplit_once('.').map(|(_, extension)| extension)
}

/// The first value of each of these parameters, decoded; none if it is absent or not UTF-8.
fn first_of<'q, const N: usize>(raw: &'q str, names: [&str; N]) -> [Option<Cow<'q, str>>; N] {
    let mut values = [None; N];
    for (name, value) in form::pieces(raw) {
        let Ok(name) = form::decoded(name) else {
            continue;
        };
        if let Some(n) = names.iter().position(|known| *known == name) {
            values[n].get_or_insert(value);
        }
    }
    values.map(|value| form::decoded(value?).ok())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Joins all lines of a list header.
fn all(headers: &HeaderMap, name: header::HeaderName) -> String {
    let lines = headers.get_all(name).into_iter();
    let lines: Vec<&str> = lines.filter_map(|value| value.to_str().ok()).collect();
    lines.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extension_over_format_over_accept() {
        for (uri, accept, format, vary) in [
            (
                "/qrcode.png?scene_id=1&format=json&lang=en",
                "text/html",
                Format::Png,
                None,
            ),
            ("/qrcode?format=json", "text/html", Format::Json, None),
            (
                "/base/qrcode?scene_id=1",
                "image/png",
                Format::Png,
                Some("accept"),
            ),
            (
                "/qrcode?scene_id=1",
                "",
                Format::Html,
                Some("accept, accept-language"),
            ),
            ("/qrcode?lang=en", "", Format::Html, Some("accept")),
            (
                "/qrcode.html",
                "application/json",
                Format::Html,
                Some("accept-language"),
            ),
            (
                "/qrcode?scene_id=1&fragment=1",
                "image/avif,image/webp,*/*",
                Format::Html,
                Some("accept-language"),
            ),
            (
                "/qrcode?format=gif",
                "application/json",
                Format::Json,
                Some("accept"),
            ),
            (
                "/api/codes?format=html&fragment=1",
                "text/html",
                Format::Json,
                None,
            ),
            ("/base/api/nothing", "text/html", Format::Json, None),
            ("/callback?echostr=1", "text/html", Format::Json, None),
            (
                "/apis",
                "text/html",
                Format::Html,
                Some("accept, accept-language"),
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            let view = View::of(&uri.parse().unwrap(), &headers, "/base");
            assert_eq!(view.format, format, "{uri} with Accept: {accept}");
            assert_eq!(
                view.vary().as_ref().map(|v| v.to_str().unwrap()),
                vary,
                "{uri} with Accept: {accept}"
            );
        }
    }

    #[test]
    fn the_first_value_of_a_parameter_counts() {
        for (query, format, lang, fragment) in [
            ("format=json&format=png", Format::Json, Lang::Zh, false),
            ("%66ormat=json&l%61ng=en", Format::Json, Lang::En, false),
            ("%FF=1&format=json&lang=en", Format::Json, Lang::En, false),
            ("format=%FF&format=json", Format::Html, Lang::Zh, false),
            ("fragment=1&lang=en&lang=zh", Format::Html, Lang::En, true),
            ("fragment=0&fragment=1&lang", Format::Html, Lang::Zh, false),
        ] {
            let uri = format!("/qrcode?{query}").parse().unwrap();
            let view = View::of(&uri, &HeaderMap::new(), "");
            let got = (view.format, view.lang, view.fragment);
            assert_eq!(got, (format, lang, fragment), "{query}");
        }
    }

    #[test]
    fn a_public_url_may_itself_lie_below_api() {
        for (path, base_path, want) in [
            ("/api/codes", "", true),
            ("/api", "", true),
            ("/apis/codes", "", false),
            ("/qrcode", "", false),
            ("/wx/api/codes", "/wx", true),
            ("/api/codes", "/wx", true),
            ("/wxapi/codes", "/wx", false),
            ("/api/qrcode", "/api", false),
            ("/api/", "/api", false),
            ("/api/api/codes", "/api", true),
        ] {
            let got = is_for_programs(path, base_path);
            assert_eq!(got, want, "{path} with the base path {base_path:?}");
        }
    }
}
