//! Secrets of a set-up: what the commands print, what a database complains of, and what is said
//! when the program fails itself. [`super::canary`] has what visitors and WeChat can bring to
//! light.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use futures_util::stream::{self, StreamExt as _};
use reqwest::StatusCode;
use tokio::task::block_in_place;
use wechat_sandbox::{Fault, FaultKind, Target};
use wxqr::telemetry::{LogFormat, LogSettings, start_logging};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, spawn_sandbox};
use crate::support::database::Cluster;
use crate::support::process::{Output, Process, run};
use crate::support::{client, closed_port, eventually_async};

const APP_SECRET: &str = "CANARYappsecretCANARYappsecret00";
const KEYS: &str = "shop:CANARY-api-key-CANARY-api-key:admin";
const LINK_KEYS: &str = "CANARY-link-key-CANARY-link-key,CANARY-older-link-key";
const CALLBACK_TOKEN: &str = "CANARYcallbackTokenCANARY";
const AES_KEY: &str = "CANARYaesKeyOfTheAccountCANARY0123456789abE";
const OLDER_AES_KEY: &str = "CANARYolderKeyOfTheAccountCANARY0123456789E";
/// Its query may say to the server which account this is.
const RELAY_URL: &str = "https://old.example.com/wechat?token=CANARY";
const PERSON_KEY: &str = "CANARYperson0123456789abcdefghijklmnopqrstw";

const WEBHOOK_URL: &str = "http://CANARYuser:CANARYpass@127.0.0.1:1/CANARY?token=CANARY";
const WEBHOOK_SECRET: &str = "whsec_CANARYwebhookCANARYwebhookCANARYwebh";

/// A password in an address of a database that can be written in any of these ways.
const PASSWORD: &str = "CANARYpasswordCANARY";

/// So many processes at once.
const ABREAST: usize = 8;

/// Set in the process that is to panic.
const PANIC: &str = "PANIC_WITH_A_SECRET";

/// All secrets but the database's address and those of webhooks, whose receiver the doctor asks.
const SECRETS: [(&str, &str); 9] = [
    ("WXQR_APP_ID", APP_ID),
    ("WXQR_APP_SECRET", APP_SECRET),
    ("WXQR_API_KEYS", KEYS),
    ("WXQR_LINK_KEYS", LINK_KEYS),
    ("WXQR_CALLBACK_TOKEN", CALLBACK_TOKEN),
    ("WXQR_ENCODING_AES_KEY", AES_KEY),
    ("WXQR_ENCODING_AES_KEY_PREVIOUS", OLDER_AES_KEY),
    ("WXQR_RELAY_URL", RELAY_URL),
    ("WXQR_PERSON_KEY", PERSON_KEY),
];

fn says_nothing(output: &Output, what: &str) {
    let said = format!("{}{}", output.stdout, output.stderr);
    let line = said
        .lines()
        .find(|line| line.to_lowercase().contains("canary"));
    assert_eq!(line, None, "{what}");
    assert!(!said.is_empty(), "{what}: it says something");
}

