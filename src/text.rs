//! Rules for short texts that several rooms read or make.

use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

mod folding;

pub use self::folding::folded;

/// Reads a number of decimal digits, without a sign; leading zeros are accepted.
///
/// The parsers of the standard library also accept `+7`.
pub fn decimal<T: FromStr>(text: &str) -> Option<T> {
    is_digits(text).then(|| text.parse().ok())?
}

/// Reads a number that has only this spelling: as [`decimal`], but without leading zeros.
pub fn canonical_decimal<T: FromStr>(text: &str) -> Option<T> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if has_leading_zero {
        None
    } else {
        decimal(text)
    }
}

/// Reads `true` or `false`, and no other spelling.
pub fn boolean(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// Formats a number with the word for one, or for any other number of them.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Whether a text is one or more decimal digits and nothing else.
pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a character is one of `A-Za-z0-9_-`, the alphabet of identifiers and of base64url.
pub fn is_word_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

/// Whether a text is one or more characters of [`is_word_character`].
pub fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_word_character)
}

/// Length of a [`random_token`], in characters.
pub const RANDOM_TOKEN_LEN: usize = RANDOM_BYTES.div_ceil(3) * 4 - 2;

/// 128 bits cannot be guessed.
const RANDOM_BYTES: usize = 16;

/// Makes a random text of [`RANDOM_TOKEN_LEN`] characters that [`is_word`] accepts.
///
/// # Panics
/// If the operating system has no randomness.
pub fn random_token() -> String {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_number_has_digits_only() {
        for (text, number, canonical) in [
            ("0", Some(0), Some(0)),
            ("7", Some(7), Some(7)),
            ("07", Some(7), None),
            ("255", Some(255), Some(255)),
            ("256", None, None),
            ("", None, None),
            ("+7", None, None),
            ("-7", None, None),
            (" 7", None, None),
            ("7.0", None, None),
            ("７", None, None),
        ] {
            assert_eq!(decimal::<u8>(text), number, "{text:?}");
            assert_eq!(canonical_decimal::<u8>(text), canonical, "{text:?}");
        }
    }

    #[test]
    fn counts_have_singular_and_plural() {
        for (number, want) in [(0, "0 pushes"), (1, "1 push"), (2, "2 pushes")] {
            assert_eq!(counted(number, "push", "pushes"), want);
        }
    }

    #[test]
    fn random_tokens_are_words_and_differ() {
        let (one, other) = (random_token(), random_token());
        assert_eq!(one.len(), RANDOM_TOKEN_LEN, "{one}");
        assert!(is_word(&one), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn a_boolean_has_two_spellings() {
        for (text, want) in [
            ("true", Some(true)),
            ("false", Some(false)),
            ("True", None),
            ("1", None),
            ("", None),
        ] {
            assert_eq!(boolean(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_word_has_letters_digits_and_two_signs() {
        for (text, want) in [
            ("wx_1-A", true),
            ("", false),
            ("a b", false),
            ("a.b", false),
            ("é", false),
        ] {
            assert_eq!(is_word(text), want, "{text:?}");
        }
    }
}
