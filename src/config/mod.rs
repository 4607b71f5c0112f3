//! Typed settings, read once at start from flags, environment variables, files and defaults.
//!
//! [`Config`] is the type to read first, [`SETTINGS`] the table behind it. All errors are reported
//! at once, without quoting a value.
//!
//! Precedence: flag, variable, default. A secret may also be in a file: `--app-secret-file` or
//! `WXQR_APP_SECRET_FILE`. An empty variable counts as unset.

mod access;
mod error;
mod file;
mod flags;
mod limitation;
mod masking;
mod quotes;
mod reader;
mod scans;
mod setting;
mod settings;
mod source;
mod values;
mod webhook;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use access::{AccessSettings, SigningSettings};
pub use error::{ConfigErrors, InvalidValue};
pub use flags::{demo_flags, flags, flags_of};
pub use limitation::Limitation;
pub use quotes::refuse_in_text as refuse_quotes;
pub use scans::ScanSettings;
pub use setting::{DemoPolicy, Description, Fallback, Mask, Secrecy};
pub use settings::SETTINGS;
pub use source::{Effective, EffectiveSetting, SettingSource};
pub use values::{AppId, CorsOrigins, ExtraCa, FrameAncestors, PublicUrl, WebOrigin};

use crate::access::{Keyring, Scope};
use crate::codes::ReuseShare;
use crate::redact::SecretWords;
use crate::telemetry::LogSettings;
use crate::webhooks::WebhookSettings;
use reader::{Reader, Reported};
use source::{Raw, Resolved};
use wechat::TokenSource;
use wechat::scene::Lifetime;

/// All settings of the service. Safe to print: secrets mask themselves in `Debug`.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the service; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Address of the listener for `/metrics`; `None`: no metrics.
    pub metrics_listen: Option<SocketAddr>,
    /// Maximum number of client connections.
    pub max_connections: usize,
    /// Time for the head of a request.
    pub header_timeout: Duration,
    /// Base URL of the service's links; `None`: links are relative.
    pub public_url: Option<PublicUrl>,
    /// `AppID` and `AppSecret` of the Official Account.
    pub account: Account,
    pub upstream: Upstream,
    /// Database URL, which may hold a password.
    pub database_url: SecretString,
    /// Lifetimes, reuse and budgets of codes.
    pub codes: CodeSettings,
    /// API keys, by their hashes.
    pub keys: Keyring,
    /// Access control for visitors without a key.
    pub access: AccessSettings,
    /// Origins whose scripts may read `/qrcode` (CORS).
    pub cors_origins: CorsOrigins,
    /// Pages that may frame `/qrcode` (`frame-ancestors`).
    pub frame_ancestors: FrameAncestors,
    /// Callback, relay and statistics.
    pub scans: ScanSettings,
    /// Receiver of webhooks. Requires the callback.
    pub webhook: Option<WebhookSettings>,
    /// Log filter and format.
    pub log: LogSettings,
    /// Whether the log has the addresses of clients that are refused.
    pub log_client: bool,
    pub drain: Drain,
    /// Secrets to redact from logged text that clients wrote.
    pub secret_words: Arc<SecretWords>,
}

/// Credentials of the Official Account.
#[derive(Debug, Clone)]
pub struct Account {
    /// `AppID`; not a secret.
    pub app_id: AppId,
    /// `AppSecret`; exposed only where the token request is built.
    pub app_secret: SecretString,
}

/// Connection to WeChat.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// API hosts, the preferred one first; scheme, host and port only.
    pub api_bases: Vec<Url>,
    /// Host of `showqrcode`; scheme, host and port only.
    pub mp_base: Url,
    /// Token API: stable or classic.
    pub token_source: TokenSource,
    /// CA certificates to trust beside the built-in roots.
    pub extra_ca: Option<ExtraCa>,
    /// Local address of calls; `None`: the system chooses.
    pub outbound_address: Option<IpAddr>,
    /// How long one request waits for WeChat, all retries together.
    pub timeout: Duration,
}

/// Lifetimes, reuse and budgets of codes.
#[derive(Debug, Clone, Copy)]
pub struct CodeSettings {
    /// Lifetime of a code whose request names none.
    pub default_expire: Lifetime,
    /// Share of the requested lifetime that must be left to reuse a code.
    pub reuse: ReuseShare,
    /// Codes in the memory cache, at most.
    pub cache_entries: u64,
    /// Codes created for visitors in a day of China, over all replicas, at most.
    pub anonymous_budget: u64,
    /// Permanent codes in the ledger, at most.
    pub permanent_limit: u64,
}

/// Graceful shutdown.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// How long connections are still accepted after SIGTERM.
    pub delay: Duration,
    /// How long requests in flight may take after the delay.
    pub timeout: Duration,
}

