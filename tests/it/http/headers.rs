//! The headers of every kind of answer, exactly: what a browser may do with it, who may frame, read
//! and keep it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use sha2::{Digest as _, Sha256};
use wechat_sandbox::{FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::keys;

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What is neither a page nor a drawing may do nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";
/// Where everybody may frame it, which is the default.
const DRAWING: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
const FRAMED_LINE: &str = "default-src 'none'";

const KEPT: &str = "public, max-age=#, must-revalidate";
const AN_HOUR: &str = "public, max-age=#";
const BY_TAG: &str = "no-cache";
const NEVER: &str = "no-store";

const ANYBODY: (&str, &str) = ("access-control-allow-origin", "*");
const EVERYWHERE: (&str, &str) = ("cross-origin-resource-policy", "cross-origin");
const READING: (&str, &str) = ("allow", "GET,HEAD");
const BEARER: (&str, &str) = ("www-authenticate", "Bearer");
const LATER: (&str, &str) = ("retry-after", "#");

/// What an answer depends on.
const BOTH: (&str, &str) = ("vary", "accept, accept-language");
const ACCEPT: (&str, &str) = ("vary", "accept");
const LANGUAGE: (&str, &str) = ("vary", "accept-language");

/// The headers of an answer, but for those that differ from one to the next.
fn headers(answer: &Answer) -> Vec<(String, String)> {
    const DIFFERENT: &[&str] = &[
        "date",
        "content-length",
        "x-request-id",
        "etag",
        "content-disposition",
        "location",
    ];
    let names = answer.headers.keys().map(ToString::to_string);
    let names = names.filter(|name| !DIFFERENT.contains(&name.as_str()));
    let mut headers: Vec<_> = names
        .map(|name| {
            let value = answer.header(&name);
            let timed = ["cache-control", "retry-after"].contains(&name.as_str());
            (
                name,
                if timed {
                    without_numbers(&value)
                } else {
                    value
                },
            )
        })
        .collect();
    headers.sort_unstable();
    headers
}

/// Each number as `#`.
fn without_numbers(text: &str) -> String {
    let mut shown = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' if shown.ends_with('#') => {}
            '0'..='9' => shown.push('#'),
            _ => shown.push(letter),
        }
    }
    shown
}

