//! Resolution of each setting's text: flag, else variable, else default; flag and variable may name
//! a file with a secret. The environment is a parameter, so that tests do not change the process's
//! own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;

use clap::ArgMatches;
use secrecy::{ExposeSecret, SecretString};

use super::error::{ConfigError, InvalidValue};
use super::file::read_file;
use super::setting::{DemoPolicy, Description, Fallback, PREFIX};
use super::settings::SETTINGS;
use super::{masking, quotes};
use crate::redact::SecretWords;

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingSource {
    /// A flag of the command line.
    Flag,
    /// A `WXQR_` variable.
    Variable,
    /// A file that a flag or a `_FILE` variable names.
    File,
    Default,
    /// Not given, and no default.
    Unset,
}

impl SettingSource {
    fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable => "variable",
            Self::File => "file",
            Self::Default => "default",
            Self::Unset => "unset",
        }
    }

    fn is_given(self) -> bool {
        matches!(self, Self::Flag | Self::Variable | Self::File)
    }
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text of one setting, not yet parsed.
#[derive(Debug)]
pub(super) struct RawSetting {
    pub(super) setting: &'static Description,
    pub(super) raw: Raw,
    source: SettingSource,
}

/// Text of a setting. All of it is held as a secret: the type does not know which settings are.
#[derive(Debug)]
pub(super) enum Raw {
    Text(SecretString),
    Absent,
    /// Given, but unreadable.
    Refused(InvalidValue),
}

impl RawSetting {
    fn fallback(setting: &'static Description, fallback: Fallback) -> Self {
        let (raw, source) = match fallback {
            Fallback::Value(text) => (Raw::Text(text.into()), SettingSource::Default),
            Fallback::Unset | Fallback::Required => (Raw::Absent, SettingSource::Unset),
        };
        Self {
            setting,
            raw,
            source,
        }
    }

    /// Name of the setting in an error.
    pub(super) fn subject(&self) -> String {
        let variable = self.setting.variable();
        match self.source {
            SettingSource::Flag => format!("{variable} (from --{})", self.setting.name),
            SettingSource::File => self.setting.file_variable().unwrap_or(variable),
            SettingSource::Variable | SettingSource::Default | SettingSource::Unset => variable,
        }
    }
}

/// Text of every setting, and unknown variables.
#[derive(Debug)]
pub(super) struct Resolved {
    entries: Vec<RawSetting>,
    pub(super) unknown: Vec<ConfigError>,
}

impl Resolved {
    /// Resolves every setting, and finds `WXQR_` variables that are not settings.
    pub(super) fn new(
        flags: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let variables = our_variables(environment);
        Self {
            entries: SETTINGS
                .iter()
                .map(|setting| resolve(setting, flags, &variables))
                .collect(),
            unknown: unknown_variables(&variables),
        }
    }

    pub(super) fn entry(&self, name: &str) -> &RawSetting {
        self.entries
            .iter()
            .find(|entry| entry.setting.name == name)
            .expect("only settings of the table are asked for")
    }

    /// True if the operator gave this setting, valid or not.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.entry(name).source.is_given()
    }

    /// Refuses settings that the demo generates, and applies the demo's defaults.
    pub(super) fn fit_for_the_demo(&mut self) {
        for entry in &mut self.entries {
            let is_given = entry.source.is_given();
            let is_refused = is_given && entry.setting.demo == DemoPolicy::MakesItsOwn;
            if is_refused {
                let text = "is for a real set-up, and the demo has its own; unset it";
                self.unknown.push(ConfigError::new(entry.subject(), text));
            }
            if is_refused || !is_given {
                *entry = RawSetting::fallback(entry.setting, entry.setting.demo_fallback());
            }
        }
    }

    /// All secrets, for redaction.
    pub(super) fn secret_words(&self) -> SecretWords {
        let mut words = SecretWords::default();
        for entry in &self.entries {
            if let (true, Raw::Text(text)) = (entry.setting.is_secret(), &entry.raw) {
                words.add(text.expose_secret());
            }
        }
        words
    }

    /// Effective settings, masked.
    pub(super) fn effective(&self) -> Effective {
        Effective(self.entries.iter().map(EffectiveSetting::new).collect())
    }
}

