//! `wxqr doctor`: the real binary looks at a set-up, and says what happened and what to do.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use axum::http::StatusCode;
use reqwest::Method;
use tokio::net::TcpListener;
use url::Url;
use wechat_sandbox::{Api, Fault, FaultKind, Sandbox, Target};
use wxqr::app::Stores;
use wxqr::clock::{Clock as _, SystemClock};
use wxqr::db::{Damage, UpstreamIdentity};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, APP_SECRET, TestApp, spawn_sandbox};
use crate::support::database::Database;
use crate::support::owner::{Owner, Reply};
use crate::support::process::{Output, run};
use crate::support::pushes::{AES_KEY, ALICE, PushedEvent, TOKEN, sealed, signed_by, signed_query};
use crate::support::receiver::Receiver;
use crate::support::{Server, closed_port};

/// Settings that are right for a sandbox, then those of the test, of which the last one counts.
async fn doctor(api_base: &str, more: &[(&str, &str)]) -> Output {
    let mut variables = vec![
        ("WXQR_APP_ID", APP_ID),
        ("WXQR_APP_SECRET", APP_SECRET),
        ("WXQR_API_BASE", api_base),
        ("WXQR_DATABASE_URL", "sqlite::memory:"),
    ];
    for (name, value) in more {
        variables.retain(|(known, _)| known != name);
        variables.push((name, value));
    }
    let output = run(&["doctor"], &variables).await;
    for stream in [&output.stdout, &output.stderr] {
        assert!(!stream.contains(APP_SECRET), "{output:?}");
    }
    output
}

async fn sandbox() -> (Sandbox, SocketAddr, Server) {
    spawn_sandbox(APP_SECRET, |router| router).await
}

/// The lines, without the host's, whose port and milliseconds vary.
fn lines(output: &Output) -> Vec<&str> {
    let lines = output.stdout.lines();
    lines.filter(|line| !line.contains(" host ")).collect()
}

fn line<'a>(output: &'a Output, start: &str) -> &'a str {
    let found = output.stdout.lines().find(|line| line.starts_with(start));
    assert!(found.is_some(), "no line {start:?}: {output:?}");
    found.unwrap()
}

#[tokio::test]
async fn doctor_says_ok_for_what_works_and_warn_for_what_is_off() {
    let (sandbox, address, _server) = sandbox().await;
    let output = doctor(&format!("http://{address}"), &[]).await;
    assert_eq!(
        (output.status, output.stderr.as_str()),
        (0, ""),
        "{output:?}"
    );
    let got = lines(&output);
    assert_eq!(
        got[..3],
        [
            "ok    settings: AppID wx0123456789abcdef",
            "ok    store: SQLite, permanent codes in the ledger: 0 of 100000",
            "ok    allow-list: WeChat accepts calls from this address",
        ]
    );
    assert!(
        got[3].starts_with("ok    token: stable, valid for 7"),
        "{got:?}"
    );
    assert_eq!(
        got[4..],
        [
            "ok    codes: WeChat created one of 60 s, from the day's quota",
            "warn  callback: the callback is off: no scan is counted, and sign-in by a scan does not work; set \
             WXQR_CALLBACK_TOKEN and WXQR_ENCODING_AES_KEY, and enter both in WeChat's console",
            "warn  api-keys: there is no API key: no permanent codes, no names for codes, and no access to the numbers; \
             set WXQR_API_KEYS",
            "warn  access: access is open: every visitor may create codes, 10000 a day for all of them together; set \
             WXQR_ACCESS to signed or keyed where only your own pages and programs should",
        ]
    );
    let host = format!("ok    host {address}: answers after ");
    assert!(output.stdout.contains(&host), "{output:?}");

    let made: Vec<_> = sandbox.calls();
    let made: Vec<_> = made.iter().filter(|call| call.api == Api::Create).collect();
    assert_eq!(made.len(), 1, "one code is spent");
    for part in ["wxqr.doctor", r#""expire_seconds":60"#, "QR_STR_SCENE"] {
        assert!(made[0].body.contains(part), "{}", made[0].body);
    }
}

