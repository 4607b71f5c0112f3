//! Errors of calls to WeChat. No message contains a token or a secret.

use std::net::IpAddr;

use super::errcode::{Class, Errcode};

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// WeChat answered with an `errcode`.
    #[error(transparent)]
    Refused(ApiError),
    /// The connection failed, or was closed before an answer.
    #[error("WeChat cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The answer did not arrive in time.
    #[error("WeChat does not answer in time")]
    Timeout(#[source] reqwest::Error),
    /// An HTTP status other than 200, which comes from a gateway and not from the API.
    #[error("WeChat answered with HTTP status {0}")]
    Status(u16),
    /// The connection failed within the body.
    #[error("WeChat's answer cannot be read")]
    Body(#[source] reqwest::Error),
    /// The body is longer than any answer of WeChat's.
    #[error("WeChat's answer cannot be read: it is too long")]
    TooLong,
    /// A complete body that is not a valid answer.
    #[error("WeChat's answer cannot be understood: {0}")]
    Invalid(&'static str),
}

impl Error {
    /// The class of the `errcode`, if there is one.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Refused(refusal) => Some(refusal.errcode.class()),
            _ => None,
        }
    }

    /// Converts an error within the body.
    pub(super) fn of_body(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_timeout() {
            Self::Timeout(error)
        } else {
            Self::Body(error)
        }
    }

    /// Whether WeChat may have processed the call although no answer arrived.
    pub fn is_ambiguous(&self) -> bool {
        !matches!(self, Self::Refused(_)) && !self.is_before_sending()
    }

    /// Whether another host may succeed: the connection failed, or the answer timed out.
    pub(super) fn allows_failover(&self) -> bool {
        matches!(self, Self::Timeout(_)) || self.is_before_sending()
    }

    /// Whether the request was certainly not sent.
    pub fn is_before_sending(&self) -> bool {
        matches!(self, Self::Unreachable(cause) if cause.is_connect())
    }

    /// The metrics label: an errcode, or the kind of failure.
    pub fn outcome(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.errcode.to_string(),
            Self::Unreachable(_) => "unreachable".to_owned(),
            Self::Timeout(_) => "timeout".to_owned(),
            Self::Status(_) | Self::Body(_) | Self::TooLong | Self::Invalid(_) => {
                "invalid".to_owned()
            }
        }
    }
}

/// The only conversion of the HTTP client's errors, with `Error::of_body`. Drops the URL, which
/// contains the access token.
impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_timeout() && !error.is_connect() {
            Self::Timeout(error)
        } else {
            Self::Unreachable(error)
        }
    }
}

/// An `errcode` with its text, for the log: the text is not for visitors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("WeChat refused with errcode {errcode}: {}", errcode.meaning())]
pub struct ApiError {
    /// WeChat's number of the error.
    pub errcode: Errcode,
    /// WeChat's text, redacted, shortened and without control characters. Its `rid` can be looked
    /// up at WeChat for 7 days.
    pub errmsg: String,
}

impl ApiError {
    /// Maximum length of `errmsg`, in characters.
    const MAX_CHARS: usize = 300;

    /// The address that WeChat does not allow, if the text names one: "invalid ip 1.2.3.4 ipv6
    /// `::ffff:1.2.3.4`, not in ...".
    pub fn address(&self) -> Option<IpAddr> {
        let (_, rest) = self.errmsg.split_once("invalid ip ")?;
        let end = rest
            .find(|c: char| c.is_whitespace() || c == ',')
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    }

    /// A word of this length may be a token or a secret, also one that this service does not know:
    /// tokens have 136 characters and more, an `AppSecret` 32. A `rid` is shorter.
    const SECRET_LEN: usize = 32;

    /// Redacts the given secrets and all words that may be one, then shortens the text.
    pub(super) fn redacted(self, secrets: &[&str]) -> Self {
        let mut errmsg = self.errmsg;
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            errmsg = errmsg.replace(secret, "…");
        }
        Self {
            errmsg: without_long_words(&errmsg)
                .chars()
                .filter(|c| !c.is_control())
                .take(Self::MAX_CHARS)
                .collect(),
            ..self
        }
    }
}

fn without_long_words(text: &str) -> String {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let mut kept = String::new();
    for piece in text.split_inclusive(|c| !is_of_word(c)) {
        let word = piece.trim_end_matches(|c| !is_of_word(c));
        kept += if word.len() < ApiError::SECRET_LEN {
            word
        } else {
            "…"
        };
        kept += &piece[word.len()..];
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_secrets_are_redacted_before_truncation() {
        let token = format!("88_{}", "t".repeat(133));
        let (before, digest) = ("x ".repeat(140), "0123456789abcdef".repeat(2));
        for (errmsg, want) in [
            ("system busy rid: 637f46ee-7dc8dd57-6bbb0b7e", None),
            (
                "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist",
                None,
            ),
            ("short-secret, it is", Some("…, it is".to_owned())),
            (
                &format!("?access_token={token}&a=1"),
                Some("?access_token=…&a=1".to_owned()),
            ),
            (&digest, Some("…".to_owned())),
            ("a\u{1b}[2Jb", Some("a[2Jb".to_owned())),
            (&format!("{before}{token}"), Some(format!("{before}…"))),
            (&"长 ".repeat(200), Some("长 ".repeat(150))),
        ] {
            let refusal = ApiError {
                errcode: Errcode(-1),
                errmsg: errmsg.to_owned(),
            };
            let got = refusal.redacted(&["", "short-secret"]).errmsg;
            assert_eq!(got, want.unwrap_or_else(|| errmsg.to_owned()), "{errmsg:?}");
        }
    }

    #[test]
    fn the_address_to_allow_is_parsed_from_errmsg() {
        for (errmsg, want) in [
            (
                "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 1-2-3",
                Some("203.0.113.7"),
            ),
            (
                "invalid ip 2001:db8::1, not in whitelist",
                Some("2001:db8::1"),
            ),
            ("invalid ip", None),
            ("invalid ip none", None),
            ("ok", None),
        ] {
            let refusal = ApiError {
                errcode: Errcode(40164),
                errmsg: errmsg.to_owned(),
            };
            assert_eq!(
                refusal.address(),
                want.map(|ip| ip.parse().unwrap()),
                "errmsg {errmsg:?}"
            );
        }
    }
}
