//! Value types and parsers of single settings.

pub(super) mod access;
pub(super) mod scans;
pub(super) mod webhook;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use url::Url;
use wechat::TokenSource;
use wechat::scene::Lifetime;

use super::error::InvalidValue;
use super::file::read_file;
use super::setting::Range;
use crate::access::Keyring;
use crate::codes::ReuseShare;
use crate::telemetry::LogFormat;
use crate::text::{self, decimal, is_word};

/// Base URL of the service's links: `http` or `https`, a host, an optional path without a final
/// slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    text: String,
    path_start: usize,
}

impl PublicUrl {
    const FORM: &'static str = "https://HOST or https://HOST/PATH (http too), the path of A-Za-z0-9._~-, without query, \
        fragment or user";

    /// The whole URL, such as `https://qr.example.com/wx`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its path: empty, or such as `/wx`.
    pub fn path(&self) -> &str {
        &self.text[self.path_start..]
    }
}

impl FromStr for PublicUrl {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let refuse = |problem| InvalidValue::new(problem, Self::FORM);
        let url = web_url(text).map_err(refuse)?;
        let path = url.path().strip_suffix('/').unwrap_or(url.path());
        if !path.split('/').skip(1).all(is_path_segment) {
            return Err(refuse("has a path that a link cannot safely carry"));
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self {
            path_start: origin.len(),
            text: origin + path,
        })
    }
}

fn is_path_segment(segment: &str) -> bool {
    !segment.is_empty()
        && segment
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

/// Parses a web URL strictly: `Url::parse` alone silently repairs typing errors.
pub(super) fn web_url(text: &str) -> Result<Url, &'static str> {
    if !text.starts_with("https://") && !text.starts_with("http://") {
        return Err("does not begin with https:// or http://");
    }
    if text.contains(|char: char| char.is_whitespace() || char.is_control() || char == '\\') {
        return Err("has white space, a control character or a backslash in it");
    }
    if text.contains('@') {
        return Err("names a user");
    }
    if text.contains(['?', '#']) {
        return Err("has a query or a fragment");
    }
    let url = Url::parse(text).map_err(|_| "is not a URL")?;
    // `Url` accepts `;`, `*` and `'` in a host, which have a meaning in headers and pages.
    if url.host_str().is_some_and(is_plain_host) {
        Ok(url)
    } else {
        Err("has a host of unusual characters")
    }
}

fn is_plain_host(host: &str) -> bool {
    host.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_[:]".contains(&byte))
}

/// Web origin: scheme, host and port, spelled as browsers send it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// The origin, such as `https://www.example.com`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WebOrigin {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        bare_host(text)
            .map(|url| Self(url.origin().ascii_serialization()))
            .map_err(|problem| {
                InvalidValue::new(problem, "https://HOST or https://HOST:PORT (http too)")
            })
    }
}

/// Parses a URL of scheme, host and port only.
fn bare_host(text: &str) -> Result<Url, &'static str> {
    let url = web_url(text)?;
    if url.path() == "/" {
        Ok(url)
    } else {
        Err("has a path")
    }
}

/// `AppID` of the account: 1 to 64 of `A-Za-z0-9_-`. Not a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppId(String);

impl AppId {
    /// Greatest length, in characters.
    pub const MAX_LEN: usize = 64;

