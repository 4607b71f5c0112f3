use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use clap::Command;
use proptest::prelude::*;

use super::*;

const ACCOUNT: [(&str, &str); 2] = [
    ("WXQR_APP_ID", "wx0123456789abcdef"),
    ("WXQR_APP_SECRET", "an-app-secret"),
];

fn arguments(given: &[&str]) -> ArgMatches {
    flags(Command::new("serve").no_binary_name(true)).get_matches_from(given)
}

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

fn load(given: &[&str], variables: &[(&str, &str)]) -> Result<(Config, Effective), ConfigErrors> {
    Config::load(&arguments(given), environment(variables))
}

fn with_account<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&ACCOUNT, more].concat()
}

fn mistakes(given: &[&str], variables: &[(&str, &str)]) -> String {
    load(given, variables).unwrap_err().to_string()
}

/// A file that holds this, and its path.
fn file(content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

#[test]
fn an_account_is_all_that_serve_needs() {
    let (config, _) = load(&[], &ACCOUNT).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.metrics_listen, None);
    assert_eq!(config.max_connections, 10_000);
    assert_eq!(config.header_timeout, Duration::from_secs(10));
    assert_eq!(config.account.app_secret.expose_secret(), "an-app-secret");
    assert_eq!(config.upstream.api_bases.len(), 2);
    assert_eq!(config.upstream.timeout, Duration::from_secs(5));
    // A visitor may wait for a second host too.
    assert_eq!(config.upstream.timeout, 2 * wechat::ATTEMPT_TIMEOUT);
    assert_eq!(config.codes.default_expire.as_secs(), 7200);
    assert!(config.keys.is_empty());
    assert_eq!(config.cors_origins, CorsOrigins::Any);
    assert_eq!(config.drain.timeout, Duration::from_secs(20));
}

#[test]
fn a_flag_wins_over_a_variable_and_that_over_the_default() {
    let variables = with_account(&[("WXQR_REUSE", "0.25"), ("WXQR_LISTEN", "[::]:80")]);
    let (config, effective) = load(&["--reuse", "0.75"], &variables).unwrap();
    let close = |a: f64, b: f64| (a - b).abs() < f64::EPSILON;
    assert!(close(config.codes.reuse.get(), 0.75));
    let source = |name| {
        let rows = effective.settings();
        rows.iter()
            .find(|row| row.setting.name == name)
            .unwrap()
            .source
    };
    for (name, want) in [
        ("reuse", SettingSource::Flag),
        ("listen", SettingSource::Variable),
        ("log", SettingSource::Default),
        ("api-keys", SettingSource::Unset),
    ] {
        assert_eq!(source(name), want, "{name}");
    }
}

#[test]
fn a_secret_may_stand_in_a_file() {
    for (content, want) in [
        ("from-a-file", "from-a-file"),
        ("from-a-file\n", "from-a-file"),
        ("from-a-file\r\n", "from-a-file"),
    ] {
        let (_folder, path) = file(content.as_bytes());
        let id = ACCOUNT[0];
        for (given, variables) in [
            (vec![], vec![id, ("WXQR_APP_SECRET_FILE", path.as_str())]),
            (vec!["--app-secret-file", &path], ACCOUNT.to_vec()),
            (
                vec![],
                vec![id, ("WXQR_APP_SECRET", ""), ("WXQR_APP_SECRET_FILE", &path)],
            ),
        ] {
            let (config, effective) = load(&given, &variables).unwrap();
            assert_eq!(config.account.app_secret.expose_secret(), want);
            let shown = effective.to_string();
            let line = shown
                .lines()
                .find(|line| line.contains("APP_SECRET"))
                .unwrap();
            assert!(line.ends_with("file      ********"), "{line}");
        }
    }
}

