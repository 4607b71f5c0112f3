//! Keeps other web sites away from tools on a developer's machine: a host check against DNS rebinding, and a same-origin
//! check (`Origin`, Fetch Metadata) against cross-site requests.
//!
//! A browser sends its user's requests to `localhost` for any page that asks it to. Programs such as curl and SDKs send
//! neither `Origin` nor `Sec-Fetch-Site` and pass the second check. Read [`TrustedHosts`] first.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use url::Url;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// The host names by which a tool may be called. IP literals, `localhost` and `*.localhost` always may: DNS has no say in
/// them, so no name of a stranger's can be rebound to them. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct TrustedHosts(Arc<[String]>);

impl TrustedHosts {
    /// Those names, without ports, in any case.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(
            names
                .into_iter()
                .map(|name| normalized(name.as_ref()))
                .collect(),
        )
    }

    /// The host of a URL; none if it has no host, or is no URL.
    pub fn of_url(url: &str) -> Self {
        let url = Url::parse(url).ok();
        Self::new(url.as_ref().and_then(Url::host_str))
    }

    /// Those, and these names.
    #[must_use]
    pub fn and(&self, names: &[&str]) -> Self {
        Self::new(
            self.0
                .iter()
                .map(String::as_str)
                .chain(names.iter().copied()),
        )
    }

    /// Whether a request may be answered: called by a trusted name and, if a browser sent it, for a page of ours or for a
    /// reader who follows a link.
    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let host = host_of(uri, headers).ok_or(Foreign::NoHost)?;
        if !self.contains(host.host()) {
            return Err(Foreign::Host);
        }
        if is_same_origin(&host, headers) || is_followed_link(method, headers) {
            Ok(())
        } else {
            Err(Foreign::Origin)
        }
    }

    fn contains(&self, host: &str) -> bool {
        let host = normalized(host);
        let is_v6 = |host: &str| {
            let inner = host
                .strip_prefix('[')
                .and_then(|host| host.strip_suffix(']'));
            inner.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
        };
        host.parse::<Ipv4Addr>().is_ok()
            || is_v6(&host)
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.0.contains(&host)
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Foreign {
    /// None, several, or something that names no host.
    #[error("the request must have one Host header that names a host")]
    NoHost,
    /// DNS rebinding, or a name that nobody has set.
    #[error(
        "the Host header names a host that is not known here, as a rebound name of another web site would; accepted: IP \
         addresses, localhost, *.localhost, and the host of --public-url (WXQR_PUBLIC_URL for wxqr demo)"
    )]
    Host,
    /// A page of another origin made the browser send it.
    #[error(
        "another web site made the browser send this request (Origin, Sec-Fetch-Site); accepted: requests of this \
         address's own pages, and of programs, which send neither header"
    )]
    Origin,
}

/// Layer before routes that change something or show a key: answers 403 with `{"error"}` to what another web site asks.
pub async fn refuse_foreign(
    State(hosts): State<TrustedHosts>,
    request: Request,
    next: Next,
) -> Response {
    match hosts.judge(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => {
            tracing::warn!(reason = %foreign, "a request of another web site is refused");
            let error = Json(json!({ "error": foreign.to_string() }));
            let never_stored = [(header::CACHE_CONTROL, "no-store")];
            (StatusCode::FORBIDDEN, never_stored, error).into_response()
        }
    }
}

