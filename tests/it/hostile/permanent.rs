//! Strangers, and keys without the scope, try to have permanent codes made: by every method, path,
//! spelling, header and body that might get past a check.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::stream::{self, StreamExt as _};
use wechat_sandbox::Api;

use crate::support::app::TestApp;
use crate::support::figures::{Figures, grouped};
use crate::support::keys::{self, signed};
use crate::support::raw::{RawAnswer, send};

/// How often it is tried.
const ATTEMPTS: usize = 10_000;

/// How many attempts are under way at once.
const ABREAST: usize = 32;

const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MINT", "get",
];

const PATHS: &[&str] = &[
    "/qrcode",
    "/qrcode.html",
    "/qrcode.json",
    "/qrcode.png",
    "/qrcode.svg",
    "/qrcode.jpg",
    "/",
    "/wx/qrcode",
    "/wx/qrcode.json",
    "/wx",
    "/wx/",
    "//qrcode.json",
    "/qrcode.json/",
    "/QRCODE.JSON",
    "/%71rcode.json",
    "/qrcode%2ejson",
    "/qrcode.json;permanent=true",
    "/./qrcode.json",
    "/api/../qrcode.json",
    "/wx/wx/qrcode.json",
    "/api/codes",
    "/wx/api/codes",
    "/api/codes/",
    "/cgi-bin/qrcode/create",
    "http://wxqr/qrcode.json",
];

/// After a scene. What the service does not take for `permanent=true` may well be a temporary code.
const QUERIES: &[&str] = &[
    "permanent=true",
    "permanent=TRUE",
    "permanent=True",
    "permanent=1",
    "permanent=yes",
    "permanent=",
    "permanent",
    "permanent=%74%72%75%65",
    "%70ermanent=true",
    "permanent=true%00",
    "permanent=%20true",
    "permanent=true+",
    "permanent=%EF%BD%94rue",
    "permanent=true&permanent=false",
    "permanent=false&permanent=true",
    "permanent=true&permanent=true",
    "permanent=false&%70ermanent=true",
    "permanent[]=true",
    "permanent%5B%5D=true",
    "permanent[0]=true",
    "permanent=true;scene_id=8",
    "permanent=false%26permanent=true",
    "permanent=false;permanent=true",
    "Permanent=true",
    "PERMANENT=true",
    "perm%61nent=true&fragment=1",
    "action_name=QR_LIMIT_SCENE",
    "action_name=QR_LIMIT_STR_SCENE&permanent=true",
    "expire_seconds=0",
    "expire_seconds=",
    "expire_seconds=0&permanent=true",
    "permanent=true&scope=permanent",
    "permanent=true&key=permanent-key-of-the-owner",
    "permanent=true&access_token=permanent-key-of-the-owner",
    "permanent=true&_method=POST",
    "permanent=true&ticket=gQH&url=http://weixin.qq.com/q/a",
    "permanent=true&format=json&lang=en",
    "permanent=true&format=jpg",
    "permanent=true&SIGNED",
    "permanent=true&exp=4102444800&sig=",
];

/// Attempts at impersonation: the owner's key in all the wrong places.
fn headers() -> Vec<String> {
    let basic = |text: &str| format!("Authorization: Basic {}", BASE64_STANDARD.encode(text));
    let bearer = |secret: &str| format!("Authorization: Bearer {secret}");
    let mut headers: Vec<String> = [
        "",
        "X-HTTP-Method-Override: POST",
        "X-HTTP-Method: PUT",
        "X-Method-Override: POST",
        "X-Original-URL: /api/codes",
        "X-Rewrite-URL: /qrcode.json?scene_id=7&permanent=true",
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-For: 127.0.0.1, 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "Forwarded: for=127.0.0.1;host=localhost;proto=https",
        "X-Forwarded-Host: localhost",
        "X-Forwarded-User: shop",
        "X-Forwarded-Prefix: /api",
        "X-Remote-User: admin",
        "X-Scope: permanent",
        "Authorization:",
        "Authorization: Bearer",
        "Authorization: Bearer null",
        "Authorization: permanent-key-of-the-owner",
        "Authorization: Token permanent-key-of-the-owner",
        "Authorization: Bearer permanent-key-of-the-owner,admin",
        "Authorization: Bearer permanent-key-of-the-owne",
        "Authorization: Bearer PERMANENT-KEY-OF-THE-OWNER",
        "Authorization: Bearer permanent:permanent-key-of-the-owner:permanent",
        "Authorization: Bearer\tpermanent-key-of-the-owner",
        "Proxy-Authorization: Bearer permanent-key-of-the-owner",
        "X-Api-Key: permanent-key-of-the-owner",
        "Cookie: key=permanent-key-of-the-owner; authorization=Bearer permanent-key-of-the-owner",
        "Host: permanent-key-of-the-owner@localhost",
    ]
    .map(str::to_owned)
    .to_vec();
    headers.extend([
        basic(keys::PERMANENT),
        basic(&format!("permanent:{}", keys::PERMANENT)),
        bearer(keys::MINT),
        bearer(keys::STATS_AND_PEOPLE),
        bearer(&format!("{} ", keys::MINT)),
        format!("{}\r\n{}", bearer(keys::MINT), bearer(keys::PERMANENT)),
        format!("{}\r\nX-HTTP-Method-Override: GET", bearer(keys::MINT)),
    ]);
    headers
}

