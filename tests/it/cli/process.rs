//! The real binary: exit codes, what it prints, signals, the listeners, and each command.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::Value;
use tokio::process::Command;
use wechat_sandbox::{Api, Fault, FaultKind, Target};
use wxqr::access::{Keyring, Scope};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, APP_SECRET};
use crate::support::files::path;
use crate::support::process::{Process, run};
use crate::support::raw::send;
use crate::support::served::Served;
use crate::support::skip::skip;
use crate::support::{client, closed_port, eventually, eventually_async};

async fn get(client: &reqwest::Client, address: SocketAddr, path: &str) -> Answer {
    Answer::to(client.get(format!("http://{address}{path}"))).await
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for arguments in [
        &["--no-such-flag"][..],
        &["no-such-command"],
        &["serve", "--listen"],
        &["sandbox", "--account", "no-colon"],
        &["sandbox", "--listen", "nowhere"],
    ] {
        let output = run(arguments, &[]).await;
        assert_eq!(output.status, 2, "{arguments:?}: {output:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{output:?}"
        );
    }
}

#[tokio::test]
async fn help_and_version_end_with_0_and_name_every_setting() {
    let version = run(&["--version"], &[]).await;
    assert_eq!(
        (version.status, version.stdout.trim()),
        (0, concat!("wxqr ", env!("CARGO_PKG_VERSION")))
    );
    for arguments in [&["--help"][..], &["serve", "--help"], &["config", "--help"]] {
        let help = run(arguments, &[]).await;
        assert_eq!(help.status, 0, "{arguments:?}");
        for setting in wxqr::config::SETTINGS {
            let (flag, variable) = (format!("--{}", setting.name), setting.variable());
            assert!(
                help.stdout.contains(&flag) && help.stdout.contains(&variable),
                "{flag}"
            );
        }
    }
}

#[tokio::test]
async fn all_wrong_settings_are_reported_in_one_start() {
    let output = run(
        &["serve", "--reuse", "2"],
        &[
            ("WXQR_APP_ID", "not an id"),
            ("WXQR_LISTEN", "nowhere"),
            ("WXQR_UPSTREAM_TIMEOUT", "5"),
            ("WXQR_API_KEYS", "shop:tooshort:mint"),
            ("WXQR_LISTN", "127.0.0.1:1"),
            ("WXQR_PORT", "tcp://10.0.0.1:80"),
            ("WXQR_SERVICE_HOST", "10.0.0.1"),
        ],
    )
    .await;
    assert_eq!(output.status, 78, "{output:?}");
    assert!(output.stdout.is_empty());
    for variable in [
        "WXQR_APP_ID",
        "WXQR_APP_SECRET",
        "WXQR_LISTEN",
        "WXQR_UPSTREAM_TIMEOUT",
        "WXQR_API_KEYS",
        "WXQR_LISTN",
        "WXQR_REUSE",
    ] {
        let lines = output.stderr.lines();
        let said = lines.filter(|line| line.starts_with(variable)).count();
        assert!(said >= 1, "{variable}: {}", output.stderr);
    }
    assert!(output.stderr.contains("accepted: "), "{}", output.stderr);
    for quiet in ["tooshort", "WXQR_PORT", "WXQR_SERVICE_HOST", "not an id"] {
        assert!(!output.stderr.contains(quiet), "{quiet}: {}", output.stderr);
    }
}

#[tokio::test]
async fn without_any_settings_it_names_the_demo() {
    for arguments in [&[][..], &["serve"]] {
        let output = run(arguments, &[]).await;
        assert_eq!(output.status, 78);
        assert!(output.stderr.contains("wxqr demo"), "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_secret_that_is_given_twice_or_not_there_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    let absent = folder.path().join("absent");
    for variables in [
        &[("WXQR_APP_SECRET_FILE", empty.to_str().unwrap())][..],
        &[("WXQR_APP_SECRET_FILE", absent.to_str().unwrap())],
        &[
            ("WXQR_APP_SECRET_FILE", empty.to_str().unwrap()),
            ("WXQR_APP_SECRET", APP_SECRET),
        ],
    ] {
        let mut all = vec![("WXQR_APP_ID", APP_ID)];
        all.extend_from_slice(variables);
        let output = run(&[], &all).await;
        assert_eq!(output.status, 78, "{variables:?}: {output:?}");
        assert!(
            output.stderr.contains("WXQR_APP_SECRET"),
            "{}",
            output.stderr
        );
    }
}

#[tokio::test]
async fn an_address_that_is_taken_ends_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let account = [("WXQR_APP_ID", APP_ID), ("WXQR_APP_SECRET", APP_SECRET)];
    let serve = run(&["serve", "--listen", &address], &account).await;
    let demo = run(&["demo", "--listen", &address], &[]).await;
    let sandbox = run(&["sandbox", "--listen", &address], &[]).await;
    for output in [serve, demo, sandbox] {
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains(&address), "{}", output.stderr);
    }
}