    /// The `AppID` as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.len() > Self::MAX_LEN || !is_word(text) {
            return Err(InvalidValue::new(
                "is not an AppID",
                "1 to 64 of A-Za-z0-9_-",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest `AppSecret`. Chosen: WeChat's have 32 hex digits, which is not documented.
pub(super) const MAX_APP_SECRET: usize = 128;

pub(super) fn app_secret(text: &str) -> Result<SecretString, InvalidValue> {
    if !(1..=MAX_APP_SECRET).contains(&text.len())
        || !text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        let accepted = "1 to 128 printable ASCII characters without spaces";
        return Err(InvalidValue::new("is not an AppSecret", accepted));
    }
    Ok(text.into())
}

pub(super) fn token_source(text: &str) -> Result<TokenSource, InvalidValue> {
    match text {
        "stable" => Ok(TokenSource::Stable),
        "classic" => Ok(TokenSource::Classic),
        _ => Err(InvalidValue::new(
            "is not a token source",
            "stable, classic",
        )),
    }
}

pub(super) fn reuse(text: &str, range: Range) -> Result<ReuseShare, InvalidValue> {
    text.parse().map_err(|_| {
        let Range { low, high } = range;
        let accepted = format!("a number from {low} to {high}, such as 0.5");
        InvalidValue::new("is not a share", accepted)
    })
}

/// CA certificates as PEM. `Debug` shows the length only: the file may hold a private key by
/// mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtraCa(Vec<u8>);

impl ExtraCa {
    const BEGIN: &'static [u8] = b"-----BEGIN CERTIFICATE-----";
    const END: &'static [u8] = b"-----END CERTIFICATE-----";

    /// The PEM file, with at least one `CERTIFICATE` block.
    pub fn as_pem(&self) -> &[u8] {
        &self.0
    }

    /// Reads the file, once, at start.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB or has no certificate.
    pub fn read(path: &str) -> Result<Self, InvalidValue> {
        let accepted = "a PEM file with at least one CERTIFICATE block, at most 1 MiB";
        let pem = read_file(path).map_err(|problem| InvalidValue::new(problem, accepted))?;
        match (position(&pem, Self::BEGIN), position(&pem, Self::END)) {
            (Some(begin), Some(end)) if begin < end => Ok(Self(pem)),
            _ => Err(InvalidValue::new("the file has no certificate", accepted)),
        }
    }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}

impl fmt::Debug for ExtraCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExtraCa({} bytes)", self.0.len())
    }
}

/// Greatest number of API hosts.
pub(super) const MAX_API_BASES: usize = 4;

/// API hosts, the preferred one first.
pub(super) fn api_bases(text: &str) -> Result<Vec<Url>, InvalidValue> {
    let accepted =
        "1 to 4 of https://HOST (http too), comma-separated, without path, query or user";
    let bases = text
        .split(',')
        .map(|base| bare_host(base.trim()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|problem| InvalidValue::new(format!("one of the hosts {problem}"), accepted))?;
    if bases.len() > MAX_API_BASES {
        return Err(InvalidValue::new("has too many hosts", accepted));
    }
    Ok(bases)
}

pub(super) fn mp_base(text: &str) -> Result<Url, InvalidValue> {
    let accepted = "https://HOST (http too), without path, query or user";
    bare_host(text).map_err(|problem| InvalidValue::new(problem, accepted))
}

/// Origins whose scripts may read an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All of them.
    Any,
    /// These, perhaps none.
    List(Vec<WebOrigin>),
}

impl FromStr for CorsOrigins {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "*" => Ok(Self::Any),
            "none" => Ok(Self::List(Vec::new())),
            _ => text
                .split(',')
                .map(|origin| origin.trim().parse())
                .collect::<Result<_, _>>()
                .map(Self::List)
                .map_err(|_| {
                    InvalidValue::new(
                        "is not a list of origins",
                        "*, none, or https://HOST (http too, :PORT too), comma-separated, without path",
                    )
                }),
        }
    }
}

/// Value of the CSP directive `frame-ancestors`, safe in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAncestors(String);

impl FrameAncestors {
    const FORM: &'static str = "*, none, or a comma-separated list of self, https://HOST and https://*.HOST (http too, :PORT \
        too), without path";

    /// The directive's value, such as `'self' https://www.example.com`.
    pub fn as_csp(&self) -> &str {
        &self.0
    }
}

impl FromStr for FrameAncestors {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_split = |source: &str| source.trim().contains(char::is_whitespace);
        if text.split(',').any(is_split) {
            let problem = "has a space between two sources, where a comma is needed";
            return Err(InvalidValue::new(problem, Self::FORM));
        }
        let sources: Option<Vec<String>> = match text {
            "*" => Some(vec!["*".to_owned()]),
            "none" | "'none'" => Some(vec!["'none'".to_owned()]),
            _ => text
                .split(',')
                .map(|source| ancestor(source.trim()))
                .collect(),
        };
        sources
            .map(|sources| Self(sources.join(" ")))
            .ok_or_else(|| InvalidValue::new("is not a list of frame ancestors", Self::FORM))
    }
}

/// Parses one source of the directive.
fn ancestor(text: &str) -> Option<String> {
    if matches!(text, "self" | "'self'") {
        return Some("'self'".to_owned());
    }
    // Without its `*.` a wildcard must be an origin.
    let (origin, is_wildcard) = match text.split_once("://*.") {
        Some((scheme, host)) => (format!("{scheme}://{host}"), true),
        None => (text.to_owned(), false),
    };
    let origin: WebOrigin = origin.parse().ok()?;
    Some(if is_wildcard {
        origin.as_str().replacen("://", "://*.", 1)
    } else {
        origin.0
    })
}

