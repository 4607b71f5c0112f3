//! The table of settings. `--help`, the variables, `wxqr config` and `docs/configuration.md` all come from it: a new setting is
//! one row here, and one field of [`Config`](super::Config) with the line that reads it.

use std::ffi::OsString;

use clap::{Arg, Command, value_parser};

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "WXQR_";

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of the flag without its dashes, such as `metrics-listen`; the variable follows from it.
    pub name: &'static str,
    /// What holds when it is not given.
    pub fallback: Fallback,
    /// Whether it must never be shown.
    pub secrecy: Secrecy,
    /// Whether it is a comma-separated list.
    pub is_list: bool,
    /// Whether `wxqr demo` takes it.
    pub demo: Demo,
    /// What it does, in one line, with unit and range.
    pub meaning: &'static str,
}

/// What holds when a setting is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// This value.
    Value(&'static str),
    /// Nothing: the feature is off.
    Unset,
    /// `serve` does not start.
    Required,
}

/// Whether a setting may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// It may.
    Public,
    /// Without its query, which may hold a secret of another server's.
    WithoutQuery,
    /// It is masked, and may also be read from a file.
    Secret {
        /// Name of the flag that names the file; the `_FILE` variable follows from it.
        file: &'static str,
        /// What of it is masked.
        mask: Mask,
    },
}

/// What of a secret setting is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// All of it.
    Whole,
    /// The password in a database's URL.
    DatabasePassword,
    /// The secrets of API keys; their names and scopes are shown.
    KeySecrets,
}

/// Whether `wxqr demo` takes a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demo {
    /// As `serve` does.
    Takes,
    /// As `serve` does, with another default.
    TakesWithDefault(&'static str),
    /// No: it belongs to a real account, and the demo makes its own. Given all the same, the demo does not start.
    MakesItsOwn,
}

impl Setting {
    /// The variable, such as `WXQR_METRICS_LISTEN`.
    pub fn variable(&self) -> String {
        variable(self.name)
    }

    /// The variable that names a file with the value: secrets only, such as `WXQR_APP_SECRET_FILE`.
    pub fn file_variable(&self) -> Option<String> {
        self.file_flag().map(variable)
    }

    /// The default as the table in `docs/configuration.md` writes it.
    pub fn default_column(&self) -> String {
        match self.fallback {
            Fallback::Value(value) => format!("`{value}`"),
            Fallback::Unset => "unset".to_owned(),
            Fallback::Required => "required".to_owned(),
        }
    }

    /// Whether a part of it at least must never be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.secrecy, Secrecy::Secret { .. })
    }

    /// What holds in the demo when it is not given.
    pub(super) fn demo_fallback(&self) -> Fallback {
        match self.demo {
            Demo::TakesWithDefault(value) => Fallback::Value(value),
            Demo::Takes | Demo::MakesItsOwn => self.fallback,
        }
    }

    pub(super) fn file_flag(&self) -> Option<&'static str> {
        match self.secrecy {
            Secrecy::Public | Secrecy::WithoutQuery => None,
            Secrecy::Secret { file, .. } => Some(file),
        }
    }

    const fn new(name: &'static str, fallback: Fallback, meaning: &'static str) -> Self {
        Self {
            name,
            fallback,
            secrecy: Secrecy::Public,
            is_list: false,
            demo: Demo::Takes,
            meaning,
        }
    }

    const fn secret(mut self, file: &'static str) -> Self {
        self.secrecy = Secrecy::Secret {
            file,
            mask: Mask::Whole,
        };
        self
    }

    /// A secret that is masked in part.
    const fn partly_secret(mut self, file: &'static str, mask: Mask) -> Self {
        self.secrecy = Secrecy::Secret { file, mask };
        self
    }

    const fn list(mut self) -> Self {
        self.is_list = true;
        self
    }

    const fn without_query(mut self) -> Self {
        self.secrecy = Secrecy::WithoutQuery;
        self
    }

    const fn demo_default(mut self, value: &'static str) -> Self {
        self.demo = Demo::TakesWithDefault(value);
        self
    }

    const fn not_in_demo(mut self) -> Self {
        self.demo = Demo::MakesItsOwn;
        self
    }
}

fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// Every setting, in the order of `docs/configuration.md`.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "listen",
        Fallback::Value("127.0.0.1:8080"),
        "Address and port of the service (image: `0.0.0.0:8080`)",
    ),
    Setting::new(
        "metrics-listen",
        Fallback::Unset,
        "Address and port of a second listener for `/metrics`; unset: off (image: `0.0.0.0:9464`)",
    ),
    Setting::new(
        "public-url",
        Fallback::Unset,
        "Base of our own links, path included, such as `https://qr.example.com/wx`; unset: links are relative",
    ),
    Setting::new(
        "app-id",
        Fallback::Required,
        "AppID of the Official Account, 1 to 64 of `A-Za-z0-9_-`",
    )
    .not_in_demo(),
    Setting::new(
        "app-secret",
        Fallback::Required,
        "AppSecret of the Official Account, 1 to 128 printable characters without spaces",
    )
    .secret("app-secret-file")
    .not_in_demo(),
    Setting::new(
        "api-base",
        Fallback::Value("https://api.weixin.qq.com,https://api2.weixin.qq.com"),
        "WeChat's API hosts, 1 to 4, comma-separated; the first is preferred, the next are for when it cannot be reached",
    )
    .list()
    .not_in_demo(),
    Setting::new(
        "mp-base",
        Fallback::Value("https://mp.weixin.qq.com"),
        "Host of WeChat's `showqrcode`",
    )
    .not_in_demo(),
    Setting::new(
        "token-source",
        Fallback::Value("stable"),
        "Where access tokens come from: `stable` (`/cgi-bin/stable_token`) or `classic` (`/cgi-bin/token`)",
    ),
    Setting::new(
        "extra-ca-file",
        Fallback::Unset,
        "PEM file of certificates to trust besides the built-in roots, at most 1 MiB",
    )
    .not_in_demo(),
    Setting::new(
        "upstream-timeout",
        Fallback::Value("5s"),
        "What one visitor waits for WeChat at most, all calls and retries together, `100ms` to `30s`",
    ),
    Setting::new(
        "database-url",
        Fallback::Value("sqlite://wxqr.db"),
        "Where codes are kept: `sqlite://FILE`, `sqlite::memory:` or `postgres://...`; a relative file is in the working directory, in the image `/data`",
    )
    .partly_secret("database-url-file", Mask::DatabasePassword)
    .not_in_demo(),
    Setting::new(
        "default-expire",
        Fallback::Value("7200s"),
        "Life of a temporary code when the request names none, whole seconds, `1s` to `30d`",
    ),
    Setting::new(
        "reuse",
        Fallback::Value("0.5"),
        "Share of the life asked for that a known code must have left to be served, `0` to `1`; `1` mints for every request",
    ),
    Setting::new(
        "cache-entries",
        Fallback::Value("100000"),
        "Codes held in memory at most, 1 to 10000000",
    ),
    Setting::new(
        "anonymous-budget",
        Fallback::Value("10000"),
        "Mints a day (China's day) that visitors without a key may cause, over all replicas, 0 to 100000000",
    ),
    Setting::new(
        "visitor-rate",
        Fallback::Value("30/1m"),
        "Mints that one visitor (an IPv4 address or an IPv6 /64) may cause in each process, `N/DURATION`: 1 to 1000000 in `1s` to `1d`",
    ),
    Setting::new(
        "visitor-pace",
        Fallback::Value("100/1s"),
        "Mints that all visitors together may cause in each process, `N/DURATION`: 1 to 1000000 in `1s` to `1d`. A choice: WeChat publishes no limit a minute",
    ),
    Setting::new(
        "permanent-limit",
        Fallback::Value("100000"),
        "Permanent codes at which the ledger refuses more, 0 to 100000",
    ),
    Setting::new(
        "api-keys",
        Fallback::Unset,
        "`name:secret:scope+scope`, comma-separated; secret 16 or more of `A-Za-z0-9_-`; \
         scopes `mint`, `permanent`, `stats`, `people`, `bind`, `admin` (= all)",
    )
    .partly_secret("api-keys-file", Mask::KeySecrets)
    .list()
    .not_in_demo(),
    Setting::new(
        "access",
        Fallback::Value("open"),
        "Who may mint temporary codes without a key: `open` (every visitor), `signed` (visitors with a signed link), `keyed` (nobody)",
    ),
    Setting::new(
        "link-keys",
        Fallback::Unset,
        "Keys of signed links, comma-separated, each 10 or more printable ASCII characters without spaces and commas; \
         the first signs, all verify",
    )
    .list()
    .secret("link-keys-file"),
    Setting::new(
        "trusted-proxies",
        Fallback::Unset,
        "Networks such as `10.0.0.0/8`, comma-separated, whose `X-Forwarded-For` is believed; unset: nobody's",
    )
    .list(),
    Setting::new(
        "cors-origins",
        Fallback::Value("*"),
        "Origins whose scripts may read `/qrcode`: `*`, `none`, or a comma-separated list such as `https://www.example.com`",
    )
    .list(),
    Setting::new(
        "frame-ancestors",
        Fallback::Value("*"),
        "Who may frame `/qrcode`: `*`, `none`, or a comma-separated list of `self` and origins, `https://*.example.com` too",
    )
    .list(),
    Setting::new(
        "callback-token",
        Fallback::Unset,
        "Token of the callback in WeChat's console, 3 to 32 of `A-Za-z0-9`; unset: callback off",
    )
    .secret("callback-token-file")
    .not_in_demo(),
    Setting::new(
        "encoding-aes-key",
        Fallback::Unset,
        "EncodingAESKey of the callback in WeChat's console, 43 characters; unset: messages in plain text",
    )
    .secret("encoding-aes-key-file")
    .not_in_demo(),
    Setting::new(
        "encoding-aes-key-previous",
        Fallback::Unset,
        "EncodingAESKey before the present one, for the time in which WeChat may use either",
    )
    .secret("encoding-aes-key-previous-file")
    .not_in_demo(),
    Setting::new(
        "relay-url",
        Fallback::Unset,
        "The message server that the account has already: every push is passed on to it, and its answer returned",
    )
    .without_query()
    .not_in_demo(),
    Setting::new(
        "time-zone",
        Fallback::Value("+08:00"),
        "Distance of local time from UTC, which bounds the days of statistics, `-12:00` to `+14:00`",
    ),
    Setting::new(
        "retention",
        Fallback::Value("400d"),
        "How long events and openids are kept, `1d` to `3650d`; daily numbers stay",
    ),
    Setting::new(
        "person-key",
        Fallback::Unset,
        "Key of the pseudonyms of followers: 32 random bytes, as 64 hex digits or in base64; unset: made, and kept in the database",
    )
    .secret("person-key-file")
    .not_in_demo(),
    Setting::new(
        "max-connections",
        Fallback::Value("10000"),
        "Connections at once, 1 to 1000000; beyond, whoever keeps the service waiting the longest makes room",
    ),
    Setting::new(
        "header-timeout",
        Fallback::Value("10s"),
        "How long a client may take to send the headers of a request, `100ms` to `5m`",
    ),
    Setting::new(
        "log",
        Fallback::Value("info"),
        "Log filter: `off`, `error`, `warn`, `info`, `debug`, `trace`, or per module as in `info,wxqr=debug`",
    )
    .list()
    // Its ten lines of output should stay in sight.
    .demo_default("warn"),
    Setting::new(
        "log-format",
        Fallback::Value("auto"),
        "`text`, `json`, or `auto`: text on a terminal, else JSON",
    ),
    Setting::new(
        "drain-delay",
        Fallback::Value("0s"),
        "How long connections are still accepted after the signal to stop, `0s` to `5m` (image: `3s`)",
    ),
    Setting::new(
        "drain-timeout",
        Fallback::Value("20s"),
        "How long requests in flight may take to finish after that, `0s` to `10m`",
    ),
];

