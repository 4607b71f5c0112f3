//! Form encoding (`application/x-www-form-urlencoded`): a strict parser and a canonical encoder.
//! Independent of the parameters that exist.

pub mod mangled;

use std::borrow::Cow;
use std::fmt;
use std::str::Utf8Error;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Splits form-encoded text into names and values, not decoded. A name without `=` has an empty
/// value.
pub fn pieces(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = raw.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

/// Decodes a name or a value: `+` is a space, `%HH` a byte of UTF-8. An incomplete `%HH` means
/// itself, as in browsers.
///
/// # Errors
/// If the text is not UTF-8.
pub fn decoded(piece: &str) -> Result<Cow<'_, str>, Utf8Error> {
    if !piece.contains('+') {
        return percent_decode_str(piece).decode_utf8();
    }
    let spaced = piece.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8()?;
    Ok(Cow::Owned(text.into_owned()))
}

/// Parses form-encoded text into decoded names and values, in their order.
///
/// # Errors
/// If the text is not UTF-8.
pub fn pairs(raw: &str) -> Result<Vec<(String, String)>, Utf8Error> {
    pieces(raw)
        .map(|(name, value)| Ok((decoded(name)?.into_owned(), decoded(value)?.into_owned())))
        .collect()
}

/// Percent-encodes a value for a query, a path or a file name: all but `A-Za-z0-9-._~`, in upper
/// case.
pub fn escaped(value: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(value, ESCAPED)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn form_encoding_is_parsed_like_in_browsers() {
        for (raw, want) in [
            ("", vec![]),
            ("&&a=1&", vec![("a", "1")]),
            ("a", vec![("a", "")]),
            ("a==", vec![("a", "=")]),
            ("=a", vec![("", "a")]),
            ("a=1&a=2", vec![("a", "1"), ("a", "2")]),
            ("a=b+c%2B%20", vec![("a", "b c+ ")]),
            ("%61=%E5%B1%95", vec![("a", "展")]),
            ("a=%e5%b1%95", vec![("a", "展")]),
            ("a=100%&b=%zz%2", vec![("a", "100%"), ("b", "%zz%2")]),
        ] {
            let got = pairs(raw).unwrap();
            let got: Vec<_> = got.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(got, want, "input {raw:?}");
        }
        for raw in ["a=%FF", "%C3=a", "a=%E5%B1"] {
            assert!(pairs(raw).is_err(), "input {raw:?}");
        }
    }

    #[test]
    fn only_unreserved_characters_are_not_percent_encoded() {
        let unreserved = "ABCXYZabcxyz0189-._~";
        assert_eq!(escaped(unreserved).to_string(), unreserved);
        for (value, want) in [
            (" +&=%", "%20%2B%26%3D%25"),
            ("!*'()/?#", "%21%2A%27%28%29%2F%3F%23"),
            ("展🎪", "%E5%B1%95%F0%9F%8E%AA"),
        ] {
            assert_eq!(escaped(value).to_string(), want, "value {value:?}");
        }
    }

    proptest! {
        #[test]
        fn percent_encoding_round_trips(name in "\\PC{1,20}", value in any::<String>()) {
            let raw = format!("{}={}", escaped(&name), escaped(&value));
            prop_assert_eq!(pairs(&raw).unwrap(), [(name, value)]);
        }
    }
}