/// For `POST /api/codes`.
const BODIES: &[&str] = &[
    r#"{"scene_id": 7, "permanent": true}"#,
    r#"{"scene_str": "poster", "permanent": true}"#,
    r#"{"scene_id": 7, "permanent": "true"}"#,
    r#"{"scene_id": 7, "permanent": 1}"#,
    r#"{"scene_id": 7, "permanent": [true]}"#,
    r#"{"scene_id": 7, "permanent": {"value": true}}"#,
    r#"{"scene_id": 7, "permanent": false, "permanent": true}"#,
    r#"{"scene_id": 7, "permanent": true, "permanent": false}"#,
    r#"{"scene_id": 7, "perm\u0061nent": true}"#,
    r#"{"scene_id": 7, "permanent": false, "perm\u0061nent": true}"#,
    r#"{"scene_id": 7, "Permanent": true}"#,
    r#"{"scene_id": "7", "permanent": true}"#,
    r#"{"scene_id": 7, "permanent": true, "scope": "permanent"}"#,
    r#"{"scene_id": 7, "permanent": true, "ticket": "gQH", "url": "http://weixin.qq.com/q/a"}"#,
    r#"{"scene_id": 7, "ticket": "gQH", "url": "http://weixin.qq.com/q/a"}"#,
    r#"{"scene_id": 7, "expire_seconds": 0}"#,
    r#"{"scene_id": 7, "expire_seconds": null, "permanent": true}"#,
    r#"{"scene_id": 7, "action_name": "QR_LIMIT_SCENE"}"#,
    r#"{"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 7}}}"#,
    r#"{"items": [{"scene_id": 7, "permanent": true}]}"#,
    r#"{"__proto__": {"permanent": true}, "scene_id": 7}"#,
    r#"[{"scene_id": 7, "permanent": true}]"#,
    r#"[{"scene_id": 7}, {"scene_id": 7, "permanent": true}]"#,
    r#"[[{"scene_id": 7, "permanent": true}]]"#,
    r#"[{"scene_id": 7, "permanent": false}, {"scene_str": "a", "permanent": true, "label": "x"}]"#,
    "{\"scene_id\": 7, \"permanent\": true}{\"scene_id\": 8, \"permanent\": true}",
    "\u{feff}{\"scene_id\": 7, \"permanent\": true}",
    "scene_id=7&permanent=true",
    "<scene_id>7</scene_id><permanent>true</permanent>",
    "",
];

const MEDIA_TYPES: &[&str] = &[
    "application/json",
    "application/x-www-form-urlencoded",
    "application/merge-patch+json",
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/json; charset=utf-16",
];

/// One after the other from all that can be combined, each at most once, without a pattern that
/// would leave something out.
fn spread(of: usize, wanted: usize) -> impl Iterator<Item = usize> {
    /// Prime, and larger than any of the lists is long, so that it divides none of their products.
    const STRIDE: usize = 1_000_003;
    (0..wanted.min(of)).map(move |n| n * STRIDE % of)
}

/// The part of `number` that chooses from a list, and the rest for the lists after it.
fn choose<'a, T: ?Sized>(number: &mut usize, list: &[&'a T]) -> &'a T {
    let chosen = list[*number % list.len()];
    *number /= list.len();
    chosen
}

