//! The answers of the service: representations, headers, links, errors, and the document that
//! describes them.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use wxqr::text::RANDOM_TOKEN_LEN;

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::client;
use crate::support::files::path;
use crate::support::keys;
use crate::support::picture::{decode_png, decode_svg};
use crate::support::upstream::{Reply, Upstream};

/// Set to any value, it makes the test of `docs/openapi.json` write the file instead of reading it.
const UPDATE: &str = "UPDATE_OPENAPI";

/// Asks as a program does, which gets errors as documents.
async fn ask(app: &TestApp, method: Method, path: &str) -> Answer {
    let request = app.request(method, path);
    Answer::to(request.header("accept", "application/json")).await
}

#[tokio::test]
async fn the_representation_is_extension_over_format_over_accept_over_html() {
    let app = TestApp::spawn().await;
    let both = "accept, accept-language";
    for (path, accept, media_type, vary) in [
        ("/qrcode?", "", "text/html", both),
        ("/qrcode?", "*/*", "text/html", both),
        ("/qrcode?", "application/json", "application/json", "accept"),
        ("/qrcode?", "image/png", "image/png", "accept"),
        (
            "/qrcode?",
            "image/svg+xml,text/html;q=0.9",
            "image/svg+xml",
            "accept",
        ),
        ("/qrcode?", "text/plain", "text/html", both),
        ("/qrcode?", "image/*", "image/png", "accept"),
        (
            "/qrcode?",
            "image/avif,image/webp,*/*",
            "image/png",
            "accept",
        ),
        (
            "/qrcode?",
            "application/json;q=0.5,text/html;q=0.4",
            "application/json",
            "accept",
        ),
        ("/qrcode?lang=en&", "", "text/html", "accept"),
        ("/qrcode?format=json&", "text/html", "application/json", ""),
        (
            "/qrcode?format=html&",
            "image/png",
            "text/html",
            "accept-language",
        ),
        ("/qrcode?format=html&lang=zh&", "image/png", "text/html", ""),
        ("/qrcode.html?", "image/png", "text/html", "accept-language"),
        ("/qrcode.json?", "text/html", "application/json", ""),
        ("/qrcode.png?format=svg&", "text/html", "image/png", ""),
        ("/qrcode.svg?format=json&", "", "image/svg+xml", ""),
    ] {
        let path = format!("{path}scene_id=1");
        let headers: &[_] = if accept.is_empty() {
            &[]
        } else {
            &[("accept", accept)]
        };
        let answer = app.get_with(&path, headers).await;
        let what = format!("{path} with {accept:?}: {:?}", answer.headers);
        assert_eq!(answer.status, StatusCode::OK, "{what}");
        let got = answer.header("content-type");
        assert_eq!(got.split(';').next().unwrap(), media_type, "{what}");
        assert_eq!(answer.header("vary"), vary, "{what}");
    }
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn every_answer_carries_the_common_headers() {
    let app = TestApp::spawn().await;
    for path in [
        "/",
        "/qrcode?scene_id=1",
        "/qrcode.json?scene_id=1",
        "/qrcode.png?scene_id=1",
        "/qrcode.svg?scene_id=1",
        "/qrcode.jpg?scene_id=1",
        "/qrcode?scene_id=0",
        "/healthz",
        "/readyz",
        "/robots.txt",
        "/openapi.json",
        "/nothing-here",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        let is_kept = answer.status.as_u16() < 400 && !["/healthz", "/readyz"].contains(&path);
        let caching = answer.header("cache-control");
        assert_eq!(caching == "no-store", !is_kept, "{path}: {caching}");
    }
    let policy = |answer: Answer| answer.header("content-security-policy");
    // Where everybody may frame, no directive says so: `*` would keep out pages from `file:` and of
    // apps.
    assert!(!policy(app.get("/qrcode?scene_id=1").await).contains("frame-ancestors"));
    assert!(policy(app.get("/").await).contains("frame-ancestors 'none'"));
    let svg = policy(app.get("/qrcode.svg?scene_id=1").await);
    assert_eq!(
        svg,
        "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    );
}

#[tokio::test]
async fn max_age_ends_with_the_freshness_of_the_code() {
    let app = TestApp::spawn().await;
    let kept = async |path: &str| {
        let answer = app.get_as(keys::PERMANENT, path).await;
        let header = answer.header("cache-control");
        let rest = header.strip_prefix("public, max-age=").unwrap();
        rest.strip_suffix(", must-revalidate")
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    // A fresh code of 7200 s is good for another 3600 s; pages and documents say how much is left,
    // so they are kept less.
    for (path, want) in [
        ("/qrcode.png?scene_id=1", 3600),
        ("/qrcode.svg?scene_id=1", 3600),
        ("/qrcode.jpg?scene_id=1", 3600),
        ("/qrcode.json?scene_id=1", 60),
        ("/qrcode.html?scene_id=1", 60),
        ("/qrcode.html?scene_id=1&fragment=1", 60),
        ("/qrcode.png?scene_id=2&expire_seconds=2592000", 86_400),
        ("/qrcode.png?scene_id=3&expire_seconds=100", 50),
        ("/qrcode.json?scene_id=4&expire_seconds=20", 10),
        ("/qrcode.png?scene_id=5&permanent=true", 86_400),
        ("/qrcode.jpg?scene_id=5&permanent=true", 86_400),
    ] {
        let got = kept(path).await;
        // The code ages while the test runs.
        assert!(got <= want && got + 8 >= want, "{path}: {got} of {want}");
    }
}

#[tokio::test]
async fn with_reuse_at_one_every_code_is_no_store() {
    let app = TestApp::with().set("REUSE", "1").spawn().await;
    for extension in ["html", "json", "png", "svg", "jpg"] {
        let answer = app.get(&format!("/qrcode.{extension}?scene_id=1")).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{extension}");
    }
}

#[tokio::test]
async fn etag_known_picture_is_304() {
    let app = TestApp::spawn().await;
    for extension in ["png", "svg"] {
        let path = format!("/qrcode.{extension}?scene_id=1");
        let first = app.get(&path).await;
        let etag = first.header("etag");
        assert!(etag.starts_with('"') && etag.len() > 10, "strong: {etag}");
        for (asked, status) in [
            (etag.clone(), 304),
            (format!("W/{etag}"), 304),
            (format!("\"other\", {etag}"), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
        ] {
            let again = app.get_with(&path, &[("if-none-match", &asked)]).await;
            assert_eq!(again.status.as_u16(), status, "{asked}");
            assert_eq!(again.header("etag"), etag);
            assert_eq!(again.body.is_empty(), status == 304);
            for header in ["cache-control", "vary", "x-request-id"] {
                assert_eq!(
                    again.headers.contains_key(header),
                    first.headers.contains_key(header)
                );
            }
        }
        let other = app.get(&format!("{path}&size=300")).await;
        assert_ne!(
            other.header("etag"),
            etag,
            "another size is another picture"
        );
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let app = TestApp::spawn().await;
    for path in [
        "/",
        "/qrcode?scene_id=1",
        "/qrcode.json?scene_id=1",
        "/qrcode.png?scene_id=1",
        "/qrcode.svg?scene_id=1",
        "/qrcode.jpg?scene_id=1",
        "/qrcode.json?scene_id=0",
        "/qrcode?scene_id=0",
        "/nothing-here",
        "/openapi.json",
    ] {
        let get = app.get(path).await;
        let head = Answer::to(app.request(Method::HEAD, path)).await;
        assert_eq!(head.status, get.status, "{path}");
        assert!(head.body.is_empty(), "{path}");
        for name in [
            "content-type",
            "content-length",
            "etag",
            "vary",
            "location",
            "content-disposition",
        ] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
}

#[tokio::test]
async fn the_json_says_everything_about_the_code() {
    let app = TestApp::with()
        .set("PUBLIC_URL", "https://qr.example.com")
        .spawn()
        .await;
    let query =
        "scene_str=%E5%B1%95%E4%BC%9A+A%2B1&size=300&color=036&lang=en&format=json&utm_source=x";
    let answer = app.get(&format!("/qrcode?{query}")).await;
    let json = answer.json();
    let ticket = answer.ticket();
    assert_eq!(json["scene_str"], "展会 A+1");
    assert!(json.get("scene_id").is_none());
    assert_eq!(
        (&json["permanent"], &json["action_name"]),
        (&false.into(), &"QR_STR_SCENE".into())
    );
    let left = json["expire_seconds"].as_i64().unwrap();
    assert!((7190..=7200).contains(&left), "{left}");
    assert!(
        json["url"]
            .as_str()
            .unwrap()
            .starts_with(&format!("http://{}/q/", app.sandbox_address))
    );
    let image = format!(
        "http://{}/cgi-bin/showqrcode?ticket={}",
        app.sandbox_address,
        encoded(&ticket)
    );
    assert_eq!(json["image_url"], image);
    for (field, path) in [("png_url", "/qrcode.png"), ("svg_url", "/qrcode.svg")] {
        let want = format!(
            "https://qr.example.com{path}?scene_str=%E5%B1%95%E4%BC%9A%20A%2B1&size=300&color=036"
        );
        assert_eq!(json[field], want);
    }
    // The life that is left counts from `Date`.
    let date = jiff::fmt::rfc2822::parse(&answer.header("date"))
        .unwrap()
        .timestamp();
    let end: jiff::Timestamp = json["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(end.as_second() - date.as_second(), left);
}

/// A ticket with everything but letters, digits and `-._~` as `%HH`.
fn encoded(ticket: &str) -> String {
    ticket
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

#[tokio::test]
async fn a_page_has_one_image_and_its_source_is_the_ticket_encoded_once() {
    let app = TestApp::spawn().await;
    let ticket = app.scene(1).await.ticket();
    let src = format!(
        "http://{}/cgi-bin/showqrcode?ticket={}",
        app.sandbox_address,
        encoded(&ticket)
    );
    for path in [
        "/qrcode?scene_id=1",
        "/qrcode.html?scene_id=1&lang=en",
        "/qrcode?scene_id=1&fragment=1",
        "/?scene_id=1",
    ] {
        let page = app.get(path).await;
        let text = page.text();
        // The first page also shows an image element as text to copy.
        assert_eq!(text.matches("<img").count(), 1, "{path}: {text}");
        let element = &text[text.find("<img").unwrap()..];
        let element = &element[..=element.find('>').unwrap()];
        assert!(
            element.starts_with(&format!("<img src=\"{src}\" alt=\"")),
            "{element}"
        );
        assert!(
            element.ends_with(" width=\"430\" height=\"430\">"),
            "{element}"
        );
        let policy = page.header("content-security-policy");
        let host = format!("img-src data: http://{};", app.sandbox_address);
        assert!(
            path.contains("fragment") || policy.contains(&host),
            "{policy}"
        );
    }
    let fragment = app.get("/qrcode?scene_id=1&fragment=1").await;
    let text = fragment.text().trim();
    assert!(text.starts_with("<img ") && text.ends_with('>') && text.matches('<').count() == 1);

    // What the page points to is a picture of the code's url.
    let picture = Answer::to(client().get(&src)).await;
    assert_eq!(picture.status, StatusCode::OK);
    let jpg = app.get("/qrcode.jpg?scene_id=1").await;
    assert_eq!(
        (jpg.status, jpg.header("location")),
        (StatusCode::FOUND, src)
    );
}

#[tokio::test]
async fn accept_language_decides_the_language_of_a_page() {
    let app = TestApp::spawn().await;
    for (path, accepted, lang) in [
        ("/qrcode?scene_id=1", "", "zh-CN"),
        ("/qrcode?scene_id=1", "en-GB,en;q=0.9", "en"),
        ("/qrcode?scene_id=1", "de,en;q=0.5,zh;q=0.4", "en"),
        ("/qrcode?scene_id=1", "de", "zh-CN"),
        ("/qrcode?scene_id=1&lang=en", "zh", "en"),
        ("/qrcode?scene_id=1&lang=zh", "en", "zh-CN"),
        ("/qrcode?scene_id=0", "en", "en"),
        ("/qrcode?scene_id=0", "", "zh-CN"),
        ("/?lang=en", "zh", "en"),
        ("/", "", "zh-CN"),
    ] {
        let page = app.get_with(path, &[("accept-language", accepted)]).await;
        let start = format!("<html lang=\"{lang}\">");
        assert!(page.text().contains(&start), "{path} for {accepted:?}");
    }
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_what_is_accepted() {
    let app = TestApp::spawn().await;
    for (query, parameter) in [
        ("", "scene_id"),
        ("scene_id=", "scene_id"),
        ("scene_id=0", "scene_id"),
        ("scene_id=-1", "scene_id"),
        ("scene_id=%2B1", "scene_id"),
        ("scene_id=01", "scene_id"),
        ("scene_id=1e3", "scene_id"),
        ("scene_id=4294967296", "scene_id"),
        ("scene_id=99999999999999999999", "scene_id"),
        ("scene_id=%EF%BC%91", "scene_id"),
        ("scene_id=100001&permanent=true", "scene_id"),
        ("scene_id=1&scene_str=a", "scene_str"),
        ("scene_str=", "scene_str"),
        ("scene_str=a%00b", "scene_str"),
        ("scene_str=a%0Ab", "scene_str"),
        ("scene_str=wxqr.a", "scene_str"),
        ("scene_str=%FF", "scene_str"),
        (
            "scene_str=aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg",
            "scene_str",
        ),
        ("scene_id=1&scene_id=1", "scene_id"),
        ("scene_id=1&scene_id=2", "scene_id"),
        ("scene_id=1&permanent=1", "permanent"),
        ("scene_id=1&permanent=TRUE", "permanent"),
        (
            "scene_id=1&permanent=true&expire_seconds=60",
            "expire_seconds",
        ),
        ("scene_id=1&expire_seconds=0", "expire_seconds"),
        ("scene_id=1&expire_seconds=2592001", "expire_seconds"),
        ("scene_id=1&expire_seconds=1.5", "expire_seconds"),
        ("scene_id=1&format=gif", "format"),
        ("scene_id=1&fragment=0", "fragment"),
        ("scene_id=1&size=63", "size"),
        ("scene_id=1&size=2049", "size"),
        ("scene_id=1&margin=17", "margin"),
        ("scene_id=1&color=%23000", "color"),
        ("scene_id=1&color=fff&bg=000", "color"),
        ("scene_id=1&color=777&bg=888", "color"),
        ("scene_id=1&bg=000", "bg"),
        ("scene_id=1&lang=de", "lang"),
        ("scene_id=1&expire=60", "expire"),
        ("sceneid=1", "sceneid"),
        ("scene=1", "scene"),
        ("Scene_Id=1", "Scene_Id"),
    ] {
        let answer = app.get(&format!("/qrcode.json?{query}")).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_parameter".to_owned()),
            "{query}"
        );
        let json = answer.json();
        assert_eq!(json["parameter"], parameter, "{query}: {json}");
        assert!(answer.field("detail").starts_with(parameter), "{json}");
        assert!(!answer.field("title").is_empty());
        assert_eq!(json["request_id"], answer.header("x-request-id"), "{query}");
        assert_eq!(answer.header("cache-control"), "no-store", "{query}");
    }
    let suggestion = app
        .get("/qrcode.json?scene_id=1&expire=60")
        .await
        .field("detail");
    assert!(suggestion.contains("expire_seconds"), "{suggestion}");
    let hint = app.get("/qrcode.json?scene_id=007").await.field("detail");
    assert!(hint.contains("scene_str"), "{hint}");
    assert_eq!((app.creates(), app.tokens() <= 1), (0, true));
}

/// What programs make of `&permanent=true` on its way.
const MANGLED: &[&str] = &[
    "&amp;permanent=true",
    "&AMP;permanent=true",
    "&amp%3Bpermanent=true",
    "&amp;amp;permanent=true",
    "&%2338;permanent=true",
    "%26permanent%3Dtrue",
    "%2526permanent%253Dtrue",
    "%EF%BC%86permanent%EF%BC%9Dtrue",
    "&permanent%EF%BC%9Dtrue",
    "&perma%E2%80%8Bnent=true",
    "&%C2%A0permanent=true",
    "&permanent%C2%AD=true",
    ";permanent=true",
    "?permanent=true",
    "&utm_source=a%26permanent=true",
    "%5Cu0026permanent%5Cu003dtrue",
    "%C2%A0permanent=true",
    "&permanent:true",
    "&%E2%80%9Cpermanent%E2%80%9D=true",
    "&permanent%5B0%5D=true",
];

#[tokio::test]
async fn a_mangled_parameter_is_refused_and_costs_no_mint() {
    let app = TestApp::spawn().await;
    for mangled in MANGLED {
        for start in ["/qrcode.json?scene_str=print1", "/qrcode.json?scene_id=1"] {
            let answer = app
                .get_as(keys::PERMANENT, &format!("{start}{mangled}"))
                .await;
            let want = (400, "invalid_parameter".to_owned());
            assert_eq!(answer.problem(), want, "{start}{mangled}");
            assert_eq!(answer.field("parameter"), "permanent", "{start}{mangled}");
            assert!(answer.field("detail").contains(" sent "), "{answer:?}");
        }
        let page = app
            .get(&format!("/?scene_str=print1{mangled}&lang=en"))
            .await;
        let text = page.text();
        assert!(text.contains("permanent cannot be read: "), "{text}");
    }
    let detail = app
        .get_as(
            keys::PERMANENT,
            "/qrcode.json?scene_str=a&amp;permanent=true",
        )
        .await;
    let detail = detail.field("detail");
    assert!(
        detail.contains(r#""&amp;" was sent instead of "&""#),
        "{detail}"
    );
    // A signed link that lost its signature on the way is no unsigned one.
    let answer = app.get("/qrcode.json?scene_id=1&amp;sig=x").await;
    assert_eq!(answer.field("parameter"), "sig");
    assert_eq!(app.creates(), 0);

    // A mangled misspelling is refused like a plain one.
    for slip in [
        "&expire%E2%80%8B=60",
        ";expire=60",
        "&%EF%BC%A5xpire=60",
        "&expires%EF%BC%9D60",
    ] {
        let answer = app
            .get_as(keys::PERMANENT, &format!("/qrcode.json?scene_id=1{slip}"))
            .await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_parameter".to_owned()),
            "{slip}"
        );
    }
    assert_eq!(app.creates(), 0);

    let genuine = app
        .get_as(
            keys::PERMANENT,
            "/qrcode.json?scene_str=A%26B&permanent=true",
        )
        .await;
    assert_eq!(genuine.json()["scene_str"], "A&B");
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn what_wechat_and_campaigns_add_to_a_link_is_ignored() {
    let app = TestApp::spawn().await;
    let added = "from=singlemessage&isappinstalled=0&utm_source=a&utm_source=b&x=%FF&code=1&state=2&_=3&=&&";
    let answer = app.get(&format!("/qrcode.json?{added}&scene_id=1")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["png_url"], "/qrcode.png?scene_id=1");
}

#[tokio::test]
async fn an_error_takes_the_form_that_was_asked_for() {
    let app = TestApp::spawn().await;
    let english = [("accept-language", "en")];
    let page = app.get_with("/qrcode?scene_id=0&x=<b>", &english).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.header("content-type").starts_with("text/html"));
    let text = page.text();
    assert!(
        text.starts_with("<!doctype html>") && text.contains("invalid_parameter"),
        "{text}"
    );
    assert!(text.contains(&page.header("x-request-id")), "{text}");
    assert!(
        !text.contains("<img") && !text.contains("<script"),
        "{text}"
    );

    let fragment = app
        .get_with("/qrcode?scene_id=0&fragment=1", &english)
        .await;
    let text = fragment.text().trim();
    assert!(
        text.starts_with("<p role=\"alert\">") && text.ends_with("</p>"),
        "{text}"
    );
    assert_eq!(
        (fragment.status, text.matches("<p").count()),
        (StatusCode::BAD_REQUEST, 1)
    );

    for path in [
        "/qrcode?scene_id=1&expire=60&lang=zh",
        "/qrcode?scene_id=1&expire=60&lang=zh&fragment=1",
        "/?scene_id=1&expire=60&lang=zh",
    ] {
        let page = app.get(path).await;
        let suggestion = "参数 expire 不是本服务的参数，是否想写 expire_seconds？";
        assert!(page.text().contains(suggestion), "{path}: {}", page.text());
    }

    for path in [
        "/qrcode.png?scene_id=0",
        "/qrcode.svg?scene_id=0",
        "/qrcode?format=jpg&scene_id=0",
    ] {
        assert_eq!(app.get(path).await.problem().0, 400, "{path}");
    }
    let negotiated = ask(&app, Method::GET, "/qrcode?scene_id=0").await;
    assert_eq!(negotiated.problem().0, 400);
    assert_eq!(negotiated.header("vary"), "accept");

    // A stranger's text comes back harmless.
    let script = "%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    for path in [
        format!("/qrcode?scene_id={script}"),
        format!("/?scene_str={script}&lang=en"),
        format!("/qrcode?scene_id={script}&fragment=1"),
        format!("/qrcode?Scene_Id{script}=1"),
    ] {
        assert!(
            !app.get(&path).await.text().contains("<script>alert"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_problems_too() {
    let app = TestApp::spawn().await;
    for path in [
        "/nothing-here",
        "/qrcode//",
        "//qrcode/",
        "/qrcode.gif",
        "/metrics",
        "/cgi-bin/token",
        "/sandbox/calls",
        "/q/1",
    ] {
        let answer = ask(&app, Method::GET, path).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = ask(&app, method.clone(), "/qrcode?scene_id=1").await;
        assert_eq!(
            answer.problem(),
            (405, "method_not_allowed".to_owned()),
            "{method}"
        );
        let allowed = answer.header("allow");
        assert!(
            allowed.contains("GET") && allowed.contains("HEAD"),
            "{allowed}"
        );
    }
    assert_eq!(app.creates(), 0);
}

#[tokio::test]
async fn one_trailing_slash_does_not_matter() {
    let app = TestApp::with()
        .set("PUBLIC_URL", "https://qr.example.com/wx")
        .spawn()
        .await;
    for path in [
        "/qrcode/?scene_id=1",
        "/qrcode.json/?scene_id=1",
        "/qrcode.png/?scene_id=1",
        "/stats/",
        "/robots.txt/",
        "/openapi.json/",
        "/healthz/",
        "/readyz/",
        "/api/account/",
        "/api/codes/?limit=1",
    ] {
        for base in ["", "/wx"] {
            for method in [Method::GET, Method::HEAD] {
                let with = format!("{base}{path}");
                let without = with.replacen("/?", "?", 1);
                let without = without.strip_suffix('/').unwrap_or(&without);
                let ask = async |path: &str| {
                    Answer::to(app.request(method.clone(), path).bearer_auth(keys::ADMIN)).await
                };
                let (with, without) = (ask(&with).await, ask(without).await);
                assert_eq!(with.status, StatusCode::OK, "{method} {base}{path}");
                assert_eq!(
                    with.header("content-type"),
                    without.header("content-type"),
                    "{method} {base}{path}"
                );
            }
            let made = app
                .request(Method::POST, &format!("{base}/api/codes/"))
                .bearer_auth(keys::ADMIN)
                .body(r#"{"scene_id":1}"#);
            assert_eq!(Answer::to(made).await.status, StatusCode::OK, "{base}");
        }
    }
    // The first page has its slash as ever.
    for path in ["/", "/wx", "/wx/", "/wx/?lang=en"] {
        assert_eq!(app.get(path).await.status, StatusCode::OK, "{path}");
    }
    for path in ["/wx//", "//", "//api/account/", "/stats//", "/nothing/"] {
        let answer = ask(&app, Method::GET, path).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
    let refused = ask(&app, Method::PUT, "/qrcode/?scene_id=1").await;
    assert_eq!(refused.problem().0, 405);
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn a_sane_request_id_is_the_callers_and_any_other_is_ours() {
    let app = TestApp::spawn().await;
    let long = "a".repeat(65);
    let with = async |id: &str| {
        let answer = app.get_with("/healthz", &[("x-request-id", id)]).await;
        answer.header("x-request-id")
    };
    for id in [
        "a",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "A_b.C-9",
        &long[1..],
    ] {
        assert_eq!(with(id).await, id);
    }
    let mut ours = BTreeSet::new();
    for id in ["", "a b", "a\"b", "a<b>", long.as_str()] {
        let got = with(id).await;
        assert_ne!(got, id);
        let is_ours = |(process, number): (&str, &str)| {
            process.len() == RANDOM_TOKEN_LEN && number.parse::<u64>().is_ok()
        };
        assert!(got.rsplit_once('.').is_some_and(is_ours), "{got}");
        ours.insert(got);
    }
    assert_eq!(ours.len(), 5);
}

#[tokio::test]
async fn robots_txt_keeps_crawlers_away() {
    let app = TestApp::spawn().await;
    let robots = app.get("/robots.txt").await;
    assert_eq!(robots.text(), "User-agent: *\nDisallow: /\n");
    assert!(robots.header("content-type").starts_with("text/plain"));
    let page = app.get("/qrcode?scene_id=1").await;
    assert!(
        page.text()
            .contains("<meta name=\"robots\" content=\"noindex\">")
    );
}

#[tokio::test]
async fn embed_js_is_under_4_kib_as_served() {
    let app = TestApp::spawn().await;
    let length = app.get("/embed.js").await.body.len();
    assert!(length < 4096, "{length} bytes");
}

/// `docs/openapi.json` is made by `UPDATE_OPENAPI=1 cargo test --test it openapi`.
#[tokio::test]
async fn the_openapi_file_is_what_the_service_answers() {
    let app = TestApp::spawn().await;
    let answer = app.get("/openapi.json").await;
    assert!(
        answer
            .header("content-type")
            .starts_with("application/json")
    );
    let served = serde_json::to_string_pretty(&answer.json()).unwrap() + "\n";
    let path = path("docs/openapi.json");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == served,
        "run: {UPDATE}=1 cargo test --test it openapi"
    );
}

#[tokio::test]
async fn the_openapi_document_has_the_parameters_that_the_service_reads() {
    let app = TestApp::spawn().await;
    let document = app.get("/openapi.json").await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let parameters = document["paths"]["/qrcode"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let name = |parameter: &Value| {
        assert_eq!(parameter["in"], "query");
        parameter["name"].as_str().unwrap().to_owned()
    };
    // That it has them all is a test beside the code, which knows them.
    for name in parameters.iter().map(name) {
        // The service counts the parameters that are its own.
        let twice = app.get(&format!("/qrcode.json?{name}=1&{name}=1")).await;
        assert_eq!(twice.json()["parameter"], name);
        assert!(twice.field("detail").contains("once"), "{name}");
    }
    for path in ["/healthz", "/readyz"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}");
    }
}

#[tokio::test]
async fn a_public_url_with_a_path_is_answered_with_and_without_it() {
    let app = TestApp::with()
        .set("PUBLIC_URL", "https://qr.example.com/wx")
        .spawn()
        .await;
    for path in [
        "/",
        "/qrcode?scene_id=1",
        "/qrcode.json?scene_id=1",
        "/qrcode.png?scene_id=1",
        "/healthz",
        "/readyz",
        "/robots.txt",
        "/openapi.json",
    ] {
        for base in ["", "/wx"] {
            let path = format!("{base}{path}");
            let answer = app.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
        }
    }
    assert_eq!(app.get("/wx").await.status, StatusCode::OK);
    let json = app.get("/wx/qrcode.json?scene_id=1").await.json();
    assert_eq!(
        json["png_url"],
        "https://qr.example.com/wx/qrcode.png?scene_id=1"
    );
    for path in [
        "/wx/nothing-here",
        "/wxqrcode",
        "/wx/wx/qrcode",
        "/other/qrcode",
    ] {
        let answer = ask(&app, Method::GET, path).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn links_never_come_from_the_host_header() {
    let app = TestApp::spawn().await;
    for path in [
        "/qrcode.json?scene_id=1",
        "/qrcode?scene_id=1",
        "/?scene_id=1",
    ] {
        let headers = [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example"),
        ];
        let answer = app.get_with(path, &headers).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.text().contains("evil.example"), "{path}");
    }
}

#[tokio::test]
async fn cors_lets_other_origins_read_codes_and_nothing_else() {
    let any = TestApp::spawn().await;
    let origin = ("origin", "https://shop.example");
    let answer = any.get_with("/qrcode.json?scene_id=1", &[origin]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    let refused = any.get_with("/qrcode.json?scene_id=0", &[origin]).await;
    assert_eq!(
        refused.header("access-control-allow-origin"),
        "*",
        "errors can be read too"
    );
    for path in ["/", "/readyz", "/openapi.json", "/nothing-here"] {
        let answer = any.get_with(path, &[origin]).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
    }

    let list = "https://shop.example,https://other.example:8443";
    let some = TestApp::with().set("CORS_ORIGINS", list).spawn().await;
    for (origin, allowed) in [
        ("https://shop.example", "https://shop.example"),
        ("https://other.example:8443", "https://other.example:8443"),
        ("https://evil.example", ""),
        ("null", ""),
    ] {
        let path = "/qrcode?scene_id=1";
        let headers = [("origin", origin), ("accept", "application/json")];
        let answer = some.get_with(path, &headers).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
        let vary = answer.header("vary").to_lowercase();
        assert!(vary.contains("origin") && vary.contains("accept"), "{vary}");
        let preflight = some.request(Method::OPTIONS, path);
        let preflight = preflight
            .header("origin", origin)
            .header("access-control-request-method", "GET");
        let answer = Answer::to(preflight).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
        assert!(
            !answer
                .header("access-control-allow-methods")
                .contains("POST")
        );
    }

    let none = TestApp::with().set("CORS_ORIGINS", "none").spawn().await;
    let answer = none.get_with("/qrcode.json?scene_id=1", &[origin]).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn csp_frame_ancestors_are_a_setting() {
    let setting = "self,https://shop.example";
    let app = TestApp::with()
        .set("FRAME_ANCESTORS", setting)
        .spawn()
        .await;
    for path in ["/qrcode?scene_id=1", "/qrcode?scene_id=0"] {
        let policy = app.get(path).await.header("content-security-policy");
        assert!(
            policy.ends_with("frame-ancestors 'self' https://shop.example"),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn our_pictures_say_what_the_ticket_says_at_the_size_that_was_asked() {
    let app = TestApp::spawn().await;
    let url = app.scene(1).await.field("url");
    for (query, size) in [
        ("", 430),
        ("&size=200", 200),
        ("&size=301&margin=4", 301),
        ("&size=2048", 2048),
        ("&color=036&bg=fed", 430),
        ("&color=AA0000", 430),
    ] {
        let png = app.get(&format!("/qrcode.png?scene_id=1{query}")).await;
        let svg = app.get(&format!("/qrcode.svg?scene_id=1{query}")).await;
        let texts = vec![url.clone()];
        assert_eq!(
            decode_png(&png.body),
            ((size, size), texts.clone()),
            "png {query}"
        );
        assert_eq!(decode_svg(svg.text()), ((size, size), texts), "svg {query}");
        for (picture, extension) in [(png, "png"), (svg, "svg")] {
            assert_eq!(
                picture.header("cross-origin-resource-policy"),
                "cross-origin"
            );
            assert_eq!(picture.header("content-encoding"), "");
            let name = picture.header("content-disposition");
            assert!(
                name.starts_with("inline; filename=\"qrcode-1-until-"),
                "{name}"
            );
            assert!(name.contains(&format!(".{extension}\"")), "{name}");
        }
    }
    let image = app.get("/qrcode.jpg?scene_id=1").await.header("location");
    let jpg = Answer::to(client().get(image)).await;
    assert_eq!(decode_png(&jpg.body).1, [url], "the sandbox's own picture");
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn a_picture_that_is_too_small_costs_no_mint() {
    let app = TestApp::spawn().await;
    for (extension, margin, least) in [
        ("png", "", 82),
        ("svg", "&margin=4", 82),
        ("png", "&margin=0", 66),
        ("svg", "&margin=16", 130),
        ("json", "&margin=16", 130),
    ] {
        let path = format!("/qrcode.{extension}?scene_id=1{margin}&size=");
        let tight = app.get(&format!("{path}{}", least - 1)).await;
        assert_eq!(tight.problem(), (400, "invalid_parameter".to_owned()));
        assert_eq!(tight.field("parameter"), "size", "{path}");
        let detail = tight.field("detail");
        let wanted = format!("at least {least} pixels");
        assert!(detail.contains(&wanted), "{path}: {detail}");
        assert_eq!(app.creates(), 0, "{path}");
    }
    for (margin, least) in [("", 82), ("&margin=0", 66), ("&margin=16", 130)] {
        let path = format!("/qrcode.png?scene_id=1{margin}&size={least}");
        assert_eq!(app.get(&path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_code_whose_url_is_longer_than_ever_is_kept_for_a_larger_picture() {
    let long = format!("http://weixin.qq.com/q/{}", "a".repeat(60));
    let upstream = Upstream::speaking(move |seen| {
        if seen.is_token_call() {
            return Reply::token("a-token", 7200);
        }
        Reply::json(&json!({"ticket": "gQH", "expire_seconds": 7200, "url": long}))
    })
    .await;
    let app = TestApp::with()
        .set("API_BASE", upstream.url())
        .spawn()
        .await;
    // 37 modules instead of 33.
    let tight = app.get("/qrcode.png?scene_id=1&size=82").await;
    assert_eq!(tight.problem(), (400, "invalid_parameter".to_owned()));
    assert!(tight.field("detail").contains("at least 90 pixels"));
    let larger = app.get("/qrcode.png?scene_id=1&size=90").await;
    assert_eq!(larger.status, StatusCode::OK);
    assert_eq!(upstream.creates(), 1);
}

#[tokio::test]
async fn a_files_name_says_which_code_it_is() {
    let app = TestApp::spawn().await;
    let path = "/qrcode.png?scene_str=%E5%B1%95%2F%22a%22&permanent=true";
    let answer = app.get_as(keys::PERMANENT, path).await;
    assert_eq!(
        answer.header("content-disposition"),
        "inline; filename=\"qrcode-___a_-permanent.png\"; filename*=UTF-8''qrcode-%E5%B1%95_%22a%22-permanent.png"
    );
}
