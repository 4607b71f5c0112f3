//! Secrets with values that cannot be mistaken, every fault, the most talkative log: nothing that
//! leaves the process holds one of them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use futures_util::stream::{self, StreamExt as _};
use reqwest::StatusCode;
use wechat_sandbox::{Fault, FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, spawn_sandbox};
use crate::support::process::{Addresses, Process, run};
use crate::support::upstream::{Reply, Seen, Upstream};
use crate::support::{client, closed_port};

const SECRET: &str = "CANARYappsecretCANARYappsecret00";
const KEY: &str = "CANARY-api-key-CANARY-api-key";
const CALLBACK_TOKEN: &str = "CANARYcallbacktokenCANARYtoken00";
const AES_KEY: &str = "CANARYaeskeyCANARYaeskeyCANARYaeskey0000000";
const LINK_KEY: &str = "CANARY-link-key-CANARY-link-key";
const TOKEN: &str = "88_CANARYtokenCANARYtokenCANARYtokenCANARYtokenCANARYtoken";

/// So many processes at once.
const ABREAST: usize = 12;

const FORMATS: [&str; 2] = ["json", "text"];

/// A real process with canaries for secrets, and all its output.
struct Cage {
    process: Process,
    addresses: Addresses,
    client: reqwest::Client,
    answers: String,
}

impl Cage {
    async fn with(format: &str, api_base: &str, more: &[(&str, &str)]) -> Self {
        let keys = format!("shop:{KEY}:permanent+mint");
        let mut variables = vec![
            ("WXQR_APP_ID", APP_ID),
            ("WXQR_APP_SECRET", SECRET),
            ("WXQR_API_KEYS", &keys),
            ("WXQR_LINK_KEYS", LINK_KEY),
            ("WXQR_CALLBACK_TOKEN", CALLBACK_TOKEN),
            ("WXQR_ENCODING_AES_KEY", AES_KEY),
            ("WXQR_API_BASE", api_base),
            ("WXQR_MP_BASE", "https://mp.weixin.qq.com"),
            ("WXQR_METRICS_LISTEN", "127.0.0.1:0"),
            ("WXQR_LOG", "trace"),
            ("WXQR_LOG_FORMAT", format),
        ];
        variables.extend_from_slice(more);
        let (process, addresses) = Process::serve(&variables).await;
        Self {
            process,
            addresses,
            client: client(),
            answers: String::new(),
        }
    }

    /// Asks and keeps the whole answer, headers too.
    async fn get(&mut self, path: &str, key: Option<&str>) -> StatusCode {
        let request = self
            .client
            .get(format!("http://{}{path}", self.addresses.http));
        let request = match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let answer = Answer::to(request).await;
        let headers = format!("{path}: {:?}\n", answer.headers);
        self.answers += &headers;
        self.answers += &String::from_utf8_lossy(&answer.body);
        self.answers += "\n";
        answer.status
    }

    /// What visitors of all sorts get to see.
    async fn visit(&mut self, scene: u32) {
        let known = self
            .get(&format!("/qrcode.json?scene_id={scene}"), Some(KEY))
            .await;
        for path in [
            format!("/qrcode?scene_id={scene}"),
            format!("/qrcode?scene_id={scene}&fragment=1"),
            format!("/?scene_id={scene}"),
            format!("/qrcode.png?scene_id={scene}"),
        ] {
            // Within the second for which a failure is remembered, so that this costs no time.
            self.get(&path, None).await;
        }
        assert_ne!(known, StatusCode::UNAUTHORIZED);
    }

    /// Ends the process and looks for the canaries in all that it said.
    async fn search(mut self, what: &str, tokens: &BTreeSet<String>) {
        let metrics = self.addresses.metrics.unwrap();
        let metrics = Answer::to(self.client.get(format!("http://{metrics}/metrics"))).await;
        self.answers += metrics.text();
        self.get("/readyz", None).await;
        self.process.signal("TERM");
        // A hanging mint is not waited for.
        self.process.wait_for_line("stopping").await;
        self.process.signal("TERM");
        let output = self.process.output().await;
        let all = [&output.stdout, &output.stderr, &self.answers];
        assert!(output.stderr.contains("request"), "{what}: the log was on");
        let canaries = tokens.iter().map(String::as_str).chain([
            SECRET,
            KEY,
            LINK_KEY,
            CALLBACK_TOKEN,
            AES_KEY,
            TOKEN,
            "CANARY",
        ]);
        for canary in canaries {
            assert!(canary.len() >= 6);
            // The tail alone is enough if the rest has a known form.
            let tail = &canary[canary.len() - canary.len().min(20)..];
            for said in all {
                let line = said.lines().find(|line| line.contains(tail));
                assert!(line.is_none(), "{what}: {}", line.unwrap_or_default());
            }
        }
    }
}

