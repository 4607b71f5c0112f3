//! Reads settings one by one, and reports all errors at once.

use secrecy::ExposeSecret as _;

use super::error::{ConfigError, ConfigErrors, InvalidValue};
use super::setting::Setting;
use super::source::{Raw, Resolved};

/// Parses settings and collects all errors instead of stopping at the first.
pub(super) struct Reader<'a> {
    pub(super) resolved: &'a Resolved,
    errors: Vec<ConfigError>,
}

/// There is no value; the reason is in [`Reader::errors`].
pub(super) struct Reported;

impl<'a> Reader<'a> {
    pub(super) fn new(resolved: &'a Resolved) -> Self {
        Self {
            resolved,
            errors: Vec::new(),
        }
    }

    /// Reports a setting that needs another one.
    pub(super) fn refuse_alone(&mut self, name: &str, needed: &str) -> Reported {
        let invalid = InvalidValue::new(format!("is given without {needed}"), "both, or neither");
        self.report(name, &invalid)
    }

    /// Reads a setting that must have a value, its default included.
    pub(super) fn required<T>(&mut self, setting: &Setting<T>) -> Result<T, Reported> {
        self.optional(setting)?.ok_or_else(|| {
            let accepted = setting.description().help().replace('`', "");
            self.report(setting.name(), &InvalidValue::new("is required", accepted))
        })
    }

    /// Reads a setting that may be absent.
    pub(super) fn optional<T>(&mut self, setting: &Setting<T>) -> Result<Option<T>, Reported> {
        let name = setting.name();
        match &self.resolved.entry(name).raw {
            Raw::Absent => Ok(None),
            Raw::Refused(invalid) => Err(self.report(name, invalid)),
            Raw::Text(text) => match setting.parse(text.expose_secret()) {
                Ok(value) => Ok(Some(value)),
                Err(invalid) => Err(self.report(name, &invalid)),
            },
        }
    }

    pub(super) fn report(&mut self, name: &str, invalid: &InvalidValue) -> Reported {
        let subject = self.resolved.entry(name).subject();
        self.errors.push(ConfigError::new(subject, invalid));
        Reported
    }

    /// The value, unless there are errors.
    pub(super) fn finish<T>(
        mut self,
        value: Result<T, Reported>,
        unknown: &[ConfigError],
        hint: Option<&'static str>,
    ) -> Result<T, ConfigErrors> {
        self.errors.extend_from_slice(unknown);
        match value {
            Ok(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ConfigErrors {
                errors: self.errors,
                hint,
            }),
        }
    }
}
