//! How large a request may be. The listener refuses what is far beyond these bounds, with a bare status.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::i18n::message::Message;
use crate::http::problem::{Code, Problem};
use crate::listen::{ByteBudget, HeldBody, ReadError};

/// The longest address, in bytes: ours have less than one KiB, and campaigns add their own parameters.
const MAX_URI: usize = 8 * 1024;

/// All headers together, in bytes as HTTP/1.1 writes them: a browser brings the cookies of the whole site along.
const MAX_HEADERS: usize = 16 * 1024;

/// Refuses an address or headers that are too large.
pub(crate) async fn check(request: Request, next: Next) -> Response {
    match refusal(request.uri(), request.headers()) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    }
}

fn refusal(uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
    if length_of(uri) > MAX_URI {
        let message = Message::new(
            format!("链接最长 {MAX_URI} 字节"),
            format!("the address may have {MAX_URI} bytes at most"),
        );
        return Some(Problem::new(Code::UriTooLong, message));
    }
    if size_of(headers) > MAX_HEADERS {
        let message = Message::new(
            format!("请求头（例如 Cookie）合计最多 {MAX_HEADERS} 字节"),
            format!("the headers, cookies among them, may have {MAX_HEADERS} bytes at most"),
        );
        return Some(Problem::new(Code::HeadersTooLarge, message));
    }
    None
}

fn length_of(uri: &Uri) -> usize {
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let authority = uri.authority().map_or(0, |host| host.as_str().len());
    path + authority
}

/// With the `: ` and the line break of each.
fn size_of(headers: &HeaderMap) -> usize {
    let sizes = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    sizes.sum()
}

/// Reads a body of at most `most` bytes, on a budget that bodies of its kind share. One that says beforehand that it is
/// longer is not read at all.
///
/// # Errors
/// `too_large` if it is longer, `invalid_body` if it ends early or breaks the protocol, `overloaded` if it made room for
/// others. Cancel safe: who leaves takes the connection along.
pub(crate) async fn read_body(
    body: Body,
    most: usize,
    budget: &ByteBudget,
) -> Result<HeldBody, Problem> {
    let read = HeldBody::read(body, most, budget).await;
    read.map_err(|error| match error {
        ReadError::TooLarge => {
            let message = Message::new(
                format!("请求内容最多 {most} 字节"),
                format!("the body may have {most} bytes at most"),
            );
            Problem::new(Code::TooLarge, message)
        }
        ReadError::BrokenOff => broken_off(),
        ReadError::Crowded => Problem::overloaded(),
    })
}

pub(crate) fn broken_off() -> Problem {
    let message = Message::new("请求内容不完整", "the body did not come to its end");
    Problem::new(Code::InvalidBody, message)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn what_fits_exactly_is_taken() {
        let uri =
            |length: usize| -> Uri { format!("/{}", "a".repeat(length - 1)).parse().unwrap() };
        let headers = |size: usize| {
            let value = HeaderValue::from_str(&"a".repeat(size - 5)).unwrap();
            HeaderMap::from_iter([("x".parse().unwrap(), value)])
        };
        for (uri, headers, want) in [
            (uri(MAX_URI), headers(MAX_HEADERS), None),
            (uri(MAX_URI + 1), headers(10), Some(Code::UriTooLong)),
            (
                uri(1),
                headers(MAX_HEADERS + 1),
                Some(Code::HeadersTooLarge),
            ),
        ] {
            let got = refusal(&uri, &headers).map(|problem| problem.code);
            assert_eq!(got, want, "{} and {}", length_of(&uri), size_of(&headers));
        }
    }
}
