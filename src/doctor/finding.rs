//! Findings of the checks: one line each, with the remedy of a failure.

use std::fmt;

use crate::config::Limitation;

/// Receives each finding as soon as it is known.
pub(super) type Report<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// Subjects of the findings, in order. `store` is the operators' name of the database.
pub(super) const SETTINGS: &str = "settings";
pub(super) const STORE: &str = "store";
pub(super) const CLOCK: &str = "clock";
pub(super) const HOST: &str = "host";
pub(super) const ALLOW_LIST: &str = "allow-list";
pub(super) const TOKEN: &str = "token";
pub(super) const CODES: &str = "codes";
pub(super) const CALLBACK: &str = "callback";
pub(super) const WEBHOOK: &str = "webhook";

/// Result of one check. Its text is one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    what: String,
    status: Status,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Status {
    Fine { detail: String },
    Warned { issue: String },
    Failed { issue: String },
    Skipped { needs: String },
}

/// A problem with its remedy.
#[derive(Debug)]
pub(super) struct Issue {
    cause: String,
    remedy: String,
}

impl Finding {
    /// Whether the check failed.
    pub fn is_failure(&self) -> bool {
        matches!(self.status, Status::Failed { .. })
    }

    pub(super) fn is_fine(&self) -> bool {
        matches!(self.status, Status::Fine { .. })
    }

    fn new(what: impl Into<String>, status: Status) -> Self {
        Self {
            what: what.into(),
            status,
        }
    }

    pub(super) fn fine(what: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(what, Status::Fine { detail })
    }

    pub(super) fn failed(what: impl Into<String>, issue: impl fmt::Display) -> Self {
        let issue = issue.to_string();
        Self::new(what, Status::Failed { issue })
    }

    pub(super) fn skipped(what: &str, needs: impl Into<String>) -> Self {
        let needs = needs.into();
        Self::new(what, Status::Skipped { needs })
    }

    pub(super) fn warned(what: &str, issue: impl fmt::Display) -> Self {
        let issue = issue.to_string();
        Self::new(what, Status::Warned { issue })
    }

    pub(super) fn limitation(limitation: &Limitation) -> Self {
        let issue = Issue::new(limitation.costs.as_str(), limitation.action);
        Self::warned(limitation.subject, issue)
    }

    /// Appends a detail to a successful result.
    pub(super) fn and(mut self, more: &str) -> Self {
        if let Status::Fine { detail } = &mut self.status {
            *detail = format!("{detail}; {more}");
        }
        self
    }

    /// Makes a successful result a warning, because a part of the check was not possible.
    pub(super) fn but(self, unknown: &Issue) -> Self {
        match self.status {
            Status::Fine { detail } => Self::warned(&self.what, format!("{detail}, but {unknown}")),
            _ => self,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.status {
            Status::Fine { detail } => write!(f, "ok    {what}: {detail}"),
            Status::Warned { issue } => write!(f, "warn  {what}: {issue}"),
            Status::Failed { issue } => write!(f, "FAIL  {what}: {issue}"),
            Status::Skipped { needs } => write!(f, "skip  {what}: needs {needs}"),
        }
    }
}

impl Issue {
    pub(super) fn new(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}