#[tokio::test]
async fn no_command_prints_a_secret_wherever_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, value: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, value).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let database = format!("postgres://wxqr:{PASSWORD}@{}/wxqr", closed_port());
    let secrets = [
        ("app-secret", APP_SECRET),
        ("api-keys", KEYS),
        ("link-keys", LINK_KEYS),
        ("database-url", &database),
        ("callback-token", CALLBACK_TOKEN),
        ("encoding-aes-key", AES_KEY),
        ("encoding-aes-key-previous", OLDER_AES_KEY),
        ("person-key", PERSON_KEY),
        ("webhook-url", WEBHOOK_URL),
        ("webhook-secret", WEBHOOK_SECRET),
    ];
    let public = ["--app-id", APP_ID, "--relay-url", RELAY_URL];
    let mut flags = public.map(str::to_owned).to_vec();
    let (mut files, mut variables) = (flags.clone(), Vec::new());
    for (name, value) in secrets {
        flags.extend([format!("--{name}"), value.to_owned()]);
        files.extend([format!("--{name}-file"), file(name, value)]);
        variables.push((
            format!("WXQR_{}", name.to_uppercase().replace('-', "_")),
            value,
        ));
    }
    let mut variables: Vec<_> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    variables.extend([("WXQR_APP_ID", APP_ID), ("WXQR_RELAY_URL", RELAY_URL)]);
    let api = format!("http://{}", closed_port());
    variables.push(("WXQR_API_BASE", &api));
    for command in ["config", "doctor", "healthcheck"] {
        for (given, settings) in [(&flags, &[][..]), (&files, &[]), (&Vec::new(), &variables)] {
            let mut arguments = vec![command];
            arguments.extend(given.iter().map(String::as_str));
            if command == "doctor" && settings.is_empty() {
                arguments.extend(["--api-base", &api]);
            }
            let output = run(&arguments, settings).await;
            says_nothing(&output, &format!("{arguments:?}"));
        }
    }
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["config", "--help"],
        &["--version"],
        &["demo"],
        &["serve", "--no-such-flag"],
    ] {
        says_nothing(&run(arguments, &variables).await, &format!("{arguments:?}"));
    }
    for link in [
        "scene_id=1",
        "/qrcode.png?scene_str=a&exp=4102444800",
        "https://qr.example.com/qrcode?scene_id=0",
    ] {
        says_nothing(&run(&["sign", link], &variables).await, link);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_wrong_without_a_secret() {
    let of = |source| {
        [
            (source, Target::Token, FaultKind::Errcode(40125)),
            (source, Target::Token, FaultKind::Errcode(40164)),
            (source, Target::Token, FaultKind::Garbage),
            (source, Target::Token, FaultKind::Reset),
            (source, Target::Create, FaultKind::Errcode(48001)),
            (source, Target::Create, FaultKind::Errcode(40001)),
            (source, Target::Create, FaultKind::Half),
            (source, Target::Show, FaultKind::Hang),
        ]
    };
    let cases = ["stable", "classic"].into_iter().flat_map(of);
    let looked = stream::iter(cases).map(|(source, api, kind)| async move {
        let (sandbox, address, _server) = spawn_sandbox(APP_SECRET, |router| router).await;
        sandbox.set_faults(vec![Fault::new(api, kind)]);
        let base = format!("http://{address}");
        let more = [
            ("WXQR_API_BASE", base.as_str()),
            ("WXQR_TOKEN_SOURCE", source),
            ("WXQR_LOG", "trace"),
        ];
        let variables: Vec<_> = SECRETS
            .into_iter()
            .chain(more)
            .chain([("WXQR_DATABASE_URL", "sqlite::memory:")])
            .collect();
        let output = run(&["doctor"], &variables).await;
        says_nothing(&output, &format!("{source}, {kind:?} on {api:?}"));
        assert_eq!(output.status == 0, api == Target::Show, "{output:?}");
    });
    looked.buffer_unordered(ABREAST).collect::<Vec<()>>().await;
}

/// Addresses of databases that cannot be used, each with the password somewhere. The path of a file
/// is no secret: it is named.
fn bad_addresses() -> Vec<String> {
    let nobody = closed_port();
    vec![
        format!("postgres://wxqr:{PASSWORD}@{nobody}/wxqr"),
        format!("postgres://{PASSWORD}:{PASSWORD}@{nobody}/{PASSWORD}"),
        format!("postgres://{nobody}/wxqr?user=wxqr&password={PASSWORD}"),
        format!("postgres://wxqr:{PASSWORD}@{nobody}/wxqr?sslmode={PASSWORD}"),
        format!(
            "postgres://wxqr:{PASSWORD}@{nobody}/wxqr?sslmode=verify-full&sslrootcert=/{PASSWORD}"
        ),
        format!("postgres://wxqr:{PASSWORD}@{nobody}/wxqr?{PASSWORD}={PASSWORD}"),
        format!("postgres://wxqr:{PASSWORD}@{nobody}/wxqr?options=-c%20{PASSWORD}%3D1"),
        format!("postgres://wxqr:{PASSWORD}@no-such-host.invalid/wxqr"),
        format!("postgres://wxqr:{PASSWORD}@127.0.0.1:port/wxqr"),
        format!("postgres://wxqr:{PASSWORD}@127.0.0.1:99999/wxqr"),
        format!("postgres://wxqr:{PASSWORD}@[::1/wxqr"),
        format!("postgres://wxqr:{PASSWORD}%zz@{nobody}/wxqr"),
        format!("postgres://wxqr:{PASSWORD}@{nobody} /wxqr"),
        format!("postgres:{PASSWORD}"),
        format!("mysql://wxqr:{PASSWORD}@{nobody}/wxqr"),
        format!("sqlite://wxqr.db?mode={PASSWORD}"),
        format!("sqlite://wxqr.db?{PASSWORD}=1"),
        PASSWORD.to_owned(),
    ]
}

/// Whether what stands for the password is in a place that is none, and that `config` shows: a
/// file, a user, a TLS mode.
fn is_shown(url: &str) -> bool {
    let user = format!("//{PASSWORD}:");
    let mode = format!("sslmode={PASSWORD}");
    let file = format!("sslrootcert=/{PASSWORD}");
    url.starts_with("sqlite:") || [user, mode, file].iter().any(|place| url.contains(place))
}

async fn try_database(url: String) {
    let (sandbox, address, _server) = spawn_sandbox(APP_SECRET, |router| router).await;
    drop(sandbox);
    let base = format!("http://{address}");
    let more = [
        ("WXQR_API_BASE", base.as_str()),
        ("WXQR_DATABASE_URL", &url),
        ("WXQR_LISTEN", "127.0.0.1:0"),
        ("WXQR_LOG", "trace"),
        ("WXQR_LOG_FORMAT", "json"),
    ];
    let variables: Vec<_> = SECRETS.into_iter().chain(more).collect();
    says_nothing(
        &run(&["doctor"], &variables).await,
        &format!("doctor, {url}"),
    );
    if !is_shown(&url) {
        let output = run(&["config"], &variables).await;
        says_nothing(&output, &format!("config, {url}"));
    }

    let mut service = Process::start(&["serve"], &variables);
    // It gives up, or says that it goes on trying.
    eventually_async("it has met its database", || {
        let met =
            service.stderr().contains("the database is not ready yet") || !service.is_running();
        std::future::ready(met)
    })
    .await;
    if service.is_running() {
        service.signal("KILL");
        let said = service.stderr();
        assert!(!said.contains("CANARY"), "{url}: {said}");
    } else {
        let output = service.output().await;
        assert_ne!(output.status, 0, "{url}");
        says_nothing(&output, &format!("serve, {url}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_used_keeps_its_password() {
    let tries = stream::iter(bad_addresses()).map(try_database);
    tries.buffer_unordered(ABREAST).collect::<Vec<()>>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_keeps_its_password() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    let (_sandbox, address, _server) = spawn_sandbox(APP_SECRET, |router| router).await;
    let base = format!("http://{address}");
    let url = cluster
        .url()
        .replace("postgres@", &format!("postgres:{PASSWORD}@"));
    let more = [
        ("WXQR_API_BASE", base.as_str()),
        ("WXQR_MP_BASE", &base),
        ("WXQR_DATABASE_URL", &url),
        ("WXQR_METRICS_LISTEN", "127.0.0.1:0"),
        ("WXQR_LOG", "trace"),
    ];
    let variables: Vec<_> = SECRETS.into_iter().chain(more).collect();
    let (service, addresses) = Process::serve(&variables).await;
    let mut answers = String::new();
    let key = KEYS.split(':').nth(1).unwrap();
    let mut ask = async |path: String| {
        let request = client().get(format!("http://{}{path}", addresses.http));
        let answer = Answer::to(request.bearer_auth(key)).await;
        writeln!(answers, "{:?}{}", answer.headers, answer.text()).unwrap();
        answer.status
    };
    assert_eq!(
        ask("/qrcode.json?scene_id=1".to_owned()).await,
        StatusCode::OK
    );
    block_in_place(|| cluster.stop());
    let mut scene = 1;
    for path in [
        "/api/account",
        "/api/codes",
        "/qrcode.json?permanent=true&scene_id=",
        "/qrcode.json?scene_id=",
        "/readyz",
        "/",
    ] {
        scene += 1;
        let path = if path.ends_with('=') {
            format!("{path}{scene}")
        } else {
            path.to_owned()
        };
        ask(path).await;
    }
    service.wait_for_line("the database cannot be used").await;
    let metrics = client().get(format!("http://{}/metrics", addresses.metrics.unwrap()));
    answers += Answer::to(metrics).await.text();
    assert!(
        answers.contains("store_unavailable") && answers.contains("wxqr_store_up 0"),
        "{answers}"
    );
    block_in_place(|| cluster.resume());
    service.signal("TERM");
    let output = service.output().await;
    says_nothing(&output, "the log");
    assert!(!answers.contains("CANARY"), "{answers}");
}

/// The process that [`a_panic_is_logged_without_what_it_says`] starts; nothing otherwise.
#[tokio::test]
async fn panics_on_request() {
    if std::env::var_os(PANIC).is_none() {
        return;
    }
    start_logging(&LogSettings {
        filter: "trace".to_owned(),
        format: LogFormat::Json,
    });
    let token = std::hint::black_box("CANARY-token-that-somebody-prints");
    let task = tokio::spawn(async move { unreachable!("the token is {token}") });
    assert!(task.await.unwrap_err().is_panic());
}

#[test]
fn a_panic_is_logged_without_what_it_says() {
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::panics_on_request");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(PANIC, "1")
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("a task panicked"), "{said}");
    assert!(said.contains(file!()), "it says where: {said}");
    assert!(!said.contains("CANARY"), "{said}");
}