/// The headers that an answer must have, and no others.
fn expected(
    kind: &str,
    keeping: &str,
    policy: &str,
    more: &[(&str, &str)],
) -> Vec<(String, String)> {
    let common = [
        ("cache-control", keeping),
        ("content-security-policy", policy),
        ("content-type", kind),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    let all = common
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .chain(more);
    let mut headers: Vec<_> = all
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    headers.sort_unstable();
    headers
}

/// The policies of the pages, made from what the pages hold.
struct Policies {
    style: String,
    images: String,
}

impl Policies {
    async fn of(app: &TestApp) -> Self {
        let page = app.get("/qrcode.html?scene_id=1").await;
        Self {
            style: hash(between(page.text(), "<style>", "</style>")),
            images: format!("img-src data: http://{}", app.sandbox_address),
        }
    }

    /// For a page with that script.
    fn shown(&self, page: &Answer, form: &str, ancestors: &str) -> String {
        let script = hash(between(page.text(), "<script>", "</script>"));
        let (images, styles) = (&self.images, styles_of(page).join(" "));
        format!(
            "default-src 'none'; style-src {styles}; base-uri 'none'; {images}; script-src {script}; form-action {form}{}",
            framing(ancestors)
        )
    }

    /// For the pages of the console, which allow each other's styles.
    fn console(&self, stats: &Answer, print: &Answer) -> String {
        let (stats, print) = (styles_of(stats), styles_of(print));
        let [every_page, forms, console, own] = &stats[..] else {
            panic!("{stats:?}");
        };
        assert_eq!(stats[..3], print[..3], "of every page of the console");
        let images = &self.images.replace("data:", "data: 'self'");
        format!(
            "default-src 'none'; style-src {every_page} {forms} {console} {} {own}; base-uri 'none'; {images}; script-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'",
            print[3]
        )
    }

    fn fragment(&self, ancestors: &str) -> String {
        let images = self.images.replace(" data:", "");
        format!("default-src 'none'; {images}{}", framing(ancestors))
    }

    fn problem(&self, ancestors: &str) -> String {
        format!(
            "default-src 'none'; style-src {}; base-uri 'none'; img-src data:; form-action 'none'{}",
            self.style,
            framing(ancestors)
        )
    }
}

/// The end of a policy. Where everybody may frame, there is no directive.
fn framing(ancestors: &str) -> String {
    match ancestors {
        "*" => String::new(),
        _ => format!("; frame-ancestors {ancestors}"),
    }
}

/// The hashes of a page's styles.
fn styles_of(page: &Answer) -> Vec<String> {
    let blocks = page.text().split("<style>").skip(1);
    blocks
        .map(|block| hash(block.split_once("</style>").unwrap().0))
        .collect()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

fn hash(inline: &str) -> String {
    format!(
        "'sha256-{}'",
        BASE64_STANDARD.encode(Sha256::digest(inline))
    )
}

/// With an origin, so that CORS headers appear where they are sent.
async fn ask(app: &TestApp, method: &str, path: &str) -> Answer {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = app.request(method, path);
    Answer::to(request.header("origin", "https://shop.example")).await
}

async fn check(app: &TestApp, method: &str, path: &str, status: u16, want: &[(String, String)]) {
    let answer = ask(app, method, path).await;
    let what = format!("{method} {path}: {answer:?}");
    assert_eq!(answer.status.as_u16(), status, "{what}");
    assert_eq!(headers(&answer), want, "{what}");
}

#[tokio::test]
async fn a_code_has_exactly_the_headers_of_its_representation() {
    let app = TestApp::spawn().await;
    let policies = Policies::of(&app).await;
    let page = policies.shown(&app.get("/qrcode.html?scene_id=1").await, "'none'", "*");
    for (path, status, kind, policy, more) in [
        (
            "/qrcode?scene_id=1",
            200,
            HTML,
            page.as_str(),
            &[ANYBODY, BOTH][..],
        ),
        (
            "/qrcode?scene_id=1&lang=en",
            200,
            HTML,
            &page,
            &[ANYBODY, ACCEPT],
        ),
        (
            "/qrcode.html?scene_id=1",
            200,
            HTML,
            &page,
            &[ANYBODY, LANGUAGE],
        ),
        (
            "/qrcode.html?scene_id=1&lang=en",
            200,
            HTML,
            &page,
            &[ANYBODY],
        ),
        (
            "/qrcode?scene_id=1&fragment=1",
            200,
            HTML,
            &policies.fragment("*"),
            &[ANYBODY, LANGUAGE],
        ),
        ("/qrcode.json?scene_id=1", 200, JSON, NOTHING, &[ANYBODY]),
        (
            "/qrcode?format=json&scene_id=1",
            200,
            JSON,
            NOTHING,
            &[ANYBODY],
        ),
        (
            "/qrcode.png?scene_id=1",
            200,
            "image/png",
            NOTHING,
            &[ANYBODY, EVERYWHERE],
        ),
        (
            "/qrcode.svg?scene_id=1",
            200,
            "image/svg+xml",
            DRAWING,
            &[ANYBODY, EVERYWHERE],
        ),
        ("/qrcode.jpg?scene_id=1", 302, "", NOTHING, &[ANYBODY]),
    ] {
        let want = expected(kind, KEPT, policy, more);
        check(&app, "GET", path, status, &want).await;
        check(&app, "HEAD", path, status, &want).await;
    }
}

#[tokio::test]
async fn etag_known_picture_keeps_its_csp() {
    for (ancestors, want) in [("*", ""), ("none", "; frame-ancestors 'none'")] {
        let app = TestApp::with()
            .set("FRAME_ANCESTORS", ancestors)
            .spawn()
            .await;
        let path = "/qrcode.svg?scene_id=1";
        let first = app.get(path).await;
        let etag = first.header("etag");
        let again = app.get_with(path, &[("if-none-match", &etag)]).await;
        assert_eq!(again.status, 304);
        let policy = |answer: &Answer| answer.header("content-security-policy");
        assert!(policy(&first).ends_with(&format!("; sandbox{want}")));
        assert_eq!(policy(&again), policy(&first));
    }
}

#[tokio::test]
async fn everything_else_has_exactly_its_headers_and_no_other_origin_reads_it() {
    let app = TestApp::with().spawn().await;
    let policies = Policies::of(&app).await;
    let home = policies.shown(&app.get("/").await, "'self'", "'none'");
    let console = policies.console(&app.get("/stats").await, &app.get("/codes/print").await);
    let problem = policies.problem("'none'");
    for (path, kind, keeping, policy, more) in [
        ("/", HTML, BY_TAG, home.as_str(), &[LANGUAGE][..]),
        ("/?lang=en", HTML, BY_TAG, &home, &[]),
        ("/?scene_id=1&lang=en", HTML, NEVER, &home, &[]),
        ("/?scene_id=0", HTML, NEVER, &home, &[LANGUAGE]),
        ("/stats", HTML, BY_TAG, &console, &[LANGUAGE]),
        ("/stats?lang=en", HTML, BY_TAG, &console, &[]),
        ("/codes", HTML, BY_TAG, &console, &[LANGUAGE]),
        ("/codes/new", HTML, BY_TAG, &console, &[LANGUAGE]),
        ("/codes/import", HTML, BY_TAG, &console, &[LANGUAGE]),
        ("/codes/print", HTML, BY_TAG, &console, &[LANGUAGE]),
        ("/assets/codes.js", SCRIPT, BY_TAG, NOTHING, &[]),
        ("/robots.txt", TEXT, AN_HOUR, NOTHING, &[]),
        (
            "/embed.js",
            SCRIPT,
            AN_HOUR,
            NOTHING,
            &[ANYBODY, EVERYWHERE],
        ),
        ("/openapi.json", JSON, AN_HOUR, NOTHING, &[]),
        ("/healthz", TEXT, NEVER, NOTHING, &[]),
        ("/readyz", JSON, NEVER, NOTHING, &[]),
    ] {
        let want = expected(kind, keeping, policy, more);
        check(&app, "GET", path, 200, &want).await;
        check(&app, "HEAD", path, 200, &want).await;
    }
    for (method, path, status, kind, policy, more) in [
        ("GET", "/api/account", 401, PROBLEM, NOTHING, &[BEARER][..]),
        ("POST", "/api/codes", 401, PROBLEM, NOTHING, &[BEARER]),
        ("GET", "/api/scans", 401, PROBLEM, NOTHING, &[BEARER]),
        ("GET", "/api/stats", 401, PROBLEM, NOTHING, &[BEARER]),
        ("GET", "/api/stats.csv", 401, PROBLEM, NOTHING, &[BEARER]),
        ("GET", "/api/stats.xlsx", 401, PROBLEM, NOTHING, &[BEARER]),
        ("GET", "/api/codes.zip", 401, PROBLEM, NOTHING, &[BEARER]),
        ("GET", "/api/nothing", 404, PROBLEM, NOTHING, &[]),
        ("GET", "/nothing", 404, HTML, problem.as_str(), &[BOTH]),
        ("GET", "/nothing.json", 404, PROBLEM, NOTHING, &[]),
        ("POST", "/", 405, HTML, &problem, &[BOTH, READING]),
        ("POST", "/stats", 405, HTML, &problem, &[BOTH, READING]),
        ("OPTIONS", "/", 405, HTML, &problem, &[BOTH, READING]),
        ("OPTIONS", "/api/account", 405, PROBLEM, NOTHING, &[READING]),
        (
            "OPTIONS",
            "/openapi.json",
            405,
            PROBLEM,
            NOTHING,
            &[READING],
        ),
    ] {
        let want = expected(kind, NEVER, policy, more);
        check(&app, method, path, status, &want).await;
    }
    for (path, kind) in [
        ("/api/account", JSON),
        ("/api/scans", JSON),
        ("/api/stats", JSON),
        ("/api/stats.csv", "text/csv; charset=utf-8"),
    ] {
        let keyed = app.request(Method::GET, path).bearer_auth(keys::ADMIN);
        let keyed = Answer::to(keyed.header("origin", "https://shop.example")).await;
        assert_eq!(
            headers(&keyed),
            expected(kind, NEVER, NOTHING, &[]),
            "{path}"
        );
    }
}

/// An error in every form.
async fn check_error(app: &TestApp, page: &str, query: &str, status: u16, more: &[(&str, &str)]) {
    for (path, kind, policy, vary) in [
        ("/qrcode?", HTML, page, Some(BOTH)),
        ("/qrcode.html?lang=en&", HTML, page, None),
        ("/qrcode?fragment=1&", HTML, FRAMED_LINE, Some(LANGUAGE)),
        ("/qrcode.json?", PROBLEM, NOTHING, None),
        ("/qrcode.png?", PROBLEM, NOTHING, None),
        ("/qrcode.svg?", PROBLEM, NOTHING, None),
        ("/qrcode.jpg?", PROBLEM, NOTHING, None),
    ] {
        let more = more.iter().copied().chain([ANYBODY]).chain(vary);
        let want = expected(kind, NEVER, policy, &more.collect::<Vec<_>>());
        check(app, "GET", &format!("{path}{query}"), status, &want).await;
    }
}

#[tokio::test]
async fn every_error_is_no_store_in_any_form() {
    let app = TestApp::spawn().await;
    let page = Policies::of(&app).await.problem("*");
    for (query, status) in [
        ("scene_id=0", 400),
        ("scene_id=1&sig=x", 403),
        ("scene_id=1&permanent=true", 403),
    ] {
        check_error(&app, &page, query, status, &[]).await;
    }
    // A failure is remembered for a moment, so each has a scene of its own.
    for (scene, (errcode, status, more)) in (2..).zip([
        (40053, 400, &[][..]),
        (45029, 409, &[]),
        (40002, 500, &[]),
        (48001, 502, &[]),
        (89503, 503, &[]),
        (45009, 503, &[LATER]),
    ]) {
        app.fail(Target::Create, FaultKind::Errcode(errcode));
        check_error(&app, &page, &format!("scene_id={scene}"), status, more).await;
    }
}

#[tokio::test]
async fn rate_limit_and_budget_errors_are_no_store() {
    let app = TestApp::with().set("ANONYMOUS_BUDGET", "1").spawn().await;
    // The one that it allows.
    let page = Policies::of(&app).await.problem("*");
    check_error(&app, &page, "scene_id=2", 429, &[LATER]).await;
    let app = TestApp::with().set("VISITOR_RATE", "1/1d").spawn().await;
    let page = Policies::of(&app).await.problem("*");
    check_error(&app, &page, "scene_id=2", 429, &[LATER]).await;
}

#[tokio::test]
async fn cors_answers_vary_by_origin_where_only_some_may_read() {
    let app = TestApp::with()
        .set("CORS_ORIGINS", "https://shop.example")
        .spawn()
        .await;
    for (path, vary) in [
        ("/qrcode?scene_id=1", "origin, accept, accept-language"),
        ("/qrcode.json?scene_id=1", "origin"),
        ("/qrcode.png?scene_id=1", "origin"),
        ("/qrcode.json?scene_id=0", "origin"),
        ("/qrcode?scene_id=0&lang=en", "origin, accept"),
    ] {
        for (origin, allowed) in [
            (Some("https://shop.example"), "https://shop.example"),
            (Some("https://shop.example.evil.example"), ""),
            (Some("https://evil.example"), ""),
            (Some("http://shop.example"), ""),
            (Some("HTTPS://SHOP.EXAMPLE"), ""),
            (Some("null"), ""),
            (Some("https://shop.example https://evil.example"), ""),
            (None, ""),
        ] {
            let origin: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
            let answer = app.get_with(path, &origin).await;
            let what = format!("{path} from {origin:?}: {answer:?}");
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed,
                "{what}"
            );
            let mut got: Vec<_> = answer
                .headers
                .get_all("vary")
                .iter()
                .flat_map(|value| value.to_str().unwrap().split(", "))
                .collect();
            let mut want: Vec<_> = vary.split(", ").collect();
            got.sort_unstable();
            want.sort_unstable();
            assert_eq!(got, want, "{what}");
            assert_eq!(
                answer.header("access-control-allow-credentials"),
                "",
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn csp_lets_only_codes_be_framed_by_whom_the_owner_allows() {
    for (setting, ancestors) in [
        ("*", None),
        ("none", Some("'none'")),
        (
            "self,https://shop.example",
            Some("'self' https://shop.example"),
        ),
    ] {
        let app = TestApp::with()
            .set("FRAME_ANCESTORS", setting)
            .set("PUBLIC_URL", "https://qr.example.com/wx")
            .spawn()
            .await;
        for (path, framed) in [
            ("/qrcode?scene_id=1", true),
            ("/qrcode.html?scene_id=1", true),
            ("/wx/qrcode?scene_id=1", true),
            ("/qrcode?scene_id=0", true),
            ("/", false),
            ("/wx/", false),
            ("/?scene_id=1", false),
            ("/stats", false),
            ("/wx/stats", false),
            ("/qrcode.svg?scene_id=1", true),
            ("/qrcode/?scene_id=1", true),
            ("/qrcode/nothing", false),
            ("/?fragment=1&scene_id=0", false),
            ("/nothing?fragment=1", false),
            ("/nothing", false),
            ("/api/account", false),
            ("/readyz", false),
            ("/qrcode?scene_id=1&fragment=1", true),
            ("/qrcode?scene_id=0&fragment=1", true),
            ("/qrcode.json?scene_id=1", false),
            ("/qrcode.png?scene_id=1", false),
        ] {
            let answer = app.get(path).await;
            let policy = answer.header("content-security-policy");
            let want = if framed { ancestors } else { Some("'none'") };
            let directive = policy
                .split("; ")
                .find_map(|it| it.strip_prefix("frame-ancestors "));
            assert_eq!(directive, want, "{path}: {policy}");
        }
    }
}

#[tokio::test]
async fn etag_known_page_is_304() {
    let app = TestApp::spawn().await;
    for path in [
        "/",
        "/?lang=en",
        "/stats",
        "/stats?lang=zh",
        "/robots.txt",
        "/embed.js",
        "/openapi.json",
    ] {
        let first = app.get(path).await;
        let etag = first.header("etag");
        assert!(etag.starts_with('"') && etag.len() > 20, "strong: {etag}");
        assert_eq!(app.get(path).await.body, first.body, "{path}");
        for (asked, status) in [
            (etag.clone(), 304),
            (format!("W/{etag}"), 304),
            (format!("\"other\", {etag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let again = app.get_with(path, &[("if-none-match", &asked)]).await;
            assert_eq!(again.status.as_u16(), status, "{path} with {asked}");
            assert_eq!(again.body.is_empty(), status == 304, "{path} with {asked}");
            assert_eq!(again.header("etag"), etag);
            // A cache takes over the headers of a 304, the policy of a page among them.
            let kept = |answer: &Answer| {
                let mut headers = headers(answer);
                headers.retain(|(name, _)| name != "content-type");
                headers
            };
            assert_eq!(kept(&again), kept(&first), "{path} with {asked}");
        }
    }
    let tags = ["/", "/?lang=en", "/?lang=zh", "/stats", "/stats?lang=en"];
    let mut seen = std::collections::BTreeSet::new();
    for path in tags {
        seen.insert(app.get(path).await.header("etag"));
    }
    assert_eq!(seen.len(), tags.len(), "each page has its own tag");
    for path in ["/?scene_id=1", "/?utm_source=x", "/healthz", "/readyz"] {
        assert_eq!(app.get(path).await.header("etag"), "", "{path}");
    }
    let keyed = app
        .request(Method::GET, "/")
        .bearer_auth("no-key-of-ours-0");
    assert_eq!(Answer::to(keyed).await.status, 401);
}
