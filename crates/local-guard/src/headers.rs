//! What the headers of a request say about who sent it: `Host`, `Origin`, Fetch Metadata.

use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Uri, header};
use url::Url;

use crate::error::ForeignRequest;
use crate::hosts::normalized;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The host that a request names; none where it names none (HTTP/1.0). An absolute request target
/// wins over the header (RFC 9112, section 3.2.2), and both must be sound.
pub(crate) fn host_of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, ForeignRequest> {
    let of_header = match only(headers, &header::HOST) {
        Some(host) => Some(host.parse().map_err(|_| ForeignRequest::AmbiguousHost)?),
        None if headers.contains_key(header::HOST) => return Err(ForeignRequest::AmbiguousHost),
        None => None,
    };
    let host = uri.authority().cloned().or(of_header);
    let is_plain = |host: &Authority| !host.as_str().contains('@') && !host.host().is_empty();
    if host.as_ref().is_none_or(is_plain) {
        Ok(host)
    } else {
        Err(ForeignRequest::AmbiguousHost)
    }
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether no page, or a page of the same origin, sent the request. The scheme is not compared: a
/// proxy may have ended TLS.
pub(crate) fn is_same_origin(host: Option<&Authority>, headers: &HeaderMap) -> bool {
    let of_same_site = match only(headers, &FETCH_SITE) {
        Some(site) => ["same-origin", "none"].contains(&site),
        None => !headers.contains_key(&FETCH_SITE),
    };
    let of_same_origin = match only(headers, &header::ORIGIN) {
        Some(origin) => host.is_some_and(|host| is_origin_of(origin, host)),
        None => !headers.contains_key(header::ORIGIN),
    };
    of_same_site && of_same_origin
}

fn is_origin_of(origin: &str, host: &Authority) -> bool {
    // `null` is what a page of no origin has, a sandboxed frame among them.
    let Ok(origin) = Url::parse(origin) else {
        return false;
    };
    let default_port = match origin.scheme() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let is_host = |name: &str| normalized(name) == normalized(host.host());
    origin.host_str().is_some_and(is_host)
        && origin.port_or_known_default() == Some(host.port_u16().unwrap_or(default_port))
}

/// Whether a reader follows a link to a page, as from a README: the other site sees nothing of the
/// answer.
pub(crate) fn is_followed_link(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && !headers.contains_key(header::ORIGIN)
        && only(headers, &FETCH_MODE) == Some("navigate")
        && only(headers, &FETCH_DEST) == Some("document")
}