/// Parses a log filter. A word that is no level is refused: it would name a module and silence all
/// others.
pub(super) fn log_filter(text: &str) -> Result<String, InvalidValue> {
    let is_plain = |part: &str| !part.contains(['=', '[']);
    let is_level = |part: &str| part.trim().parse::<LevelFilter>().is_ok();
    let levels_are_levels = text
        .split(',')
        .all(|part| !is_plain(part) || is_level(part));
    if !levels_are_levels || EnvFilter::try_new(text).is_err() {
        let accepted = "off, error, warn, info, debug, trace, or per module as in info,wxqr=debug";
        return Err(InvalidValue::new("is not a log filter", accepted));
    }
    Ok(text.to_owned())
}

pub(super) fn boolean(text: &str) -> Result<bool, InvalidValue> {
    text::boolean(text).ok_or_else(|| InvalidValue::new("is neither true nor false", "true, false"))
}

pub(super) fn ip_address(text: &str) -> Result<IpAddr, InvalidValue> {
    let accepted = "an IPv4 or IPv6 address, as in 192.0.2.7 or 0.0.0.0";
    text.parse()
        .map_err(|_| InvalidValue::new("is not an IP address", accepted))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, InvalidValue> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(InvalidValue::new("is not a log format", "auto, text, json")),
    }
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, InvalidValue> {
    text.parse().map_err(|_| {
        InvalidValue::new(
            "is not an address with a port",
            "IP:PORT, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080",
        )
    })
}

/// Parses a database URL, a secret because it may hold a password.
pub(super) fn database_url(text: &str) -> Result<SecretString, InvalidValue> {
    const FORM: &str = "sqlite://FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE";
    let file = text
        .strip_prefix("sqlite://")
        .is_some_and(|file| !file.is_empty());
    let known = file
        || text == "sqlite::memory:"
        || text.starts_with("postgres://")
        || text.starts_with("postgresql://");
    if !known || text.parse::<Url>().is_err() {
        return Err(InvalidValue::new(
            "is not a database this service knows",
            FORM,
        ));
    }
    Ok(SecretString::from(text))
}

pub(super) fn keyring(text: &str) -> Result<Keyring, InvalidValue> {
    text.parse().map_err(|error: crate::access::KeyringError| {
        InvalidValue::new(error.to_string(), Keyring::FORM)
    })
}

/// Parses a duration with its unit.
pub(super) fn duration(text: &str, range: Range) -> Result<Duration, InvalidValue> {
    let Range { low, high } = range;
    within(|text| humantime::parse_duration(text).ok(), text, range).map_err(|problem| {
        let problem = match problem {
            Misfit::Unreadable => "is not a duration",
            Misfit::OutOfRange => "is out of range",
        };
        let accepted = format!("a number with its unit (ms, s, m, h, d), from {low} to {high}");
        InvalidValue::new(problem, accepted)
    })
}

pub(super) fn lifetime(text: &str, range: Range) -> Result<Lifetime, InvalidValue> {
    let Range { low, high } = range;
    let refuse = |problem| {
        let accepted = format!("whole seconds with a unit (s, m, h, d), from {low} to {high}");
        InvalidValue::new(problem, accepted)
    };
    let duration = humantime::parse_duration(text).map_err(|_| refuse("is not a duration"))?;
    if duration.subsec_nanos() != 0 {
        return Err(refuse("is not whole seconds"));
    }
    Lifetime::try_from(duration.as_secs()).map_err(|_| refuse("is out of range"))
}

/// Parses a whole number.
pub(super) fn count(text: &str, range: Range) -> Result<u64, InvalidValue> {
    within(decimal, text, range).map_err(|_| {
        let Range { low, high } = range;
        let accepted = format!("a whole number from {low} to {high}");
        InvalidValue::new("is not a number in the range", accepted)
    })
}

enum Misfit {
    Unreadable,
    OutOfRange,
}

/// Parses a value and checks it against the range, whose ends are written the same way.
fn within<T: PartialOrd>(
    read: impl Fn(&str) -> Option<T>,
    text: &str,
    range: Range,
) -> Result<T, Misfit> {
    let value = read(text).ok_or(Misfit::Unreadable)?;
    let [low, high] =
        [range.low, range.high].map(|end| read(end).expect("ends of ranges are values"));
    if low <= value && value <= high {
        Ok(value)
    } else {
        Err(Misfit::OutOfRange)
    }
}

#[cfg(test)]
mod tests;
