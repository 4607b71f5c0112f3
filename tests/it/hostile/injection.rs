//! Strangers end a line where one is not meant to end, and say that they come by another host.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures_util::stream::{self, StreamExt as _};

use crate::support::app::TestApp;
use crate::support::figures::{Figures, grouped, sized};
use crate::support::keys;
use crate::support::raw::{RawAnswer, send};

/// How many requests are under way at once.
const ABREAST: usize = 16;

/// All headers that the service ever sends.
const OURS: &[&str] = &[
    "access-control-allow-methods",
    "access-control-allow-origin",
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-length",
    "content-security-policy",
    "content-type",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "location",
    "referrer-policy",
    "retry-after",
    "transfer-encoding",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-request-id",
];

/// Parameters of `/qrcode`, and one that it ignores.
const PARAMETERS: &[&str] = &[
    "scene_id",
    "scene_str",
    "permanent",
    "expire_seconds",
    "format",
    "fragment",
    "size",
    "margin",
    "color",
    "bg",
    "lang",
    "exp",
    "sig",
    "utm_source",
];

const PATHS: &[&str] = &[
    "/",
    "/qrcode",
    "/qrcode.html",
    "/qrcode.json",
    "/qrcode.png",
    "/qrcode.svg",
    "/qrcode.jpg",
    "/api/codes",
    "/api/stats.csv",
    "/stats",
    "/robots.txt",
    "/nothing-here",
];

/// A line's end, as it is and in disguise, and what would come after it.
const BREAKS: &[&str] = &[
    "%0d%0aX-Injected:%20yes",
    "%0D%0AX-Injected:yes%0D%0A%0D%0A<html>",
    "%0aX-Injected:%20yes",
    "%0dX-Injected:%20yes",
    "1%0d%0aSet-Cookie:%20injected=yes",
    "%00X-Injected:%20yes",
    "1%00",
    "%250d%250aX-Injected:%20yes",
    "%E5%98%8D%E5%98%8AX-Injected:%20yes",
    "%c0%8d%c0%8aX-Injected:%20yes",
    "%u000d%u000aX-Injected:%20yes",
    "%e2%80%a8X-Injected:%20yes",
    "%85X-Injected:%20yes",
    "%0b%0cX-Injected:%20yes",
    "\r\nX-Injected: yes\r\nX: ",
    "\nX-Injected: yes\nX: ",
    "\rX-Injected: yes",
    "\0X-Injected: yes",
    "\tX-Injected: yes",
];

/// Headers whose value might come back.
const HEADERS: &[&str] = &[
    "X-Request-Id",
    "Origin",
    "Accept",
    "Accept-Language",
    "If-None-Match",
    "Referer",
    "User-Agent",
    "Authorization",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "Host",
    "Cookie",
    "Range",
    "Access-Control-Request-Method",
    "Access-Control-Request-Headers",
];

fn get(target: &str, headers: &str) -> Vec<u8> {
    let host = if format!("\n{headers}").contains("\nHost:") {
        ""
    } else {
        "Host: wxqr\r\n"
    };
    format!("GET {target} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n").into_bytes()
}

fn requests_with_breaks() -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for end in BREAKS {
        for path in PATHS {
            for parameter in PARAMETERS {
                let scene = if parameter.starts_with("scene") {
                    ""
                } else {
                    "scene_id=1&"
                };
                requests.push(get(&format!("{path}?{scene}{parameter}={end}"), ""));
                requests.push(get(&format!("{path}?{scene}{parameter}{end}=1"), ""));
            }
            requests.push(get(&format!("{path}{end}"), ""));
            requests.push(get(&format!("{path}/{end}?scene_id=1"), ""));
            for header in HEADERS {
                let header = format!("{header}: {end}\r\n");
                requests.push(get(&format!("{path}?scene_id=1"), &header));
            }
        }
        let body = format!("{{\"scene_id\": 1, \"label\": \"{end}\", \"{end}\": 1}}");
        let (length, key) = (body.len(), keys::ADMIN);
        let post = format!(
            "POST /api/codes HTTP/1.1\r\nHost: wxqr\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        requests.push(post.into_bytes());
    }
    requests
}

async fn ask(address: SocketAddr, request: Vec<u8>) -> (String, RawAnswer) {
    let answer = send(address, &request).await;
    (String::from_utf8_lossy(&request).into_owned(), answer)
}