/// Adds the flags of every setting to a command, as raw text: a bad value is reported by
/// [`Config::load`](super::Config::load) together with all others, not by clap.
pub fn flags(command: Command) -> Command {
    SETTINGS.iter().fold(command, |command, setting| {
        command.args(arguments(setting, setting.fallback))
    })
}

/// As [`flags`], for a command that reads these settings only.
pub fn flags_of(command: Command, names: &[&str]) -> Command {
    SETTINGS
        .iter()
        .filter(|setting| names.contains(&setting.name))
        .fold(command, |command, setting| {
            command.args(arguments(setting, setting.fallback))
        })
}

/// As [`flags`], for `wxqr demo`: what the demo refuses is accepted here, so that the refusal can say why, but `--help` does
/// not offer it.
pub fn demo_flags(command: Command) -> Command {
    SETTINGS.iter().fold(command, |command, setting| {
        let hidden = setting.demo == Demo::MakesItsOwn;
        let fallback = setting.demo_fallback();
        command.args(arguments(setting, fallback).map(|argument| argument.hide(hidden)))
    })
}

fn arguments(setting: &Setting, fallback: Fallback) -> impl Iterator<Item = Arg> {
    let value = argument(setting.name, "VALUE", help(setting, fallback));
    let file = setting
        .file_flag()
        .zip(setting.file_variable())
        .map(|(flag, variable)| {
            let help = format!(
                "File with the value of --{} [variable: {variable}]",
                setting.name
            );
            argument(flag, "FILE", help)
        });
    std::iter::once(value).chain(file)
}

