//! Typed settings, read once at start from flags, variables, files and defaults. Every mistake is reported in one start, and
//! no value is quoted in doing so. [`Config`] is the type to read first, [`SETTINGS`] the table behind it.
//!
//! A flag wins over a variable, which wins over the default. A secret may also stand in a file: `--app-secret-file` or
//! `WXQR_APP_SECRET_FILE`. An empty variable counts as unset.

mod mistake;
mod scans;
mod settings;
mod source;
mod values;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::ArgMatches;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use mistake::{Mistakes, Refusal};
pub use scans::ScanSettings;
pub use settings::{Demo, Fallback, SETTINGS, Secrecy, Setting, demo_flags, flags};
pub use source::{Effective, EffectiveSetting, Origin};
pub use values::{AppId, CorsOrigins, ExtraCa, FrameAncestors, PublicUrl, WebOrigin};

use crate::access::Keyring;
use crate::codes::Reuse;
use crate::scene::Lifetime;
use crate::telemetry::LogSettings;
use crate::wechat::TokenSource;
use mistake::Mistake;
use source::{Raw, Resolved};

/// What the demo logs unless it is told: its ten lines of output should stay in sight.
const DEMO_LOG: &str = "warn";

/// Everything the service is told at start. Safe to print: secrets show themselves as such.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the service listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where `/metrics` is answered; none: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Base of our own links; none: links are relative.
    pub public_url: Option<PublicUrl>,
    /// The Official Account.
    pub account: Account,
    /// How WeChat is reached.
    pub upstream: Upstream,
    /// Where codes are kept: a URL, which may hold a password.
    pub database_url: SecretString,
    /// How long codes live and are reused.
    pub codes: CodeSettings,
    /// The API keys.
    pub keys: Keyring,
    /// Whose scripts may read `/qrcode`.
    pub cors_origins: CorsOrigins,
    /// Who may frame `/qrcode`.
    pub frame_ancestors: FrameAncestors,
    /// How scans are learnt of and counted.
    pub scans: ScanSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// How the service ends.
    pub drain: Drain,
}

/// The Official Account and its credential.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its `AppID`.
    pub app_id: AppId,
    /// Its `AppSecret`; exposed only where the request for a token is built.
    pub app_secret: SecretString,
}

/// How WeChat is reached.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// API hosts, 1 to 4, the preferred one first; nothing but scheme, host and port.
    pub api_bases: Vec<Url>,
    /// Host of `showqrcode`; nothing but scheme, host and port.
    pub mp_base: Url,
    /// Where access tokens come from.
    pub token_source: TokenSource,
    /// Certificates to trust besides the built-in roots.
    pub extra_ca: Option<ExtraCa>,
    /// What one visitor waits at most, all calls and retries together: 100 ms to 30 s, when the mint itself ends.
    pub timeout: Duration,
}

/// How long codes live and are reused.
#[derive(Debug, Clone, Copy)]
pub struct CodeSettings {
    /// Life asked for when the request names none.
    pub default_expire: Lifetime,
    /// What share of the life asked for must be left.
    pub reuse: Reuse,
    /// The most codes in memory, 1 to 10 000 000.
    pub cache_entries: u64,
    /// Mints that visitors may cause in a China day, over all replicas.
    pub anonymous_budget: u64,
    /// Permanent codes at which the ledger refuses more.
    pub permanent_limit: u64,
}

/// How the service ends.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// How long connections are still accepted after the signal: 0 s to 5 min.
    pub delay: Duration,
    /// How long requests in flight may take after that: 0 s to 10 min.
    pub timeout: Duration,
}

/// What `wxqr demo` makes for itself instead of reading it.
#[derive(Debug, Clone)]
pub struct DemoAccount {
    /// The sandbox's account.
    pub account: Account,
    /// The key that it prints.
    pub keys: Keyring,
}

impl Config {
    /// Reads the settings of `serve`, and what `wxqr config` shows of them.
    ///
    /// `flags` are the matches of a command made by [`flags`]; their `Debug` holds secrets, so it is not to be printed.
    ///
    /// # Errors
    ///
    /// Every mistake that was made, at once.
    pub fn load(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Effective), Mistakes> {
        let resolved = Resolved::new(flags, environment);
        let is_account_given = resolved.is_given("app-id") || resolved.is_given("app-secret");
        let hint = (!is_account_given)
            .then_some("Without an account, `wxqr demo` shows the whole service on this machine.");
        let mut reader = Reader::new(&resolved);
        let account = reader.account();
        let keys = reader
            .optional("api-keys", values::keyring)
            .map(Option::unwrap_or_default);
        let config = reader.config(account, keys);
        let config = reader.finish(config, &resolved.strays, hint)?;
        Ok((config, resolved.effective()))
    }