/// Every way to fail that the sandbox knows.
fn faults() -> Vec<FaultKind> {
    use FaultKind::{Errcode, Garbage, Half, Hang, Huge, Reset, Slow, Status};
    vec![
        Errcode(-1),
        Errcode(40001),
        Errcode(40013),
        Errcode(40125),
        Errcode(40164),
        Errcode(42001),
        Errcode(45009),
        Errcode(48001),
        Errcode(89503),
        Status(StatusCode::BAD_GATEWAY),
        Status(StatusCode::FOUND),
        Slow(Duration::from_millis(300)),
        Hang,
        Reset,
        Garbage,
        Half,
        Huge,
    ]
}

/// The tokens that a sandbox gave out and saw again: they are random, so they are learnt on the way
/// in.
type Tokens = Arc<Mutex<BTreeSet<String>>>;

fn learning(tokens: &Tokens) -> impl FnOnce(axum::Router) -> axum::Router + use<> {
    let tokens = Arc::clone(tokens);
    move |router| {
        router.layer(from_fn(move |request: Request, next: Next| {
            let query = request.uri().query().unwrap_or_default();
            if let Some(token) = query.strip_prefix("access_token=") {
                tokens.lock().unwrap().insert(token.to_owned());
            }
            next.run(request)
        }))
    }
}

