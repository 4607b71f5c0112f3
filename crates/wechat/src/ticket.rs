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

    /// Whether it is base64 (RFC 4648, sections 4 and 5, its padding optional), as all tickets are
    /// that are known. Not documented by WeChat, whose answers are therefore not held to it.
    pub fn is_base64(&self) -> bool {
        let digits = self.0.trim_end_matches('=');
        let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
        !digits.is_empty() && self.0.len() - digits.len() <= 2 && digits.bytes().all(is_digit)
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

    /// The text as WeChat gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Normalizes the URL (RFC 3986, section 6.2), so that equivalent URLs have equal keys: without
    /// scheme, default port, fragment, empty query, empty path segments and needless
    /// percent-encoding, with the host in lower case. Any query of WeChat's own URLs goes too: they
    /// have none. A text that is not a URL is its own key.
    pub fn key(&self) -> String {
        let Ok(url) = Url::parse(&self.0) else {
            return self.0.to_string();
        };
        let Some(host) = url.host_str() else {
            return self.0.to_string();
        };
        let host = host.trim_end_matches('.');
        let mut key = host.to_owned();
        if let Some(port) = url.port() {
            key.push(':');
            key.push_str(&port.to_string());
        }
        for segment in percent_normalized(url.path()).split('/') {
            if !segment.is_empty() {
                key.push('/');
                key.push_str(segment);
            }
        }
        let query = url.query().filter(|query| !query.is_empty());
        if let Some(query) = query.filter(|_| host != WECHAT_HOST) {
            key.push('?');
            key.push_str(&percent_normalized(query));
        }
        key
    }
}

/// Host of the URLs of WeChat's codes, whose path names the code.
const WECHAT_HOST: &str = "weixin.qq.com";

/// Decodes printable ASCII other than `%`, and writes what stays encoded in upper case. Reserved
/// characters too: URLs that differ in nothing else are not two codes.
fn percent_normalized(text: &str) -> String {
    let mut parts = text.split('%');
    let mut normalized = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let rest = byte.map_or(part, |_| &part[2..]);
        match byte {
            Some(byte) if byte.is_ascii_graphic() && byte != b'%' => {
                normalized.push(char::from(byte));
            }
            Some(_) => {
                normalized.push('%');
                normalized.push_str(&part[..2].to_ascii_uppercase());
            }
            None => normalized.push('%'),
        }
        normalized.push_str(rest);
    }
    normalized
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

/// Lifetime of a code: unlimited, or until an expiry.
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
    /// Lifetime of ticket and URL.
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
            "http://weixin.qq.com/q/A%621",
            "http://weixin.qq.com/%71/%41b1",
            "http://weixin.qq.com/q%2FAb1",
            "http://weixin.qq.com//q///Ab1//",
            "http://weixin.qq.com/q/Ab1?",
            "http://weixin.qq.com/q/Ab1/?#x",
            "http://weixin.qq.com/q/Ab1?x=1",
            "http://weixin.qq.com/q/%2e/Ab1",
        ] {
            assert_eq!(key(same), want, "{same}");
        }
        for other in [
            "http://weixin.qq.com/q/ab1",
            "http://weixin.qq.com/q/A%2531",
            "http://weixin.qq.com/q/Ab1%00",
            "http://weixin.qq.com/q/Ab1%",
            "http://weixin.qq.com:8080/q/Ab1",
            "http://weixin.qq.com.evil.test/q/Ab1",
            "no url",
        ] {
            let other = other.replace(' ', "-");
            assert_ne!(key(&other), want, "{other}");
        }
    }

    #[test]
    fn a_query_of_another_host_belongs_to_its_key() {
        let key = |text: &str| text.parse::<CodeUrl>().unwrap().key();
        assert_eq!(key("https://a.example/c?"), key("https://a.example/c"));
        assert_eq!(key("https://a.example/c?x=%31"), "a.example/c?x=1");
        assert_ne!(key("https://a.example/c?x=2"), "a.example/c?x=1");
        assert_eq!(key("https://a.example/%e7%a0%81"), "a.example/%E7%A0%81");
    }

    #[test]
    fn a_ticket_of_base64_is_recognised() {
        for (text, is_base64) in [
            ("gQH47joAAAAAAAAAASxodHRw", true),
            ("gQH47jo+/AA==", true),
            ("gQH47jo-_AA=", true),
            ("gQHabc%3D%3D", false),
            ("gQH\"><", false),
            ("gQH=abc", false),
            ("gQH===", false),
            ("==", false),
            ("gQH.abc", false),
        ] {
            assert_eq!(
                text.parse::<Ticket>().unwrap().is_base64(),
                is_base64,
                "{text}"
            );
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