fn argument(name: &'static str, value_name: &'static str, help: String) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value_name)
        .value_parser(value_parser!(OsString))
        .help(help)
        .help_heading("Settings")
}

fn help(setting: &Setting, fallback: Fallback) -> String {
    let meaning = setting.meaning.replace('`', "");
    let variable = setting.variable();
    match fallback {
        Fallback::Value(value) => format!("{meaning} [variable: {variable}] [default: {value}]"),
        Fallback::Unset => format!("{meaning} [variable: {variable}]"),
        Fallback::Required => format!("{meaning} [variable: {variable}] [required]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_tells_every_flag_its_variable_and_its_default() {
        let help = flags(Command::new("serve"))
            .term_width(10_000)
            .render_help()
            .to_string();
        for setting in SETTINGS {
            let line = help
                .lines()
                .find(|line| line.contains(&format!("--{} ", setting.name)))
                .unwrap_or_else(|| panic!("no --{}", setting.name));
            assert!(line.contains(&setting.variable()), "{line}");
            if let Fallback::Value(value) = setting.fallback {
                assert!(line.contains(&format!("[default: {value}]")), "{line}");
            }
            if let Some(variable) = setting.file_variable() {
                assert!(help.contains(&variable), "no {variable}");
            }
        }
    }

    #[test]
    fn the_demo_does_not_offer_what_it_refuses() {
        let help = demo_flags(Command::new("demo")).render_help().to_string();
        for setting in SETTINGS {
            let offered = help.contains(&format!("--{} ", setting.name));
            let wanted = setting.demo != Demo::MakesItsOwn;
            assert_eq!(offered, wanted, "--{}", setting.name);
        }
    }

    #[test]
    fn the_demo_tells_its_own_default_of_the_log() {
        let demo = demo_flags(Command::new("demo"));
        let help = demo.term_width(10_000).render_help().to_string();
        let mut lines = help.lines();
        let log = lines.find(|line| line.contains("--log ")).unwrap();
        assert!(
            log.ends_with("[variable: WXQR_LOG] [default: warn]"),
            "{log}"
        );
    }

    #[test]
    fn every_secret_and_nothing_else_has_a_file() {
        for setting in SETTINGS {
            let want = setting
                .is_secret()
                .then(|| format!("{}_FILE", setting.variable()));
            assert_eq!(setting.file_variable(), want);
        }
    }
}
