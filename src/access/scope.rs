//! Scopes: what an API key may do.

use std::fmt;
use std::str::FromStr;

/// A permission of an API key. Scopes are independent, except that `admin` implies all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Create temporary codes.
    Mint,
    /// Create permanent codes, which use up the account's stock.
    Permanent,
    /// Read statistics, events and lists.
    Stats,
    /// Read openids in events.
    People,
    /// Sign visitors in by a scan (bindings).
    Bind,
    /// All scopes.
    Admin,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Mint,
        Self::Permanent,
        Self::Stats,
        Self::People,
        Self::Bind,
        Self::Admin,
    ];

    /// The name in settings and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Permanent => "permanent",
            Self::Stats => "stats",
            Self::People => "people",
            Self::Bind => "bind",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The scopes of one key, written as `scope+scope`; at least one, and each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Whether the scope is among them, directly or by `admin`.
    pub(super) fn allow(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || self.0.contains(&Scope::Admin)
    }
}

/// One of the words names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownScope;

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|scope| scope.as_str()).collect();
        f.write_str(&names.join("+"))
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let known = |word| Scope::ALL.into_iter().find(|scope| scope.as_str() == word);
        let mut scopes = Vec::new();
        for word in text.split('+') {
            let scope = known(word).ok_or(UnknownScope)?;
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Ok(Self(scopes))
    }
}