fn requests(wanted: usize) -> Vec<String> {
    let headers = headers();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let link = signed("scene_id=7&permanent=true");
    let scenes = ["before a number", "after a text"];
    let by_query = METHODS.len() * PATHS.len() * QUERIES.len() * headers.len() * scenes.len();
    let by_query = spread(by_query, wanted * 4 / 5).map(|mut number| {
        let method = choose(&mut number, METHODS);
        let path = choose(&mut number, PATHS);
        let query = choose(&mut number, QUERIES);
        let header = choose(&mut number, &headers);
        let query = match query.strip_suffix("&SIGNED") {
            Some(_) => link.clone(),
            None if choose(&mut number, &scenes) == scenes[0] => format!("scene_id=7&{query}"),
            None => format!("{query}&scene_str=poster"),
        };
        request(
            &format!("{method} {path}?{query}"),
            header,
            "text/plain",
            "",
        )
    });
    let methods = ["POST", "PUT", "GET"];
    let by_body = methods.len() * BODIES.len() * MEDIA_TYPES.len() * headers.len();
    let by_body = spread(by_body, wanted / 5).map(|mut number| {
        let body = choose(&mut number, BODIES);
        let header = choose(&mut number, &headers);
        let method = choose(&mut number, &methods);
        let media_type = choose(&mut number, MEDIA_TYPES);
        request(
            &format!("{method} /api/codes?permanent=true"),
            header,
            media_type,
            body,
        )
    });
    by_query.chain(by_body).collect()
}

fn request(start: &str, header: &str, media_type: &str, body: &str) -> String {
    let host = if header.starts_with("Host:") {
        ""
    } else {
        "Host: wxqr\r\n"
    };
    let header = if header.is_empty() {
        String::new()
    } else {
        format!("{header}\r\n")
    };
    format!(
        "{start} HTTP/1.1\r\n{host}{header}Content-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn attempt(address: SocketAddr, request: String) -> (String, RawAnswer) {
    let answer = send(address, request.as_bytes()).await;
    (request, answer)
}

/// Calls for permanent codes that WeChat got.
fn permanent_creates(app: &TestApp) -> usize {
    let creates = app.calls(Api::Create);
    assert_eq!(
        creates.len(),
        app.creates(),
        "the sandbox has forgotten none"
    );
    creates
        .iter()
        .filter(|call| call.body.contains("QR_LIMIT"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trick_makes_a_permanent_code_without_the_scope() {
    let app = TestApp::with()
        .set("LINK_KEYS", keys::LINK)
        .set("PUBLIC_URL", "https://qr.example.com/wx")
        .set("TRUSTED_PROXIES", "127.0.0.1")
        .spawn()
        .await;
    let requests = requests(ATTEMPTS);
    for form in ["?scene_id=7&", "&scene_str=poster "] {
        assert!(
            requests.iter().any(|request| request.contains(form)),
            "{form}"
        );
    }
    let attempts = requests.len();
    let mut answers = stream::iter(requests)
        .map(|request| attempt(app.address, request))
        .buffer_unordered(ABREAST);
    let mut refused = 0;
    while let Some((request, answer)) = answers.next().await {
        // A HEAD creates nothing, and says so.
        let is_probe = request.starts_with("HEAD ") && answer.status == 503;
        let is_answered = (200..500).contains(&answer.status);
        assert!(is_probe || is_answered, "{request}: {answer:?}");
        refused += usize::from(answer.status >= 400);
    }
    let creates = permanent_creates(&app);
    assert_eq!(creates, 0);
    let ledger = app.get_as(keys::ADMIN, "/api/account").await.json();
    assert_eq!(ledger["permanent"]["used"], 0, "not even an intent");

    // It would have been seen.
    let path = "/qrcode.json?scene_id=7&permanent=true";
    let made = app.get_as(keys::PERMANENT, path).await;
    assert_eq!((made.status.as_u16(), permanent_creates(&app)), (200, 1));

    let mut figures = Figures::of(format!(
        "{} attempts at a permanent code without the scope, by method, path, spelling, header and body",
        grouped(attempts)
    ));
    figures.exactly("permanent codes made", 0, creates);
    figures.report(
        "refused; the rest asked for something else, such as a temporary code",
        grouped(refused),
    );
}
