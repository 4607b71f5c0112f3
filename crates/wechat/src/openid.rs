//! Identifiers of followers (openid). Personal data, so the type's `Debug` is redacted.

use std::fmt;
use std::str::FromStr;

/// WeChat's identifier of a follower, different for every account: 1 to 64 of `A-Za-z0-9_-`.
/// `Debug` is redacted.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OpenId(String);

impl OpenId {
    /// Maximum length, in characters. WeChat's have 28; chosen, not documented.
    pub const MAX_LEN: usize = 64;

    /// The identifier. For the database and for answers to keys with the scope `people` only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OpenId {
    type Err = OpenIdError;

    fn from_str(text: &str) -> Result<Self, OpenIdError> {
        let is_word = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !(1..=Self::MAX_LEN).contains(&text.len()) || !is_word {
            return Err(OpenIdError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for OpenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenId(…)")
    }
}

/// An invalid openid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not 1 to {max} of A-Za-z0-9_-", max = OpenId::MAX_LEN)]
pub struct OpenIdError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openids_are_validated_and_redacted_in_debug_output() {
        for (text, want) in [
            ("o6_bmjrPTlm6_2sgVt7hMZOPfL2M", true),
            ("-", true),
            (&"o".repeat(64), true),
            (&"o".repeat(65), false),
            ("", false),
            ("o6 b", false),
            ("o6\0", false),
            ("关注者", false),
        ] {
            assert_eq!(text.parse::<OpenId>().is_ok(), want, "input {text:?}");
        }
        let openid: OpenId = "o6_bmjrPTlm6".parse().unwrap();
        assert_eq!(format!("{openid:?}"), "OpenId(…)");
    }
}
