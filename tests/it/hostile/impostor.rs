//! An impostor answers in WeChat's place, or WeChat answers as it never did: numbers out
//! of all bounds, markup for a ticket, documents without end.

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, APP_SECRET, HASTE, TestApp};
use crate::support::keys;
use crate::support::process::Process;
use crate::support::upstream::{Reply, Seen, Upstream};
use crate::support::{Server, client};

const TICKET: &str = "gQH47joAAAAAAAAAASxodHRwOi8vd2VpeGluLnFxLmNvbS9xL2taZ2Z3TVRtNzJXV1Brb3ZhYmJJAAIEZ23sUwMEmm3sUw==";

/// A service whose WeChat answers a token call and a create call with these texts.
async fn service(token: &str, create: &str) -> (Upstream, TestApp) {
    let (token, create) = (token.to_owned(), create.to_owned());
    let upstream = Upstream::speaking(move |call: Seen| {
        Reply(
            200,
            if call.is_token_call() {
                token.clone()
            } else {
                create.clone()
            },
        )
    })
    .await;
    let app = TestApp::with()
        .set("API_BASE", upstream.url())
        .spawn()
        .await;
    (upstream, app)
}

/// Asks with patience: the disk may be busy with something else.
async fn asked(app: &TestApp, path: &str) -> Answer {
    Answer::once_the_database_is_free(app.request(Method::GET, path)).await
}

