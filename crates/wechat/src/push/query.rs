//! Query parameters of the callback. Unknown parameters, such as the owner's own, are ignored.

use std::borrow::Cow;

use url::form_urlencoded;

use super::rejected::Reason;

/// Maximum length of the query, in bytes. WeChat's have about 250; chosen, not documented.
const MAX_QUERY: usize = 4096;

/// Maximum length of `echostr`. WeChat's have about 20 digits; chosen, not documented.
const MAX_ECHO: usize = 1024;

/// Maximum length of `nonce`. WeChat's have about 10 digits.
///
/// The signature covers the concatenation of its parts, so it stays valid if characters move
/// between neighbours. 43 characters of base64 are two cipher blocks: a nonce that is long enough
/// could remove a block from the front of the message.
const MAX_NONCE: usize = 32;

/// Maximum length of `timestamp`, in digits: until the year 5138.
const MAX_TIMESTAMP: usize = 11;

/// The parsed parameters, each at most once.
#[derive(Debug, Default)]
pub(super) struct Query<'a> {
    signature: Option<Cow<'a, str>>,
    msg_signature: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    nonce: Option<Cow<'a, str>>,
    echo: Option<Cow<'a, str>>,
    declares_encryption: bool,
}

/// The parameters that every signature covers.
#[derive(Debug)]
pub(super) struct SignedParams<'a> {
    /// The timestamp as it was signed.
    pub(super) timestamp: &'a str,
    /// The same in unix seconds.
    pub(super) seconds: i64,
    pub(super) nonce: &'a str,
}

impl<'a> Query<'a> {
    pub(super) fn parse(raw: &'a str) -> Result<Self, Reason> {
        if raw.len() > MAX_QUERY {
            return Err(Reason::Query);
        }
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(raw.as_bytes()) {
            query.declares_encryption |= name == "encrypt_type" && value == "aes";
            if let Some(slot) = query.slot(&name)
                && slot.replace(value).is_some()
            {
                return Err(Reason::Query);
            }
        }
        Ok(query)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Cow<'a, str>>> {
        match name {
            "signature" => Some(&mut self.signature),
            "msg_signature" => Some(&mut self.msg_signature),
            "timestamp" => Some(&mut self.timestamp),
            "nonce" => Some(&mut self.nonce),
            "echostr" => Some(&mut self.echo),
            _ => None,
        }
    }

    /// Covers Token, timestamp and nonce.
    pub(super) fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }

    /// Covers the same and the encrypted part.
    pub(super) fn msg_signature(&self) -> Option<&str> {
        self.msg_signature.as_deref()
    }

    /// Whether the query declares encryption (`encrypt_type=aes`). Not covered by any signature.
    pub(super) fn declares_encryption(&self) -> bool {
        self.declares_encryption
    }

    pub(super) fn echo(&self) -> Result<&str, Reason> {
        let is_sound = |echo: &&str| {
            (1..=MAX_ECHO).contains(&echo.len()) && echo.bytes().all(|byte| byte.is_ascii_graphic())
        };
        self.echo.as_deref().filter(is_sound).ok_or(Reason::Query)
    }

    pub(super) fn signed_params(&self) -> Result<SignedParams<'_>, Reason> {
        let timestamp = self.timestamp.as_deref().ok_or(Reason::Query)?;
        let nonce = self.nonce.as_deref().filter(|nonce| is_nonce(nonce));
        Ok(SignedParams {
            timestamp,
            seconds: unix_seconds(timestamp).ok_or(Reason::Query)?,
            nonce: nonce.ok_or(Reason::Query)?,
        })
    }
}

fn is_nonce(text: &str) -> bool {
    (1..=MAX_NONCE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Parses digits without sign and leading zero: one time has one representation.
fn unix_seconds(text: &str) -> Option<i64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit())
        && !text.starts_with('0')
        && text.len() <= MAX_TIMESTAMP;
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_parameters_are_refused() {
        let twice = |name: &str| format!("a=1&a=2&{name}=1&{name}=1");
        for name in [
            "signature",
            "msg_signature",
            "timestamp",
            "nonce",
            "echostr",
            "%6eonce",
        ] {
            let got = Query::parse(&twice(name)).map(|_| ());
            assert_eq!(got, Err(Reason::Query), "{name}");
        }
        assert!(Query::parse(&twice("openid")).is_ok());
        assert!(Query::parse(&"a".repeat(MAX_QUERY)).is_ok());
        assert!(Query::parse(&"a".repeat(MAX_QUERY + 1)).is_err());
    }

    #[test]
    fn timestamp_and_nonce_are_canonical() {
        for (raw, want) in [
            ("timestamp=1700000000&nonce=12345", Some(1_700_000_000)),
            ("timestamp=1&nonce=aZ9", Some(1)),
            ("timestamp=%31&nonce=1", Some(1)),
            ("timestamp=99999999999&nonce=1", Some(99_999_999_999)),
            ("timestamp=100000000000&nonce=1", None),
            ("timestamp=01&nonce=1", None),
            ("timestamp=%2B1&nonce=1", None),
            ("timestamp=-1&nonce=1", None),
            ("timestamp=&nonce=1", None),
            ("nonce=1", None),
            ("timestamp=1", None),
            ("timestamp=1&nonce=", None),
            ("timestamp=1&nonce=a+b", None),
            ("timestamp=1&nonce=a%3D", None),
            ("timestamp=1&nonce=%FF", None),
            (
                "timestamp=1&nonce=12345678901234567890123456789012",
                Some(1),
            ),
            ("timestamp=1&nonce=123456789012345678901234567890123", None),
        ] {
            let query = Query::parse(raw).unwrap();
            let got = query.signed_params().map(|params| params.seconds);
            assert_eq!(got, want.ok_or(Reason::Query), "query {raw:?}");
        }
    }

    #[test]
    fn echostr_is_printable_ascii() {
        let long = format!("echostr={}", "1".repeat(MAX_ECHO));
        let longer = format!("{long}1");
        for (raw, want) in [
            ("echostr=5838201231", Some("5838201231")),
            ("echostr=a%2Bb%3D", Some("a+b=")),
            ("echostr=%3Cb%3E", Some("<b>")),
            (&long, Some(&long[8..])),
            (&longer, None),
            ("echostr=", None),
            ("", None),
            ("echostr=a+b", None),
            ("echostr=a%0D%0AX:%20y", None),
            ("echostr=%E4%B8%AD", None),
        ] {
            let query = Query::parse(raw).unwrap();
            assert_eq!(query.echo(), want.ok_or(Reason::Query), "query {raw:?}");
        }
    }
}
