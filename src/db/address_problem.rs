//! What is wrong with a database's address, without its password.

use std::error::Error;

/// The driver's message about a URL, without what it quotes of it: any piece may be the password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AddressProblem(String);

impl AddressProblem {
    pub(super) fn new(cause: &(dyn Error + 'static)) -> Self {
        // The driver wraps its own error, and says the same twice.
        let innermost = std::iter::successors(Some(cause), |&cause| cause.source()).last();
        Self(unquoted(&innermost.unwrap_or(cause).to_string()))
    }
}

/// Replaces what is quoted by `…`, except names of parameters with a fixed set of values.
fn unquoted(text: &str) -> String {
    const NAMES: &[&str] = &["ssl_mode", "mode", "cache", "immutable"];
    let mut rest = text;
    let mut said = String::new();
    while let Some(at) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(at);
        said += before;
        let (quote, inside) = quoted.split_at(1);
        let (inside, after) = split_at_quote(inside, quote);
        match NAMES.iter().find(|name| **name == inside) {
            Some(name) => said += name,
            None => said.push('…'),
        }
        rest = after;
    }
    said + rest
}

/// What comes before the closing quote and after it. Without one, all is quoted.
fn split_at_quote<'a>(text: &'a str, quote: &str) -> (&'a str, &'a str) {
    let closing = text
        .match_indices(quote)
        .find(|(at, _)| !text[..*at].ends_with('\\'));
    closing.map_or((text, ""), |(at, _)| (&text[..at], &text[at + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_quotes_of_a_url_is_redacted() {
        for (said, want) in [
            ("invalid port number", "invalid port number"),
            (
                "unknown value \"secret\" for `ssl_mode`",
                "unknown value … for ssl_mode",
            ),
            (
                "unknown query parameter `secret` while",
                "unknown query parameter … while",
            ),
            (
                r#"unrecognized: "postgres://a:\"secret\"@b""#,
                "unrecognized: …",
            ),
            ("half \"secret", "half …"),
            ("", ""),
        ] {
            assert_eq!(unquoted(said), want, "said {said:?}");
        }
    }
}
