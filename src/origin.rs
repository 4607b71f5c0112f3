//! Keeps other web sites away from tools on a developer's machine: a host check against DNS
//! rebinding, and a same-origin check (`Origin`, Fetch Metadata) against cross-site requests.
//!
//! A browser sends its user's requests to `localhost` for any page that asks it to. Programs such
//! as curl and SDKs send neither `Origin` nor `Sec-Fetch-Site` and pass the second check. Read
//! [`TrustedHosts`] first.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, Uri, header};
use url::Url;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Refusals are logged at most this often: a page can send thousands of requests. Chosen.
const LOG_PAUSE: Duration = Duration::from_mins(1);

/// Top-level names that the public DNS does not delegate, so that a stranger can own no name below
/// them: those that RFC 6761 reserves, `.local` of RFC 6762 with the private ones of its appendix
/// G, and `.home.arpa` of RFC 8375.
const PRIVATE_SUFFIXES: [&str; 10] = [
    ".corp",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localhost",
    ".private",
    ".test",
];

/// The host names by which a tool may be called. Names that no stranger can rebind always may: IP
/// literals, names without a dot, as machines and containers have, and names below a suffix that no
/// public name has, such as `.local`. Clones share one list.
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

    /// Whether a request for a page or a control may be answered: called by a trusted name and, if
    /// a browser sent it, for a page of ours or for a reader who follows a link.
    fn judge(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let host = host_of(uri, headers)?;
        self.judge_host(host.as_ref())?;
        if is_same_origin(host.as_ref(), headers) || is_followed_link(method, headers) {
            Ok(())
        } else {
            Err(Foreign::Origin)
        }
    }

    /// The same for a call that programs make, by any name that they have for the host: only what
    /// has an `Origin`, so that a browser sent it, has to have a trusted name. A link is no
    /// program.
    fn judge_call(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let host = host_of(uri, headers)?;
        if headers.contains_key(header::ORIGIN) {
            self.judge_host(host.as_ref())?;
        }
        if is_same_origin(host.as_ref(), headers) {
            Ok(())
        } else {
            Err(Foreign::Origin)
        }
    }

    /// Without a host (HTTP/1.0) nothing can be rebound: every browser names one.
    fn judge_host(&self, host: Option<&Authority>) -> Result<(), Foreign> {
        if host.is_none_or(|host| self.contains(host.host())) {
            Ok(())
        } else {
            Err(Foreign::Host)
        }
    }

    fn contains(&self, host: &str) -> bool {
        let host = normalized(host);
        is_ip_literal(&host) || is_private_name(&host) || self.0.contains(&host)
    }
}

fn is_ip_literal(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.parse::<Ipv4Addr>().is_ok() || inner.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// A name without a dot, or below one of [`PRIVATE_SUFFIXES`]. One of digits is none: browsers read
/// it as an address.
fn is_private_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_plain)
    };
    let is_single = !host.contains('.') && !host.starts_with(|first: char| first.is_ascii_digit());
    host.split('.').all(is_label)
        && (is_single || PRIVATE_SUFFIXES.iter().any(|end| host.ends_with(end)))
}

/// Judges requests and logs those that it refuses, at most one a minute. Clones share the log's
/// pause.
#[derive(Debug, Clone)]
pub struct OriginGuard {
    hosts: TrustedHosts,
    log: Arc<Mutex<RefusalLog>>,
}

impl OriginGuard {
    /// `hosts` may be called by their names.
    pub fn new(hosts: TrustedHosts) -> Self {
        Self {
            hosts,
            log: Arc::default(),
        }
    }

    /// Judges a request for a page, a control or an answer that holds a key.
    ///
    /// # Errors
    /// [`Foreign`].
    pub fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let judged = self.hosts.judge(method, uri, headers);
        judged.inspect_err(|foreign| self.log(*foreign))
    }

    /// Judges a call that programs make by any name, such as WeChat's.
    ///
    /// # Errors
    /// [`Foreign`].
    pub fn check_call(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Foreign> {
        let judged = self.hosts.judge_call(uri, headers);
        judged.inspect_err(|foreign| self.log(*foreign))
    }

    fn log(&self, reason: Foreign) {
        let mut log = self.log.lock().expect("no one panics while holding it");
        if let Some(unlogged) = log.due(Instant::now()) {
            tracing::warn!(%reason, unlogged, "a request is refused; others within a minute are not logged");
        }
    }
}

/// When the last refusal was logged, and how many were not since.
#[derive(Debug, Default)]
struct RefusalLog {
    last: Option<Instant>,
    unlogged: u64,
}

impl RefusalLog {
    /// Counts a refusal. If it is to be logged, how many were not since the last that was.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now - last < LOG_PAUSE) {
            self.unlogged += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// Why a request is refused, in English and Chinese.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// The headers name several hosts, or something that is none.
    #[error("the Host header must be there once and name a host")]
    UnclearHost,
    /// DNS rebinding, or a name that nobody has set.
    #[error(
        "the Host header names a host that is not known here, as a rebound name of another web site would; accepted: IP \
         addresses, names without a dot, names that end in .localhost, .local, .internal, .lan, .home.arpa, .test and the \
         like, and the host of --public-url (WXQR_PUBLIC_URL for wxqr demo)"
    )]
    Host,
    /// A page of another origin made the browser send it.
    #[error(
        "another web site made the browser send this request (Origin, Sec-Fetch-Site); accepted: requests of this \
         address's own pages, and of programs, which send neither header"
    )]
    Origin,
}