#[test]
fn an_unreadable_secret_file_is_refused() {
    let (_folder, empty) = file(b"\n");
    let (_folder, two_lines) = file(b"a-secret\n\n");
    let (_folder, not_text) = file(b"\xff\xfe");
    let (_folder, huge) = file(&vec![b'a'; 1024 * 1024 + 1]);
    for (path, want) in [
        ("/nowhere/to/be/found", "cannot be read"),
        ("/", "cannot be read"),
        (empty.as_str(), "is empty"),
        (two_lines.as_str(), "is not an AppSecret"),
        (not_text.as_str(), "UTF-8"),
        (huge.as_str(), "larger than 1 MiB"),
        ("/dev/zero", "larger than 1 MiB"),
    ] {
        let got = mistakes(&[], &[ACCOUNT[0], ("WXQR_APP_SECRET_FILE", path)]);
        assert_eq!(got.lines().count(), 1, "{path}: {got}");
        assert!(got.starts_with("WXQR_APP_SECRET_FILE: "), "{got}");
        assert!(got.contains(want), "{path}: {got}");
    }
    let both = with_account(&[("WXQR_APP_SECRET_FILE", "/dev/null")]);
    assert!(mistakes(&[], &both).starts_with("WXQR_APP_SECRET: is given twice"));
}

#[test]
fn every_mistake_is_reported_in_one_start() {
    let got = mistakes(
        &["--log-format", "xml", "--reuse="],
        &[
            ("WXQR_APP_ID", "wx id"),
            ("WXQR_LISTEN", "8080"),
            ("WXQR_DEFAULT_EXPIRE", "31d"),
            ("WXQR_API_KEYS", "a:short:mint"),
            ("WXQR_LISTN", "x"),
        ],
    );
    let subjects: Vec<&str> = got
        .lines()
        .map(|line| line.split_once(": ").unwrap().0)
        .collect();
    assert_eq!(
        subjects,
        [
            "WXQR_APP_ID",
            "WXQR_APP_SECRET",
            "WXQR_API_KEYS",
            "WXQR_LISTEN",
            "WXQR_DEFAULT_EXPIRE",
            "WXQR_REUSE (from --reuse)",
            "WXQR_LOG_FORMAT (from --log-format)",
            "WXQR_LISTN",
        ],
        "{got}"
    );
    for line in got.lines() {
        assert!(
            line.contains("accepted: ") || line.contains("did you mean WXQR_LISTEN?"),
            "{line}"
        );
    }
}

#[test]
fn every_row_of_the_table_is_read_and_checked() {
    for setting in SETTINGS {
        let variable = setting.variable();
        let mut variables = ACCOUNT.to_vec();
        variables.retain(|(name, _)| *name != variable);
        variables.push((&variable, "\u{7f}=\u{7f}"));
        let got = mistakes(&[], &variables);
        assert_eq!(got.lines().count(), 1, "{got}");
        assert!(got.starts_with(&format!("{variable}: ")), "{got}");
    }
}

#[test]
fn without_an_account_the_demo_is_named() {
    for (variables, want) in [
        (vec![], true),
        (vec![("WXQR_LISTEN", "0.0.0.0:8080")], true),
        (vec![("WXQR_APP_ID", ""), ("WXQR_APP_SECRET", "")], true),
        (vec![ACCOUNT[0]], false),
        (vec![ACCOUNT[1]], false),
    ] {
        let got = mistakes(&[], &variables);
        assert_eq!(got.contains("`wxqr demo`"), want, "{variables:?}: {got}");
    }
}

#[test]
fn an_empty_variable_is_unset_and_an_empty_flag_is_a_mistake() {
    let variables = with_account(&[("WXQR_LISTEN", ""), ("WXQR_METRICS_LISTEN", "")]);
    let (config, _) = load(&[], &variables).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.metrics_listen, None);
    let got = mistakes(&["--listen", ""], &ACCOUNT);
    assert!(got.starts_with("WXQR_LISTEN (from --listen): is empty"));
}

