//! The two checks: one for pages and controls, one for calls that programs make.

use http::{HeaderMap, Method, Uri, header};

use crate::error::ForeignRequest;
use crate::headers::{host_of, is_followed_link, is_same_origin};
use crate::hosts::TrustedHosts;

/// Accepts a request by a trusted host name, from a program, a page of the same origin, or a reader
/// who follows a link.
pub(crate) fn page(
    hosts: &TrustedHosts,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), ForeignRequest> {
    let host = host_of(uri, headers)?;
    hosts.check(host.as_ref())?;
    if is_same_origin(host.as_ref(), headers) || is_followed_link(method, headers) {
        Ok(())
    } else {
        Err(ForeignRequest::CrossOrigin)
    }
}

/// Accepts a call from a program by any host name. One with an `Origin`, which a browser sent,
/// needs a trusted name; a followed link is no call.
pub(crate) fn call(
    hosts: &TrustedHosts,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), ForeignRequest> {
    let host = host_of(uri, headers)?;
    if headers.contains_key(header::ORIGIN) {
        hosts.check(host.as_ref())?;
    }
    if is_same_origin(host.as_ref(), headers) {
        Ok(())
    } else {
        Err(ForeignRequest::CrossOrigin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTING: &str = "--public-url";
    const UNKNOWN_HOST: Result<(), ForeignRequest> =
        Err(ForeignRequest::UnknownHost { setting: SETTING });

    fn headers_of(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn checked(method: &str, lines: &[(&'static str, &str)]) -> Result<(), ForeignRequest> {
        let hosts = TrustedHosts::new(["Demo.example", "qr.example.com"], SETTING);
        let (method, uri) = (method.parse().unwrap(), "/".parse().unwrap());
        page(&hosts, &method, &uri, &headers_of(lines))
    }

    fn checked_call(lines: &[(&'static str, &str)]) -> Result<(), ForeignRequest> {
        let hosts = TrustedHosts::new(["qr.example.com"], SETTING);
        call(&hosts, &"/".parse().unwrap(), &headers_of(lines))
    }

    #[test]
    fn dns_rebinding_is_refused_unless_the_name_is_configured() {
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
            ("demo.example:8080", Ok(())),
            // No stranger owns such a name.
            ("demo:8080", Ok(())),
            ("Sandbox:8081", Ok(())),
            ("my_service-1", Ok(())),
            ("evillocalhost", Ok(())),
            ("mybox.lan:18086", Ok(())),
            ("mybox.LAN.", Ok(())),
            ("host.docker.internal:8081", Ok(())),
            ("mac.local", Ok(())),
            ("nas.home.arpa", Ok(())),
            ("nas.home", Ok(())),
            ("wechat.test", Ok(())),
            ("a.b.corp", Ok(())),
            ("QR.example.com", Ok(())),
            ("qr.example.com.:443", Ok(())),
            ("evil.example", UNKNOWN_HOST),
            ("evil.example:8081", UNKNOWN_HOST),
            ("127.0.0.1.evil.example", UNKNOWN_HOST),
            ("localhost.evil.example", UNKNOWN_HOST),
            ("evil.example.lan.example", UNKNOWN_HOST),
            ("evillan", Ok(())),
            ("evil.xlan", UNKNOWN_HOST),
            ("fritz.box", UNKNOWN_HOST),
            ("home.evil.arpa", UNKNOWN_HOST),
            (".lan", UNKNOWN_HOST),
            ("evil.example..lan", UNKNOWN_HOST),
            ("127.1", UNKNOWN_HOST),
            ("0x7f000001", UNKNOWN_HOST),
            ("evil.qr.example.com", UNKNOWN_HOST),
            ("2130706433", UNKNOWN_HOST),
            ("[evil]", UNKNOWN_HOST),
            ("localhost@evil.example", Err(ForeignRequest::AmbiguousHost)),
            ("evil.example@localhost", Err(ForeignRequest::AmbiguousHost)),
            ("local host", Err(ForeignRequest::AmbiguousHost)),
            ("", Err(ForeignRequest::AmbiguousHost)),
        ] {
            assert_eq!(checked("POST", &[("host", host)]), want, "{host:?}");
        }
        // HTTP/1.0, which no browser sends.
        assert_eq!(checked("POST", &[]), Ok(()));
        let no_host = [("origin", "http://localhost:8081")];
        assert_eq!(checked("POST", &no_host), Err(ForeignRequest::CrossOrigin));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(checked("GET", &twice), Err(ForeignRequest::AmbiguousHost));
    }

    #[test]
    fn a_cross_origin_page_is_refused_and_a_program_is_not() {
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
            let want = if want {
                Ok(())
            } else {
                Err(ForeignRequest::CrossOrigin)
            };
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let got = checked(method, &[host, ("origin", origin)]);
                assert_eq!(got, want, "{method} {origin:?}");
            }
        }
        for (site, want) in [
            ("same-origin", Ok(())),
            ("none", Ok(())),
            ("same-site", Err(ForeignRequest::CrossOrigin)),
            ("cross-site", Err(ForeignRequest::CrossOrigin)),
            ("what", Err(ForeignRequest::CrossOrigin)),
        ] {
            let got = checked("POST", &[host, ("sec-fetch-site", site)]);
            assert_eq!(got, want, "{site}");
        }
        let port_80 = [("host", "localhost"), ("origin", "http://localhost:80")];
        assert_eq!(checked("POST", &port_80), Ok(()));
        let twice = [
            host,
            ("origin", "http://localhost:8081"),
            ("origin", "http://evil.example"),
        ];
        assert_eq!(checked("POST", &twice), Err(ForeignRequest::CrossOrigin));
    }

    #[test]
    fn a_cross_site_link_may_be_followed_and_no_more() {
        let followed = [
            ("host", "localhost:8081"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(checked("GET", &followed), Ok(()));
        assert_eq!(checked("POST", &followed), Err(ForeignRequest::CrossOrigin));
        let framed = [
            followed[0],
            followed[1],
            followed[2],
            ("sec-fetch-dest", "iframe"),
        ];
        assert_eq!(checked("GET", &framed), Err(ForeignRequest::CrossOrigin));
        let fetched = [
            followed[0],
            followed[1],
            ("sec-fetch-mode", "no-cors"),
            followed[3],
        ];
        assert_eq!(checked("GET", &fetched), Err(ForeignRequest::CrossOrigin));
        let mut rebound = followed;
        rebound[0] = ("host", "evil.example");
        assert_eq!(checked("GET", &rebound), UNKNOWN_HOST);
    }

    #[test]
    fn a_call_may_use_any_host_name_but_no_cross_origin_page_may_make_it() {
        let (wechat, rebound) = ("api.weixin.qq.com", "evil.example:8081");
        for (lines, want) in [
            (&[("host", wechat)][..], Ok(())),
            (&[("host", rebound)], Ok(())),
            (&[], Ok(())),
            (
                &[("host", "localhost"), ("origin", "http://localhost")],
                Ok(()),
            ),
            (&[("host", "localhost"), ("sec-fetch-site", "none")], Ok(())),
            (
                &[("host", rebound), ("origin", "http://evil.example:8081")],
                UNKNOWN_HOST,
            ),
            (
                &[("host", "localhost"), ("origin", "http://evil.example")],
                Err(ForeignRequest::CrossOrigin),
            ),
            (
                &[("host", "localhost"), ("origin", "null")],
                Err(ForeignRequest::CrossOrigin),
            ),
            (
                &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
                Err(ForeignRequest::CrossOrigin),
            ),
            (
                &[("host", "localhost"), ("sec-fetch-site", "same-site")],
                Err(ForeignRequest::CrossOrigin),
            ),
            (
                &[
                    ("host", "localhost"),
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                Err(ForeignRequest::CrossOrigin),
            ),
            (
                &[("host", "a"), ("host", "b")],
                Err(ForeignRequest::AmbiguousHost),
            ),
        ] {
            assert_eq!(checked_call(lines), want, "{lines:?}");
        }
    }
}