impl Foreign {
    /// The reason in Chinese, without its full stop.
    pub fn zh(self) -> &'static str {
        match self {
            Self::UnclearHost => "请求头 Host 必须只有一个，并且是主机名",
            Self::Host => {
                "请求头 Host 中的域名在这里不认识，可能是其他网站用 DNS 重绑定发来的请求；可以使用：IP 地址、不含点的主机名、以 \
                 .localhost、.local、.internal、.lan、.home.arpa、.test 等结尾的内部域名，以及 --public-url（wxqr demo 用 \
                 WXQR_PUBLIC_URL）的域名"
            }
            Self::Origin => {
                "这个请求是其他网站让浏览器发来的（Origin、Sec-Fetch-Site）；可以使用：本地址自己的页面，以及不带这两个请求头的程序"
            }
        }
    }
}

/// The host that a request names; none where it names none (HTTP/1.0). An absolute request target
/// wins over the header (RFC 9112, section 3.2.2), and both must be sound.
fn host_of(uri: &Uri, headers: &HeaderMap) -> Result<Option<Authority>, Foreign> {
    let of_header = match only(headers, &header::HOST) {
        Some(host) => Some(host.parse().map_err(|_| Foreign::UnclearHost)?),
        None if headers.contains_key(header::HOST) => return Err(Foreign::UnclearHost),
        None => None,
    };
    let host = uri.authority().cloned().or(of_header);
    let is_plain = |host: &Authority| !host.as_str().contains('@') && !host.host().is_empty();
    if host.as_ref().is_none_or(is_plain) {
        Ok(host)
    } else {
        Err(Foreign::UnclearHost)
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
fn is_same_origin(host: Option<&Authority>, headers: &HeaderMap) -> bool {
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

    fn headers_of(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn judged(method: &str, lines: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let hosts = TrustedHosts::new(["Demo.example", "qr.example.com"]);
        let (method, uri) = (method.parse().unwrap(), "/".parse().unwrap());
        hosts.judge(&method, &uri, &headers_of(lines))
    }

    fn judged_call(lines: &[(&'static str, &str)]) -> Result<(), Foreign> {
        let hosts = TrustedHosts::new(["qr.example.com"]);
        hosts.judge_call(&"/".parse().unwrap(), &headers_of(lines))
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
            ("evil.example", Err(Foreign::Host)),
            ("evil.example:8081", Err(Foreign::Host)),
            ("127.0.0.1.evil.example", Err(Foreign::Host)),
            ("localhost.evil.example", Err(Foreign::Host)),
            ("evil.example.lan.example", Err(Foreign::Host)),
            ("evillan", Ok(())),
            ("evil.xlan", Err(Foreign::Host)),
            ("fritz.box", Err(Foreign::Host)),
            ("home.evil.arpa", Err(Foreign::Host)),
            (".lan", Err(Foreign::Host)),
            ("evil.example..lan", Err(Foreign::Host)),
            ("127.1", Err(Foreign::Host)),
            ("0x7f000001", Err(Foreign::Host)),
            ("evil.qr.example.com", Err(Foreign::Host)),
            ("2130706433", Err(Foreign::Host)),
            ("[evil]", Err(Foreign::Host)),
            ("localhost@evil.example", Err(Foreign::UnclearHost)),
            ("evil.example@localhost", Err(Foreign::UnclearHost)),
            ("local host", Err(Foreign::UnclearHost)),
            ("", Err(Foreign::UnclearHost)),
        ] {
            assert_eq!(judged("POST", &[("host", host)]), want, "{host:?}");
        }
        // HTTP/1.0, which no browser sends.
        assert_eq!(judged("POST", &[]), Ok(()));
        let no_host = [("origin", "http://localhost:8081")];
        assert_eq!(judged("POST", &no_host), Err(Foreign::Origin));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(judged("GET", &twice), Err(Foreign::UnclearHost));
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

    #[test]
    fn a_call_of_programs_may_use_any_name_and_a_page_of_another_origin_may_not_make_it() {
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
                Err(Foreign::Host),
            ),
            (
                &[("host", "localhost"), ("origin", "http://evil.example")],
                Err(Foreign::Origin),
            ),
            (
                &[("host", "localhost"), ("origin", "null")],
                Err(Foreign::Origin),
            ),
            (
                &[("host", "localhost"), ("sec-fetch-site", "cross-site")],
                Err(Foreign::Origin),
            ),
            (
                &[("host", "localhost"), ("sec-fetch-site", "same-site")],
                Err(Foreign::Origin),
            ),
            (
                &[
                    ("host", "localhost"),
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-mode", "navigate"),
                    ("sec-fetch-dest", "document"),
                ],
                Err(Foreign::Origin),
            ),
            (&[("host", "a"), ("host", "b")], Err(Foreign::UnclearHost)),
        ] {
            assert_eq!(judged_call(lines), want, "{lines:?}");
        }
    }

    #[test]
    fn a_refusal_is_logged_once_a_minute_and_the_others_are_counted() {
        let mut log = RefusalLog::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.due(at(0)), Some(0));
        assert_eq!(log.due(at(0)), None);
        assert_eq!(log.due(at(59)), None);
        assert_eq!(log.due(at(60)), Some(2));
        assert_eq!(log.due(at(61)), None);
        assert_eq!(log.due(at(500)), Some(1));
    }
}