#[tokio::test]
async fn the_demo_says_what_to_do_in_ten_lines_and_it_works() {
    let process = Process::start(&["demo", "--listen", "127.0.0.1:0"], &[]);
    process.wait_for_line("Stop it").await;
    let said = process.stdout();
    let lines = said.lines().count();
    assert!(lines <= 10 && said.contains("SANDBOX"), "{said}");
    let after = |label: &str| {
        said.lines()
            .find_map(|line| line.strip_prefix(label))
            .unwrap()
            .trim()
            .to_owned()
    };
    let page = after("Page:");

    // The line that a reader copies, as a reader runs it.
    let line = after("Try:");
    let curl = tokio::process::Command::new("bash")
        .args(["-c", &format!("{line} -sS")])
        .output()
        .await
        .unwrap();
    if curl.status.code() == Some(127) {
        skip("curl is not installed", "REQUIRE_CURL");
    } else {
        assert!(curl.status.success(), "{line}: {curl:?}");
        let json: Value = serde_json::from_slice(&curl.stdout).unwrap();
        assert_eq!(json["scene_id"], 123);
        // All three links lead to pictures, in this process.
        for field in ["image_url", "png_url", "svg_url"] {
            let address = json[field].as_str().unwrap();
            let picture = Answer::to(client().get(address)).await;
            assert_eq!(picture.status, StatusCode::OK, "{address}");
            assert!(
                picture.header("content-type").starts_with("image/"),
                "{address}"
            );
        }
    }

    let first = Answer::to(client().get(&page)).await;
    assert!(
        first.text().contains("SANDBOX") && first.text().contains("<img "),
        "{page}"
    );
    let key = after("API key:");
    let key = key.split(' ').next().unwrap();
    let permanent = client().get(format!("{page}qrcode.json?scene_id=1&permanent=true"));
    assert_eq!(
        Answer::to(permanent.bearer_auth(key)).await.status,
        StatusCode::OK
    );

    process.signal("INT");
    let output = process.output().await;
    assert_eq!((output.status, output.stdout.lines().count()), (0, lines));
    assert!(output.stderr.is_empty(), "it is quiet: {}", output.stderr);
}

#[tokio::test]
async fn closed_output_does_not_end_the_demo() {
    for command in ["demo", "sandbox"] {
        let address = closed_port();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut process = Command::new(env!("CARGO_BIN_EXE_wxqr"))
            .args([command, "--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        eventually_async("it serves", || {
            let ended = process.try_wait().unwrap();
            assert_eq!(ended, None, "{command} goes on");
            let root = client().get(format!("http://{address}/"));
            async { Answer::to_willing(root).await.is_ok() }
        })
        .await;
    }
}