    /// Reads the settings of `demo`, which refuses everything that belongs to a real account.
    ///
    /// Both bases are the sandbox on [`Config::listen`]; where its port is 0 they are to be replaced once the port is known.
    ///
    /// # Errors
    ///
    /// Every mistake that was made, at once.
    pub fn load_demo(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        made: DemoAccount,
    ) -> Result<Self, Mistakes> {
        let mut resolved = Resolved::new(flags, environment);
        resolved.refuse_real_account();
        let mut reader = Reader::new(&resolved);
        let config = reader.config(Ok(made.account), Ok(made.keys));
        let mut config = reader.finish(config, &resolved.strays, None)?;
        let sandbox = local_url(config.listen);
        config.database_url = SecretString::from("sqlite::memory:");
        config.upstream.mp_base = sandbox.clone();
        config.upstream.api_bases = vec![sandbox];
        if !resolved.is_given("log") {
            DEMO_LOG.clone_into(&mut config.log.filter);
        }
        Ok(config)
    }

    /// Reads the address of the service alone, for `healthcheck`: it works whatever else is wrong.
    ///
    /// # Errors
    ///
    /// The mistake in that one setting.
    pub fn load_listen(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<SocketAddr, Mistakes> {
        let resolved = Resolved::new(flags, environment);
        let mut reader = Reader::new(&resolved);
        let listen = reader.required("listen", values::socket_address);
        reader.finish(listen, &[], None)
    }
}

/// How a process of the same machine calls a listener: by loopback if it listens everywhere.
pub fn local_url(listen: SocketAddr) -> Url {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    Url::parse(&format!("http://{address}")).expect("an address is a host and a port")
}

/// Turns text into values and notes every mistake, so that all of them are known before the first one ends the start.
struct Reader<'a> {
    resolved: &'a Resolved,
    mistakes: Vec<Mistake>,
}

/// There is no value, and the mistake that is why has been noted.
struct Noted;

impl<'a> Reader<'a> {
    fn new(resolved: &'a Resolved) -> Self {
        Self {
            resolved,
            mistakes: Vec::new(),
        }
    }

    /// Reads first and looks at the results afterwards: a `?` before the last line would hide the mistakes behind it.
    fn config(
        &mut self,
        account: Result<Account, Noted>,
        keys: Result<Keyring, Noted>,
    ) -> Result<Config, Noted> {
        let listen = self.required("listen", values::socket_address);
        let metrics_listen = self.optional("metrics-listen", values::socket_address);
        self.refuse_same_port(&listen, &metrics_listen);
        let public_url = self.optional("public-url", str::parse);
        let upstream = self.upstream();
        let database_url = self.required("database-url", values::database_url);
        let codes = self.codes();
        let cors_origins = self.required("cors-origins", str::parse);
        let frame_ancestors = self.required("frame-ancestors", str::parse);
        let scans = self.scans(&public_url);
        let log = self.log();
        let drain = self.drain();
        Ok(Config {
            listen: listen?,
            metrics_listen: metrics_listen?,
            public_url: public_url?,
            account: account?,
            upstream: upstream?,
            database_url: database_url?,
            codes: codes?,
            keys: keys?,
            cors_origins: cors_origins?,
            frame_ancestors: frame_ancestors?,
            scans: scans?,
            log: log?,
            drain: drain?,
        })
    }

    fn account(&mut self) -> Result<Account, Noted> {
        let app_id = self.required("app-id", str::parse);
        let app_secret = self.required("app-secret", values::app_secret);
        Ok(Account {
            app_id: app_id?,
            app_secret: app_secret?,
        })
    }

    fn upstream(&mut self) -> Result<Upstream, Noted> {
        let api_bases = self.required("api-base", values::api_bases);
        let mp_base = self.required("mp-base", values::mp_base);
        let token_source = self.required("token-source", values::token_source);
        let extra_ca = self.optional("extra-ca-file", ExtraCa::read);
        let range = Duration::from_millis(100)..=Duration::from_secs(30);
        let timeout = self.required("upstream-timeout", values::duration(range));
        Ok(Upstream {
            api_bases: api_bases?,
            mp_base: mp_base?,
            token_source: token_source?,
            extra_ca: extra_ca?,
            timeout: timeout?,
        })
    }

