//! Why a call to WeChat gave nothing. No message here can hold a token or a secret.

use std::net::IpAddr;

use super::errcode::{Class, Errcode};
use crate::outbound::BodyError;

/// A failed call.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// WeChat answered with an `errcode`.
    #[error(transparent)]
    Refused(Refusal),
    /// No connection, or one that closed before an answer began.
    #[error("WeChat cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// No answer in time.
    #[error("WeChat does not answer in time")]
    Timeout(#[source] reqwest::Error),
    /// An answer with another HTTP status than 200: a gateway's, not the API's.
    #[error("WeChat answered with HTTP status {0}")]
    Status(u16),
    /// A body that ended early or never ended.
    #[error("WeChat's answer cannot be read")]
    Body(#[source] BodyError),
    /// A whole body that is not an answer.
    #[error("WeChat's answer cannot be understood: {0}")]
    Invalid(&'static str),
}

impl Error {
    /// The `errcode`'s class, if there is one.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Refused(refusal) => Some(refusal.errcode.class()),
            _ => None,
        }
    }

    /// Whether the call may have had an effect at WeChat although we saw no answer.
    pub fn is_ambiguous(&self) -> bool {
        !matches!(self, Self::Refused(_)) && !self.is_before_sending()
    }

    /// Whether another host may do better: the connection failed, or nothing came in time.
    pub(super) fn suggests_another_host(&self) -> bool {
        matches!(self, Self::Timeout(_)) || self.is_before_sending()
    }

    /// Whether the request certainly never left.
    pub fn is_before_sending(&self) -> bool {
        matches!(self, Self::Unreachable(cause) if cause.is_connect())
    }

    /// One word for metrics: an errcode, or what went wrong on the way.
    pub fn outcome(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.errcode.to_string(),
            Self::Unreachable(_) => "unreachable".to_owned(),
            Self::Timeout(_) => "timeout".to_owned(),
            Self::Status(_) | Self::Body(_) | Self::Invalid(_) => "invalid".to_owned(),
        }
    }
}

/// The only way in for the client's errors: it drops the URL, which carries the access token.
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

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Broken(cause) if cause.is_timeout() => Self::Timeout(cause),
            other => Self::Body(other),
        }
    }
}

/// WeChat's "no", for the log: its words are not for visitors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("WeChat refused with errcode {errcode}: {}", errcode.meaning())]
pub struct Refusal {
    /// The number.
    pub errcode: Errcode,
    /// WeChat's text, shortened and without control characters. Its `rid` can be looked up there for 7 days.
    pub errmsg: String,
}

impl Refusal {
    /// The most characters of `errmsg` that are kept.
    const MAX_CHARS: usize = 300;

    /// The address that WeChat does not allow, where it names one: "invalid ip 1.2.3.4 ipv6 `::ffff:1.2.3.4`, not in ...".
    pub fn address(&self) -> Option<IpAddr> {
        let (_, rest) = self.errmsg.split_once("invalid ip ")?;
        let end = rest
            .find(|c: char| c.is_whitespace() || c == ',')
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    }

    /// A word of this length may be a token or a secret, of which those that we do not hold ourselves cannot be known:
    /// tokens have 136 characters and more, an `AppSecret` 32. A `rid` is shorter.
    const SECRET_LEN: usize = 32;

    /// What is kept of WeChat's text: without the given secrets and whatever else may be one, shortened after that.
    pub(super) fn fit_for_a_log(self, secrets: &[&str]) -> Self {
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
        kept += if word.len() < Refusal::SECRET_LEN {
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
    fn what_may_be_a_secret_is_struck_out_before_the_text_is_cut() {
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
            let refusal = Refusal {
                errcode: Errcode(-1),
                errmsg: errmsg.to_owned(),
            };
            let got = refusal.fit_for_a_log(&["", "short-secret"]).errmsg;
            assert_eq!(got, want.unwrap_or_else(|| errmsg.to_owned()), "{errmsg:?}");
        }
    }

    #[test]
    fn the_address_to_allow_is_read_from_wechats_words() {
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
            let refusal = Refusal {
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