/// Variables with the prefix, without empty ones and without a carriage return at the end.
///
/// Compose files and manifests pass an empty variable for "not given"; it also undoes a value set
/// by the image. The carriage return is left by files with Windows line ends.
fn our_variables(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> BTreeMap<String, OsString> {
    environment
        .into_iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .map(|(name, value)| (name, without_carriage_return(value)))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn without_carriage_return(value: OsString) -> OsString {
    match value.to_str().and_then(|text| text.strip_suffix('\r')) {
        Some(text) => text.into(),
        None => value,
    }
}

fn resolve(
    setting: &'static Description,
    flags: &ArgMatches,
    variables: &BTreeMap<String, OsString>,
) -> RawSetting {
    // Commands without these flags, such as `healthcheck`, read only the variables.
    let flag = |name| flags.try_get_one::<OsString>(name).ok().flatten();
    let variable = |name: String| variables.get(&name);
    given(
        setting,
        SettingSource::Flag,
        flag(setting.name),
        setting.file_flag().and_then(flag),
    )
    .or_else(|| {
        given(
            setting,
            SettingSource::Variable,
            variable(setting.variable()),
            setting.file_variable().and_then(variable),
        )
    })
    .unwrap_or_else(|| RawSetting::fallback(setting, setting.fallback))
}

/// Value of a setting from one source: the text itself, or a file with it.
fn given(
    setting: &'static Description,
    source: SettingSource,
    value: Option<&OsString>,
    file: Option<&OsString>,
) -> Option<RawSetting> {
    let (text, source) = match (value, file) {
        (None, None) => return None,
        (Some(value), None) => (text_of(value), source),
        (None, Some(path)) => (unquoted_path(path).and_then(secret_in), SettingSource::File),
        (Some(_), Some(_)) => {
            let problem = "is given twice, as a value and as a file";
            (Err(InvalidValue::new(problem, "one of the two")), source)
        }
    };
    let text = text.and_then(|text| {
        quotes::refuse(&text, setting.is_list)?;
        Ok(text)
    });
    Some(RawSetting {
        setting,
        raw: text.map_or_else(Raw::Refused, |text| Raw::Text(text.into())),
        source,
    })
}

fn text_of(value: &OsStr) -> Result<String, InvalidValue> {
    match value.to_str() {
        None => Err(InvalidValue::new("is not valid UTF-8", "text in UTF-8")),
        Some("") => Err(InvalidValue::new("is empty", "a value, or no flag at all")),
        Some(text) => Ok(text.to_owned()),
    }
}

/// Refuses a path in quotation marks.
fn unquoted_path(path: &OsString) -> Result<&OsStr, InvalidValue> {
    quotes::refuse(&path.to_string_lossy(), false)?;
    Ok(path)
}

/// Reads a secret from a file, without the final line break that editors and `echo` add.
pub(super) fn secret_in(path: &OsStr) -> Result<String, InvalidValue> {
    let accepted = "a file with the value, which may end in one line break";
    let bytes = read_file(path).map_err(|problem| InvalidValue::new(problem, accepted))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| InvalidValue::new("the file is not valid UTF-8", accepted))?;
    let text = text
        .strip_suffix("\r\n")
        .or_else(|| text.strip_suffix('\n'))
        .unwrap_or(&text);
    if text.is_empty() {
        return Err(InvalidValue::new("the file is empty", accepted));
    }
    Ok(text.to_owned())
}

fn unknown_variables(variables: &BTreeMap<String, OsString>) -> Vec<ConfigError> {
    let known: Vec<String> = SETTINGS
        .iter()
        .flat_map(|setting| std::iter::once(setting.variable()).chain(setting.file_variable()))
        .collect();
    variables
        .iter()
        .filter(|(name, value)| !known.contains(name) && !is_from_kubernetes(name, value))
        .map(|(name, _)| unknown(name, &known))
        .collect()
}

/// True for variables that Kubernetes injects for a Service named `wxqr` or `wxqr-*`.
fn is_from_kubernetes(name: &str, value: &OsStr) -> bool {
    let rest = &name[PREFIX.len()..];
    if rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_") {
        return true;
    }
    let is_address = value.to_str().is_some_and(|text| {
        ["tcp://", "udp://", "sctp://"]
            .iter()
            .any(|p| text.starts_with(p))
    });
    rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || (rest.ends_with("_PORT") && is_address)
        || ["_TCP", "_UDP", "_SCTP"]
            .iter()
            .any(|protocol| is_port_of(rest, protocol))
}

