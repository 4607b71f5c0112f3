//! Checks of a parsed head that hyper leaves to its user: RFC 9112, 3.2 and 6.1, taken strictly.

use std::net::Ipv6Addr;

use axum::http::header::{HOST, TRANSFER_ENCODING};
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderValue, Uri, Version};

use super::ambiguity::Ambiguity;

/// Checks a head for an ambiguous body length or host.
///
/// # Errors
/// The first ambiguity.
pub(crate) fn check(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Ambiguity> {
    check_transfer_encoding(headers)?;
    check_scheme(uri)?;
    let host = host(version, headers)?;
    match (uri.authority(), host) {
        (Some(target), Some(host)) if !is_same(target, &host, default_port(uri)) => {
            Err(Ambiguity::Authority)
        }
        _ => Ok(()),
    }
}

/// Accepts the schemes that are served. A proxy may route another one elsewhere.
fn check_scheme(uri: &Uri) -> Result<(), Ambiguity> {
    match uri.scheme() {
        Some(scheme) if ![Scheme::HTTP, Scheme::HTTPS].contains(scheme) => Err(Ambiguity::Scheme),
        _ => Ok(()),
    }
}

/// Accepts `chunked` alone; hyper accepts any list that ends in it, and ignores the rest.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Ambiguity> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(()),
        (Some(line), None) if line.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Ambiguity::TransferEncoding),
    }
}

/// Returns the only `Host`. HTTP/1.0 may do without, as old health checks do.
fn host(version: Version, headers: &HeaderMap) -> Result<Option<HostPort>, Ambiguity> {
    let mut lines = headers.get_all(HOST).iter();
    match (lines.next(), lines.next()) {
        (None, _) if version < Version::HTTP_11 => Ok(None),
        (Some(line), None) => HostPort::parse(line).map(Some).ok_or(Ambiguity::Host),
        _ => Err(Ambiguity::Hosts),
    }
}

/// A host and port in a spelling that all parsers read alike.
#[derive(Debug, PartialEq, Eq)]
struct HostPort {
    /// In lower case; an IPv6 address in its brackets.
    host: String,
    port: Option<u16>,
}

impl HostPort {
    fn parse(value: &HeaderValue) -> Option<Self> {
        Self::parse_text(value.to_str().ok()?)
    }

    /// Parses a host and port, more strictly than RFC 3986, which allows `!$&'()*+,;=` and `%HH` in
    /// a name too: no host in use has any.
    fn parse_text(text: &str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (host, port) = text.split_at(end);
        let is_host = match host.strip_prefix('[') {
            Some(address) => address.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(is_of_a_name),
        };
        is_host.then_some(Self {
            host: host.to_ascii_lowercase(),
            port: port_of(port)?,
        })
    }
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Parses the port behind a host. An absent or empty one is `Some(None)`, a malformed one `None`.
#[expect(
    clippy::option_option,
    reason = "a port that is wrong, one that is absent, and a port"
)]
fn port_of(text: &str) -> Option<Option<u16>> {
    match text.strip_prefix(':') {
        None if text.is_empty() => Some(None),
        Some("") => Some(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().map(Some)
        }
        _ => None,
    }
}

/// Returns the port of a target that names none.
fn default_port(uri: &Uri) -> u16 {
    if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    }
}

/// Compares a target's authority with `Host`. One with user information equals none.
fn is_same(target: &Authority, host: &HostPort, default_port: u16) -> bool {
    let Some(target) = HostPort::parse_text(target.as_str()) else {
        return false;
    };
    let port = |named: &HostPort| named.port.unwrap_or(default_port);
    target.host == host.host && port(&target) == port(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_target_has_a_scheme_that_is_served() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("a"));
        for (target, want) in [
            ("/healthz", Ok(())),
            ("http://a/healthz", Ok(())),
            ("HTTPS://a/healthz", Ok(())),
            ("ftp://a/healthz", Err(Ambiguity::Scheme)),
            ("ws://a/healthz", Err(Ambiguity::Scheme)),
            ("httpx://a/healthz", Err(Ambiguity::Scheme)),
        ] {
            let got = check(Version::HTTP_11, &target.parse().unwrap(), &headers);
            assert_eq!(got, want, "{target}");
        }
    }

    #[test]
    fn host_is_a_name_or_an_address_with_an_optional_port() {
        for (text, want) in [
            ("example.com", true),
            ("EXAMPLE.com.", true),
            ("localhost:8080", true),
            ("my_service-1", true),
            ("127.0.0.1:80", true),
            ("[::1]", true),
            ("[2001:db8::1]:8080", true),
            ("xn--fiq228c.cn", true),
            ("example.com:", true),
            ("", false),
            (":80", false),
            ("a b", false),
            ("a,b", false),
            ("a/b", false),
            ("a?b", false),
            ("a#b", false),
            ("a\\b", false),
            ("a@b", false),
            ("a%20b", false),
            ("http://a", false),
            ("a:80:80", false),
            ("a:65536", false),
            ("a:+80", false),
            ("a:8 0", false),
            ("::1", false),
            ("[::1", false),
            ("[::1]a", false),
            ("[a]", false),
            ("[fe80::1%25eth0]", false),
            ("例.cn", false),
        ] {
            assert_eq!(HostPort::parse_text(text).is_some(), want, "{text:?}");
        }
    }
}
