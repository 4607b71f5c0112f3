//! Results of WeChat's `qrcode/create`: ticket, URL, and the lifetime of the code.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::scene::Lifetime;

/// Ticket, which WeChat's `showqrcode` exchanges for a picture. `Debug` shows only its first
/// characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ticket(Box<str>);

impl Ticket {
    /// Maximum length, in bytes. Published tickets have 96; chosen, not documented.
    pub const MAX_LEN: usize = 1024;

    /// The ticket as received, not percent-encoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        checked(text, Self::MAX_LEN).map(Self)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(6).collect();
        write!(f, "Ticket({shown}…)")
    }
}

/// The text that the QR code encodes, to be drawn unchanged.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CodeUrl(Box<str>);

impl CodeUrl {
    /// Maximum length, in bytes. Published URLs have about 45; this many still fit a readable
    /// symbol.
    pub const MAX_LEN: usize = 256;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Normalizes the URL (RFC 3986, section 6.2), so that equivalent URLs have equal keys: without
    /// scheme, default port, fragment and trailing slashes, with the host in lower case. A text
    /// that is not a URL is its own key.
    pub fn key(&self) -> String {
        let Ok(url) = Url::parse(&self.0) else {
            return self.0.to_string();
        };
        let Some(host) = url.host_str() else {
            return self.0.to_string();
        };
        let host = host.trim_end_matches('.');
        let port = url.port().map(|port| format!(":{port}"));
        let query = url.query().map(|query| format!("?{query}"));
        let path = url.path().trim_end_matches('/');
        [
            host,
            &port.unwrap_or_default(),
            path,
            &query.unwrap_or_default(),
        ]
        .concat()
    }
}

impl FromStr for CodeUrl {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        checked(text, Self::MAX_LEN).map(Self)
    }
}

fn checked(text: &str, max: usize) -> Result<Box<str>, TicketError> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > max || !printable {
        return Err(TicketError { max });
    }
    Ok(text.into())
}

/// A ticket or URL that is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to {max} printable ASCII characters")]
pub struct TicketError {
    /// Maximum length, in characters.
    pub max: usize,
}

/// Validity of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Never expires. WeChat has no way to delete it.
    Permanent,
    /// Expires at `minted_at + granted`.
    Temporary {
        /// The time before the call to WeChat, so that the expiry is never too late.
        minted_at: Timestamp,
        /// The requested lifetime.
        asked: Lifetime,
        /// The lifetime that WeChat granted, which may be shorter.
        granted: Lifetime,
    },
}

/// A code that WeChat has created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedCode {
    /// For `showqrcode`.
    pub ticket: Ticket,
    /// The text to draw.
    pub url: CodeUrl,
    /// Validity of ticket and URL.
    pub life: Life,
}

impl IssuedCode {
    /// The requested lifetime; `None` for a permanent code.
    pub fn asked(&self) -> Option<Lifetime> {
        match self.life {
            Life::Permanent => None,
            Life::Temporary { asked, .. } => Some(asked),
        }
    }

    /// When it was minted; none for a permanent one, which no other replaces.
    pub fn minted_at(&self) -> Option<Timestamp> {
        match self.life {
            Life::Temporary { minted_at, .. } => Some(minted_at),
            Life::Permanent => None,
        }
    }

    /// When the code expires; `None` for a permanent code.
    pub fn expires_at(&self) -> Option<Timestamp> {
        match self.life {
            Life::Permanent => None,
            Life::Temporary {
                minted_at, granted, ..
            } => Some(minted_at + granted.as_duration()),
        }
    }

    /// The remaining lifetime at `now`: zero once expired, `None` for a permanent code.
    pub fn left(&self, now: Timestamp) -> Option<Duration> {
        self.expires_at()
            .map(|end| now.duration_until(end).try_into().unwrap_or(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tickets_debug_output_is_redacted() {
        let ticket: Ticket = "gQH47joAAAAAAAAAASxodHRw".parse().unwrap();
        assert_eq!(format!("{ticket:?}"), "Ticket(gQH47j…)");
    }

    #[test]
    fn equivalent_urls_have_one_key() {
        let key = |text: &str| text.parse::<CodeUrl>().unwrap().key();
        let want = "weixin.qq.com/q/Ab1";
        assert_eq!(key("http://weixin.qq.com/q/Ab1"), want);
        for same in [
            "https://weixin.qq.com/q/Ab1",
            "HTTP://WeiXin.QQ.com/q/Ab1",
            "http://weixin.qq.com:80/q/Ab1",
            "https://weixin.qq.com:443/q/Ab1",
            "http://weixin.qq.com./q/Ab1",
            "http://weixin.qq.com/q/Ab1/",
            "http://weixin.qq.com/q/Ab1#x",
            "https://weixin.qq.com/q/./Ab1/#/",
        ] {
            assert_eq!(key(same), want, "{same}");
        }
        for other in [
            "http://weixin.qq.com/q/ab1",
            "http://weixin.qq.com/q/Ab1?x",
            "http://weixin.qq.com:8080/q/Ab1",
            "http://weixin.qq.com.evil.test/q/Ab1",
            "no url",
        ] {
            let other = other.replace(' ', "-");
            assert_ne!(key(&other), want, "{other}");
        }
    }

    #[test]
    fn the_remaining_lifetime_is_never_negative() {
        let code = IssuedCode {
            ticket: "t".parse().unwrap(),
            url: "http://weixin.qq.com/q/a".parse().unwrap(),
            life: Life::Temporary {
                minted_at: Timestamp::UNIX_EPOCH,
                asked: "100".parse().unwrap(),
                granted: "60".parse().unwrap(),
            },
        };
        for (at, left) in [(0, 60), (59, 1), (60, 0), (61, 0)] {
            let now = Timestamp::from_second(at).unwrap();
            assert_eq!(code.left(now), Some(Duration::from_secs(left)), "at {at} s");
        }
    }
}
