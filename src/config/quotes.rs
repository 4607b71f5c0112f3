//! Refusal of quotation marks around a value. A shell removes them; `docker --env-file` and, in
//! part, systemd's `EnvironmentFile` keep them, and they would become part of a key.

use super::error::InvalidValue;

/// Quotation marks, typographic ones included.
const QUOTES: &[char] = &[
    '"', '\'', '`', '“', '”', '„', '‘', '’', '‚', '«', '»', '＂', '＇', '「', '」',
];

/// Keywords of `Content-Security-Policy`, whose quotes belong to them.
const KEYWORDS: [&str; 2] = ["'self'", "'none'"];

/// Refuses a value with a quotation mark at either end, and a list with one at either end of an
/// item.
///
/// A quotation mark inside a value, such as in a password, is accepted.
pub(super) fn refuse(text: &str, is_list: bool) -> Result<(), InvalidValue> {
    let is_wrong = if is_list {
        text.split(',').any(is_quoted)
    } else {
        is_quoted(text)
    };
    if is_wrong {
        return Err(InvalidValue::new(
            "has quotation marks around it, which would become a part of it: docker --env-file, for one, does not take them off",
            "the same without quotation marks",
        ));
    }
    Ok(())
}

/// Refuses quotation marks around an argument that is no setting, or around its parts between
/// colons.
///
/// # Errors
/// [`InvalidValue`].
pub fn refuse_in_text(text: &str) -> Result<(), InvalidValue> {
    refuse(text, false)?;
    text.split(':').try_for_each(|part| refuse(part, false))
}

fn is_quoted(text: &str) -> bool {
    let text = text.trim();
    !KEYWORDS.contains(&text) && (text.starts_with(QUOTES) || text.ends_with(QUOTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_a_value_are_an_error_and_quotes_inside_are_not() {
        for (text, is_list, want) in [
            ("link-key-1", true, true),
            ("\"link-key-1\"", true, false),
            ("'link-key-1'", true, false),
            ("“link-key-1”", true, false),
            ("‘link-key-1’", true, false),
            ("「link-key-1」", true, false),
            (" \"link-key-1\" ", true, false),
            ("\"link-key-1", true, false),
            ("link-key-1\"", true, false),
            ("\"\"", false, false),
            ("\"", false, false),
            ("\"a\",\"b\"", true, false),
            ("a,\"b\",c", true, false),
            ("a,'b", true, false),
            ("a, 'b' ,c", true, false),
            ("it's", true, true),
            ("a\"b,c'd", true, true),
            ("postgres://u:a\"b@h/d", false, true),
            ("postgres://u:p,\"x\",y@h/d", false, true),
            ("\"postgres://u:p@h/d\"", false, false),
            ("'self'", true, true),
            ("'none'", true, true),
            ("'self',https://a.example", true, true),
            ("\"'self'\"", true, false),
        ] {
            assert_eq!(
                refuse(text, is_list).is_ok(),
                want,
                "{text}, list: {is_list}"
            );
        }
    }
}
