//! `wxqr sandbox` and `wxqr demo` as a developer meets them: calls that are not imitated, TLS, the
//! front page, the log, and other web sites.

use std::fmt::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::process::{Process, run};
use crate::support::skip::skip;

/// A process of ours that imitates WeChat.
struct Tool {
    process: Process,
    address: SocketAddr,
}

impl Tool {
    async fn sandbox(arguments: &[&str]) -> Self {
        let mut all = vec!["sandbox", "--listen", "127.0.0.1:0"];
        all.extend(["--account", "wxtest:secret-of-the-tests"]);
        all.extend(arguments);
        Self::start(&all, &[], "SANDBOX of").await
    }

    async fn demo(variables: &[(&str, &str)]) -> Self {
        Self::start(&["demo", "--listen", "127.0.0.1:0"], variables, "Page:").await
    }

    async fn start(arguments: &[&str], variables: &[(&str, &str)], line: &str) -> Self {
        let process = Process::start(arguments, variables);
        let line = process.wait_for_line(line).await;
        let (_, address) = line.trim().trim_end_matches('/').split_once("://").unwrap();
        Self {
            address: address.parse().unwrap(),
            process,
        }
    }

    /// Status, head and body of an answer. `Host` is this address unless it is among the lines.
    async fn ask(&self, method: &str, path: &str, lines: &[(&str, &str)], body: &str) -> Answer {
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !lines.iter().any(|(name, _)| *name == "Host") {
            write!(head, "Host: {}\r\n", self.address).unwrap();
        }
        for (name, value) in lines {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        Answer::read(socket).await
    }

    async fn json(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.ask(method, path, &[], body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    async fn token(&self) -> String {
        let query = "grant_type=client_credential&appid=wxtest&secret=secret-of-the-tests";
        let answer = self
            .json("GET", &format!("/cgi-bin/token?{query}"), "")
            .await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// Makes a code, and answers the path of its url.
    async fn code(&self, token: &str) -> String {
        let create = format!("/cgi-bin/qrcode/create?access_token={token}");
        let order = json!({
            "expire_seconds": 600, "action_name": "QR_STR_SCENE",
            "action_info": {"scene": {"scene_str": "<b>shop"}},
        });
        let code = self.json("POST", &create, &order.to_string()).await;
        let url = code["url"].as_str().unwrap();
        url[url.find("/q/").unwrap()..].to_owned()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    async fn read(mut socket: TcpStream) -> Self {
        let mut text = Vec::new();
        socket.read_to_end(&mut text).await.unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap();
        Self {
            status: status.parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// Whether an answer is WeChat's refusal of a call that it does not have.
fn is_invalid_url(answer: &Answer) -> bool {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let errmsg = body["errmsg"].as_str().unwrap_or_default();
    answer.status == 200 && body["errcode"] == 40066 && errmsg.starts_with("invalid url rid: ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_imitated_is_refused_in_wechats_manner_and_recorded() {
    let of_wechat = [
        ("GET", "/cgi-bin/menu/get?access_token=CANARY"),
        ("POST", "/cgi-bin/message/template/send?access_token=CANARY"),
        ("GET", "/cgi-bin/token/more"),
        ("GET", "/sns/oauth2/access_token?secret=CANARY"),
        ("POST", "/customservice/kfaccount/add"),
        ("POST", "/wxa/getwxacode"),
        ("POST", "/datacube/getusersummary"),
        ("DELETE", "/card/create"),
    ];
    let alone = Tool::sandbox(&[]).await;
    let beside = Tool::demo(&[]).await;
    for tool in [&alone, &beside] {
        for (method, path) in of_wechat {
            let answer = tool
                .ask(method, path, &[("Host", "api.weixin.qq.com")], "{}")
                .await;
            assert!(is_invalid_url(&answer), "{method} {path}: {}", answer.body);
        }
        let report = tool.json("GET", "/sandbox/calls", "").await;
        assert_eq!(report["counts"]["other"], of_wechat.len(), "{report}");
        let calls = report["calls"].as_array().unwrap();
        let other: Vec<_> = calls.iter().filter(|call| call["api"] == "other").collect();
        for ((method, path), call) in of_wechat.iter().zip(&other) {
            let path = path.split('?').next().unwrap();
            assert_eq!(
                (&call["method"], &call["path"]),
                (&json!(method), &json!(path))
            );
        }
        assert!(!report.to_string().contains("CANARY"), "{report}");
    }
    // Alone, whatever is not the sandbox's own is a call; a control that there is not is said to be
    // none.
    for path in ["/pay/unifiedorder", "/cgi-bin/token/"] {
        let answer = alone.ask("GET", path, &[], "").await;
        assert!(is_invalid_url(&answer), "{path}: {}", answer.body);
    }
    let unknown = alone.ask("POST", "/sandbox/rotate-tokens", &[], "").await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.contains("error"), "{}", unknown.body);
    // In the demo the other paths are the service's.
    for path in ["/pay/unifiedorder", "/cgi", "/sandbox/rotate-tokens"] {
        let answer = beside.ask("GET", path, &[], "").await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("not_found"), "{path}: {}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_a_log_line_without_its_secrets() {
    let sandbox = Tool::sandbox(&[]).await;
    let token = sandbox.token().await;
    sandbox.code(&token).await;
    let fault = r#"[{"api":"create","kind":"errcode","value":45009,"times":1}]"#;
    sandbox.json("PUT", "/sandbox/faults", fault).await;
    let create = format!("/cgi-bin/qrcode/create?access_token={token}");
    sandbox.json("POST", &create, "{}").await;
    let other = format!("/cgi-bin/menu/get?access_token={token}&secret=secret-of-the-tests");
    sandbox.json("GET", &other, "").await;
    sandbox.process.wait_for_line("/cgi-bin/menu/get").await;
    let said = sandbox.process.stderr();
    let lines: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &Value| line["message"] == "sandbox call")
        .collect();
    let facts =
        |line: &Value| ["api", "account", "errcode", "fault"].map(|field| line.get(field).cloned());
    let text = |text: &str| Some(json!(text));
    assert_eq!(
        lines.iter().map(facts).collect::<Vec<_>>(),
        [
            [text("token"), text("wxtest"), None, None],
            [text("create"), text("wxtest"), None, None],
            [
                text("create"),
                text("wxtest"),
                Some(json!(45009)),
                text("errcode")
            ],
            [text("other"), text("wxtest"), Some(json!(40066)), None],
        ],
        "{said}"
    );
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{said}");
    let everything = format!("{said}{}", sandbox.process.stdout());
    assert!(!everything.contains(&token), "{everything}");
    assert!(!everything.contains("secret-of-the-tests"), "{everything}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_of_the_sandboxs_own_paths_is_ignored_and_a_404_names_its_path() {
    let sandbox = Tool::sandbox(&[]).await;
    let page = sandbox.ask("GET", "/sandbox/", &[], "").await;
    assert!(page.body.contains("<html"), "{}", page.body);
    sandbox.json("GET", "/sandbox/calls/", "").await;
    sandbox.json("PUT", "/sandbox/faults/?a=b", "[]").await;
    let rotated = sandbox.ask("POST", "/sandbox/rotate-token/", &[], "").await;
    assert_eq!(rotated.status, 204, "{}", rotated.body);
    for path in ["/sandbox/cals/", "/q/nosuch/", "/sandbox/calls//"] {
        let query = format!("{path}?secret=CANARY");
        let missing = sandbox.ask("GET", &query, &[], "").await;
        assert_eq!(missing.status, 404, "{path}");
        let field = format!("\"path\":\"{path}\"");
        sandbox.process.wait_for_line(&field).await;
    }
    let said = sandbox.process.stderr();
    assert!(!said.contains("CANARY"), "{said}");
    assert_eq!(said.matches("sandbox request").count(), 3, "{said}");
    // WeChat's own paths are as they are.
    let call = sandbox.ask("GET", "/cgi-bin/token/", &[], "").await;
    assert!(is_invalid_url(&call), "{}", call.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_takes_its_log_level_from_the_flag_or_the_variable() {
    let bad = run(&["sandbox", "--log", "loud=="], &[]).await;
    assert_eq!(bad.status, 78, "{}", bad.stderr);
    for (flags, variables) in [
        (&["--log", "warn"][..], &[][..]),
        (&[], &[("WXQR_LOG", "warn")]),
    ] {
        let mut all = vec!["sandbox", "--listen", "127.0.0.1:0"];
        all.extend(flags);
        let sandbox = Tool::start(&all, variables, "SANDBOX of").await;
        sandbox.ask("GET", "/cgi-bin/nothing", &[], "").await;
        sandbox.process.signal("TERM");
        let output = sandbox.process.output().await;
        assert_eq!(output.stderr, "", "{flags:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_front_page_shows_the_sandbox_and_its_buttons_work_without_scripts() {
    let callback = "http://user:CANARY@127.0.0.1:9/wechat?k=CANARY";
    let sandbox = Tool::sandbox(&["--callback-url", callback]).await;
    let token = sandbox.token().await;
    let phone = sandbox.code(&token).await;
    sandbox.json("GET", "/cgi-bin/menu/get", "").await;
    for (path, words) in [
        ("/", "沙箱"),
        ("/?lang=en", "Accounts"),
        ("/sandbox?lang=en", "Accounts"),
    ] {
        let page = sandbox.ask("GET", path, &[], "").await;
        assert_eq!(page.status, 200, "{path}");
        for want in [
            "SANDBOX",
            words,
            "wxtest",
            "/cgi-bin/menu/get",
            "http://127.0.0.1:9/wechat",
        ] {
            assert!(page.body.contains(want), "{path}: {want} in {}", page.body);
        }
        assert!(page.body.contains(&phone[1..]), "{path}: {}", page.body);
        assert!(
            page.body.contains("&#60;b&#62;shop"),
            "{path}: {}",
            page.body
        );
        for secret in ["secret-of-the-tests", &token, "CANARY"] {
            assert!(!page.body.contains(secret), "{path}: {secret}");
        }
        assert!(
            page.head.contains("frame-ancestors 'none'"),
            "{}",
            page.head
        );
    }
    let origin = format!("http://{}", sandbox.address);
    let of_browser = [
        ("Origin", origin.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
        ("Accept", "text/html"),
    ];
    let fault = "api=create&kind=errcode&value=-1&times=1";
    let set = sandbox
        .ask("POST", "/sandbox/faults", &of_browser, fault)
        .await;
    assert_eq!(set.status, 303);
    assert!(
        set.head.contains("location: ../sandbox\r\n"),
        "{}",
        set.head
    );
    let set = sandbox.json("GET", "/sandbox/faults", "").await;
    assert_eq!(
        set,
        json!([{"api": "create", "kind": "errcode", "value": -1, "times": 1}])
    );
    for bad in [
        "",
        "api=create&kind=errcode",
        "api=x&kind=hang",
        "api=any&kind=slow&value=soon",
    ] {
        let answer = sandbox
            .ask("POST", "/sandbox/faults", &of_browser, bad)
            .await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.body);
    }
    sandbox
        .ask("POST", "/sandbox/faults", &of_browser, "clear=1")
        .await;
    assert_eq!(sandbox.json("GET", "/sandbox/faults", "").await, json!([]));
    let rotated = sandbox
        .ask("POST", "/sandbox/rotate-token", &of_browser, "")
        .await;
    assert_eq!(rotated.status, 303);
    assert_ne!(sandbox.token().await, token);
    assert_eq!(
        sandbox
            .ask("POST", "/sandbox/rotate-token", &[], "")
            .await
            .status,
        204
    );
}

/// What a page of another origin can have a browser send, and what it must not: (method, path,
/// whether it shows or changes something).
async fn refuses_other_web_sites(tool: &Tool, own_host: &str, guarded: &[(&str, &str)]) {
    let port = tool.address.port();
    let own = format!("http://{}", tool.address);
    let of_host = format!("{own_host}:{port}");
    let localhost = format!("localhost:{port}");
    let rebound = format!("evil.example:{port}");
    for (method, path) in guarded {
        let cases: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[("Host", &localhost)], true),
            (&[("Host", &of_host)], true),
            (&[("Origin", &own)], true),
            (&[("Origin", &own), ("Sec-Fetch-Site", "same-origin")], true),
            (&[("Sec-Fetch-Site", "none")], true),
            (&[("Host", &rebound)], false),
            (&[("Host", "127.0.0.1.evil.example")], false),
            (
                &[("Host", &rebound), ("Origin", &format!("http://{rebound}"))],
                false,
            ),
            (&[("Origin", "http://evil.example")], false),
            (&[("Origin", "http://127.0.0.1:1")], false),
            (&[("Origin", "null")], false),
            (&[("Sec-Fetch-Site", "cross-site")], false),
            (&[("Sec-Fetch-Site", "same-site")], false),
            (&[("Origin", &own), ("Sec-Fetch-Site", "cross-site")], false),
            (
                &[
                    ("Origin", "http://evil.example"),
                    ("Sec-Fetch-Site", "same-origin"),
                ],
                false,
            ),
        ];
        for (lines, is_allowed) in cases {
            let answer = tool.ask(method, path, lines, "").await;
            assert_eq!(
                answer.status != 403,
                *is_allowed,
                "{method} {path} {lines:?}: {} {}",
                answer.status,
                answer.body
            );
            if !is_allowed {
                let says_why = ["another web site", "DNS rebinding", "foreign_request"];
                assert!(
                    says_why.iter().any(|words| answer.body.contains(words)),
                    "{}",
                    answer.body
                );
            }
        }
    }
}

const CONTROLS: [(&str, &str); 11] = [
    ("POST", "/sandbox/rotate-token"),
    ("POST", "/sandbox/expire-token"),
    ("POST", "/sandbox/kill-token"),
    ("POST", "/sandbox/verify-callback"),
    ("PUT", "/sandbox/faults"),
    ("POST", "/sandbox/faults"),
    ("GET", "/sandbox/faults"),
    ("GET", "/sandbox/calls"),
    ("DELETE", "/sandbox/calls"),
    ("POST", "/q/02unknown"),
    ("GET", "/sandbox"),
];

#[tokio::test(flavor = "multi_thread")]
async fn the_sandbox_refuses_what_another_web_site_asks() {
    let sandbox = Tool::sandbox(&["--public-url", "http://wechat.example.com:8081"]).await;
    let mut guarded = CONTROLS.to_vec();
    guarded.push(("GET", "/"));
    refuses_other_web_sites(&sandbox, "wechat.example.com", &guarded).await;
    // WeChat's own calls are for programs, by whatever name.
    for host in ["api.weixin.qq.com", "evil.example"] {
        let answer = sandbox
            .ask("GET", "/cgi-bin/token", &[("Host", host)], "")
            .await;
        assert_eq!(answer.status, 200, "{host}");
    }
    let plain = sandbox
        .ask("GET", "/", &[("Host", "api.weixin.qq.com")], "")
        .await;
    assert_eq!(plain.status, 403, "without --tls nobody calls it so");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_refuses_what_another_web_site_asks() {
    let demo = Tool::demo(&[("WXQR_PUBLIC_URL", "http://demo.example.com:8080/wx")]).await;
    let mut guarded = CONTROLS.to_vec();
    guarded.extend([
        ("GET", "/"),
        ("GET", "/stats"),
        ("GET", "/demo/numbers?scene_id=1"),
    ]);
    refuses_other_web_sites(&demo, "demo.example.com", &guarded).await;
    let below = [
        ("POST", "/wx/sandbox/rotate-token"),
        ("GET", "/wx/"),
        ("GET", "/wx/stats"),
    ];
    refuses_other_web_sites(&demo, "demo.example.com", &below).await;
    // Codes are for other sites' pages, and a link to a page may be followed from anywhere.
    let embedded = [
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    let answer = demo
        .ask("GET", "/qrcode.json?scene_id=1", &embedded, "")
        .await;
    assert_eq!(answer.status, 200);
    let followed = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    assert_eq!(demo.ask("GET", "/", &followed, "").await.status, 200);
    assert_eq!(
        demo.ask("POST", "/sandbox/rotate-token", &followed, "")
            .await
            .status,
        403
    );
}

/// What a page of another origin makes a browser send: lines of a request, and whether it may be
/// answered.
const OF_BROWSERS: [&[(&str, &str)]; 6] = [
    &[("Origin", "http://evil.example")],
    &[
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ],
    &[("Origin", "null")],
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site")],
    &[
        ("Host", "evil.example"),
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "same-origin"),
    ],
];

#[tokio::test(flavor = "multi_thread")]
async fn no_call_of_wechats_is_made_by_another_web_site() {
    let sandbox = Tool::sandbox(&[]).await;
    let token = sandbox.token().await;
    let query = "grant_type=client_credential&appid=wxtest&secret=secret-of-the-tests";
    let order = json!({
        "grant_type": "client_credential", "appid": "wxtest", "secret": "secret-of-the-tests",
        "force_refresh": true,
    });
    let order = order.to_string();
    let classic = format!("/cgi-bin/token?{query}");
    let calls = [
        ("GET", classic.as_str(), ""),
        ("POST", "/cgi-bin/stable_token", order.as_str()),
        ("POST", "/cgi-bin/qrcode/create", "{}"),
        ("GET", "/cgi-bin/menu/get", ""),
        ("POST", "/pay/unifiedorder", ""),
        ("OPTIONS", "/cgi-bin/stable_token", ""),
    ];
    let before = sandbox.json("GET", "/sandbox/calls", "").await;
    for (method, path, body) in calls {
        for lines in OF_BROWSERS {
            let answer = sandbox.ask(method, path, lines, body).await;
            assert_eq!(answer.status, 403, "{method} {path} {lines:?}");
            assert!(!answer.body.contains("access_token"), "{}", answer.body);
        }
    }
    let followed = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    let answer = sandbox.ask("GET", &classic, &followed, "").await;
    assert_eq!(answer.status, 403, "a link changes the token");
    let after = sandbox.json("GET", "/sandbox/calls", "").await;
    assert_eq!(before, after, "nothing was called");

    // SDKs send neither header, and call by any name.
    sandbox.code(&token).await;
    for host in ["api.weixin.qq.com", "evil.example", "sandbox:8081"] {
        let answer = sandbox.ask("GET", &classic, &[("Host", host)], "").await;
        assert!(answer.body.contains("access_token"), "{}", answer.body);
    }
    let demo = Tool::demo(&[]).await;
    for (method, path, body) in &calls[..4] {
        for lines in OF_BROWSERS {
            let answer = demo.ask(method, path, lines, body).await;
            assert_eq!(answer.status, 403, "demo: {method} {path} {lines:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_a_ticket_may_be_embedded_by_any_page() {
    let sandbox = Tool::sandbox(&[]).await;
    let token = sandbox.token().await;
    let create = format!("/cgi-bin/qrcode/create?access_token={token}");
    let order = r#"{"action_name": "QR_SCENE", "action_info": {"scene": {"scene_id": 1}}}"#;
    let code = sandbox.json("POST", &create, order).await;
    let show = format!(
        "/cgi-bin/showqrcode?ticket={}",
        code["ticket"].as_str().unwrap()
    );
    for lines in OF_BROWSERS {
        let answer = sandbox.ask("GET", &show, lines, "").await;
        assert_eq!(answer.status, 200, "{lines:?}");
        assert!(
            answer.head.contains("content-type: image/jpg"),
            "{}",
            answer.head
        );
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = sandbox.json(method, &show, "").await;
        assert_eq!(answer["errcode"], 43001, "{method}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demos_api_is_not_called_by_another_web_site() {
    let demo = Tool::demo(&[]).await;
    let line = demo.process.wait_for_line("API key:").await;
    let key = line.split_whitespace().nth(2).unwrap().to_owned();
    let key = format!("Bearer {key}");
    let order = r#"{"scene_str": "shop"}"#;
    for (method, path, body) in [
        ("GET", "/api/codes", ""),
        ("POST", "/api/codes", order),
        ("GET", "/api/account", ""),
        ("GET", "/api/codes.zip", ""),
        ("GET", "/api/stats.csv", ""),
    ] {
        for lines in OF_BROWSERS
            .iter()
            .chain([&[("Host", "evil.example")][..]].iter())
        {
            let mut lines = lines.to_vec();
            lines.push(("Authorization", &key));
            let answer = demo.ask(method, path, &lines, body).await;
            assert_eq!(answer.status, 403, "{method} {path} {lines:?}");
            assert!(answer.body.contains("foreign_request"), "{}", answer.body);
        }
    }
    let own = [
        ("Authorization", key.as_str()),
        ("Content-Type", "application/json"),
    ];
    let listed = demo.ask("GET", "/api/codes", &own, "").await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    assert!(!listed.body.contains("shop"), "{}", listed.body);
    let made = demo.ask("POST", "/api/codes", &own, order).await;
    assert_eq!(made.status, 201, "{}", made.body);
    // Codes stay embeddable, and so do probes.
    for path in [
        "/qrcode.png?scene_id=1",
        "/qrcode.json?scene_id=1",
        "/healthz",
    ] {
        for lines in OF_BROWSERS {
            let answer = demo.ask("GET", path, lines, "").await;
            assert_eq!(answer.status, 200, "{path} {lines:?}: {}", answer.body);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_no_stranger_can_own_is_served_and_the_refusal_of_another_can_be_read() {
    let sandbox = Tool::sandbox(&[]).await;
    let demo = Tool::demo(&[]).await;
    for (tool, setting) in [(&sandbox, "--public-url"), (&demo, "WXQR_PUBLIC_URL")] {
        for host in [
            "mybox.lan:18086",
            "sandbox:8081",
            "host.docker.internal:8081",
            "mac.local:8081",
        ] {
            let page = tool.ask("GET", "/", &[("Host", host)], "").await;
            assert_eq!(page.status, 200, "{host}: {}", page.body);
            let faults = tool
                .ask("PUT", "/sandbox/faults", &[("Host", host)], "[]")
                .await;
            assert_eq!(faults.status, 200, "{host}: {}", faults.body);
        }
        for path in ["/", "/sandbox"] {
            for (language, words) in [
                ("en-GB", "names without a dot"),
                ("zh-CN", "不含点的主机名"),
            ] {
                let lines = [
                    ("Host", "qr.example.com"),
                    ("Accept", "text/html,*/*;q=0.8"),
                    ("Accept-Language", language),
                ];
                let page = tool.ask("GET", path, &lines, "").await;
                assert_eq!(page.status, 403);
                assert!(
                    page.head.contains("content-type: text/html"),
                    "{path}: {}",
                    page.head
                );
                assert!(page.body.contains(words), "{path}: {}", page.body);
                assert!(page.body.contains(setting), "{path}: {}", page.body);
            }
        }
        // HTTP/1.0 needs no Host, and no browser sends it.
        let mut socket = TcpStream::connect(tool.address).await.unwrap();
        socket
            .write_all(b"GET /sandbox HTTP/1.0\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(Answer::read(socket).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_large_body_is_answered_and_logged() {
    let sandbox = Tool::sandbox(&[]).await;
    let large = "x".repeat(65 * 1024);
    for path in ["/cgi-bin/material/add_material", "/pay/unifiedorder"] {
        let answer = sandbox.ask("POST", path, &[], &large).await;
        assert!(is_invalid_url(&answer), "{path}: {}", answer.status);
        sandbox.process.wait_for_line(path).await;
    }
    let answer = sandbox
        .ask("POST", "/cgi-bin/qrcode/create", &[], &large)
        .await;
    assert_eq!(answer.status, 413);
    let line = sandbox
        .process
        .wait_for_line("/cgi-bin/qrcode/create")
        .await;
    assert!(
        line.contains("sandbox call") && line.contains("413"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn arguments_that_cannot_be_meant_end_the_start_before_a_word() {
    let listen = ["sandbox", "--listen", "127.0.0.1:0"];
    for (more, status, words) in [
        (
            &["--account", "\"wxtest:secret\""][..],
            2,
            "quotation marks",
        ),
        (&["--account", "wxtest:'secret'"], 2, "quotation marks"),
        (&["--account", "“wxtest”:secret"], 2, "quotation marks"),
        (&["--account", "wxtest:\"secret\""], 2, "quotation marks"),
        (&["--account", "wxtest\":secret\""], 2, "quotation marks"),
        (&["--tls", "--ca-out", "-"], 2, "accepted: a file"),
        (
            &["--tls", "--ca-out", "missing/ca.pem"],
            1,
            "missing/ca.pem",
        ),
    ] {
        let arguments: Vec<_> = listen.iter().chain(more).copied().collect();
        let ended = run(&arguments, &[]).await;
        assert_eq!(ended.status, status, "{more:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{more:?}: {}", ended.stderr);
        assert!(
            !ended.stdout.contains("SANDBOX"),
            "{more:?}: {}",
            ended.stdout
        );
    }
    let tls = Tool::sandbox(&["--tls"]).await;
    let line = tls.process.wait_for_line("CA certificate:").await;
    assert!(
        line.contains("--ca-out") && line.contains("SSL_CERT_FILE"),
        "{line}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_do_not_fill_the_log() {
    let sandbox = Tool::sandbox(&[]).await;
    for _ in 0..20 {
        let foreign = [("Origin", "http://evil.example")];
        for path in ["/sandbox", "/", "/cgi-bin/token", "/pay/unifiedorder"] {
            let answer = sandbox.ask("GET", path, &foreign, "").await;
            assert_eq!(answer.status, 403, "{path}");
        }
    }
    sandbox.token().await;
    sandbox.process.wait_for_line("sandbox call").await;
    let said = sandbox.process.stderr();
    let warned = said.lines().filter(|line| line.contains("refused"));
    assert_eq!(warned.count(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_the_ca_reaches_the_sandbox_by_wechats_names() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let ca = ca.to_str().unwrap();
    let sandbox = Tool::sandbox(&["--tls", "--ca-out", ca]).await;
    sandbox.process.wait_for_line("CA certificate:").await;
    let pem = std::fs::read_to_string(ca).unwrap();
    assert!(
        pem.starts_with("-----BEGIN CERTIFICATE-----") && !pem.contains("PRIVATE"),
        "{pem}"
    );
    let program = r"
import http.client, json, socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
class Connection(http.client.HTTPSConnection):
    def connect(self):
        plain = socket.create_connection(('127.0.0.1', port))
        self.sock = context.wrap_socket(plain, server_hostname=self.host)
context = ssl.create_default_context(cafile=ca)
context.verify_flags |= getattr(ssl, 'VERIFY_X509_STRICT', 0)
for host in ['api.weixin.qq.com', 'api2.weixin.qq.com', 'sh.api.weixin.qq.com', 'mp.weixin.qq.com', 'localhost', '127.0.0.1']:
    ask = Connection(host)
    ask.request('GET', '/cgi-bin/token?grant_type=client_credential&appid=wxtest&secret=secret-of-the-tests')
    answer = json.load(ask.getresponse())
    assert answer['expires_in'] > 0, answer
    ask.request('GET', '/sandbox/faults')
    assert ask.getresponse().status == 200
    print(host)
for host, using in [('evil.example', context), ('api.weixin.qq.com', ssl.create_default_context())]:
    context = using
    try:
        Connection(host).connect()
    except ssl.SSLCertVerificationError:
        print('refused')
";
    let port = sandbox.address.port().to_string();
    let ran = tokio::process::Command::new("python3")
        .args(["-c", program, &port, ca])
        .output()
        .await;
    let Ok(ran) = ran else {
        skip("there is no Python", "REQUIRE_PYTHON");
        return;
    };
    let said = String::from_utf8_lossy(&ran.stdout);
    let complaint = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}\n{complaint}");
    assert!(said.ends_with("127.0.0.1\nrefused\nrefused\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_mints_over_tls_with_the_sandboxs_ca() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let ca = ca.to_str().unwrap();
    let sandbox = Tool::sandbox(&["--tls", "--ca-out", ca]).await;
    let base = format!("https://localhost:{}", sandbox.address.port());
    for (ca, want) in [(Some(ca), 200), (None, 502)] {
        let mut variables = vec![
            ("WXQR_APP_ID", "wxtest"),
            ("WXQR_APP_SECRET", "secret-of-the-tests"),
            ("WXQR_API_BASE", base.as_str()),
            ("WXQR_MP_BASE", base.as_str()),
            ("WXQR_DATABASE_URL", "sqlite::memory:"),
        ];
        variables.extend(ca.map(|ca| ("WXQR_EXTRA_CA_FILE", ca)));
        let (process, addresses) = Process::serve(&variables).await;
        let service = Tool {
            process,
            address: addresses.http,
        };
        let answer = service.ask("GET", "/qrcode.json?scene_id=1", &[], "").await;
        assert_eq!(answer.status, want, "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_the_https_port_is_400() {
    let sandbox = Tool::sandbox(&["--tls"]).await;
    for (method, body) in [("GET", String::new()), ("POST", "x".repeat(100_000))] {
        let answer = sandbox.ask(method, "/cgi-bin/token", &[], &body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("use https://"), "{}", answer.body);
    }
    for bad in [&["--ca-out", "x.pem"][..], &["--tls=yes"]] {
        let mut arguments = vec!["sandbox", "--listen", "127.0.0.1:0"];
        arguments.extend(bad);
        let ended = run(&arguments, &[]).await;
        assert_eq!(ended.status, 2, "{bad:?}: {}", ended.stderr);
    }
}