    fn codes(&mut self) -> Result<CodeSettings, Noted> {
        let default_expire = self.required("default-expire", values::lifetime);
        let reuse = self.required("reuse", values::reuse);
        let cache_entries = self.required("cache-entries", values::count(1..=10_000_000));
        let anonymous_budget = self.required("anonymous-budget", values::count(0..=100_000_000));
        let permanent_limit = self.required("permanent-limit", values::count(0..=100_000));
        Ok(CodeSettings {
            default_expire: default_expire?,
            reuse: reuse?,
            cache_entries: cache_entries?,
            anonymous_budget: anonymous_budget?,
            permanent_limit: permanent_limit?,
        })
    }

    fn log(&mut self) -> Result<LogSettings, Noted> {
        let filter = self.required("log", values::log_filter);
        let format = self.required("log-format", values::log_format);
        Ok(LogSettings {
            filter: filter?,
            format: format?,
        })
    }

    fn drain(&mut self) -> Result<Drain, Noted> {
        let delay_range = Duration::ZERO..=Duration::from_mins(5);
        let delay = self.required("drain-delay", values::duration(delay_range));
        let timeout_range = Duration::ZERO..=Duration::from_mins(10);
        let timeout = self.required("drain-timeout", values::duration(timeout_range));
        Ok(Drain {
            delay: delay?,
            timeout: timeout?,
        })
    }

    /// Two listeners cannot share a port; without this the second one would fail to bind, after the start looked good.
    fn refuse_same_port(
        &mut self,
        listen: &Result<SocketAddr, Noted>,
        metrics: &Result<Option<SocketAddr>, Noted>,
    ) {
        let (Ok(listen), Ok(Some(metrics))) = (listen, metrics) else {
            return;
        };
        let meet = listen.ip() == metrics.ip()
            || listen.ip().is_unspecified()
            || metrics.ip().is_unspecified();
        if listen.port() == metrics.port() && listen.port() != 0 && meet {
            let refusal = Refusal::new("is the port of WXQR_LISTEN", "another port, or port 0");
            self.note("metrics-listen", &refusal);
        }
    }

    /// Reads a setting that has a value: a given one, or its default.
    fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Result<T, Noted> {
        self.optional(name, parse)?.ok_or_else(|| {
            let meaning = self.resolved.entry(name).setting.meaning;
            self.note(name, &Refusal::new("is required", meaning.replace('`', "")))
        })
    }

    /// Reads a setting that may be absent.
    fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Result<Option<T>, Noted> {
        match &self.resolved.entry(name).raw {
            Raw::Absent => Ok(None),
            Raw::Refused(refusal) => Err(self.note(name, refusal)),
            Raw::Text(text) => match parse(text.expose_secret()) {
                Ok(value) => Ok(Some(value)),
                Err(refusal) => Err(self.note(name, &refusal)),
            },
        }
    }

    fn note(&mut self, name: &str, refusal: &Refusal) -> Noted {
        let subject = self.resolved.entry(name).subject();
        self.mistakes.push(Mistake::new(subject, refusal));
        Noted
    }

    /// The value, unless any mistake was made.
    fn finish<T>(
        mut self,
        value: Result<T, Noted>,
        strays: &[Mistake],
        hint: Option<&'static str>,
    ) -> Result<T, Mistakes> {
        self.mistakes.extend_from_slice(strays);
        match value {
            Ok(value) if self.mistakes.is_empty() => Ok(value),
            _ => Err(Mistakes {
                mistakes: self.mistakes,
                hint,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
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

    fn load(given: &[&str], variables: &[(&str, &str)]) -> Result<(Config, Effective), Mistakes> {
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
        assert_eq!(config.account.app_secret.expose_secret(), "an-app-secret");
        assert_eq!(config.upstream.api_bases.len(), 2);
        assert_eq!(config.upstream.timeout, Duration::from_secs(5));
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
        let origin = |name| {
            let rows = effective.settings();
            rows.iter()
                .find(|row| row.setting.name == name)
                .unwrap()
                .origin
        };
        for (name, want) in [
            ("reuse", Origin::Flag),
            ("listen", Origin::Variable),
            ("log", Origin::Default),
            ("api-keys", Origin::Unset),
        ] {
            assert_eq!(origin(name), want, "{name}");
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
    fn a_secret_that_cannot_be_told_is_refused() {
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

    fn demo(given: &[&str], variables: &[(&str, &str)]) -> Result<Config, Mistakes> {
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
    fn the_demo_refuses_what_belongs_to_a_real_account() {
        for setting in SETTINGS {
            let variables = std::iter::once(setting.variable()).chain(setting.file_variable());
            for variable in variables {
                let got = demo(&[], &[(&variable, "/nowhere")]).map_err(|error| error.to_string());
                let refused = got.is_err_and(|text| {
                    text.starts_with(&setting.variable()) && text.ends_with("unset it")
                });
                assert_eq!(refused, setting.demo == Demo::MakesItsOwn, "{variable}");
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
}