/// Credentials that `wxqr demo` generates instead of reading them.
#[derive(Debug, Clone)]
pub struct DemoAccount {
    /// Account of the sandbox.
    pub account: Account,
    /// API key that the demo prints.
    pub keys: Keyring,
}

impl Config {
    /// Reads the settings of `serve`, and their masked form for `wxqr config`.
    ///
    /// `flags` are the matches of a command made by [`flags()`]. Their `Debug` shows secrets: never
    /// print it.
    ///
    /// # Errors
    ///
    /// All errors in the settings, at once.
    pub fn load(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(Self, Effective), ConfigErrors> {
        let resolved = Resolved::new(flags, environment);
        let is_account_given = resolved.is_given("app-id") || resolved.is_given("app-secret");
        let hint = (!is_account_given)
            .then_some("Without an account, `wxqr demo` shows the whole service on this machine.");
        let mut reader = Reader::new(&resolved);
        let config = reader.config(None);
        let config = reader.finish(config, &resolved.unknown, hint)?;
        Ok((config, resolved.effective()))
    }

    /// Reads the settings of `demo`, which refuses those of a real account.
    ///
    /// Both WeChat hosts are the sandbox on [`Config::listen`]; with port 0 the caller replaces
    /// them once the port is known.
    ///
    /// # Errors
    ///
    /// All errors in the settings, at once.
    pub fn load_demo(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        made: DemoAccount,
    ) -> Result<Self, ConfigErrors> {
        let mut resolved = Resolved::new(flags, environment);
        resolved.fit_for_the_demo();
        let mut reader = Reader::new(&resolved);
        let config = reader.config(Some(made));
        let mut config = reader.finish(config, &resolved.unknown, None)?;
        let sandbox = local_url(config.listen);
        config.database_url = SecretString::from("sqlite::memory:");
        config.upstream.mp_base = sandbox.clone();
        config.upstream.api_bases = vec![sandbox];
        Ok(config)
    }

    /// Finds the secret of an API key with this scope, for a command that calls the running
    /// service: [`Config`] holds only hashes.
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

    /// Reads the settings of `sign` only: links may be signed on a machine without an account.
    ///
    /// An unknown variable is an error only if a setting is missing or invalid, because it may be a
    /// misspelling of that setting.
    ///
    /// # Errors
    ///
    /// All errors in the settings, at once.
    pub fn load_signing(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<SigningSettings, ConfigErrors> {
        let resolved = Resolved::new(flags, environment);
        let mut reader = Reader::new(&resolved);
        let settings = reader.signing();
        let unknown = match settings {
            Ok(_) => &[],
            Err(Reported) => resolved.unknown.as_slice(),
        };
        reader.finish(settings, unknown, None)
    }

    /// Reads only the address of the service, for `healthcheck`, whatever else is invalid.
    ///
    /// # Errors
    ///
    /// The error in that setting.
    pub fn load_listen(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<SocketAddr, ConfigErrors> {
        let resolved = Resolved::new(flags, environment);
        let mut reader = Reader::new(&resolved);
        let listen = reader.required(&settings::LISTEN);
        reader.finish(listen, &[], None)
    }

    /// Reads the address of the database alone, for a command that needs no other setting.
    ///
    /// # Errors
    /// If it is not valid.
    pub fn load_database_url(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<SecretString, ConfigErrors> {
        let resolved = Resolved::new(flags, environment);
        let mut reader = Reader::new(&resolved);
        let url = reader.required(&settings::DATABASE_URL);
        reader.finish(url, &[], None)
    }

    /// Reads the settings of the log alone, for a command that needs no other.
    ///
    /// # Errors
    /// If one of them is not valid.
    pub fn load_log(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<LogSettings, ConfigErrors> {
        let resolved = Resolved::new(flags, environment);
        let mut reader = Reader::new(&resolved);
        let log = reader.log();
        reader.finish(log, &[], None)
    }
}

/// Parses the URL of a database that is no setting.
///
/// # Errors
/// If it is not one that the service knows.
pub fn database_url(text: &str) -> Result<SecretString, InvalidValue> {
    refuse_quotes(text)?;
    values::database_url(text)
}

/// Reads such a URL from a file.
///
/// # Errors
/// If the file cannot be read, or as [`database_url`].
pub fn database_url_in(path: &str) -> Result<SecretString, InvalidValue> {
    database_url(&source::secret_in(path.as_ref())?)
}

/// URL of a listener for a process on the same machine: loopback for an unspecified address.
pub fn local_url(listen: SocketAddr) -> Url {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen.port());
    Url::parse(&format!("http://{address}")).expect("an address is a host and a port")
}

impl Reader<'_> {
    /// Reads every setting before the first `?`, which would hide later errors. What the demo has
    /// `made` is not read.
    fn config(&mut self, made: Option<DemoAccount>) -> Result<Config, Reported> {
        let is_demo = made.is_some();
        let (account, keys) = match made {
            Some(made) => (Ok(made.account), Ok(made.keys)),
            None => (self.account(), self.keys()),
        };
        let listen = self.required(&settings::LISTEN);
        let metrics_listen = self.optional(&settings::METRICS_LISTEN);
        self.refuse_same_port(&listen, &metrics_listen);
        let max_connections = self.max_connections();
        let header_timeout = self.required(&settings::HEADER_TIMEOUT);
        let public_url = self.optional(&settings::PUBLIC_URL);
        let upstream = self.upstream();
        let database_url = self.required(&settings::DATABASE_URL);
        let codes = self.codes();
        let access = self.access();
        let cors_origins = self.required(&settings::CORS_ORIGINS);
        let frame_ancestors = self.required(&settings::FRAME_ANCESTORS);
        let scans = self.scans(&public_url);
        // The demo gets its callback later, from its sandbox.
        let has_callback = is_demo || !matches!(&scans, Ok(scans) if scans.callback.is_none());
        let webhook = self.webhook(has_callback);
        let log = self.log();
        let log_client = self.required(&settings::LOG_CLIENT);
        let drain = self.drain();
        let keys = keys?;
        let mut secret_words = self.resolved.secret_words();
        keys.secret_hashes()
            .for_each(|hash| secret_words.add_hash(hash));
        Ok(Config {
            listen: listen?,
            metrics_listen: metrics_listen?,
            max_connections: max_connections?,
            header_timeout: header_timeout?,
            public_url: public_url?,
            account: account?,
            upstream: upstream?,
            database_url: database_url?,
            codes: codes?,
            keys,
            access: access?,
            cors_origins: cors_origins?,
            frame_ancestors: frame_ancestors?,
            scans: scans?,
            webhook: webhook?,
            log: log?,
            log_client: log_client?,
            drain: drain?,
            secret_words: Arc::new(secret_words),
        })
    }

    fn max_connections(&mut self) -> Result<usize, Reported> {
        let connections = self.required(&settings::MAX_CONNECTIONS)?;
        Ok(usize::try_from(connections).expect("a million fits"))
    }

    fn account(&mut self) -> Result<Account, Reported> {
        let app_id = self.required(&settings::APP_ID);
        let app_secret = self.required(&settings::APP_SECRET);
        Ok(Account {
            app_id: app_id?,
            app_secret: app_secret?,
        })
    }

    fn keys(&mut self) -> Result<Keyring, Reported> {
        Ok(self.optional(&settings::API_KEYS)?.unwrap_or_default())
    }

    fn upstream(&mut self) -> Result<Upstream, Reported> {
        let api_bases = self.required(&settings::API_BASE);
        let mp_base = self.required(&settings::MP_BASE);
        let token_source = self.required(&settings::TOKEN_SOURCE);
        let extra_ca = self.optional(&settings::EXTRA_CA_FILE);
        let outbound_address = self.optional(&settings::OUTBOUND_ADDRESS);
        let timeout = self.required(&settings::UPSTREAM_TIMEOUT);
        Ok(Upstream {
            api_bases: api_bases?,
            mp_base: mp_base?,
            token_source: token_source?,
            extra_ca: extra_ca?,
            outbound_address: outbound_address?,
            timeout: timeout?,
        })
    }

    fn codes(&mut self) -> Result<CodeSettings, Reported> {
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

    fn log(&mut self) -> Result<LogSettings, Reported> {
        let filter = self.required(&settings::LOG);
        let format = self.required(&settings::LOG_FORMAT);
        Ok(LogSettings {
            filter: filter?,
            format: format?,
        })
    }

    fn drain(&mut self) -> Result<Drain, Reported> {
        let delay = self.required(&settings::DRAIN_DELAY);
        let timeout = self.required(&settings::DRAIN_TIMEOUT);
        Ok(Drain {
            delay: delay?,
            timeout: timeout?,
        })
    }

    /// Refuses two listeners on one port, before the second one fails to bind.
    fn refuse_same_port(
        &mut self,
        listen: &Result<SocketAddr, Reported>,
        metrics: &Result<Option<SocketAddr>, Reported>,
    ) {
        let (Ok(listen), Ok(Some(metrics))) = (listen, metrics) else {
            return;
        };
        let meet = listen.ip() == metrics.ip()
            || listen.ip().is_unspecified()
            || metrics.ip().is_unspecified();
        if listen.port() == metrics.port() && listen.port() != 0 && meet {
            let invalid =
                InvalidValue::new("is the port of WXQR_LISTEN", "another port, or port 0");
            self.report("metrics-listen", &invalid);
        }
    }
}

#[cfg(test)]
mod tests;