#[test]
fn unknown_variables_are_mistakes_with_a_suggestion() {
    for (name, want) in [
        ("WXQR_LISTN", Some("WXQR_LISTEN")),
        ("WXQR_SECRET", Some("WXQR_APP_SECRET")),
        ("WXQR_API_KEY_FILE", Some("WXQR_API_KEYS_FILE")),
        ("WXQR_LISTEN_FILE", Some("WXQR_LISTEN")),
        ("WXQR_", None),
        ("WXQR_ZZZZZZZZZZ", None),
    ] {
        let got = mistakes(&[], &with_account(&[(name, "some-value")]));
        let end = want.map_or("lists".to_owned(), |want| format!("did you mean {want}?"));
        assert!(got.starts_with(&format!("{name}: ")), "{got}");
        assert!(got.ends_with(&end), "{got}");
        assert!(!got.contains("some-value"), "{got}");
    }
}

#[test]
fn what_kubernetes_injects_is_no_mistake() {
    for (name, value, want) in [
        ("WXQR_PORT", "tcp://10.0.0.1:80", true),
        ("WXQR_PORT_80_TCP", "tcp://10.0.0.1:80", true),
        ("WXQR_PORT_80_TCP_ADDR", "10.0.0.1", true),
        ("WXQR_SERVICE_HOST", "10.0.0.1", true),
        ("WXQR_SERVICE_PORT_HTTP", "80", true),
        ("WXQR_METRICS_SERVICE_HOST", "10.0.0.1", true),
        ("WXQR_METRICS_SERVICE_PORT", "9464", true),
        ("WXQR_METRICS_PORT", "tcp://10.0.0.1:9464", true),
        ("WXQR_METRICS_PORT_9464_TCP_PROTO", "tcp", true),
        ("WXQR_METRICS_PORT", "9464", false),
        ("WXQR_METRICS_PORT_X_TCP", "tcp", false),
        ("WXQR_SERVICES", "1", false),
        ("WXQRD_LISTEN", "1", true),
        ("PATH", "/bin", true),
    ] {
        let got = load(&[], &with_account(&[(name, value)]));
        assert_eq!(got.is_ok(), want, "{name}={value}");
    }
}

#[test]
fn text_that_is_not_utf_8_is_a_mistake() {
    let bad = OsStr::from_bytes(b"wx\xff").to_owned();
    let mut variables = environment(&ACCOUNT);
    variables.push(("WXQR_LOG".into(), bad.clone()));
    variables.push((OsStr::from_bytes(b"WXQR_\xff").to_owned(), bad.clone()));
    variables.push((bad.clone(), bad));
    let got = Config::load(&arguments(&[]), variables)
        .unwrap_err()
        .to_string();
    assert!(got.starts_with("WXQR_LOG: is not valid UTF-8"), "{got}");
    assert_eq!(got.lines().count(), 2, "{got}");
}

#[test]
fn two_listeners_do_not_share_a_port() {
    for (listen, metrics, want) in [
        ("127.0.0.1:8080", "127.0.0.1:8080", false),
        ("127.0.0.1:8080", "0.0.0.0:8080", false),
        ("127.0.0.1:8080", "127.0.0.2:8080", true),
        ("127.0.0.1:8080", "127.0.0.1:9464", true),
        ("127.0.0.1:0", "127.0.0.1:0", true),
    ] {
        let more = [("WXQR_LISTEN", listen), ("WXQR_METRICS_LISTEN", metrics)];
        let got = load(&[], &with_account(&more));
        assert_eq!(got.is_ok(), want, "{listen} and {metrics}");
    }
}

