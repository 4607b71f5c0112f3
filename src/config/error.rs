//! Errors in the settings: what is wrong, and what would be accepted.
//!
//! No value is quoted, not even of a public setting: a secret in the wrong variable is a common
//! mistake, and these texts go to logs.

use std::fmt;

/// Why a value is invalid, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; accepted: {accepted}")]
pub struct InvalidValue {
    problem: String,
    accepted: String,
}

impl InvalidValue {
    pub(super) fn new(problem: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            accepted: accepted.into(),
        }
    }
}

/// One error, with its variable.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConfigError {
    variable: String,
    text: String,
}

impl ConfigError {
    pub(super) fn new(variable: impl Into<String>, text: impl fmt::Display) -> Self {
        Self {
            variable: variable.into(),
            text: text.to_string(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.text)
    }
}

/// All errors in the settings, one line each. The process ends with exit code 78.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    pub(super) errors: Vec<ConfigError>,
    pub(super) hint: Option<&'static str>,
}

impl ConfigErrors {
    /// `EX_CONFIG` of `sysexits.h`.
    pub const EXIT_CODE: u8 = 78;

    /// One line for each error.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.errors.iter().map(ConfigError::to_string)
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{error}")?;
        }
        self.hint.map_or(Ok(()), |hint| write!(f, "\n{hint}"))
    }
}

impl std::error::Error for ConfigErrors {}