#[tokio::test]
async fn the_demo_refuses_what_belongs_to_a_real_account() {
    for (name, value) in [
        ("WXQR_APP_ID", APP_ID),
        ("WXQR_APP_SECRET", APP_SECRET),
        ("WXQR_APP_SECRET_FILE", "/nowhere"),
        ("WXQR_API_BASE", "https://api.weixin.qq.com"),
        ("WXQR_MP_BASE", "https://mp.weixin.qq.com"),
    ] {
        let output = run(&["demo", "--listen", "127.0.0.1:0"], &[(name, value)]).await;
        assert_eq!(output.status, 78, "{name}: {output:?}");
        assert!(output.stderr.contains(name), "{}", output.stderr);
        assert!(!output.stderr.contains(value), "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_signal_drains_requests_in_flight_and_refuses_others() {
    /// How long it goes on after the signal; the checks in between take far less.
    const DELAY: Duration = Duration::from_secs(2);
    let served = Served::with(&[("WXQR_DRAIN_DELAY", "2s")]).await;
    assert_eq!(served.get("/readyz").await.status, StatusCode::OK);
    let known = served.get("/qrcode.json?scene_id=1").await.ticket();
    let slow = Fault::new(Target::Create, FaultKind::Slow(Duration::from_secs(4)));
    served.sandbox.set_faults(vec![slow]);
    let url = format!("http://{}/qrcode.json?scene_id=2", served.addresses.http);
    let in_flight = tokio::spawn(Answer::to(client().get(url)));
    eventually("the mint has begun", || {
        served.sandbox.count(Api::Create) == 2
    })
    .await;

    served.process.signal("TERM");
    let asked = Instant::now();
    eventually_async("it is not ready", || async {
        let ready = served.get("/readyz").await;
        ready.status == StatusCode::SERVICE_UNAVAILABLE && ready.field("status") == "draining"
    })
    .await;
    // Requests of a slow load balancer are still served.
    let late = get(&client(), served.addresses.http, "/qrcode.json?scene_id=1").await;
    assert_eq!(late.ticket(), known);
    assert!(asked.elapsed() < DELAY, "not ready at once");
    assert_eq!(served.get("/healthz").await.status, StatusCode::OK);

    let answer = in_flight.await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert!(asked.elapsed() >= DELAY, "it outlived the delay");
    let refused = client().get(format!("http://{}/healthz", served.addresses.http));
    assert!(refused.send().await.is_err(), "no more connections");
    wait_for_end(served, 0).await;
}

/// Waits for the end of the process, with its exit code, and gives its log.
async fn wait_for_end(served: Served, status: i32) -> String {
    let output = served.process.output().await;
    assert_eq!(output.status, status, "{}", output.stderr);
    output.stderr
}

#[tokio::test]
async fn an_idle_service_stops_at_once_by_either_signal() {
    for signal in ["TERM", "INT"] {
        let served = Served::with(&[]).await;
        assert_eq!(served.get("/healthz").await.status, StatusCode::OK);
        let asked = Instant::now();
        served.process.signal(signal);
        let log = wait_for_end(served, 0).await;
        assert!(
            asked.elapsed() < Duration::from_secs(10),
            "an idle connection held it up"
        );
        assert!(
            log.contains("\"stopping\"") && log.contains("\"stopped\""),
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut served = Served::with(&[("WXQR_DRAIN_DELAY", "5m")]).await;
    served.process.signal("TERM");
    served.process.wait_for_line("stopping").await;
    assert!(served.process.is_running());
    served.process.signal("TERM");
    wait_for_end(served, 1).await;
}

#[tokio::test]
async fn what_does_not_finish_is_left_behind_at_the_drain_deadline() {
    let served = Served::with(&[("WXQR_DRAIN_TIMEOUT", "500ms")]).await;
    served
        .sandbox
        .set_faults(vec![Fault::new(Target::Create, FaultKind::Hang)]);
    let url = format!("http://{}/qrcode.json?scene_id=1", served.addresses.http);
    let hanging = tokio::spawn(client().get(url).send());
    eventually("the mint has begun", || {
        served.sandbox.count(Api::Create) == 1
    })
    .await;
    served.process.signal("TERM");
    let log = wait_for_end(served, 0).await;
    assert!(log.contains("still in flight"), "{log}");
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn a_health_check_is_0_for_a_running_service_and_1_for_a_stopped_one() {
    let served = Served::with(&[]).await;
    let address = served.addresses.http.to_string();
    let by_flag = run(&["healthcheck", "--listen", &address], &[]).await;
    let by_variable = run(&["healthcheck"], &[("WXQR_LISTEN", &address)]).await;
    for output in [by_flag, by_variable] {
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (0, ""),
            "{output:?}"
        );
    }
    let everywhere = format!("0.0.0.0:{}", served.addresses.http.port());
    assert_eq!(
        run(&["healthcheck", "--listen", &everywhere], &[])
            .await
            .status,
        0
    );
    let closed = closed_port().to_string();
    let output = run(&["healthcheck", "--listen", &closed], &[]).await;
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains(&closed), "{}", output.stderr);
    assert_eq!(
        run(&["healthcheck", "--listen", "nowhere"], &[])
            .await
            .status,
        78
    );
}

#[tokio::test]
async fn config_shows_each_setting_its_origin_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, format!("{APP_SECRET}\n")).unwrap();
    let keys = "shop:very-secret-key-000:mint";
    let output = run(
        &["config", "--reuse", "0.25"],
        &[
            ("WXQR_APP_ID", APP_ID),
            ("WXQR_APP_SECRET_FILE", file.to_str().unwrap()),
            ("WXQR_API_KEYS", keys),
        ],
    )
    .await;
    assert_eq!(
        (output.status, output.stderr.as_str()),
        (0, ""),
        "{output:?}"
    );
    let line = |variable: &str| {
        let mut lines = output.stdout.lines();
        lines
            .find(|line| line.split_whitespace().next() == Some(variable))
            .unwrap()
            .to_owned()
    };
    for (variable, parts) in [
        ("WXQR_APP_ID", &[APP_ID, "variable"][..]),
        ("WXQR_APP_SECRET", &["********", "file"]),
        ("WXQR_API_KEYS", &[":********:", "variable"]),
        ("WXQR_DATABASE_URL", &["sqlite://wxqr.db", "default"]),
        ("WXQR_REUSE", &["0.25", "flag"]),
        ("WXQR_LISTEN", &["127.0.0.1:8080", "default"]),
        ("WXQR_PUBLIC_URL", &["unset"]),
    ] {
        let line = line(variable);
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    assert_eq!(
        output.stdout.lines().count(),
        wxqr::config::SETTINGS.len(),
        "{}",
        output.stdout
    );
    assert!(!output.stdout.contains(APP_SECRET) && !output.stdout.contains("very-secret"));
    assert_eq!(run(&["config"], &[]).await.status, 78);
}

#[tokio::test]
async fn quotes_that_docker_keeps_are_a_mistake_in_every_command() {
    let quoted = [
        ("WXQR_LINK_KEYS", "\"link-key-1\""),
        ("WXQR_LISTEN", "'127.0.0.1:0'"),
    ];
    for (arguments, status) in [
        (&["sign", "scene_id=1"][..], 78),
        (&["config"], 78),
        (&["serve"], 78),
        (&["demo"], 78),
        (&["healthcheck"], 78),
        (&["doctor"], 1),
    ] {
        let account = [("WXQR_APP_ID", APP_ID), ("WXQR_APP_SECRET", APP_SECRET)];
        let variables = if arguments == ["demo"] {
            quoted.to_vec()
        } else {
            [&account[..], &quoted].concat()
        };
        let output = run(arguments, &variables).await;
        assert_eq!(output.status, status, "{arguments:?}: {output:?}");
        let said = output.stdout + &output.stderr;
        assert!(said.contains("docker --env-file"), "{arguments:?}: {said}");
        assert!(!said.contains("link-key-1"), "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn the_secrets_of_a_new_set_up_are_made_by_one_command() {
    let run_script = || async {
        let script = path("deploy/secrets.sh");
        let output = Command::new("sh").arg(script).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let ([made, said], [again, _]) = (run_script().await, run_script().await);
    let pairs: Vec<_> = made
        .lines()
        .map(|line| line.split_once('=').unwrap())
        .collect();
    assert_eq!(pairs.len(), 4, "{made}");
    for (name, value) in &pairs {
        assert!(!again.contains(value), "{name} is made anew each time");
    }
    let account = [("WXQR_APP_ID", APP_ID), ("WXQR_APP_SECRET", APP_SECRET)];
    let output = run(&["config"], &[&account[..], &pairs].concat()).await;
    assert_eq!(output.status, 0, "{output:?}");
    let masked = "admin:sha256:********:admin,doctor:********:stats";
    assert!(output.stdout.contains(masked), "{output:?}");

    let shown = said.lines().last().unwrap();
    assert!(!made.contains(shown), "the settings have its hash: {made}");
    let keys = pairs.iter().find(|(name, _)| *name == "WXQR_API_KEYS");
    let (_, keys) = *keys.unwrap();
    let keyring: Keyring = keys.parse().unwrap();
    assert!(keyring.find(shown).unwrap().allows(Scope::Permanent));
    let (_, for_doctor) = keys.split_once(",doctor:").unwrap();
    let for_doctor = for_doctor.strip_suffix(":stats").unwrap();
    assert!(keyring.find(for_doctor).unwrap().allows(Scope::Stats));
}

#[tokio::test]
async fn without_its_tools_the_script_makes_no_secrets() {
    let script = path("deploy/secrets.sh");
    let mut command = Command::new("/bin/sh");
    let output = command
        .arg(script)
        .env("PATH", "/nowhere")
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[tokio::test]
async fn the_start_says_once_what_is_off_or_open() {
    let safe = [
        ("WXQR_CALLBACK_TOKEN", "Token1"),
        (
            "WXQR_ENCODING_AES_KEY",
            "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        ),
        ("WXQR_API_KEYS", "ops:0123456789abcdef:admin"),
        ("WXQR_ACCESS", "keyed"),
    ];
    for (settings, times) in [(&[][..], 1), (&safe[..], 0)] {
        let served = Served::with(settings).await;
        served.process.wait_for_line("listening").await;
        served.process.signal("TERM");
        let log = served.process.output().await.stderr;
        for said in [
            "the callback is off: no scan is counted",
            "there is no API key: no permanent codes",
            "access is open: every visitor may create codes, 10000 a day",
        ] {
            assert_eq!(log.matches(said).count(), times, "{said}: {log}");
        }
    }
}

#[tokio::test]
async fn the_start_recommends_a_key_of_pseudonyms_outside_of_the_database_once() {
    let callback = ("WXQR_CALLBACK_TOKEN", "Token1");
    let key = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for (settings, times) in [
        (&[callback][..], 1),
        (&[callback, ("WXQR_PERSON_KEY", key)], 0),
        (&[], 0),
    ] {
        let served = Served::with(settings).await;
        served.process.wait_for_line("access is open").await;
        served.process.signal("TERM");
        let log = served.process.output().await.stderr;
        let lines = log.lines().filter(|line| line.contains("WXQR_PERSON_KEY"));
        let levels: Vec<_> = lines.map(|line| line.contains("\"INFO\"")).collect();
        assert_eq!(levels, vec![true; times], "{log}");
    }
}

#[tokio::test]
async fn a_refused_requests_client_is_logged_where_that_is_wanted() {
    let proxy = ("WXQR_TRUSTED_PROXIES", "127.0.0.1");
    for (wanted, want) in [("true", Some("203.0.113.9")), ("false", None)] {
        let served = Served::with(&[proxy, ("WXQR_LOG_CLIENT", wanted)]).await;
        for path in [
            "/qrcode.json?scene_id=0",
            "/nothing",
            "/qrcode.json?scene_id=7",
        ] {
            let request = served
                .client
                .get(format!("http://{}{path}", served.addresses.http));
            let request = request.header("x-forwarded-for", "203.0.113.9");
            Answer::to(request).await;
        }
        let line = served.process.wait_for_line("\"http.status\":200").await;
        assert!(!line.contains("203.0.113.9"), "{line}");
        for status in [400, 404] {
            let line = format!("\"http.status\":{status}");
            let line: Value =
                serde_json::from_str(&served.process.wait_for_line(&line).await).unwrap();
            assert_eq!(line["client.address"].as_str(), want, "{line}");
        }
    }
}

#[tokio::test]
async fn metrics_have_a_listener_of_their_own() {
    let served = Served::with(&[("WXQR_METRICS_LISTEN", "127.0.0.1:0")]).await;
    let metrics = served.addresses.metrics.unwrap();
    for path in [
        "/qrcode.json?scene_id=77001",
        "/qrcode.json?scene_id=77001",
        "/qrcode.json?scene_id=0",
        "/secret-path-77",
        "/healthz/",
    ] {
        served.get(path).await;
    }
    let answer = get(&served.client, metrics, "/metrics").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("content-type").starts_with("text/plain"));
    let text = answer.text();
    for start in [
        "wxqr_build_info{version=\"",
        "wxqr_http_requests_total{route=\"/qrcode.json\",method=\"GET\",status=\"200\"} 2",
        "wxqr_http_requests_total{route=\"/qrcode.json\",method=\"GET\",status=\"400\"} 1",
        "wxqr_http_request_duration_seconds_count{route=\"/qrcode.json\"} 3",
        "wxqr_http_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"} 1",
        "wxqr_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1",
        "wxqr_http_request_duration_seconds_bucket{",
        "wxqr_upstream_requests_total{api=\"create\",outcome=\"ok\"} 1",
        "wxqr_upstream_requests_total{api=\"token\",outcome=\"ok\"} 1",
        "wxqr_upstream_request_duration_seconds_bucket{",
        "wxqr_code_lookups_total{result=\"minted\"} 1",
        "wxqr_code_lookups_total{result=\"memory\"} 1",
        "wxqr_token_refreshes_total{reason=\"first\"} 1",
        "wxqr_token_expiry_timestamp_seconds ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(start)),
            "{start}:\n{text}"
        );
    }
    let names = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    assert!(
        names
            .clone()
            .all(|line| line.starts_with("wxqr_") || line.starts_with("process_")),
        "{text}"
    );
    for quiet in ["77001", "secret-path", APP_ID] {
        assert!(!text.contains(quiet), "{quiet}: {text}");
    }
    // Neither listener answers what is the other's.
    assert_eq!(served.get("/metrics").await.status, StatusCode::NOT_FOUND);
    for path in ["/qrcode.json?scene_id=1", "/healthz", "/"] {
        assert_eq!(
            get(&served.client, metrics, path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }

    served
        .sandbox
        .set_faults(vec![Fault::new(Target::Create, FaultKind::Errcode(48001))]);
    served.get("/qrcode.json?scene_id=77002").await;
    let fault = |text: &str| text.contains("wxqr_account_fault{errcode=\"48001\"} 1");
    assert!(fault(get(&served.client, metrics, "/metrics").await.text()));
    served.sandbox.set_faults(Vec::new());
    eventually_async("it works again", || async {
        served.get("/qrcode.json?scene_id=77002").await.status == StatusCode::OK
    })
    .await;
    assert!(!fault(
        get(&served.client, metrics, "/metrics").await.text()
    ));
}

#[tokio::test]
async fn the_log_has_the_path_of_a_request_that_matches_no_route() {
    let served = Served::with(&[]).await;
    let address = served.addresses.http;
    let endless = format!("/long/{}", "a".repeat(300));
    let paths = [
        ("/callbak/", "/callbak/"),
        ("/a%0a%0d%22b", "/a%0a%0d%22b"),
        ("/\u{202e}\u{85}b\"", "/%E2%80%AE%C2%85b%22"),
        (endless.as_str(), &endless[..200]),
    ];
    for (path, _) in paths {
        let request = format!(
            "GET {path}?signature=not-in-the-log HTTP/1.1\r\nHost: wxqr\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(
            send(address, request.as_bytes()).await.status,
            404,
            "{path}"
        );
    }
    served.get("/qrcode.json?scene_id=0").await;
    served.get("/healthz/x").await;
    served.process.wait_for_line("/healthz/x").await;
    let log = served.process.stderr();
    let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
    let requests: Vec<Value> = lines
        .filter(|line: &Value| line["message"] == "request")
        .collect();
    let lost: Vec<&str> = requests
        .iter()
        .filter(|line| line["http.route"] == "unmatched")
        .map(|line| line["http.path"].as_str().unwrap())
        .collect();
    let want: Vec<&str> = paths.iter().map(|(_, logged)| *logged).collect();
    assert_eq!(lost, [want, vec!["/healthz/x"]].concat());
    let found = requests.iter().find(|line| line["http.status"] == 400);
    assert_eq!(found.unwrap().get("http.path"), None, "its route says it");
    assert!(!log.contains("not-in-the-log"), "{log}");
}

#[tokio::test]
async fn each_request_is_one_log_line_with_its_id_and_its_keys_name() {
    let secret = "very-secret-very-secret";
    let keys = format!("shop-7:{secret}:mint");
    let served = Served::with(&[("WXQR_API_KEYS", &keys)]).await;
    let request = served.client.get(format!(
        "http://{}/qrcode.json?scene_id=77003",
        served.addresses.http
    ));
    let request = request.header("x-request-id", "the-id-of-the-test");
    Answer::to(request.bearer_auth(secret)).await;
    served
        .process
        .wait_for_line("\"http.route\":\"/qrcode.json\"")
        .await;
    let log = served.process.stderr();
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.contains("the-id-of-the-test"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let requests = lines.iter().filter(|line| line["message"] == "request");
    let requests: Vec<_> = requests.collect();
    assert_eq!(requests.len(), 1, "{log}");
    assert_eq!(requests[0]["http.status"], 200);
    assert!(
        lines.iter().any(|line| line["message"] == "code created"),
        "{log}"
    );
    for line in &lines {
        assert_eq!(line["span"]["key"], "shop-7", "{line}");
    }
    assert!(!log.contains(secret), "{log}");
    assert_eq!(served.process.stdout(), "", "standard output is data");

    served.get("/robots.txt").await;
    let line = served.process.wait_for_line("/robots.txt").await;
    assert!(!line.contains("\"key\""), "a visitor has none: {line}");
}

#[tokio::test]
async fn health_checks_are_logged_at_debug() {
    for (level, base, want) in [("info", "", 0), ("debug", "", 2), ("info", "/wx", 0)] {
        let url = format!("http://127.0.0.1{base}");
        let served = Served::with(&[("WXQR_LOG", level), ("WXQR_PUBLIC_URL", &url)]).await;
        for path in ["/healthz", "/readyz", "/robots.txt"] {
            let answer = served.get(&format!("{base}{path}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{base}{path}");
        }
        served.process.wait_for_line("/robots.txt").await;
        // A line is written before its answer.
        let log = served.process.stderr();
        let checks = log
            .lines()
            .filter(|line| line.contains("healthz") || line.contains("readyz"));
        assert_eq!(checks.count(), want, "{level}, {base:?}: {log}");
    }
}

#[tokio::test]
async fn it_starts_and_stays_up_while_wechat_cannot_be_reached() {
    let nobody = format!("http://{}", closed_port());
    let served = Served::with(&[("WXQR_API_BASE", &nobody)]).await;
    let answer = served.get("/qrcode.json?scene_id=1").await;
    assert_eq!(answer.problem(), (502, "upstream_unreachable".to_owned()));
    assert_eq!(served.get("/readyz").await.status, StatusCode::OK);
    served.process.signal("TERM");
    wait_for_end(served, 0).await;
}

#[tokio::test]
async fn the_sandbox_runs_alone() {
    let account = format!("{APP_ID}:{APP_SECRET}");
    let given = ["sandbox", "--listen", "127.0.0.1:0", "--account", &account];
    let process = Process::start(&given, &[]);
    let line = process.wait_for_line("SANDBOX").await;
    let base = line.split_whitespace().last().unwrap().to_owned();
    let token = format!(
        "{base}cgi-bin/token?grant_type=client_credential&appid={APP_ID}&secret={APP_SECRET}"
    );
    let token = Answer::to(client().get(token)).await.field("access_token");
    let create = format!("{base}cgi-bin/qrcode/create?access_token={token}");
    let body =
        r#"{"expire_seconds":60,"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":1}}}"#;
    let code = Answer::to(client().post(create).body(body)).await;
    assert!(code.field("url").starts_with(&base), "{}", code.text());
    assert!(
        !process.stdout().contains(APP_SECRET),
        "what was given is not printed"
    );
    process.signal("TERM");
    assert_eq!(process.output().await.status, 0);

    let made_up = Process::start(&["sandbox", "--listen", "127.0.0.1:0"], &[]);
    made_up.wait_for_line("AppID:").await;
    let secret = made_up.wait_for_line("AppSecret:").await;
    assert!(secret.split_whitespace().last().unwrap().len() >= 16);
}