/// True for `<SERVICE>_PORT_<number>_<protocol>`, with or without `_PROTO`, `_PORT` or `_ADDR`.
fn is_port_of(name: &str, protocol: &str) -> bool {
    let name = ["_PROTO", "_PORT", "_ADDR"]
        .iter()
        .find_map(|part| name.strip_suffix(part))
        .unwrap_or(name);
    name.strip_suffix(protocol)
        .and_then(|rest| rest.rsplit_once("_PORT_"))
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// Least similarity for a suggestion, 0 to 1. Chosen so that `WXQR_SECRET` suggests
/// `WXQR_APP_SECRET`.
const ALIKE: f64 = 0.5;

fn unknown(name: &str, known: &[String]) -> ConfigError {
    let likeness = |candidate: &str| {
        let (ours, theirs) = (&candidate[PREFIX.len()..], &name[PREFIX.len()..]);
        strsim::normalized_damerau_levenshtein(ours, theirs)
    };
    // `_FILE` of a setting that is not a secret: that setting is meant.
    let without_file = |candidate: &&String| name.strip_suffix("_FILE") == Some(candidate.as_str());
    let closest = known
        .iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate);
    let meant = known.iter().find(without_file).or(closest);
    let name = printable(name);
    match meant {
        Some(candidate) => {
            ConfigError::new(name, format!("is not a setting; did you mean {candidate}?"))
        }
        None => ConfigError::new(
            name,
            "is not a setting; accepted: what `wxqr serve --help` lists",
        ),
    }
}

/// Effective settings with masked secrets, as `wxqr config` prints them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective(Vec<EffectiveSetting>);

impl Effective {
    /// Returns the settings in the order of [`SETTINGS`].
    pub fn settings(&self) -> &[EffectiveSetting] {
        &self.0
    }
}

impl fmt::Display for Effective {
    /// One line each: variable, source, value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|row| row.setting.variable().len()).max();
        for (index, row) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            let (variable, source) = (row.setting.variable(), row.source.as_str());
            let line = match &row.shown {
                Some(shown) => format!("{variable:0$}  {source:8}  {shown}", width.unwrap_or(0)),
                None => format!("{variable:0$}  {source}", width.unwrap_or(0)),
            };
            write!(f, "{line_break}{line}")?;
        }
        Ok(())
    }
}

/// A setting as it takes effect, with where its value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSetting {
    pub setting: &'static Description,
    /// Value with secrets replaced by `********`; `None` if unset.
    pub shown: Option<String>,
    /// Where the value comes from.
    pub source: SettingSource,
}

impl EffectiveSetting {
    fn new(entry: &RawSetting) -> Self {
        let shown = match &entry.raw {
            Raw::Text(text) => {
                let shown = masking::shown(entry.setting.secrecy, text.expose_secret());
                Some(printable(&shown))
            }
            Raw::Absent | Raw::Refused(_) => None,
        };
        Self {
            setting: entry.setting,
            shown,
            source: entry.source,
        }
    }
}

/// Escapes control characters, so that the text stays on one line.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|char| {
            let (plain, escaped) = if char.is_control() {
                (None, Some(char.escape_default()))
            } else {
                (Some(char), None)
            };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}