/// What is wrong with the head of an answer to a line that was ended.
fn flaw(answer: &RawAnswer) -> Option<String> {
    if answer.status == 0 || answer.status >= 500 {
        return Some(format!("the status is {}", answer.status));
    }
    let lines: Vec<_> = answer.head.split("\r\n").collect();
    if lines.iter().any(|line| line.contains(['\r', '\n', '\0'])) {
        return Some("a line ends too early".to_owned());
    }
    let names: BTreeSet<String> = answer.names().into_iter().collect();
    let strange = names.iter().find(|name| !OURS.contains(&name.as_str()));
    if strange.is_some() {
        return strange.map(|name| format!("there is a header {name}"));
    }
    let twice = answer.names().len() != names.len();
    twice.then(|| "a header is there twice".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_stranger_becomes_a_header() {
    let app = TestApp::with().spawn().await;
    let requests = requests_with_breaks();
    let sent = requests.len();
    let mut asking = stream::iter(requests)
        .map(|request| ask(app.address, request))
        .buffer_unordered(ABREAST);
    let mut flaws = Vec::new();
    while let Some((request, answer)) = asking.next().await {
        let flaw = flaw(&answer);
        flaws.extend(flaw.map(|flaw| format!("{flaw}: {request:?}: {answer:?}")));
    }
    assert!(flaws.is_empty(), "{} flaws: {}", flaws.len(), flaws[0]);

    let mut figures = Figures::of(format!(
        "{} requests with CR, LF or NUL, plain and disguised, in every parameter and header",
        grouped(sent)
    ));
    figures.exactly("headers that were not ours", 0, flaws.len());
}

/// Hosts that do not exist, alone and with parts that a careless parser would use.
const HOSTS: &[&str] = &[
    "evil.example",
    "evil.example:80",
    "wxqr@evil.example",
    "wxqr:80@evil.example",
    "wxqr.evil.example",
    "evil.example#wxqr",
    "evil.example?wxqr",
    "evil.example/wxqr",
    "evil.example\\wxqr",
    "\"><script src=//evil.example>",
    "evil.example, wxqr",
    "EVIL.EXAMPLE",
    "[::ffff:evil.example]",
    "evil.example%00.wxqr",
    "javascript:evil.example",
];

/// Headers from which some programs take their host, scheme, port or path.
const HOST_HEADERS: &[&str] = &[
    "Host",
    "X-Forwarded-Host",
    "X-Forwarded-Server",
    "X-Original-Host",
    "X-Host",
    "X-HTTP-Host-Override",
    "Forwarded",
    "X-Forwarded-Proto",
    "X-Forwarded-Port",
    "X-Forwarded-Prefix",
    "X-Forwarded-Path",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Url-Scheme",
    "Front-End-Https",
    "X-Forwarded-Scheme",
    "X-Forwarded-Ssl",
    "Referer",
    "Origin",
    "Via",
    "X-Wap-Profile",
    "X-Forwarded-For",
    "X-Real-IP",
    "Proxy-Host",
    "Destination",
];

fn targets() -> Vec<String> {
    let mut targets: Vec<String> = [
        "/?scene_id=1",
        "/?scene_id=0",
        "/?scene_id=9&permanent=true",
        "/qrcode?scene_id=1",
        "/qrcode?scene_id=0",
        "/qrcode.html?scene_id=1&fragment=1",
        "/qrcode.json?scene_id=1",
        "/qrcode.json?scene_id=0",
        "/qrcode.png?scene_id=1",
        "/qrcode.svg?scene_id=1",
        "/qrcode.jpg?scene_id=1",
        "/wx/qrcode.json?scene_id=1",
        "/wx",
        "/openapi.json",
        "/stats",
        "/nothing-here",
        "/api/account",
    ]
    .map(str::to_owned)
    .to_vec();
    // A target that is a whole address, as it is sent to proxies.
    targets.push("http://evil.example/qrcode.json?scene_id=1".to_owned());
    targets.push("http://evil.example/?scene_id=1".to_owned());
    targets
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_answered_comes_from_a_host_that_a_stranger_named() {
    let relative = TestApp::spawn().await;
    let absolute = TestApp::with()
        .set("PUBLIC_URL", "https://qr.example.com/wx")
        .spawn()
        .await;
    let listed = TestApp::with()
        .set("CORS_ORIGINS", "https://shop.example")
        .spawn()
        .await;
    // In small, each target and header meets another part of the hosts.
    let step = sized(5, 1);
    let (mut sent, mut echoes) = (0, Vec::new());
    for app in [&relative, &absolute, &listed] {
        let mut requests = Vec::new();
        for target in targets() {
            for header in HOST_HEADERS {
                let hosts = HOSTS.iter().skip(requests.len() % step).step_by(step);
                requests.extend(hosts.map(|host| get(&target, &format!("{header}: {host}\r\n"))));
            }
            requests.push(get(&target, "Host: wxqr\r\nHost: evil.example\r\n"));
            requests.push(get(
                &target,
                "X-Forwarded-Host: evil.example\r\nX-Forwarded-Host: evil.example\r\n",
            ));
        }
        sent += requests.len();
        let mut asking = stream::iter(requests)
            .map(|request| ask(app.address, request))
            .buffer_unordered(ABREAST);
        while let Some((request, answer)) = asking.next().await {
            assert!((200..500).contains(&answer.status), "{request}: {answer:?}");
            let said = format!("{}{}", answer.head, answer.text()).to_lowercase();
            if said.contains("evil") {
                echoes.push(format!("{request}: {answer:?}"));
            }
        }
    }
    assert!(echoes.is_empty(), "{} echoes: {}", echoes.len(), echoes[0]);

    let mut figures = Figures::of(format!(
        "{} requests that name a host in Host, X-Forwarded-Host and {} headers like them",
        grouped(sent),
        HOST_HEADERS.len() - 2
    ));
    figures.exactly("answers that repeat it", 0, echoes.len());
}

/// Without what differs from moment to moment: ids, the date, numbers of seconds.
fn kept_by_a_cache(answer: &RawAnswer) -> String {
    let lines = answer.head.split("\r\n");
    let lines = lines.filter(|line| !line.starts_with("x-request-id") && !line.starts_with("date"));
    // Their order means nothing.
    let mut lines: Vec<_> = lines.collect();
    lines.sort_unstable();
    let head = lines.join("\n");
    let mut kept: String = head + &answer.text();
    kept.retain(|letter| !letter.is_ascii_digit());
    kept
}

/// What is not in a shared cache's key must not change what it keeps for the next visitor.
#[tokio::test(flavor = "multi_thread")]
async fn headers_that_no_cache_looks_at_change_nothing_that_it_keeps() {
    let app = TestApp::with()
        .set("TRUSTED_PROXIES", "127.0.0.1")
        .spawn()
        .await;
    let of_strangers = HOST_HEADERS
        .iter()
        .filter(|name| **name != "Host")
        .copied()
        .chain([
            "X-HTTP-Method-Override",
            "X-HTTP-Method",
            "X-Method-Override",
            "Cookie",
            "User-Agent",
            "Pragma",
            "Cache-Control",
            "Accept-Encoding",
            "Accept-Charset",
            "Save-Data",
            "DNT",
            "TE",
            "X-Requested-With",
            "X-Api-Key",
            "X-Amz-Website-Redirect-Location",
            "X-Accel-Redirect",
            "X-Accel-Expires",
            "Surrogate-Capability",
            "CDN-Loop",
            "If-Modified-Since",
            "Range",
        ]);
    let of_strangers: Vec<_> = of_strangers.collect();
    for target in [
        "/qrcode.html?scene_id=1&lang=en",
        "/qrcode.html?scene_id=1&fragment=1&lang=en",
        "/qrcode.json?scene_id=1",
        "/qrcode.png?scene_id=1",
        "/qrcode.svg?scene_id=1",
        "/qrcode.jpg?scene_id=1",
    ] {
        let plain = send(app.address, &get(target, "")).await;
        assert!(
            plain.head.contains("public, max-age="),
            "{target}: {plain:?}"
        );
        for name in &of_strangers {
            for value in [
                "POST",
                "bytes=0-1",
                "no-cache",
                "gzip",
                "/api/codes",
                "203.0.113.7",
            ] {
                let headers = format!("{name}: {value}\r\n");
                let answer = send(app.address, &get(target, &headers)).await;
                assert_eq!(
                    kept_by_a_cache(&answer),
                    kept_by_a_cache(&plain),
                    "{target} with {headers}"
                );
            }
        }
    }
}