fn token(expires_in: &str) -> String {
    format!(r#"{{"access_token": "a-token", "expires_in": {expires_in}}}"#)
}

fn code(expire_seconds: &str) -> String {
    format!(
        r#"{{"ticket": "{TICKET}", "expire_seconds": {expire_seconds}, "url": "http://weixin.qq.com/q/a"}}"#
    )
}

/// A value in place of a number of seconds, and whether it can be parsed as one.
const SECONDS: &[(&str, bool)] = &[
    ("7200", true),
    ("1", true),
    ("18446744073709551615", true),
    ("9223372036854775807", true),
    ("0", false),
    ("-1", false),
    ("-9223372036854775808", false),
    ("-1e300", false),
    ("18446744073709551616", true),
    ("1e3", true),
    ("1e300", true),
    ("7200.5", false),
    ("1e400", false),
    ("\"7200\"", true),
    ("\"7.2e3\"", true),
    ("\"18446744073709551615\"", true),
    ("\"99999999999999999999\"", true),
    ("\"0\"", false),
    ("\"-1\"", false),
    ("\"1e400\"", false),
    ("\"x\"", false),
    ("true", false),
    ("[]", false),
    ("{}", false),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_from_wechat_is_used_or_refused() {
    for (seconds, is_one) in SECONDS {
        let status = if *is_one { 200 } else { 502 };
        let (_upstream, app) = service(&token(seconds), &code("7200")).await;
        let answer = asked(&app, "/qrcode.json?scene_id=1").await;
        let problem = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, status, "a token for {seconds}: {problem}");
        let (_upstream, app) = service(&token("7200"), &code(seconds)).await;
        for format in ["json", "html", "png", "svg"] {
            let answer = asked(&app, &format!("/qrcode.{format}?scene_id=1")).await;
            let problem = String::from_utf8_lossy(&answer.body);
            assert_eq!(
                answer.status, status,
                "a code for {seconds} as {format}: {problem}"
            );
        }
    }
}

/// A permanent code has no life, so that no value of this field costs it.
#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_code_is_not_lost_over_its_seconds() {
    for seconds in [
        "\"\"",
        "\"never\"",
        "true",
        "[]",
        "{}",
        "null",
        "-1",
        "0.5",
        "99999999999999999999",
        "\"99999999999999999999\"",
    ] {
        let (upstream, app) = service(&token("7200"), &code(seconds)).await;
        let path = "/qrcode.json?permanent=true&scene_id=1";
        let answer = app.get_as(keys::ADMIN, path).await;
        assert_eq!(answer.status, 200, "{seconds}: {answer:?}");
        assert_eq!((answer.ticket().as_str(), upstream.creates()), (TICKET, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_that_is_left_out_is_as_requested() {
    for seconds in ["null", "\"\"", "\" \""] {
        let (_upstream, app) = service(&token("7200"), &code(seconds)).await;
        let answer = app.get("/qrcode.json?scene_id=1&expire_seconds=3600").await;
        assert_eq!(answer.status, 200, "{seconds}: {answer:?}");
        let left = answer.json()["expire_seconds"].as_u64().unwrap();
        assert!((3000..=3600).contains(&left), "{seconds}: {left}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_order_mark_before_an_answer_is_passed_over() {
    let marked = |text: String| format!("\u{feff}{text}");
    let (_upstream, app) = service(&marked(token("7200")), &marked(code("7200"))).await;
    assert_eq!(app.scene(1).await.status, 200);
    let refusal = marked(r#"{"errcode": 48001}"#.to_owned());
    let (_upstream, app) = service(&token("7200"), &refusal).await;
    let refused = app.scene(1).await;
    assert_eq!(refused.problem(), (502, "upstream_refused".to_owned()));
}

/// Whatever a ticket or an address consists of, it is one value in what is answered.
#[tokio::test(flavor = "multi_thread")]
async fn markup_for_a_ticket_stays_a_ticket() {
    for odd in [
        "\"><script>alert(1)</script>",
        "x&ticket=other#fragment",
        "//evil.example/",
        "a'onerror='alert(1)",
        "{{7*7}}<!--",
        "javascript:alert(1)",
    ] {
        let create = json!({"ticket": odd, "expire_seconds": 7200, "url": odd});
        let (_upstream, app) = service(&token("7200"), &create.to_string()).await;
        let json = app.scene(1).await;
        assert_eq!(
            (json.field("ticket").as_str(), json.field("url").as_str()),
            (odd, odd)
        );
        let image = json.field("image_url");
        let query = image.split_once("/cgi-bin/showqrcode?ticket=").unwrap().1;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
        assert!(query.chars().all(plain), "{image}");
        for path in [
            "/qrcode.html?scene_id=1",
            "/qrcode.html?scene_id=1&fragment=1",
            "/?scene_id=1",
        ] {
            let page = app.get(path).await;
            assert!(
                page.text().contains(&format!("<img src=\"{image}\"")),
                "{path}: {}",
                page.text()
            );
            assert!(!page.text().contains(odd), "{path}: {}", page.text());
        }
        let jpg = app.get("/qrcode.jpg?scene_id=1").await;
        assert_eq!(jpg.header("location"), image);
        // The base is the settings', whatever is in the ticket.
        assert!(image.starts_with("http://127.0.0.1:"), "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_code_is_none() {
    let long = |length: usize| "a".repeat(length);
    let of = |ticket: &str, url: &str| {
        json!({"ticket": ticket, "expire_seconds": 60, "url": url}).to_string()
    };
    let answers = [
        of("", "http://weixin.qq.com/q/a"),
        of(TICKET, ""),
        of("a b", "http://weixin.qq.com/q/a"),
        of("a\r\nSet-Cookie: a=b", "http://weixin.qq.com/q/a"),
        of(TICKET, "http://weixin.qq.com/q/\u{0}"),
        of("票", "http://weixin.qq.com/q/a"),
        of(&long(1025), "http://weixin.qq.com/q/a"),
        of(TICKET, &long(257)),
        format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)),
        format!("{}1{}", r#"{"ticket":"#.repeat(5000), "}".repeat(5000)),
        format!(r#"{{"errcode": 0, "ticket": "{}"}}"#, long(60_000)),
        r#"{"errcode": {}, "errmsg": []}"#.to_owned(),
        "\u{feff}{}".to_owned(),
        "null".to_owned(),
    ]
    .map(meet);
    // Each is asked for several times, with pauses.
    join_all(answers).await;
}

async fn meet(create: String) {
    let (_upstream, app) = service(&token("7200"), &create).await;
    let answer = app.scene(1).await;
    let invalid = (502, "upstream_invalid".to_owned());
    assert_eq!(answer.problem(), invalid, "{create:.100}");
    let health = app.get("/healthz").await;
    assert_eq!(health.status, StatusCode::OK, "{create:.100}");
}

/// Zeros packed with gzip (RFC 1952), some 160 times smaller than they are.
fn packed_zeros(length: usize) -> Vec<u8> {
    /// What the two lists of codes say of "repeat the last byte 258 times" (RFC 1951, 3.2.5 and
    /// 3.2.6).
    const AGAIN: [bool; 13] = [
        true, true, false, false, false, true, false, true, false, false, false, false, false,
    ];
    // The last block, with fixed codes; the literal 0.
    let start = [true, true, false]
        .into_iter()
        .chain([false, false, true, true, false, false, false, false]);
    let bits = start.chain(std::iter::repeat_n(AGAIN, length / 258).flatten());
    let bits: Vec<bool> = bits.collect();
    let bytes = bits.chunks(8).map(|bits| {
        let set = bits.iter().enumerate().filter(|(_, bit)| **bit);
        set.fold(0_u8, |byte, (at, _)| byte | 1 << at)
    });
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    header.into_iter().chain(bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_grows_when_it_is_unpacked_costs_no_memory() {
    const UNPACKED: usize = 9 * 1024 * 1024;
    const MAX_GROWTH: usize = 48 * 1024 * 1024;
    let bomb = Bytes::from(packed_zeros(UNPACKED));
    assert!(
        bomb.len() < 64 * 1024,
        "as it comes, it is no longer than an answer may be"
    );
    let router = Router::new()
        .route(
            "/cgi-bin/stable_token",
            axum::routing::any(|| async { token("7200") }),
        )
        .fallback(move || {
            let bomb = bomb.clone();
            async move { ([(header::CONTENT_ENCODING, "gzip")], bomb).into_response() }
        });
    let (_server, address) = Server::spawn(|_| router).await;
    let base = format!("http://{address}");
    let (process, addresses) = Process::serve(&[
        ("WXQR_APP_ID", APP_ID),
        ("WXQR_APP_SECRET", APP_SECRET),
        ("WXQR_API_BASE", &base),
        ("WXQR_DATABASE_URL", "sqlite::memory:"),
        ("WXQR_VISITOR_RATE", HASTE),
        ("WXQR_VISITOR_PACE", HASTE),
    ])
    .await;
    let client = client();
    let scene = |id: u32| {
        Answer::to(client.get(format!(
            "http://{}/qrcode.json?scene_id={id}",
            addresses.http
        )))
    };
    let first = scene(1).await;
    assert_eq!(
        first.problem(),
        (502, "upstream_invalid".to_owned()),
        "it was unpacked"
    );
    let before = process.memory();
    for answer in join_all((2..=33).map(scene)).await {
        assert_eq!(answer.problem(), (502, "upstream_invalid".to_owned()));
    }
    if let (Some(before), Some(after)) = (before, process.memory()) {
        assert!(
            after < before + MAX_GROWTH,
            "from {before} to {after} bytes"
        );
    }
}