#[test]
fn an_extra_ca_is_a_pem_file() {
    let certificate = b"a line\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let (_folder, good) = file(certificate);
    let (config, _) = load(&[], &with_account(&[("WXQR_EXTRA_CA_FILE", &good)])).unwrap();
    assert_eq!(config.upstream.extra_ca.unwrap().as_pem(), certificate);
    let (_folder, key) = file(b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
    for (path, want) in [
        (key.as_str(), "has no certificate"),
        ("/nowhere", "cannot be read"),
    ] {
        let got = mistakes(&[], &with_account(&[("WXQR_EXTRA_CA_FILE", path)]));
        assert!(got.starts_with("WXQR_EXTRA_CA_FILE: the file"), "{got}");
        assert!(got.contains(want), "{got}");
    }
}

fn demo(given: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let command = demo_flags(Command::new("demo").no_binary_name(true));
    let made = DemoAccount {
        account: Account {
            app_id: "wxdemo".parse().unwrap(),
            app_secret: "made-by-the-demo".into(),
        },
        keys: "demo:made-by-the-demo:admin".parse().unwrap(),
    };
    let matches = command.get_matches_from(given);
    Config::load_demo(&matches, environment(variables), made)
}

#[test]
fn the_demo_runs_on_its_own_account_and_sandbox() {
    for (listen, want) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000/"),
        ("[::]:9000", "http://[::1]:9000/"),
        ("[fe80::1%3]:9000", "http://[fe80::1]:9000/"),
    ] {
        let config = demo(&["--listen", listen], &[]).unwrap();
        assert_eq!(config.upstream.mp_base.as_str(), want);
        assert_eq!(config.upstream.api_bases, [config.upstream.mp_base]);
        assert_eq!(config.account.app_id.as_str(), "wxdemo");
        assert!(config.keys.find("made-by-the-demo").is_some());
    }
}

#[test]
fn the_demo_sends_webhooks_without_a_setting_of_the_callback() {
    let url = ("WXQR_WEBHOOK_URL", "http://127.0.0.1:8000/");
    let secret = (
        "WXQR_WEBHOOK_SECRET",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    );
    assert!(demo(&[], &[url, secret]).unwrap().webhook.is_some());
    assert!(demo(&[], &[]).unwrap().webhook.is_none());
    assert!(demo(&[], &[url]).is_err());
}

#[test]
fn the_demo_logs_warnings_by_default() {
    assert_eq!(demo(&[], &[]).unwrap().log.filter, "warn");
    let config = demo(&[], &[("WXQR_LOG", "info")]).unwrap();
    assert_eq!(config.log.filter, "info");
}

#[test]
fn every_setting_refuses_quotes_and_names_the_cause() {
    let none = ArgMatches::default();
    for setting in SETTINGS {
        let quoted = "\"s3cret-s3cret-s3cret\"";
        let (_folder, path) = file(format!("{quoted}\n").as_bytes());
        let flag = format!("--{}", setting.name);
        let mut cases = vec![
            (vec![], vec![(setting.variable(), quoted)]),
            (vec![flag.as_str(), quoted], vec![]),
        ];
        if let Some(variable) = setting.file_variable() {
            cases.push((vec![], vec![(variable.clone(), path.as_str())]));
            cases.push((vec![], vec![(variable, "'/run/secret'")]));
        }
        for (given, variables) in cases {
            let mut all = ACCOUNT.to_vec();
            all.retain(|(name, _)| *name != setting.variable());
            all.extend(
                variables
                    .iter()
                    .map(|(name, value)| (name.as_str(), *value)),
            );
            let got = mistakes(&given, &all);
            assert_eq!(got.lines().count(), 1, "{got}");
            assert!(got.starts_with(&setting.variable()), "{got}");
            assert!(
                got.contains("quotation marks") && got.contains("docker --env-file"),
                "{got}"
            );
            assert!(!got.contains("s3cret") && !got.contains("/run"), "{got}");
        }
    }
    let listen = environment(&[("WXQR_LISTEN", "\"127.0.0.1:80\"")]);
    let got = Config::load_listen(&none, listen).unwrap_err().to_string();
    assert!(got.contains("quotation marks"), "{got}");
    let key = environment(&[("WXQR_LINK_KEYS", "\"link-key-1\"")]);
    let got = Config::load_signing(&none, key).unwrap_err().to_string();
    assert!(got.contains("quotation marks"), "{got}");
    let got = demo(&[], &[("WXQR_LINK_KEYS", "'link-key-1'")]).unwrap_err();
    assert!(got.to_string().contains("quotation marks"), "{got}");
}