#[tokio::test]
async fn each_refusal_says_what_to_do() {
    const SKIPPED: [&str; 2] = [
        "skip  allow-list: needs a token",
        "skip  codes: needs a token",
    ];
    const UNLISTED: [&str; 2] = [
        "skip  token: needs the allow-list",
        "skip  codes: needs a token",
    ];
    let (sandbox, address, _server) = sandbox().await;
    for (api, errcode, others, want) in [
        (
            Target::Token,
            40164,
            UNLISTED,
            "FAIL  allow-list: WeChat does not allow the address 203.0.113.7 (errcode 40164); add 203.0.113.7 to the account's IP allow-list in WeChat's console",
        ),
        (
            Target::Token,
            89503,
            UNLISTED,
            "FAIL  allow-list: this address needs confirmation (errcode 89503); let an administrator of the account confirm this address in WeChat",
        ),
        (
            Target::Token,
            40125,
            SKIPPED,
            "FAIL  token: bad AppSecret (errcode 40125); check WXQR_APP_SECRET; it may have been reset",
        ),
        (
            Target::Token,
            40001,
            SKIPPED,
            "FAIL  token: the token is not the latest, or the AppSecret is wrong (errcode 40001); check WXQR_APP_SECRET",
        ),
        (
            Target::Token,
            40013,
            SKIPPED,
            "FAIL  token: bad AppID (errcode 40013); check WXQR_APP_ID",
        ),
        (
            Target::Token,
            40243,
            SKIPPED,
            "FAIL  token: the AppSecret is frozen (errcode 40243); unfreeze it in WeChat's developer console",
        ),
        (
            Target::Token,
            45009,
            SKIPPED,
            "FAIL  token: the day's quota is used up (errcode 45009); wait for the next day, or clear the quota in the console",
        ),
        (
            Target::Create,
            48001,
            ["ok    allow-list:", "ok    token:"],
            "FAIL  codes: the account may not use this API (errcode 48001); parametric codes need a verified service account",
        ),
        (
            Target::Create,
            45009,
            ["ok    allow-list:", "ok    token:"],
            "FAIL  codes: the day's quota is used up (errcode 45009); wait for the next day, or clear the quota in the console",
        ),
        (
            Target::Create,
            40001,
            ["ok    allow-list:", "ok    token:"],
            "FAIL  codes: ",
        ),
    ] {
        sandbox.set_faults(vec![Fault::new(api, FaultKind::Errcode(errcode))]);
        let output = doctor(&format!("http://{address}"), &[]).await;
        assert_eq!(output.status, 1, "{errcode}: {output:?}");
        assert_eq!(output.stderr, "wxqr: 1 check failed\n", "{errcode}");
        let failure = line(&output, "FAIL");
        if errcode == 40001 && api == Target::Create {
            assert!(failure.starts_with(want), "{failure}");
        } else {
            assert_eq!(failure, want);
        }
        for start in others {
            line(&output, start);
        }
        assert_eq!(lines(&output).len(), 8, "{errcode}: {output:?}");
    }
}

#[tokio::test]
async fn wrong_settings_are_findings_too() {
    let output = doctor(
        "http://127.0.0.1:9",
        &[("WXQR_REUSE", "7"), ("WXQR_LISTE", "x")],
    )
    .await;
    assert_eq!(output.status, 1, "{output:?}");
    let got = lines(&output);
    let about = |variable: &str| format!("FAIL  settings: {variable}: ");
    for variable in ["WXQR_REUSE", "WXQR_LISTE"] {
        line(&output, &about(variable));
    }
    for what in ["store", "allow-list", "token", "codes", "callback"] {
        let want = format!("skip  {what}: needs the settings");
        assert!(got.contains(&want.as_str()), "{output:?}");
    }
    assert_eq!(output.stderr, "wxqr: 2 checks failed\n");
}

#[tokio::test]
async fn a_silent_host_is_reported_by_the_failed_step() {
    let (_sandbox, address, _server) = sandbox().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bases = [
        format!("http://{}", closed_port()),
        format!("https://{address}"),
        format!("http://{}", silent.local_addr().unwrap()),
        format!("http://{address}"),
    ];
    let output = doctor(&bases.join(","), &[]).await;
    assert_eq!(output.status, 1, "{output:?}");
    let hosts: Vec<_> = output
        .stdout
        .lines()
        .filter(|line| line.contains(" host "))
        .collect();
    for (line, part) in hosts.iter().zip([
        "no connection: connection refused; check WXQR_API_BASE, and that a firewall",
        "no TLS: ",
        "connected, but no answer in time; check WXQR_API_BASE",
        "answers after",
    ]) {
        assert!(line.contains(part), "{line:?} has {part:?}");
    }
    line(&output, "ok    codes:");
    assert_eq!(output.stderr, "wxqr: 3 checks failed\n");

    let output = doctor(&bases[0], &[]).await;
    for what in ["allow-list", "token", "codes"] {
        line(&output, &format!("skip  {what}: needs a host that answers"));
    }
    assert_eq!(output.status, 1);
}

