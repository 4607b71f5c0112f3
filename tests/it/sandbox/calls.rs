//! The sandbox from outside: a real listener, a real client, and raw sockets where a client would
//! hide what happened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wechat_sandbox::{Api, Fault, FaultKind, Sandbox, Target};
use wxqr::clock::ManualClock;

use super::{APP_SECRET, clock};
use crate::support::app::{APP_ID, spawn_sandbox_by};
use crate::support::{Server, client};

/// Long enough for a call to arrive on a busy machine.
const SOME_TIME: Duration = Duration::from_secs(2);

const JSON: &str = "application/json; encoding=utf-8";

/// A sandbox on a port of its own. Dropping it ends the server.
struct Running {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
    address: SocketAddr,
    client: Client,
    _server: Server,
}

impl Running {
    async fn spawn() -> Self {
        let clock = clock();
        let (sandbox, address, server) =
            spawn_sandbox_by(clock.clone(), APP_SECRET, |router| router).await;
        Self {
            sandbox,
            clock,
            address,
            client: client(),
            _server: server,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.client.post(self.url(path)).body(body);
        request.send().await.unwrap()
    }

    async fn classic(&self) -> Value {
        let path = format!(
            "/cgi-bin/token?grant_type=client_credential&appid={APP_ID}&secret={APP_SECRET}"
        );
        self.get(&path).await.json().await.unwrap()
    }

    async fn stable(&self, force_refresh: bool) -> Value {
        let body = json!({
            "grant_type": "client_credential",
            "appid": APP_ID,
            "secret": APP_SECRET,
            "force_refresh": force_refresh,
        });
        let answer = self.post("/cgi-bin/stable_token", body.to_string()).await;
        answer.json().await.unwrap()
    }

    async fn token(&self) -> String {
        text(&self.stable(false).await, "access_token")
    }

    async fn create(&self, token: &str, body: &Value) -> Value {
        let path = format!("/cgi-bin/qrcode/create?access_token={token}");
        let answer = self.post(&path, body.to_string()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    async fn temporary(&self) -> Value {
        self.create(&self.token().await, &temporary(60)).await
    }

    /// Sends a request unchanged and reads until the other side closes.
    async fn raw(&self, request: &str) -> Vec<u8> {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = socket.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect("the other side closes")
            .unwrap();
        answer
    }
}

fn text(answer: &Value, field: &str) -> String {
    let text = answer[field].as_str();
    assert!(text.is_some(), "{field} in {answer}");
    text.unwrap().to_owned()
}

fn temporary(expire_seconds: u32) -> Value {
    json!({
        "expire_seconds": expire_seconds,
        "action_name": "QR_SCENE",
        "action_info": {"scene": {"scene_id": 123}},
    })
}

fn show_path(ticket: &str) -> String {
    format!("/cgi-bin/showqrcode?ticket={}", ticket.replace('=', "%3D"))
}

/// Whether the text is `xxxxxxxx-xxxxxxxx-xxxxxxxx` in hex.
fn is_rid(rid: &str) -> bool {
    let groups: Vec<_> = rid.split('-').collect();
    let is_group = |group: &&str| group.len() == 8 && group.bytes().all(|b| b.is_ascii_hexdigit());
    groups.len() == 3 && groups.iter().all(is_group)
}

#[tokio::test]
async fn a_refusal_is_http_200_with_errcode_and_rid() {
    let wechat = Running::spawn().await;
    let token = wechat.token().await;
    let stable = |body: &'static str| wechat.post("/cgi-bin/stable_token", body);
    let create = format!("/cgi-bin/qrcode/create?access_token={token}");
    let wrong_secret =
        format!("/cgi-bin/token?grant_type=client_credential&appid={APP_ID}&secret=wrong");
    for (what, answer, errcode) in [
        ("no grant_type", wechat.get("/cgi-bin/token").await, 40002),
        (
            "no appid",
            wechat
                .get("/cgi-bin/token?grant_type=client_credential&secret=x")
                .await,
            41002,
        ),
        (
            "no secret",
            wechat
                .get("/cgi-bin/token?grant_type=client_credential&appid=x")
                .await,
            41004,
        ),
        (
            "unknown appid",
            wechat
                .get("/cgi-bin/token?grant_type=client_credential&appid=x&secret=x")
                .await,
            40013,
        ),
        ("wrong secret", wechat.get(&wrong_secret).await, 40001),
        (
            "token by POST",
            wechat.post("/cgi-bin/token", "").await,
            43001,
        ),
        (
            "stable by GET",
            wechat.get("/cgi-bin/stable_token").await,
            43002,
        ),
        ("stable, empty", stable("").await, 44002),
        (
            "stable, no JSON",
            stable("grant_type=client_credential").await,
            47001,
        ),
        ("stable, no grant_type", stable("{}").await, 40002),
        (
            "stable, wrong secret",
            stable(
                r#"{"grant_type":"client_credential","appid":"wx0123456789abcdef","secret":"x"}"#,
            )
            .await,
            40125,
        ),
        ("create by GET", wechat.get(&create).await, 43002),
        (
            "no token",
            wechat.post("/cgi-bin/qrcode/create", "{}").await,
            41001,
        ),
        (
            "wrong token",
            wechat
                .post("/cgi-bin/qrcode/create?access_token=x", "{}")
                .await,
            40001,
        ),
        ("create, empty", wechat.post(&create, "").await, 44002),
        ("create, no JSON", wechat.post(&create, "{").await, 47001),
        ("create, no action", wechat.post(&create, "{}").await, 40052),
        (
            "create, permanent text without scene",
            wechat
                .post(
                    &create,
                    r#"{"action_name":"QR_LIMIT_STR_SCENE","action_info":{"scene_str":"a"}}"#,
                )
                .await,
            40053,
        ),
    ] {
        assert_eq!(answer.status(), StatusCode::OK, "{what}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["errcode"], errcode, "{what}: {answer}");
        let errmsg = text(&answer, "errmsg");
        let (words, rid) = errmsg.split_once(" rid: ").unwrap();
        assert!(!words.is_empty() && is_rid(rid), "{what}: {errmsg}");
    }
}

#[tokio::test]
async fn a_code_is_answered_in_wechats_words() {
    let wechat = Running::spawn().await;
    let token = wechat.token().await;
    let path = format!("/cgi-bin/qrcode/create?access_token={token}");
    let request = wechat.client.post(wechat.url(&path));
    // Whatever the Content-Type says.
    let request = request.header("content-type", "text/xml");
    let answer = request
        .body(temporary(600).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.headers()["content-type"], JSON);
    let answer = answer.text().await.unwrap();
    let id = answer.strip_suffix("\"}").unwrap();
    let id = &id[id.len() - 22..];
    let escaped = format!(r#""url":"http:\/\/{}\/q\/{id}"}}"#, wechat.address);
    assert!(answer.starts_with(r#"{"ticket":"gQ"#), "{answer}");
    assert!(answer.contains(r#"","expire_seconds":600,"#), "{answer}");
    assert!(answer.ends_with(&escaped), "{answer}");
    assert!(!answer.contains("errcode"), "{answer}");

    for (body, expire_seconds) in [
        (json!({"action_name": "QR_SCENE"}), Some(json!(60))),
        (temporary(2_592_001), Some(json!(2_592_000))),
        (
            json!({"action_name": "QR_LIMIT_STR_SCENE", "action_info": {"scene": {"scene_str": "展"}}}),
            None,
        ),
    ] {
        let answer = wechat.create(&token, &body).await;
        assert_eq!(
            answer.get("expire_seconds"),
            expire_seconds.as_ref(),
            "{answer}"
        );
        assert!(answer.get("errcode").is_none(), "{answer}");
    }
}

#[tokio::test]
async fn tokens_live_as_wechat_documents() {
    let wechat = Running::spawn().await;
    let first = text(&wechat.classic().await, "access_token");
    let second = text(&wechat.classic().await, "access_token");
    let stable = wechat.stable(false).await;
    assert_eq!(stable["expires_in"], 7200);
    assert!(wechat.create(&first, &temporary(60)).await["ticket"].is_string());

    wechat.clock.advance(Duration::from_mins(5));
    assert_eq!(
        wechat.create(&first, &temporary(60)).await["errcode"],
        40001
    );
    assert!(wechat.create(&second, &temporary(60)).await["ticket"].is_string());
    let again = wechat.stable(false).await;
    assert_eq!(again["access_token"], stable["access_token"]);
    assert_eq!(again["expires_in"], 6900);

    let forced = wechat.stable(true).await;
    assert_ne!(forced["access_token"], stable["access_token"]);
    assert_eq!(wechat.stable(true).await["errcode"], 45011);
    let old = text(&stable, "access_token");
    assert_eq!(wechat.create(&old, &temporary(60)).await["errcode"], 40001);

    wechat.clock.advance(Duration::from_hours(2));
    assert_eq!(
        wechat.create(&second, &temporary(60)).await["errcode"],
        42001
    );
}

#[tokio::test]
async fn the_controls_kill_tokens_in_three_ways() {
    let wechat = Running::spawn().await;
    for (control, errcode, repeats_the_revoked) in [
        ("expire-token", 42001, false),
        ("rotate-token", 40001, false),
        ("kill-token", 40001, true),
    ] {
        let token = wechat.token().await;
        assert!(wechat.create(&token, &temporary(60)).await["ticket"].is_string());
        let done = wechat.post(&format!("/sandbox/{control}"), "").await;
        assert_eq!(done.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            wechat.create(&token, &temporary(60)).await["errcode"],
            errcode,
            "{control}"
        );
        assert_eq!(
            wechat.token().await == token,
            repeats_the_revoked,
            "{control}"
        );
    }
    let forced = text(&wechat.stable(true).await, "access_token");
    assert!(wechat.create(&forced, &temporary(60)).await["ticket"].is_string());
}

#[tokio::test]
async fn a_ticket_shows_a_picture_that_reads_as_its_url() {
    let wechat = Running::spawn().await;
    let code = wechat.temporary().await;
    let ticket = text(&code, "ticket");
    // Real tickets of this length of url end in `=`, these may not: both spellings must do.
    for path in [
        show_path(&ticket),
        format!("/cgi-bin/showqrcode?ticket={ticket}"),
    ] {
        let answer = wechat.get(&path).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "image/jpg");
        assert_eq!(answer.headers()["cache-control"], "max-age=604800");
        let jpeg = answer.bytes().await.unwrap();
        let image = image::load_from_memory_with_format(&jpeg, image::ImageFormat::Jpeg)
            .unwrap()
            .to_luma8();
        assert_eq!(image.dimensions(), (430, 430));
        let mut prepared = rqrr::PreparedImage::prepare_from_greyscale(430, 430, |x, y| {
            image.as_raw()[y * 430 + x]
        });
        let (_, url) = prepared.detect_grids()[0].decode().unwrap();
        assert_eq!(url, text(&code, "url"));
    }
}

#[tokio::test]
async fn a_ticket_that_is_unknown_expired_or_encoded_twice_is_404() {
    let wechat = Running::spawn().await;
    // A base of the right length makes tickets that end in `=`, so that encoding twice matters.
    wechat.sandbox.set_base("http://weixin.qq.com");
    let ticket = text(&wechat.temporary().await, "ticket");
    assert_eq!(ticket.len(), 96);
    wechat.sandbox.set_base("http://weixin.qq.com.x");
    let padded = text(&wechat.temporary().await, "ticket");
    assert!(padded.ends_with('='), "{padded}");
    assert_eq!(
        wechat.get(&show_path(&padded)).await.status(),
        StatusCode::OK
    );
    let twice = show_path(&padded).replace('%', "%25");
    for path in [
        twice,
        "/cgi-bin/showqrcode".to_owned(),
        "/cgi-bin/showqrcode?ticket=".to_owned(),
        "/cgi-bin/showqrcode?ticket=%ff%00".to_owned(),
        "/cgi-bin/showqrcode?ticket=gQ+unknown".to_owned(),
    ] {
        assert_eq!(
            wechat.get(&path).await.status(),
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    wechat.clock.advance(Duration::from_mins(1));
    assert_eq!(
        wechat.get(&show_path(&padded)).await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_page_of_a_code_says_what_it_carries() {
    let wechat = Running::spawn().await;
    let token = wechat.token().await;
    let body = json!({
        "expire_seconds": 3660,
        "action_name": "QR_STR_SCENE",
        "action_info": {"scene": {"scene_str": "<b>展台&A"}},
    });
    let code = wechat.create(&token, &body).await;
    let url = text(&code, "url");
    let page = |lang: &'static str| {
        wechat
            .client
            .get(&url)
            .header("accept-language", lang)
            .send()
    };

    let answer = page("zh-CN").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let policy = answer.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let html = answer.text().await.unwrap();
    for want in [
        "SANDBOX",
        "&#60;b&#62;展台&#38;A",
        "scene_str",
        "2026-11-22 13:01:00",
        "1 小时 1 分钟",
    ] {
        assert!(html.contains(want), "{want} in {html}");
    }
    let html = page("en-GB").await.unwrap().text().await.unwrap();
    assert!(
        html.contains("Temporary code that carries a text"),
        "{html}"
    );
    let html = wechat
        .client
        .get(format!("{url}?lang=en"))
        .send()
        .await
        .unwrap();
    assert!(html.text().await.unwrap().contains("<html lang=\"en\">"));

    for path in ["/q/unknown", "/q/%ff"] {
        let answer = wechat.get(path).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(
            answer
                .text()
                .await
                .unwrap()
                .contains("二维码不存在或已过期"),
            "{path}"
        );
    }
    wechat.clock.advance(Duration::from_mins(61));
    assert_eq!(page("zh").await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_fault_is_set_shown_spent_and_cleared() {
    let wechat = Running::spawn().await;
    let put = |body: String| {
        wechat
            .client
            .put(wechat.url("/sandbox/faults"))
            .body(body)
            .send()
    };
    let fault = json!([{"api": "create", "kind": "errcode", "value": 40164, "times": 2}]);
    assert_eq!(
        put(fault.to_string()).await.unwrap().status(),
        StatusCode::OK
    );
    let token = wechat.token().await;
    let refused = wechat.create(&token, &temporary(60)).await;
    assert_eq!(refused["errcode"], 40164);
    assert!(
        text(&refused, "errmsg").starts_with("invalid ip 203.0.113.7 "),
        "{refused}"
    );
    let left: Value = wechat.get("/sandbox/faults").await.json().await.unwrap();
    assert_eq!(left[0]["times"], 1);
    assert_eq!(
        wechat.create(&token, &temporary(60)).await["errcode"],
        40164
    );
    assert!(wechat.create(&token, &temporary(60)).await["ticket"].is_string());

    for body in ["", "{}", "[1]", r#"[{"api":"any","kind":"status"}]"#] {
        let answer = put(body.to_owned()).await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        let answer: Value = answer.json().await.unwrap();
        assert!(
            text(&answer, "error").contains("expected an array"),
            "{answer}"
        );
    }
    put(r#"[{"api":"any","kind":"hang"}]"#.to_owned())
        .await
        .unwrap();
    assert_eq!(
        put("[]".to_owned()).await.unwrap().text().await.unwrap(),
        "[]"
    );
    assert!(wechat.create(&token, &temporary(60)).await["ticket"].is_string());
}

#[tokio::test]
async fn a_status_and_garbage_are_no_json() {
    let wechat = Running::spawn().await;
    wechat.sandbox.set_faults(vec![
        Fault::new(Target::Token, FaultKind::Status(StatusCode::BAD_GATEWAY)).times(1),
        Fault::new(Target::Token, FaultKind::Garbage),
    ]);
    let answer = wechat.get("/cgi-bin/token").await;
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    assert!(answer.text().await.unwrap().contains("502 Bad Gateway"));
    let answer = wechat.get("/cgi-bin/token").await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer = answer.bytes().await.unwrap();
    assert!(std::str::from_utf8(&answer).is_err());
    assert!(serde_json::from_slice::<Value>(&answer).is_err());
}

#[tokio::test]
async fn a_slow_answer_comes_late_and_its_work_is_done_though_the_caller_left() {
    let wechat = Running::spawn().await;
    let token = wechat.token().await;
    let delay = Duration::from_millis(300);
    wechat.sandbox.set_faults(vec![
        Fault::new(Target::Token, FaultKind::Slow(delay)).times(1),
    ]);
    let start = std::time::Instant::now();
    assert_eq!(wechat.token().await, token);
    assert!(start.elapsed() >= delay);

    let pause = Duration::from_mins(10);
    wechat.sandbox.set_faults(vec![
        Fault::new(Target::Token, FaultKind::Slow(pause)).times(1),
    ]);
    let body = json!({
        "grant_type": "client_credential", "appid": APP_ID, "secret": APP_SECRET, "force_refresh": true,
    });
    let request = wechat.client.post(wechat.url("/cgi-bin/stable_token"));
    let request = request.timeout(SOME_TIME).body(body.to_string());
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_ne!(wechat.token().await, token, "the refresh happened");
}

#[tokio::test]
async fn a_hanging_call_never_answers_and_changes_nothing() {
    let wechat = Running::spawn().await;
    let token = wechat.token().await;
    wechat
        .sandbox
        .set_faults(vec![Fault::new(Target::Create, FaultKind::Hang).times(1)]);
    let path = format!("/cgi-bin/qrcode/create?access_token={token}");
    let request = wechat.client.post(wechat.url(&path));
    let request = request.timeout(SOME_TIME).body(temporary(60).to_string());
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(wechat.sandbox.count(Api::Create), 1);
    assert!(wechat.create(&token, &temporary(60)).await["ticket"].is_string());
}

#[tokio::test]
async fn a_reset_sends_no_byte() {
    let wechat = Running::spawn().await;
    let reset = Fault::new(Target::Any, FaultKind::Reset);
    wechat.sandbox.set_faults(vec![reset]);
    let sent = wechat.client.get(wechat.url("/cgi-bin/token")).send().await;
    assert!(sent.unwrap_err().is_request());
    for request in [
        "GET /cgi-bin/token HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /cgi-bin/showqrcode HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /cgi-bin/qrcode/create HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    ] {
        let answer = wechat.raw(request).await;
        assert!(
            answer.is_empty(),
            "{request:?}: {}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[tokio::test]
async fn half_an_answer_has_the_right_headers_and_half_the_body() {
    let wechat = Running::spawn().await;
    let ticket = text(&wechat.temporary().await, "ticket");
    let whole = wechat.get(&show_path(&ticket)).await.bytes().await.unwrap();
    wechat
        .sandbox
        .set_faults(vec![Fault::new(Target::Any, FaultKind::Half)]);

    let request = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", show_path(&ticket));
    let answer = wechat.raw(&request).await;
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("content-type: image/jpg\r\n"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}\r\n", whole.len())),
        "{head}"
    );
    assert_eq!(answer[end..], whole[..whole.len() / 2]);

    let empty = "GET /cgi-bin/showqrcode HTTP/1.1\r\nHost: x\r\n\r\n";
    assert!(wechat.raw(empty).await.is_empty(), "half of an empty body");

    let stable = json!({"grant_type": "client_credential", "appid": APP_ID, "secret": APP_SECRET});
    let answer = wechat
        .post("/cgi-bin/stable_token", stable.to_string())
        .await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.bytes().await.is_err());
}

#[tokio::test]
async fn a_huge_answer_is_one_gibibyte_and_made_as_it_is_read() {
    let wechat = Running::spawn().await;
    wechat
        .sandbox
        .set_faults(vec![Fault::new(Target::Token, FaultKind::Huge)]);
    let mut answer = wechat.get("/cgi-bin/token").await;
    assert_eq!(answer.headers()["content-type"], JSON);
    let mut read = 0;
    while read < 4 * 1024 * 1024 {
        read += answer.chunk().await.unwrap().expect("there is more").len();
    }
}

#[tokio::test]
async fn the_record_of_calls_counts_everything_and_holds_no_secret() {
    let wechat = Running::spawn().await;
    wechat.classic().await;
    let code = wechat.temporary().await;
    wechat.get(&show_path(&text(&code, "ticket"))).await;
    wechat
        .sandbox
        .set_faults(vec![Fault::new(Target::Create, FaultKind::Errcode(-1))]);
    let token = wechat.token().await;
    wechat.create(&token, &temporary(60)).await;

    let report = wechat.get("/sandbox/calls").await.text().await.unwrap();
    assert!(
        !report.contains(APP_SECRET) && !report.contains(&token),
        "{report}"
    );
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        report["counts"],
        json!({"token": 3, "create": 2, "show": 1, "other": 0})
    );
    assert_eq!(report["calls"][0]["path"], "/cgi-bin/token");
    let create = &report["calls"][2];
    assert_eq!(create["at"], "2026-11-22T04:00:00Z");
    assert_eq!(create["api"], "create");
    assert_eq!(create["method"], "POST");
    assert_eq!(create["query"], "access_token=***");
    assert_eq!(create["body"], temporary(60).to_string());
    assert_eq!(wechat.sandbox.count(Api::Create), 2);

    let forgotten = wechat
        .client
        .delete(wechat.url("/sandbox/calls"))
        .send()
        .await
        .unwrap();
    assert_eq!(forgotten.status(), StatusCode::NO_CONTENT);
    assert!(wechat.sandbox.calls().is_empty());
    assert_eq!(wechat.sandbox.count(Api::Token), 0);
}

#[tokio::test]
async fn hostile_requests_are_answered_and_the_sandbox_goes_on() {
    let wechat = Running::spawn().await;
    let large = "x".repeat(64 * 1024 + 1);
    for path in [
        "/cgi-bin/token",
        "/cgi-bin/stable_token",
        "/cgi-bin/qrcode/create",
    ] {
        let answer = wechat.post(path, large.clone()).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    let faults = wechat.client.put(wechat.url("/sandbox/faults")).body(large);
    assert_eq!(
        faults.send().await.unwrap().status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let token = wechat.token().await;
    let path = format!("/cgi-bin/qrcode/create?access_token={token}");
    for body in [
        &b"\xff\xfe"[..],
        b"\0",
        &b"[".repeat(60_000),
        b"{\"action_name\":{}}",
    ] {
        let answer: Value = wechat
            .post(&path, body.to_vec())
            .await
            .json()
            .await
            .unwrap();
        assert!(answer["errcode"].is_i64(), "{answer}");
    }
    assert!(wechat.create(&token, &temporary(60)).await["ticket"].is_string());
}