#[test]
fn quotes_inside_a_reply_belong_to_it() {
    for text in ["他说\"好\"", "\"你好\"，欢迎", "“你好”，“欢迎”"] {
        let callback = ("WXQR_CALLBACK_TOKEN", "Token1");
        let got = load(
            &[],
            &with_account(&[callback, ("WXQR_DEFAULT_REPLY", text)]),
        );
        assert!(got.is_ok(), "{text}: {:?}", got.err());
    }
    let got = mistakes(
        &[],
        &with_account(&[("WXQR_FRAME_ANCESTORS", "'self' https://a.example")]),
    );
    assert!(got.contains("comma is needed"), "{got}");
}

#[test]
fn the_carriage_return_of_a_line_of_windows_is_no_part_of_a_value() {
    let (_folder, path) = file(b"an-app-secret");
    let path = format!("{path}\r");
    let (config, _) = load(
        &[],
        &[
            ("WXQR_APP_ID", "wx0123456789abcdef\r"),
            ("WXQR_APP_SECRET_FILE", &path),
            ("WXQR_DATABASE_URL", "sqlite://a.db\r"),
            ("WXQR_PUBLIC_URL", "https://qr.example.com\r"),
            ("WXQR_API_KEYS", "ops:0123456789abcdef:admin\r"),
            ("WXQR_CALLBACK_TOKEN", "\r"),
            ("WXQR_REUSE", "0.5\r"),
        ],
    )
    .unwrap();
    assert_eq!(config.account.app_id.as_str(), "wx0123456789abcdef");
    assert_eq!(config.account.app_secret.expose_secret(), "an-app-secret");
    assert_eq!(config.database_url.expose_secret(), "sqlite://a.db");
    assert!(config.scans.callback.is_none());
    let got = mistakes(&[], &with_account(&[("WXQR_LINK_KEYS", "'link-key-1'\r")]));
    assert!(got.contains("quotation marks"), "{got}");
}

#[test]
fn a_key_with_a_scope_is_found_for_commands_that_call_the_service() {
    let found = |keys: &str| {
        let variables = environment(&[("WXQR_API_KEYS", keys)]);
        let key = Config::find_key(&ArgMatches::default(), variables, Scope::Stats);
        key.map(|key| key.expose_secret().to_owned())
    };
    let pos = "pos:0123456789abcdef:mint";
    assert_eq!(
        found(&format!("{pos}, ops:fedcba9876543210:mint+stats")).as_deref(),
        Some("fedcba9876543210")
    );
    assert_eq!(
        found("all:fedcba9876543210:admin").as_deref(),
        Some("fedcba9876543210")
    );
    // The one that can do the least.
    let many = [
        "all:00000000000000ad:admin",
        "five:00000000000000f5:mint+permanent+stats+people+bind",
        "two:00000000000000f2:stats+stats+mint",
        "one:00000000000000f1:stats",
    ];
    for (keys, want) in [
        (many.join(","), "00000000000000f1"),
        (many[..3].join(","), "00000000000000f2"),
        (many[..2].join(","), "00000000000000f5"),
    ] {
        assert_eq!(found(&keys).as_deref(), Some(want), "{keys}");
    }
    assert_eq!(found(pos), None);
    assert_eq!(found(""), None);
    let hashed = format!("one:sha256:{}:stats", "0".repeat(64));
    assert_eq!(found(&hashed), None);
    assert_eq!(
        found(&format!("{hashed},{}", many[2])).as_deref(),
        Some("00000000000000f2")
    );
}

#[test]
fn the_demo_refuses_what_belongs_to_a_real_account() {
    for setting in SETTINGS {
        let variables = std::iter::once(setting.variable()).chain(setting.file_variable());
        for variable in variables {
            let got = demo(&[], &[(&variable, "/nowhere")]).map_err(|error| error.to_string());
            let refused = got.is_err_and(|text| {
                text.starts_with(&setting.variable()) && text.ends_with("unset it")
            });
            assert_eq!(
                refused,
                setting.demo == DemoPolicy::MakesItsOwn,
                "{variable}"
            );
        }
    }
    assert!(demo(&["--app-id", "wx1"], &[]).is_err());
    assert!(demo(&[], &[("WXQR_APP_ID", "")]).is_ok());
    assert!(demo(&[], &[("WXQR_DATABASE", "x")]).is_err());
}

