//! Paths without their trailing slash, before a router sees them.

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The URI without one trailing slash of its path; none where there is nothing to remove.
pub fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/')?;
    if path.is_empty() || path.ends_with('/') {
        return None;
    }
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_trailing_slash_is_removed() {
        for (uri, want) in [
            ("/callback/", Some("/callback")),
            (
                "/callback/?signature=1&nonce=2",
                Some("/callback?signature=1&nonce=2"),
            ),
            ("/wx/", Some("/wx")),
            (
                "http://wxqr:8080/callback/",
                Some("http://wxqr:8080/callback"),
            ),
            ("//api/account/", Some("//api/account")),
            ("/callback", None),
            ("/callback?a=/", None),
            ("/callback//", None),
            ("/", None),
            ("//", None),
            ("*", None),
        ] {
            let got = without_trailing_slash(&uri.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(got.as_deref(), want, "{uri}");
        }
    }
}