/// An absolute request target wins over the header (RFC 9112, section 3.2.2), and both must be sound.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let header: Authority = only(headers, &header::HOST)?.parse().ok()?;
    let host = uri.authority().cloned().unwrap_or(header);
    let is_plain = !host.as_str().contains('@') && !host.host().is_empty();
    is_plain.then_some(host)
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether no page, or a page of the same origin, sent the request. The scheme is not compared: a proxy may have ended TLS.
fn is_same_origin(host: &Authority, headers: &HeaderMap) -> bool {
    let of_same_site = match only(headers, &FETCH_SITE) {
        Some(site) => ["same-origin", "none"].contains(&site),
        None => !headers.contains_key(&FETCH_SITE),
    };
    let of_same_origin = match only(headers, &header::ORIGIN) {
        Some(origin) => is_origin_of(origin, host),
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

/// Whether a reader follows a link to a page, as from a README: the other site sees nothing of the answer.
fn is_followed_link(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && !headers.contains_key(header::ORIGIN)
        && only(headers, &FETCH_MODE) == Some("navigate")
        && only(headers, &FETCH_DEST) == Some("document")
}

/// In lower case, without the dot of the DNS root.
fn normalized(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(method: &str, lines: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let hosts = TrustedHosts::new(["Demo", "qr.example.com"]);
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        hosts.judge(&method.parse().unwrap(), &"/".parse().unwrap(), &headers)
    }

    #[test]
    fn a_name_that_dns_can_rebind_is_refused_unless_it_is_set() {
        for (host, want) in [
            ("127.0.0.1:8081", Ok(())),
            ("127.0.0.1", Ok(())),
            ("0.0.0.0:8081", Ok(())),
            ("192.168.1.5:8081", Ok(())),
            ("[::1]:8081", Ok(())),
            ("[fe80::1]", Ok(())),
            ("localhost:8081", Ok(())),
            ("LOCALHOST", Ok(())),
            ("localhost.", Ok(())),
            ("app.localhost:8081", Ok(())),
            ("demo:8080", Ok(())),
            ("QR.example.com", Ok(())),
            ("qr.example.com.:443", Ok(())),
            ("evil.example", Err(Foreign::Host)),
            ("evil.example:8081", Err(Foreign::Host)),
            ("127.0.0.1.evil.example", Err(Foreign::Host)),
            ("localhost.evil.example", Err(Foreign::Host)),
            ("evillocalhost", Err(Foreign::Host)),
            ("evil.qr.example.com", Err(Foreign::Host)),
            ("2130706433", Err(Foreign::Host)),
            ("[evil]", Err(Foreign::Host)),
            ("localhost@evil.example", Err(Foreign::NoHost)),
            ("evil.example@localhost", Err(Foreign::NoHost)),
            ("local host", Err(Foreign::NoHost)),
            ("", Err(Foreign::NoHost)),
        ] {
            assert_eq!(judged("POST", &[("host", host)]), want, "{host:?}");
        }
        assert_eq!(judged("GET", &[]), Err(Foreign::NoHost));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(judged("GET", &twice), Err(Foreign::NoHost));
    }

    #[test]
    fn a_page_of_another_origin_is_refused_and_a_program_is_not() {
        let host = ("host", "localhost:8081");
        for (origin, want) in [
            ("http://localhost:8081", true),
            ("https://LOCALHOST:8081", true),
            ("http://localhost:3000", false),
            ("http://localhost", false),
            ("http://127.0.0.1:8081", false),
            ("http://evil.example", false),
            ("http://localhost:8081.evil.example", false),
            ("ftp://localhost:8081", false),
            ("chrome-extension://localhost:8081", false),
            ("null", false),
            ("", false),
        ] {
            let want = if want { Ok(()) } else { Err(Foreign::Origin) };
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let got = judged(method, &[host, ("origin", origin)]);
                assert_eq!(got, want, "{method} {origin:?}");
            }
        }
        for (site, want) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", Err(Foreign::Origin)),
            ("cross-site", Err(Foreign::Origin)),
            ("what", Err(Foreign::Origin)),
        ] {
            let got = judged("POST", &[host, ("sec-fetch-site", site)]);
            assert_eq!(got, want, "{site}");
        }
        let port_80 = [("host", "localhost"), ("origin", "http://localhost:80")];
        assert_eq!(judged("POST", &port_80), Ok(()));
        let twice = [
            host,
            ("origin", "http://localhost:8081"),
            ("origin", "http://evil.example"),
        ];
        assert_eq!(judged("POST", &twice), Err(Foreign::Origin));
    }

    #[test]
    fn a_link_from_elsewhere_may_be_followed_and_no_more() {
        let followed = [
            ("host", "localhost:8081"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(judged("GET", &followed), Ok(()));
        assert_eq!(judged("POST", &followed), Err(Foreign::Origin));
        let framed = [
            followed[0],
            followed[1],
            followed[2],
            ("sec-fetch-dest", "iframe"),
        ];
        assert_eq!(judged("GET", &framed), Err(Foreign::Origin));
        let fetched = [
            followed[0],
            followed[1],
            ("sec-fetch-mode", "no-cors"),
            followed[3],
        ];
        assert_eq!(judged("GET", &fetched), Err(Foreign::Origin));
        let mut rebound = followed;
        rebound[0] = ("host", "evil.example");
        assert_eq!(judged("GET", &rebound), Err(Foreign::Host));
    }
}