#[test]
fn the_listen_address_is_known_whatever_else_is_wrong() {
    let none = ArgMatches::default();
    let variables = [
        ("WXQR_LISTEN", "[::]:81"),
        ("WXQR_REUSE", "2"),
        ("WXQR_X", ""),
    ];
    let got = Config::load_listen(&none, environment(&variables)).unwrap();
    assert_eq!(got.to_string(), "[::]:81");
    let bad = environment(&[("WXQR_LISTEN", "x")]);
    assert!(Config::load_listen(&none, bad).is_err());
}

#[test]
fn effective_settings_are_one_line_each() {
    let two_lines = [("WXQR_API_BASE", "https://a.example,\nhttps://b.example")];
    let (_, effective) = load(&[], &with_account(&two_lines)).unwrap();
    let shown = effective.to_string();
    assert_eq!(shown.lines().count(), SETTINGS.len(), "{shown}");
    assert!(shown.contains("example,\\nhttps"), "{shown}");
}

#[test]
fn of_a_partly_secret_setting_the_rest_is_shown() {
    let shown = |more: &[(&str, &str)], variable: &str| {
        let (_, effective) = load(&[], &with_account(more)).unwrap();
        let shown = effective.to_string();
        let mut lines = shown.lines();
        let line = lines.find(|line| line.starts_with(&format!("{variable} ")));
        line.unwrap().split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(shown(&[], "WXQR_DATABASE_URL"), "sqlite://wxqr.db");
    for (variable, value, want) in [
        (
            "WXQR_DATABASE_URL",
            "postgres://me:s3cret@db/wxqr",
            "postgres://me:********@db/wxqr",
        ),
        (
            "WXQR_API_KEYS",
            "ops:s3cret-s3cret-s3cret:stats+mint",
            "ops:********:stats+mint",
        ),
        ("WXQR_LINK_KEYS", "link-key-1", "********"),
        ("WXQR_CALLBACK_TOKEN", "Token1", "********"),
    ] {
        assert_eq!(shown(&[(variable, value)], variable), want);
    }
}

proptest! {
    #[test]
    fn no_secret_is_ever_shown(secret in "[A-Za-z0-9_-]{16,40}", break_it in prop::bool::ANY, places in prop::collection::vec(0..10_usize, 1..4)) {
        let wrong = if break_it { " " } else { "" };
        let keys = format!("a:{secret}{wrong}:mint");
        let key_in_scope = format!("a:0123456789abcdef:{secret}");
        let (_folder, path) = file(format!("{secret}{wrong}\n").as_bytes());
        let with_user = format!("https://me:{secret}@example.com");
        let app_secret = format!("{secret}{wrong}");
        let variables: Vec<(&str, &str)> = places
            .into_iter()
            .map(|place| [
                ("WXQR_APP_SECRET", app_secret.as_str()),
                ("WXQR_APP_SECRET_FILE", &path),
                ("WXQR_APP_SECRET_FILE", &secret),
                ("WXQR_API_KEYS", &keys),
                ("WXQR_API_KEYS", &key_in_scope),
                ("WXQR_API_KEYS_FILE", &path),
                ("WXQR_PUBLIC_URL", &with_user),
                ("WXQR_API_BASE", &with_user),
                ("WXQR_APP_SECRT", &secret),
                ("WXQR_LOG_FORMAT", &secret),
            ][place])
            .chain([("WXQR_APP_ID", "wx1")])
            .collect();
        let said = match load(&[], &variables) {
            Ok((config, effective)) => format!("{config:?} {effective:?} {effective}"),
            Err(mistakes) => format!("{mistakes:?} {mistakes}"),
        };
        prop_assert!(!said.contains(&secret), "{}", said);
        let resolved = Resolved::new(&arguments(&[]), environment(&variables));
        let debug = format!("{:?}", resolved.entry("app-secret"));
        prop_assert!(!debug.contains(&secret), "{}", debug);
    }
}
