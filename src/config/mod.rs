//! Typed settings, read once at start from flags, variables, files and defaults. Every mistake is reported in one start, and
//! no value is quoted in doing so. [`Config`] is the type to read first, [`SETTINGS`] the table behind it.
//!
//! A flag wins over a variable, which wins over the default. A secret may also stand in a file: `--app-secret-file` or
//! `WXQR_APP_SECRET_FILE`. An empty variable counts as unset.

mod access;
mod flags;
mod limitation;
mod masking;
mod mistake;
mod quotes;
mod scans;
mod setting;
mod settings;
mod source;
mod values;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use access::{AccessSettings, SigningSettings};
pub use flags::{demo_flags, flags, flags_of};
pub use limitation::Limitation;
pub use mistake::{Mistakes, Refusal};
pub use quotes::refuse_in_text as refuse_quotes;
pub use scans::ScanSettings;
pub use setting::{Demo, Description, Fallback, Mask, Secrecy};
pub use settings::SETTINGS;
pub use source::{Effective, EffectiveSetting, Origin};
pub use values::{AppId, CorsOrigins, ExtraCa, FrameAncestors, PublicUrl, WebOrigin};

use crate::access::{Keyring, Scope};
use crate::codes::Reuse;
use crate::listen::Limits;
use crate::redact::SecretWords;
use crate::scene::Lifetime;
use crate::telemetry::LogSettings;
use crate::wechat::TokenSource;
use mistake::Mistake;
use setting::Setting;
use source::{Raw, Resolved};

/// Everything the service is told at start. Safe to print: secrets show themselves as such.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the service listens; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where `/metrics` is answered; none: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// What clients may cost.
    pub limits: Limits,
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
    /// What visitors without a key may do.
    pub access: AccessSettings,
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
    /// What must not be logged where a stranger wrote it.
    pub secret_words: Arc<SecretWords>,
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
            .optional(&settings::API_KEYS)
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
        resolved.fit_for_the_demo();
        let mut reader = Reader::new(&resolved);
        let config = reader.config(Ok(made.account), Ok(made.keys));
        let mut config = reader.finish(config, &resolved.strays, None)?;
        let sandbox = local_url(config.listen);
        config.database_url = SecretString::from("sqlite::memory:");
        config.upstream.mp_base = sandbox.clone();
        config.upstream.api_bases = vec![sandbox];
        Ok(config)
    }

    /// Finds the secret of an API key with this scope, for a command that calls the running service; a [`Config`] holds
    /// hashes only.
    pub fn find_key(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        scope: Scope,
    ) -> Option<SecretString> {
        match &Resolved::new(flags, environment).entry("api-keys").raw {
            Raw::Text(text) => Keyring::secret_with(text.expose_secret(), scope),
            Raw::Absent | Raw::Refused(_) => None,
        }
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
        let listen = reader.required(&settings::LISTEN);
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
        let listen = self.required(&settings::LISTEN);
        let metrics_listen = self.optional(&settings::METRICS_LISTEN);
        self.refuse_same_port(&listen, &metrics_listen);
        let limits = self.limits();
        let public_url = self.optional(&settings::PUBLIC_URL);
        let upstream = self.upstream();
        let database_url = self.required(&settings::DATABASE_URL);
        let codes = self.codes();
        let access = self.access();
        let cors_origins = self.required(&settings::CORS_ORIGINS);
        let frame_ancestors = self.required(&settings::FRAME_ANCESTORS);
        let scans = self.scans(&public_url);
        let log = self.log();
        let drain = self.drain();
        Ok(Config {
            listen: listen?,
            metrics_listen: metrics_listen?,
            limits: limits?,
            public_url: public_url?,
            account: account?,
            upstream: upstream?,
            database_url: database_url?,
            codes: codes?,
            keys: keys?,
            access: access?,
            cors_origins: cors_origins?,
            frame_ancestors: frame_ancestors?,
            scans: scans?,
            log: log?,
            drain: drain?,
            secret_words: Arc::new(self.resolved.secret_words()),
        })
    }

    fn limits(&mut self) -> Result<Limits, Noted> {
        let max_connections = self.required(&settings::MAX_CONNECTIONS);
        let header_timeout = self.required(&settings::HEADER_TIMEOUT);
        Ok(Limits {
            max_connections: usize::try_from(max_connections?).expect("a million fits"),
            header_timeout: header_timeout?,
            ..Limits::default()
        })
    }

    fn account(&mut self) -> Result<Account, Noted> {
        let app_id = self.required(&settings::APP_ID);
        let app_secret = self.required(&settings::APP_SECRET);
        Ok(Account {
            app_id: app_id?,
            app_secret: app_secret?,
        })
    }

    fn upstream(&mut self) -> Result<Upstream, Noted> {
        let api_bases = self.required(&settings::API_BASE);
        let mp_base = self.required(&settings::MP_BASE);
        let token_source = self.required(&settings::TOKEN_SOURCE);
        let extra_ca = self.optional(&settings::EXTRA_CA_FILE);
        let timeout = self.required(&settings::UPSTREAM_TIMEOUT);
        Ok(Upstream {
            api_bases: api_bases?,
            mp_base: mp_base?,
            token_source: token_source?,
            extra_ca: extra_ca?,
            timeout: timeout?,
        })
    }

    fn codes(&mut self) -> Result<CodeSettings, Noted> {
        let default_expire = self.required(&settings::DEFAULT_EXPIRE);
        let reuse = self.required(&settings::REUSE);
        let cache_entries = self.required(&settings::CACHE_ENTRIES);
        let anonymous_budget = self.required(&settings::ANONYMOUS_BUDGET);
        let permanent_limit = self.required(&settings::PERMANENT_LIMIT);
        Ok(CodeSettings {
            default_expire: default_expire?,
            reuse: reuse?,
            cache_entries: cache_entries?,
            anonymous_budget: anonymous_budget?,
            permanent_limit: permanent_limit?,
        })
    }

    fn log(&mut self) -> Result<LogSettings, Noted> {
        let filter = self.required(&settings::LOG);
        let format = self.required(&settings::LOG_FORMAT);
        Ok(LogSettings {
            filter: filter?,
            format: format?,
        })
    }

    fn drain(&mut self) -> Result<Drain, Noted> {
        let delay = self.required(&settings::DRAIN_DELAY);
        let timeout = self.required(&settings::DRAIN_TIMEOUT);
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
    fn required<T>(&mut self, setting: &Setting<T>) -> Result<T, Noted> {
        self.optional(setting)?.ok_or_else(|| {
            let accepted = setting.description().help().replace('`', "");
            self.note(setting.name(), &Refusal::new("is required", accepted))
        })
    }

    /// Reads a setting that may be absent.
    fn optional<T>(&mut self, setting: &Setting<T>) -> Result<Option<T>, Noted> {
        let name = setting.name();
        match &self.resolved.entry(name).raw {
            Raw::Absent => Ok(None),
            Raw::Refused(refusal) => Err(self.note(name, refusal)),
            Raw::Text(text) => match setting.parse(text.expose_secret()) {
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
mod tests;
