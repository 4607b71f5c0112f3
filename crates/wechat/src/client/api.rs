//! The calls of the API, as quotas count them.

/// Calls that have a quota of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// Both token calls.
    Token,
    /// `qrcode/create`.
    Create,
}

impl Api {
    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Create => "create",
        }
    }
}