/// A proxy that answers every request so, and its URL.
async fn proxy(status: u16) -> (Owner, String) {
    let script = move |_| Reply::Answer(status, "no".to_owned());
    let owner = Owner::spawn(script).await;
    let base = owner.url.split("/wechat").next().unwrap().to_owned();
    (owner, base)
}

#[tokio::test]
async fn the_callback_is_asked_where_wechat_would_ask_it() {
    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFE";
    const OTHER: &str = "anotherTokenThanThatOfTheService";
    let service = TestApp::with().set("CALLBACK_TOKEN", TOKEN).spawn().await;
    let (_down, down) = proxy(502).await;
    let (_lost, lost) = proxy(404).await;
    let (_echoless, echoless) = proxy(200).await;
    let here = service.url("");
    let closed = format!("http://{}", closed_port());
    let https = here.replace("http:", "https:");
    let api_base = format!("http://{}", service.sandbox_address);
    for (public_url, token, key, is_failure, start, end) in [
        (
            &here,
            TOKEN,
            "",
            false,
            "warn  callback: http",
            "expects, plain mode, but whether pushes are accepted is not known; read callback in GET /api/account yourself, or give doctor a key of the scope stats in WXQR_API_KEYS that is not hashed",
        ),
        (
            &here,
            TOKEN,
            KEY,
            false,
            "warn  callback: http",
            "expects, safe mode, but whether pushes are accepted is not known; read callback in GET /api/account yourself, or give doctor a key of the scope stats in WXQR_API_KEYS that is not hashed",
        ),
        (
            &here,
            OTHER,
            KEY,
            true,
            "FAIL  callback: ",
            "(HTTP 403); run the service with these settings, and make the proxy forward this path with its query unchanged",
        ),
        (
            &lost,
            TOKEN,
            "",
            true,
            "FAIL  callback: ",
            "with its query unchanged",
        ),
        (
            &echoless,
            TOKEN,
            "",
            true,
            "FAIL  callback: ",
            "with its query unchanged",
        ),
        (
            &down,
            TOKEN,
            "",
            false,
            "skip  callback: needs a running service at ",
            "/callback (HTTP 502)",
        ),
        (
            &closed,
            TOKEN,
            "",
            false,
            "skip  callback: needs a running service at ",
            "/callback (no connection: connection refused)",
        ),
        (
            &https,
            TOKEN,
            "",
            true,
            "FAIL  callback: ",
            "; check WXQR_PUBLIC_URL, and the certificate there",
        ),
    ] {
        let mut more = vec![
            ("WXQR_PUBLIC_URL", public_url.as_str()),
            ("WXQR_CALLBACK_TOKEN", token),
        ];
        if !key.is_empty() {
            more.push(("WXQR_ENCODING_AES_KEY", key));
        }
        let output = doctor(&api_base, &more).await;
        let finding = line(&output, start);
        assert!(
            finding.contains(&format!("{public_url}/callback")),
            "{finding}"
        );
        assert!(finding.ends_with(end), "{finding}");
        assert_eq!(output.status == 1, is_failure, "{output:?}");
        for secret in [token, KEY, "signature="] {
            assert!(!output.stdout.contains(secret), "{output:?}");
        }
    }
    let output = doctor(&api_base, &[("WXQR_CALLBACK_TOKEN", TOKEN)]).await;
    line(&output, "skip  callback: needs WXQR_PUBLIC_URL");
}

