//! Refuses requests whose URI or headers are too large. The listener refuses what is far beyond
//! these limits, with a bare status.

use axum::extract::Request;
use axum::http::{HeaderMap, Uri};

use crate::http::i18n::message::Message;
use crate::http::problem::{ErrorCode, Problem};

/// The longest URI, in bytes: ours have less than 1 KiB, and campaigns add their own parameters.
const MAX_URI: usize = 8 * 1024;

/// All headers together, in bytes as HTTP/1.1 writes them: a browser sends the cookies of the whole
/// site along.
const MAX_HEADERS: usize = 16 * 1024;

/// Maximum size of a request's head, in bytes, beyond which the listener answers with a bare
/// status.
///
/// What is allowed above, with some room, so that a head that is a little too large gets a problem.
pub(crate) const MAX_HEAD: usize = MAX_URI + MAX_HEADERS + 1024;

/// Checks the URI and the headers against the limits.
///
/// # Errors
/// 414 or 431 for a request beyond the limits.
pub(crate) fn check(request: &Request) -> Result<(), Problem> {
    match exceeded(request.uri(), request.headers()) {
        Some(problem) => Err(problem),
        None => Ok(()),
    }
}

fn exceeded(uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
    if length_of(uri) > MAX_URI {
        let message = Message::new(
            format!("链接最长 {MAX_URI} 字节"),
            format!("the address may have {MAX_URI} bytes at most"),
        );
        return Some(Problem::new(ErrorCode::UriTooLong, message));
    }
    if size_of(headers) > MAX_HEADERS {
        let message = Message::new(
            format!("请求头（例如 Cookie）合计最多 {MAX_HEADERS} 字节"),
            format!("the headers, cookies among them, may have {MAX_HEADERS} bytes at most"),
        );
        return Some(Problem::new(ErrorCode::HeadersTooLarge, message));
    }
    None
}

fn length_of(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |host| host.as_str().len());
    path + authority
}

/// Includes the `: ` and the line break of each.
fn size_of(headers: &HeaderMap) -> usize {
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_uri_or_header_at_the_limit_is_accepted() {
        let uri =
            |length: usize| -> Uri { format!("/{}", "a".repeat(length - 1)).parse().unwrap() };
        let headers = |size: usize| {
            let value = HeaderValue::from_str(&"a".repeat(size - 5)).unwrap();
            HeaderMap::from_iter([("x".parse().unwrap(), value)])
        };
        for (uri, headers, want) in [
            (uri(MAX_URI), headers(MAX_HEADERS), None),
            (uri(MAX_URI + 1), headers(10), Some(ErrorCode::UriTooLong)),
            (
                uri(1),
                headers(MAX_HEADERS + 1),
                Some(ErrorCode::HeadersTooLarge),
            ),
        ] {
            let got = exceeded(&uri, &headers).map(|problem| problem.code);
            assert_eq!(got, want, "{} and {}", length_of(&uri), size_of(&headers));
        }
    }
}