async fn meet(api: Target, kind: FaultKind, format: &str) {
    let what = format!("{kind:?} on {api:?}, {format}");
    let tokens = Tokens::default();
    let (sandbox, address, _server) = spawn_sandbox(SECRET, learning(&tokens)).await;
    if api == Target::Token {
        sandbox.set_faults(vec![Fault::new(api, kind)]);
    }
    let source = if format == "json" {
        "stable"
    } else {
        "classic"
    };
    let more = [
        ("WXQR_TOKEN_SOURCE", source),
        ("WXQR_UPSTREAM_TIMEOUT", "4s"),
    ];
    let mut cage = Cage::with(format, &format!("http://{address}"), &more).await;
    if api == Target::Create {
        assert_eq!(
            cage.get("/qrcode.json?scene_id=1", None).await,
            StatusCode::OK,
            "{what}"
        );
        assert_eq!(tokens.lock().unwrap().len(), 1, "{what}");
        sandbox.set_faults(vec![Fault::new(api, kind)]);
    }
    cage.visit(2).await;
    let tokens = tokens.lock().unwrap().clone();
    cage.search(&what, &tokens).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_wechat_leaks_a_secret() {
    let mut cases = Vec::new();
    for api in [Target::Create, Target::Token] {
        for kind in faults() {
            for format in FORMATS {
                cases.push((api, kind, format));
            }
        }
    }
    let meetings = stream::iter(cases).map(|(api, kind, format)| meet(api, kind, format));
    meetings.buffer_unordered(ABREAST).collect::<Vec<_>>().await;
}

/// Says back everything that it knows.
fn echo(errcode: i64, cut: usize) -> impl Fn(Seen) -> Reply + Clone + Send + Sync + 'static {
    move |call| {
        let before = "x".repeat(cut);
        let errmsg = format!(
            "{before} {SECRET} {TOKEN} query {} body {} https://api.weixin.qq.com/?access_token={TOKEN}&secret={SECRET}",
            call.query, call.body
        );
        if call.is_token_call() && call.nth == 0 {
            return Reply::token(TOKEN, 7200);
        }
        Reply::refusal(errcode, &errmsg)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wechat_echoes_is_redacted() {
    // At the places where a long text is cut, a secret is cut in two.
    let of = |errcode: i64| [0, 270, 280].map(|cut| (errcode, cut));
    let cases = [40001, 48001, 45009, -1, 40053].into_iter().flat_map(of);
    let meetings = stream::iter(cases).map(|(errcode, cut)| async move {
        for format in FORMATS {
            let upstream = Upstream::speaking(echo(errcode, cut)).await;
            let mut cage = Cage::with(format, &upstream.url(), &[]).await;
            cage.visit(1).await;
            assert!(upstream.creates() >= 1);
            let what = format!("echo of {errcode} after {cut}, {format}");
            cage.search(&what, &BTreeSet::new()).await;
        }
    });
    meetings.buffer_unordered(ABREAST).collect::<Vec<_>>().await;
}

#[tokio::test]
async fn an_echo_of_the_token_call_is_redacted() {
    for format in FORMATS {
        for source in ["stable", "classic"] {
            let upstream = Upstream::speaking(|call: Seen| {
                let errmsg = format!("{} {} {TOKEN}", call.query, call.body);
                // Some gateways send the token along with a refusal.
                let body =
                    serde_json::json!({"errcode": 40013, "errmsg": errmsg, "access_token": TOKEN});
                Reply::json(&body)
            })
            .await;
            let more = [("WXQR_TOKEN_SOURCE", source)];
            let mut cage = Cage::with(format, &upstream.url(), &more).await;
            cage.visit(1).await;
            let seen = upstream.seen();
            assert!(
                seen.iter()
                    .any(|call| call.query.contains(SECRET) || call.body.contains(SECRET))
            );
            cage.search(&format!("{source}, {format}"), &BTreeSet::new())
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_refuse_or_do_not_exist_leak_no_secret() {
    let nobody = format!("http://{}", closed_port());
    let plain = Upstream::speaking(|_| Reply(200, String::new())).await;
    let no_tls = format!("https://{}", plain.address);
    let bases = [nobody.as_str(), "http://no-such-host.invalid", &no_tls];
    let of = |base| ["stable", "classic"].map(|source| (base, source));
    let meetings = stream::iter(bases.into_iter().flat_map(of)).map(|(base, source)| async move {
        for format in FORMATS {
            let mut cage = Cage::with(format, base, &[("WXQR_TOKEN_SOURCE", source)]).await;
            cage.visit(1).await;
            let what = format!("{base}, {source}, {format}");
            cage.search(&what, &BTreeSet::new()).await;
        }
    });
    meetings.buffer_unordered(ABREAST).collect::<Vec<_>>().await;
}

#[tokio::test]
async fn the_access_token_is_redacted_when_the_host_goes_away() {
    for format in FORMATS {
        let upstream = Upstream::speaking(|call| granting(&call)).await;
        let mut cage = Cage::with(format, &upstream.url(), &[]).await;
        let first = cage.get("/qrcode.json?scene_id=1", None).await;
        assert_eq!(first, StatusCode::OK);
        // It is in the URL of the call that meets a closed port.
        assert!(
            upstream
                .seen()
                .iter()
                .any(|call| call.query.contains(TOKEN))
        );
        drop(upstream);
        cage.visit(2).await;
        cage.search(&format!("WeChat went away, {format}"), &BTreeSet::new())
            .await;
    }
}

/// Gives out the token and a code.
fn granting(call: &Seen) -> Reply {
    if call.is_token_call() {
        Reply::token(TOKEN, 7200)
    } else {
        Reply::code(7200)
    }
}

#[tokio::test]
async fn a_key_in_the_wrong_place_is_not_repeated() {
    for format in FORMATS {
        let upstream = Upstream::speaking(|call| granting(&call)).await;
        let mut cage = Cage::with(format, &upstream.url(), &[]).await;
        let wrong = format!("{KEY}x");
        assert_eq!(
            cage.get("/qrcode.json?scene_id=1", Some(&wrong)).await,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(
            cage.get("/qrcode.json?scene_id=1", Some(KEY)).await,
            StatusCode::OK
        );
        // People write a key into the query, too. It is ignored there, and not logged.
        assert_eq!(
            cage.get(&format!("/nothing/{KEY}?key={KEY}"), None).await,
            StatusCode::NOT_FOUND
        );
        let answers =
            std::mem::take(&mut cage.answers).replace(&format!("/nothing/{KEY}?key={KEY}"), "");
        cage.answers = answers;
        cage.search(&format!("keys, {format}"), &BTreeSet::new())
            .await;
    }
}

#[tokio::test]
async fn signed_links_and_what_is_wrong_with_them_do_not_show_their_key() {
    for format in FORMATS {
        let upstream = Upstream::speaking(|call| granting(&call)).await;
        let more = [("WXQR_ACCESS", "signed")];
        let mut cage = Cage::with(format, &upstream.url(), &more).await;
        let keyed = cage.get("/qrcode.json?scene_id=1", Some(KEY)).await;
        assert_eq!(keyed, StatusCode::OK);
        assert!(cage.answers.contains("&sig="), "{}", cage.answers);
        for (query, want) in [
            ("scene_id=2", StatusCode::FORBIDDEN),
            ("scene_id=2&sig=AAAA", StatusCode::FORBIDDEN),
            ("scene_id=2&exp=1&sig=AAAA", StatusCode::FORBIDDEN),
            ("scene_id=2&exp=1", StatusCode::BAD_REQUEST),
            ("scene_id=2&exp=x&sig=AAAA", StatusCode::BAD_REQUEST),
        ] {
            for path in ["/qrcode", "/qrcode.json", "/qrcode.html"] {
                let got = cage.get(&format!("{path}?{query}"), None).await;
                assert_eq!(got, want, "{path}?{query}");
            }
            cage.get(&format!("/?{query}"), None).await;
        }
        cage.search(&format!("signed links, {format}"), &BTreeSet::new())
            .await;
    }
}

#[tokio::test]
async fn a_secret_in_a_wrong_setting_is_not_quoted() {
    let good = [("WXQR_APP_ID", APP_ID), ("WXQR_APP_SECRET", SECRET)];
    let keys = format!("shop:{KEY}:mint,broken");
    for (name, value) in [
        ("WXQR_APP_ID", format!("{SECRET}/{SECRET}")),
        ("WXQR_API_KEYS", keys),
        ("WXQR_LINK_KEYS", format!("{KEY},CANARY{KEY},{KEY}")),
        ("WXQR_VISITOR_RATE", KEY.to_owned()),
        ("WXQR_TRUSTED_PROXIES", KEY.to_owned()),
        ("WXQR_ACCESS", KEY.to_owned()),
        ("WXQR_API_BASE", format!("https://user:{SECRET}@host")),
        ("WXQR_LISTEN", SECRET.to_owned()),
        ("WXQR_LOG", SECRET.to_owned()),
        ("WXQR_APP_SECRET_FILE", SECRET.to_owned()),
        ("WXQR_CALLBACK_TOKEN", format!("{CALLBACK_TOKEN}-")),
        ("WXQR_ENCODING_AES_KEY", AES_KEY.to_owned()),
        ("WXQR_RELAY_URL", format!("https://user:{SECRET}@host")),
        ("WXQR_LINK_KEYS_FILE", LINK_KEY.to_owned()),
        (
            "WXQR_DATABASE_URL",
            format!("mysql://wxqr:{SECRET}@host/wxqr"),
        ),
        ("WXQR_DATABASE_URL", SECRET.to_owned()),
        ("WXQR_PUBLIC_URL", format!("https://user:{SECRET}@host")),
        ("WXQR_MP_BASE", format!("https://user:{SECRET}@host")),
        ("WXQR_CORS_ORIGINS", format!("https://user:{SECRET}@host")),
        ("WXQR_FRAME_ANCESTORS", SECRET.to_owned()),
        ("WXQR_EXTRA_CA_FILE", SECRET.to_owned()),
        ("WXQR_TOKEN_SOURCE", SECRET.to_owned()),
        ("WXQR_UPSTREAM_TIMEOUT", SECRET.to_owned()),
    ] {
        let mut variables = good.to_vec();
        variables.push((name, &value));
        let output = run(&["serve"], &variables).await;
        assert_eq!(output.status, 78, "{name}: {output:?}");
        let said = output.stdout + &output.stderr;
        assert!(!said.contains("CANARY"), "{name}: {said}");
    }
}