#[tokio::test]
async fn rejected_pushes_fail_the_check_until_one_is_accepted() {
    const STATS: (&str, &str) = (
        "WXQR_API_KEYS",
        "pos:0123456789abcdef:mint,ops:fedcba9876543210:stats",
    );
    let service = TestApp::with()
        .set("CALLBACK_TOKEN", TOKEN)
        .set("ENCODING_AES_KEY", AES_KEY)
        .set("API_KEYS", STATS.1)
        .spawn()
        .await;
    let (here, api_base) = (
        service.url(""),
        format!("http://{}", service.sandbox_address),
    );
    let settings = [
        ("WXQR_CALLBACK_TOKEN", TOKEN),
        ("WXQR_ENCODING_AES_KEY", AES_KEY),
        ("WXQR_ACCESS", "keyed"),
        STATS,
    ];
    let listen = service.address.to_string();
    let listen = ("WXQR_LISTEN", listen.as_str());
    let public = ("WXQR_PUBLIC_URL", here.as_str());
    let xml = PushedEvent::leave(ALICE).xml();
    let (sealed_query, sealed_body) = sealed(ALICE, &xml);
    let foreign = || signed_by("anotherToken", ALICE, SystemClock.now());
    for (pushed, start, parts) in [
        (
            None,
            "ok    callback: ",
            &["safe mode; no push has come since the service started"][..],
        ),
        // May be a stranger's, but nothing else has come.
        (
            Some((foreign(), &xml, 403)),
            "FAIL  callback: ",
            &["0 pushes accepted and 1 request refused", "Token"],
        ),
        // A stray request hides nothing.
        (
            Some((String::new(), &xml, 403)),
            "FAIL  callback: ",
            &["0 pushes accepted and 2 requests refused", "Token"],
        ),
        (
            Some((signed_query(ALICE), &xml, 403)),
            "FAIL  callback: ",
            &[
                "0 pushes accepted and 3 requests refused",
                "it is not encrypted",
                "; choose the safe mode in WeChat's console",
            ],
        ),
        // A stranger does not hide it.
        (
            Some((foreign(), &xml, 403)),
            "FAIL  callback: ",
            &["it is not encrypted"],
        ),
        (
            Some((sealed_query, &sealed_body, 200)),
            "ok    callback: ",
            &["safe mode; 1 push accepted since the service started, the last at "],
        ),
    ] {
        if let Some((query, body, status)) = pushed {
            let request = service.request(Method::POST, &format!("/callback?{query}"));
            assert_eq!(Answer::to(request.body(body.clone())).await.status, status);
        }
        // With the address that WeChat would use, and without.
        for by in [&[listen, public][..], &[listen]] {
            let settings = [&settings[..], by].concat();
            let output = doctor(&api_base, &settings).await;
            let is_failure = start.starts_with("FAIL");
            // Without its address there is nothing to call fine.
            if by.len() == 1 && !is_failure {
                line(&output, "skip  callback: needs WXQR_PUBLIC_URL");
            } else {
                let finding = line(&output, start);
                assert!(parts.iter().all(|part| finding.contains(part)), "{finding}");
            }
            assert_eq!(output.status == 1, is_failure, "{output:?}");
            for secret in [TOKEN, AES_KEY, "fedcba9876543210", "0123456789abcdef:"] {
                assert!(!output.stdout.contains(secret), "{output:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_token_that_was_changed_later_fails_the_check() {
    let keys = ("WXQR_API_KEYS", "ops:fedcba9876543210:stats");
    let service = TestApp::with()
        .set("CALLBACK_TOKEN", TOKEN)
        .set("API_KEYS", keys.1)
        .spawn()
        .await;
    let api_base = format!("http://{}", service.sandbox_address);
    let listen = service.address.to_string();
    let settings = [
        ("WXQR_CALLBACK_TOKEN", TOKEN),
        ("WXQR_PUBLIC_URL", &service.url("")),
        ("WXQR_LISTEN", &listen),
        keys,
    ];
    let xml = PushedEvent::leave(ALICE).xml();
    let push = async |query: &str| {
        let request = service.request(Method::POST, &format!("/callback?{query}"));
        Answer::to(request.body(xml.clone())).await.status
    };
    assert_eq!(push(&signed_query(ALICE)).await, 200);
    // In the same second, and with a stranger's requests in between, which count for nothing.
    let foreign = signed_by("anotherToken", ALICE, SystemClock.now());
    for (query, verdict, refused) in [
        (foreign.as_str(), "warn", "1 request"),
        ("", "warn", "2 requests"),
        (&foreign, "warn", "3 requests"),
        (&foreign, "FAIL", "4 requests"),
        ("", "FAIL", "5 requests"),
    ] {
        assert_eq!(push(query).await, 403);
        let output = doctor(&api_base, &settings).await;
        let start = format!("{verdict}  callback: 1 push accepted and {refused} refused");
        let finding = line(&output, &start);
        assert!(
            finding.contains("its signature does not match"),
            "{finding}"
        );
        assert_eq!(output.status == 1, verdict == "FAIL", "{output:?}");
    }
}

#[tokio::test]
async fn a_key_is_not_sent_over_http_to_whatever_answers() {
    let service = TestApp::with().set("CALLBACK_TOKEN", TOKEN).spawn().await;
    let anybody = Owner::spawn(|_| Reply::Echo("")).await;
    let base = anybody.url.split("/wechat").next().unwrap();
    let listen = closed_port().to_string();
    let settings = [
        ("WXQR_CALLBACK_TOKEN", TOKEN),
        ("WXQR_API_KEYS", "ops:fedcba9876543210:stats"),
        ("WXQR_PUBLIC_URL", base),
        ("WXQR_LISTEN", &listen),
    ];
    let api_base = format!("http://{}", service.sandbox_address);
    let output = doctor(&api_base, &settings).await;
    let finding = line(&output, "warn  callback: http");
    assert!(
        finding.contains("whether pushes are accepted is not known"),
        "{finding}"
    );
    let paths: Vec<_> = anybody.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/callback"]);
}

#[tokio::test]
async fn without_its_database_a_stable_token_is_checked_and_a_classic_one_is_not() {
    let (sandbox, address, _server) = sandbox().await;
    let api_base = format!("http://{address}");
    let store = ("WXQR_DATABASE_URL", "sqlite:///no/such/folder/wxqr.db");
    let output = doctor(&api_base, &[store]).await;
    assert_eq!(output.status, 1, "{output:?}");
    let refused = line(
        &output,
        "FAIL  store: WXQR_DATABASE_URL: /no/such/folder/wxqr.db cannot be used by user ",
    );
    let cause = ": there is no folder /no/such/folder; create the folder, and let user ";
    assert!(refused.contains(cause), "{refused}");
    line(&output, "ok    codes:");

    sandbox.forget_calls();
    let output = doctor(&api_base, &[store, ("WXQR_TOKEN_SOURCE", "classic")]).await;
    line(
        &output,
        "skip  token: needs the database, where the classic token is shared",
    );
    assert_eq!(
        sandbox.calls().len(),
        0,
        "another token would kill the service's"
    );
}

#[tokio::test]
async fn the_clock_of_the_databases_server_is_compared() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    create_database(&database).await;
    let (_sandbox, address, _server) = sandbox().await;
    let store = ("WXQR_DATABASE_URL", database.url.as_str());
    let output = doctor(&format!("http://{address}"), &[store]).await;
    assert_eq!(output.status, 0, "{output:?}");
    line(
        &output,
        "ok    store: PostgreSQL, permanent codes in the ledger: 0 of 100000",
    );
    let clock = line(&output, "ok    clock: this machine's is ");
    assert!(clock.ends_with(" the database's"), "{clock}");
}

/// As `wxqr serve` makes it.
async fn create_database(database: &Database) {
    let url = database.url.as_str().into();
    let upstream = UpstreamIdentity::of_host("127.0.0.1");
    let opened = Stores::open_now(&url, APP_ID, &upstream, Arc::new(SystemClock), None).await;
    opened.unwrap();
}

/// The names of the files beside a database's, itself included.
fn files(database: &Database) -> Vec<OsString> {
    let folder = fs::read_dir(database.file().parent().unwrap()).unwrap();
    let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_database_file_that_others_may_read_is_warned_about() {
    let (_sandbox, address, _server) = sandbox().await;
    let api_base = format!("http://{address}");
    let database = Database::sqlite();
    create_database(&database).await;
    let store = ("WXQR_DATABASE_URL", database.url.as_str());
    for (mode, is_warned) in [(0o644, true), (0o660, true), (0o600, false)] {
        let permissions = Permissions::from_mode(mode);
        fs::set_permissions(database.file(), permissions).unwrap();
        let output = doctor(&api_base, &[store]).await;
        let file = database.file().display().to_string();
        let warning = format!(
            "warn  store: other users may use {file} (mode {mode:04o}), which holds followers and perhaps a token; chmod 600 {file}\n"
        );
        assert_eq!(output.stdout.contains(&warning), is_warned, "{output:?}");
        assert_eq!(output.status, 0, "{output:?}");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_made() {
    let (sandbox, address, _server) = sandbox().await;
    let api_base = format!("http://{address}");
    let database = Database::sqlite();
    let store = ("WXQR_DATABASE_URL", database.url.as_str());
    let output = doctor(&api_base, &[store]).await;
    assert_eq!(
        (output.status, files(&database).len()),
        (0, 0),
        "{output:?}"
    );
    line(
        &output,
        "ok    store: SQLite, does not exist yet: `wxqr serve` creates it",
    );
    line(&output, "ok    codes:");

    sandbox.forget_calls();
    let output = doctor(&api_base, &[store, ("WXQR_TOKEN_SOURCE", "classic")]).await;
    assert_eq!(
        (output.status, files(&database).len()),
        (0, 0),
        "{output:?}"
    );
    line(
        &output,
        "skip  token: needs the database, where the classic token is shared",
    );
    assert_eq!(sandbox.calls().len(), 0);
}

#[tokio::test]
async fn an_empty_server_stays_empty() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (_sandbox, address, _server) = sandbox().await;
    let store = ("WXQR_DATABASE_URL", database.url.as_str());
    let output = doctor(&format!("http://{address}"), &[store]).await;
    assert_eq!(output.status, 0, "{output:?}");
    let says = "ok    store: PostgreSQL, does not exist yet: `wxqr serve` creates it";
    line(&output, says);
    // It would fail if there were one.
    database.run("CREATE TABLE about (a INT)").await;
}

#[tokio::test]
async fn a_user_without_create_rights_is_reported() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (_sandbox, address, _server) = sandbox().await;
    let role = database.url.rsplit('/').next().unwrap();
    database
        .run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'secret'"))
        .await;
    let mut url = Url::parse(&database.url).unwrap();
    url.set_username(role).unwrap();
    url.set_password(Some("secret")).unwrap();
    let store = ("WXQR_DATABASE_URL", url.as_str());
    let output = doctor(&format!("http://{address}"), &[store]).await;
    database.run(&format!("DROP ROLE {role}")).await;
    let says = "FAIL  store: WXQR_DATABASE_URL: this user may not create tables; let this user own the database";
    assert_eq!(line(&output, "FAIL"), says);
}

#[tokio::test]
async fn doctor_warns_of_a_stock_that_is_nearly_used_up() {
    let (_sandbox, address, _server) = sandbox().await;
    let database = Database::sqlite();
    create_database(&database).await;
    for (used, warns) in [(8, false), (9, true)] {
        let counted = format!("REPLACE INTO stock (appid, used) VALUES ('{APP_ID}', {used})");
        database.run(&counted).await;
        let settings = [
            ("WXQR_DATABASE_URL", database.url.as_str()),
            ("WXQR_PERMANENT_LIMIT", "10"),
        ];
        let output = doctor(&format!("http://{address}"), &settings).await;
        assert_eq!(output.status, 0, "{output:?}");
        line(
            &output,
            &format!("ok    store: SQLite, permanent codes in the ledger: {used} of 10"),
        );
        let warning = "warn  store: 9 of 10 permanent codes are used, and none can be deleted; use temporary codes";
        assert_eq!(output.stdout.contains(warning), warns, "{output:?}");
    }
}

#[tokio::test]
async fn a_database_of_an_older_version_is_left_as_it_is() {
    let (_sandbox, address, _server) = sandbox().await;
    let api_base = format!("http://{address}");
    let database = Database::sqlite();
    let store = ("WXQR_DATABASE_URL", database.url.as_str());
    create_database(&database).await;
    let output = doctor(&api_base, &[store]).await;
    assert_eq!(output.status, 0, "{output:?}");
    line(
        &output,
        "ok    store: SQLite, permanent codes in the ledger: 0 of 100000",
    );

    // As if its tables had been made before there was any change to them.
    database.run("DELETE FROM _sqlx_migrations").await;
    let output = doctor(&api_base, &[store]).await;
    assert_eq!(output.status, 0, "{output:?}");
    line(
        &output,
        "ok    store: SQLite, has an older schema: `wxqr serve` migrates it",
    );
}

#[tokio::test]
async fn a_refused_database_is_reported_with_a_remedy() {
    let (_sandbox, address, _server) = sandbox().await;
    let damaged = Database::sqlite();
    fs::write(damaged.file(), "this is no database".repeat(100)).unwrap();
    let partly_damaged = Database::sqlite();
    create_database(&partly_damaged).await;
    partly_damaged.fill_with_tickets().await;
    partly_damaged.damage_a_page_of("ticket").await;
    let foreign = Database::sqlite();
    foreign.run("CREATE TABLE theirs (a INT)").await;
    for (database, happened, action) in [
        (
            damaged,
            "the file is damaged",
            "move it away or restore a backup",
        ),
        (partly_damaged, "the file is damaged: ", Damage::ACTION),
        (
            foreign,
            "another program's tables",
            "give the service one of its own",
        ),
    ] {
        let store = ("WXQR_DATABASE_URL", database.url.as_str());
        let output = doctor(&format!("http://{address}"), &[store]).await;
        let line = line(&output, "FAIL  store: ");
        assert!(line.contains(happened), "{line}");
        assert!(line.ends_with(&format!("; {action}")), "{line}");
        assert_eq!(output.stderr, "wxqr: 1 check failed\n");
    }
}

#[tokio::test]
async fn the_classic_token_of_a_running_service_stays_valid() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", folder.path().join("wxqr.db").display());
    let app = TestApp::with()
        .set("TOKEN_SOURCE", "classic")
        .set("DATABASE_URL", store.clone())
        .spawn()
        .await;
    assert_eq!(app.scene(1).await.status, StatusCode::OK);
    let api_base = format!("http://{}", app.sandbox_address);
    let more = [
        ("WXQR_DATABASE_URL", store.as_str()),
        ("WXQR_TOKEN_SOURCE", "classic"),
    ];
    let output = doctor(&api_base, &more).await;
    assert_eq!(output.status, 0, "{output:?}");
    line(
        &output,
        "ok    token: classic, shared through the database, valid for 7",
    );
    line(
        &output,
        "skip  allow-list: needs a call for a token, but the service's token is used",
    );
    assert_eq!(app.tokens(), 1, "the doctor took none of its own");
    assert_eq!(app.scene(2).await.status, StatusCode::OK);
    assert_eq!(app.tokens(), 1);
    let nothing = app.request(Method::GET, "/qrcode.json?scene_str=wxqr.doctor");
    assert_eq!(
        Answer::to(nothing).await.problem().0,
        400,
        "its scene is its own"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_how_far_webhooks_are_and_sends_none() {
    let (_sandbox, address, _server) = sandbox().await;
    let (database, receiver) = (Database::sqlite(), Receiver::spawn().await);
    let api_base = format!("http://{address}");
    let (url, host) = (receiver.url(), format!("http://{}", receiver.address));
    database.store().await.database.close().await;
    let settings = [
        ("WXQR_DATABASE_URL", database.url.as_str()),
        ("WXQR_CALLBACK_TOKEN", TOKEN),
        ("WXQR_WEBHOOK_URL", &url),
        (
            "WXQR_WEBHOOK_SECRET",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
    ];
    let progress = |columns: &str| {
        format!(
            "DELETE FROM webhook; INSERT INTO webhook (appid, delivered_seq, holder, held_until, failures, failed_at, failure,
                 failure_status, next_try_at) VALUES ('{APP_ID}', 0, '', 0, {columns}, 0)"
        )
    };
    for (columns, want) in [
        (None, format!("ok    webhook: {host} answers; nothing is sent before the service has started")),
        (
            Some("0, NULL, NULL, NULL"),
            format!("ok    webhook: {host} answers; nothing was delivered yet, events that wait: 0"),
        ),
        (
            Some("3, 1, 'refused', 500"),
            "FAIL  webhook: the receiver answers 500, 3 times in a row; nothing was delivered yet, events that wait: 0; see the receiver's log; it must answer 200 to 299".to_owned(),
        ),
        (
            Some("2, 1, 'timeout', NULL"),
            "FAIL  webhook: the receiver fails (timeout), 2 times in a row; nothing was delivered yet, events that wait: 0; see that the receiver runs, and answers within 5 s".to_owned(),
        ),
        (
            Some("1, 1, 'gone', 410"),
            "FAIL  webhook: the receiver answered 410, so nothing is sent to it; nothing was delivered yet, events that wait: 0; restart the service with the right WXQR_WEBHOOK_URL, or without one".to_owned(),
        ),
    ] {
        if let Some(columns) = columns {
            database.run(&progress(columns)).await;
        }
        let output = doctor(&api_base, &settings).await;
        assert_eq!(line(&output, &want[..13]), want);
    }
    let paths: Vec<_> = receiver
        .received()
        .into_iter()
        .map(|one| one.path)
        .collect();
    assert_eq!(paths, ["/"; 5], "neither the path nor an event");
}
