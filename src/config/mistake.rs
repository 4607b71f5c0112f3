//! What is wrong with a configuration, said so that it can be put right. Quotes no value, not even of settings that are not
//! secret: a secret in the wrong place is a common mistake, and this text goes to logs.

use std::fmt;

/// Why a value was refused, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; accepted: {accepted}")]
pub struct Refusal {
    problem: String,
    accepted: String,
}

impl Refusal {
    pub(super) fn new(problem: impl Into<String>, accepted: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            accepted: accepted.into(),
        }
    }
}

/// One mistake: the variable, what is wrong with it, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mistake {
    variable: String,
    text: String,
}

impl Mistake {
    pub(super) fn new(variable: impl Into<String>, text: impl fmt::Display) -> Self {
        Self {
            variable: variable.into(),
            text: text.to_string(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.variable, self.text)
    }
}

/// Everything that is wrong with the settings, one line each. The process ends with exit code 78.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    pub(super) mistakes: Vec<Mistake>,
    pub(super) hint: Option<&'static str>,
}

impl Mistakes {
    /// `EX_CONFIG` of `sysexits.h`.
    pub const EXIT_CODE: u8 = 78;

    /// The mistakes, each with its variable and what would be accepted.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.mistakes.iter().map(Mistake::to_string)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{mistake}")?;
        }
        self.hint.map_or(Ok(()), |hint| write!(f, "\n{hint}"))
    }
}

impl std::error::Error for Mistakes {}
