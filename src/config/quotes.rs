//! Refusal of quotation marks around a value. A shell removes them; `docker --env-file` and, in
//! part, systemd's `EnvironmentFile` keep them, and they would become part of a key.

use super::error::InvalidValue;

/// Pairs of quotation marks, typographic ones included.
const PAIRS: &[(char, char)] = &[
    ('"', '"'),
    ('\'', '\''),
    ('`', '`'),
    ('＂', '＂'),
    ('＇', '＇'),
    ('“', '”'),
    ('„', '“'),
    ('„', '”'),
    ('‘', '’'),
    ('‚', '‘'),
    ('‚', '’'),
    ('«', '»'),
    ('»', '«'),
    ('「', '」'),
    ('『', '』'),
];

/// Keywords of `Content-Security-Policy`, whose quotes belong to them.
const KEYWORDS: [&str; 2] = ["'self'", "'none'"];

/// Refuses a value in quotation marks, and a list that has them around all or around an item.
///
/// Only a pair around the whole is left over from a file of variables. Other quotation marks belong
/// to the value, such as to a password or to a reply with quoted words.
pub(super) fn refuse(text: &str, is_list: bool) -> Result<(), InvalidValue> {
    let is_wrong = is_quoted(text) || (is_list && text.split(',').any(is_quoted));
    if is_wrong { Err(enclosed()) } else { Ok(()) }
}

/// Refuses a quotation mark at either end of a value that is no setting, or of its parts between
/// colons. Such values are keys, names and addresses, which have none.
///
/// # Errors
/// [`InvalidValue`].
pub fn refuse_in_text(text: &str) -> Result<(), InvalidValue> {
    let is_mark = |letter: char| {
        PAIRS
            .iter()
            .any(|pair| pair.0 == letter || pair.1 == letter)
    };
    let has_mark = |part: &str| {
        let part = part.trim();
        part.starts_with(is_mark) || part.ends_with(is_mark)
    };
    if text.split(':').chain([text]).any(has_mark) {
        return Err(enclosed());
    }
    Ok(())
}

fn enclosed() -> InvalidValue {
    InvalidValue::new(
        "has quotation marks around it, which would become a part of it: docker --env-file, for one, does not take them off",
        "the same without quotation marks",
    )
}

/// Whether one pair encloses all. In `"yes" and "no"` the first mark is closed before the end.
fn is_quoted(text: &str) -> bool {
    let text = text.trim();
    let encloses = |&(open, close): &(char, char)| {
        let inner = text.strip_prefix(open);
        let inner = inner.and_then(|inner| inner.strip_suffix(close));
        inner.is_some_and(|inner| stays_open(inner, open, close))
    };
    !KEYWORDS.contains(&text) && PAIRS.iter().any(encloses)
}

/// Whether a mark that was opened before a text is still open after it.
fn stays_open(text: &str, open: char, close: char) -> bool {
    let mut depth = 1_u32;
    text.chars().all(|letter| {
        if letter == close {
            depth -= 1;
        } else if letter == open {
            depth += 1;
        }
        depth > 0
    })
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
            ("\"link-key-1", true, true),
            ("link-key-1\"", true, true),
            ("\"link-key-1,link-key-2\"", true, false),
            ("\"\"", false, false),
            ("\"", false, true),
            ("他说\"好\"", false, true),
            ("\"你好\"，欢迎", false, true),
            ("\"你好\"，\"欢迎\"", false, true),
            ("“你好”，“欢迎”", false, true),
            ("“你好，“欢迎””", false, false),
            ("“你好”", false, false),
            ("『你好』", false, false),
            ("\"你好\"", false, false),
            ("'self' https://a.example", true, true),
            ("'self' 'none'", true, true),
            ("\"a\",\"b\"", true, false),
            ("a,\"b\",c", true, false),
            ("a,'b", true, true),
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
            ("\"'self' https://a.example\"", true, false),
        ] {
            assert_eq!(
                refuse(text, is_list).is_ok(),
                want,
                "{text}, list: {is_list}"
            );
        }
    }
}
