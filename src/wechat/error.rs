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

    fn is_before_sending(&self) -> bool {
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

    pub(super) fn new(errcode: Errcode, errmsg: &str) -> Self {
        Self {
            errcode,
            errmsg: errmsg
                .chars()
                .filter(|c| !c.is_control())
                .take(Self::MAX_CHARS)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let refusal = Refusal::new(Errcode(40164), errmsg);
            assert_eq!(
                refusal.address(),
                want.map(|ip| ip.parse().unwrap()),
                "errmsg {errmsg:?}"
            );
        }
    }
}
