//! The receiver's URL, of which everything but scheme and host may be a secret.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::outbound;

/// Where webhooks are sent. Its path, its query and its user may be secrets: `Debug` and `Display`
/// show scheme, host and port.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiverUrl(Url);

/// Why a text is not such a URL. The message does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverUrlError {
    /// Another scheme, or none.
    #[error("does not begin with https:// or http://")]
    Scheme,
    /// Characters that no URL has.
    #[error("has white space, a control character or a backslash in it")]
    Characters,
    /// A fragment, which is never sent.
    #[error("has a fragment")]
    Fragment,
    /// Not a URL for another reason.
    #[error("is not a URL")]
    Form,
}

impl ReceiverUrl {
    /// The accepted form, for help and errors.
    pub const FORM: &str = "https:// (or http://), a host, and perhaps a user with a password, a path and a query, without fragment";

    /// The whole URL, for the request alone.
    pub(super) fn expose(&self) -> &Url {
        &self.0
    }

    /// Scheme, host and port, which a check of the connection may ask.
    pub fn origin(&self) -> Url {
        let origin = self.0.origin().ascii_serialization();
        Url::parse(&origin).expect("an origin of a web URL is a URL")
    }

    /// Whether events leave this machine unencrypted.
    pub fn is_exposed(&self) -> bool {
        outbound::is_exposed(&self.0)
    }
}

impl FromStr for ReceiverUrl {
    type Err = ReceiverUrlError;

    /// Parses strictly, because [`Url::parse`] alone silently repairs typing errors.
    fn from_str(text: &str) -> Result<Self, ReceiverUrlError> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or(ReceiverUrlError::Scheme)?;
        if text.contains(|char: char| char.is_whitespace() || char.is_control() || char == '\\') {
            return Err(ReceiverUrlError::Characters);
        }
        if text.contains('#') {
            return Err(ReceiverUrlError::Fragment);
        }
        if rest.starts_with('/') {
            return Err(ReceiverUrlError::Form);
        }
        Url::parse(text)
            .map(Self)
            .map_err(|_| ReceiverUrlError::Form)
    }
}

impl fmt::Display for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReceiverUrl({self}/…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_as_it_is_and_shows_its_host_only() {
        for (text, shown) in [
            (
                "https://hooks.example.com/s3cret?token=s3cret",
                "https://hooks.example.com",
            ),
            (
                "https://me:s3cret@example.com:8443/",
                "https://example.com:8443",
            ),
            ("http://10.0.0.7:8000/s3cret", "http://10.0.0.7:8000"),
            ("http://[::1]:80/s3cret", "http://[::1]"),
        ] {
            let url: ReceiverUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert!(
                !format!("{url:?} {}", url.origin()).contains("s3cret"),
                "{url:?}"
            );
        }
    }

    #[test]
    fn what_is_no_url_of_a_receiver_says_why() {
        use ReceiverUrlError::{Characters, Form, Fragment, Scheme};
        for (text, want) in [
            ("", Scheme),
            ("hooks.example.com", Scheme),
            ("ftp://hooks.example.com/", Scheme),
            ("https://hooks.example.com/a b", Characters),
            ("https://hooks.example.com\\a", Characters),
            ("https://hooks.example.com/#a", Fragment),
            ("https://", Form),
            ("https:///hooks.example.com", Form),
            ("https://hooks.example.com:x/", Form),
        ] {
            assert_eq!(text.parse::<ReceiverUrl>().unwrap_err(), want, "{text:?}");
        }
    }
}
