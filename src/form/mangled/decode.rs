//! Decoding of percent-encoding, HTML entities and character widths, layer by layer.

use std::ops::Range;

/// A decoded character, with its byte range in the segment as sent.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) value: char,
    pub(super) source: Range<usize>,
}

/// Maps full-width and small forms (as input methods write them) and special spaces and hyphens to
/// ASCII.
fn normalize_width(letter: char) -> char {
    const FULL_WIDTH: u32 = 0xff01 - 0x21;
    match letter {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - FULL_WIDTH).unwrap_or(letter),
        '\u{fe60}' => '&',
        '\u{fe66}' => '=',
        '\u{fe54}' | '\u{37e}' => ';',
        '\u{fe56}' => '?',
        '\u{2010}' | '\u{2011}' => '-',
        '+' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        other => other,
    }
}

/// Decodes one layer of percent-encoding, and normalizes widths. Invalid UTF-8 becomes U+FFFD.
pub(super) fn percent_decode(letters: &[Letter]) -> Vec<Letter> {
    let mut plain = Vec::with_capacity(letters.len());
    let mut at = 0;
    while at < letters.len() {
        let bytes = escaped_bytes(&letters[at..]);
        if bytes.is_empty() {
            plain.push(Letter {
                value: normalize_width(letters[at].value),
                source: letters[at].source.clone(),
            });
            at += 1;
            continue;
        }
        // Each byte was three characters.
        let span = |from: usize, count: usize| {
            letters[at + 3 * from].source.start..letters[at + 3 * (from + count) - 1].source.end
        };
        let mut byte = 0;
        for chunk in bytes.utf8_chunks() {
            for is in chunk.valid().chars() {
                plain.push(Letter {
                    value: normalize_width(is),
                    source: span(byte, is.len_utf8()),
                });
                byte += is.len_utf8();
            }
            for _ in chunk.invalid() {
                plain.push(Letter {
                    value: char::REPLACEMENT_CHARACTER,
                    source: span(byte, 1),
                });
                byte += 1;
            }
        }
        at += 3 * bytes.len();
    }
    plain
}

/// The bytes of the leading run of `%HH`.
fn escaped_bytes(letters: &[Letter]) -> Vec<u8> {
    let byte = |three: &[Letter]| {
        let [percent, high, low] = three else {
            return None;
        };
        let digit = |letter: &Letter| letter.value.to_digit(16);
        let value = digit(high)? * 16 + digit(low)?;
        (percent.value == '%').then(|| u8::try_from(value).ok())?
    };
    letters.chunks(3).map_while(byte).collect()
}

/// Decodes one layer of HTML entities and `\u0026` escapes.
pub(super) fn decode_html_entities(letters: &[Letter]) -> Vec<Letter> {
    let mut plain = Vec::with_capacity(letters.len());
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let escape = entity(rest).or_else(|| unicode_escape(rest));
        let (is, count) = escape.unwrap_or((letters[at].value, 1));
        let mut start = letters[at].source.start;
        // The segment's own separator stays one, whatever entity it would begin, as in
        // `&nbsp;lang=en`.
        if at == 0 && is != '&' {
            plain.push(Letter {
                value: '&',
                source: 0..1,
            });
            start = 1;
        }
        plain.push(Letter {
            value: normalize_width(is),
            source: start..letters[at + count - 1].source.end,
        });
        at += count;
    }
    plain
}

/// Decodes a leading entity, and returns the character and the length of the entity.
fn entity(letters: &[Letter]) -> Option<(char, usize)> {
    /// Length of `&#x0000FF06;`.
    const LONGEST: usize = 12;
    let (first, rest) = letters.split_first()?;
    let end = rest.iter().take(LONGEST).position(|it| it.value == ';')?;
    let name: String = rest[..end].iter().map(|it| it.value).collect();
    let name = name.to_ascii_lowercase();
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok();
    let is = if let Some(hex) = name.strip_prefix("#x") {
        number(hex, 16).and_then(char::from_u32)?
    } else if let Some(digits) = name.strip_prefix('#') {
        number(digits, 10).and_then(char::from_u32)?
    } else {
        match name.as_str() {
            "amp" => '&',
            "equals" => '=',
            "quest" => '?',
            "semi" => ';',
            "percnt" => '%',
            "lowbar" => '_',
            "nbsp" => '\u{a0}',
            "shy" => '\u{ad}',
            "zwj" | "zwnj" => '\u{200d}',
            _ => return None,
        }
    };
    (first.value == '&').then_some((is, end + 2))
}

/// Decodes a leading `\u0026` or `%u0026`, as in JSON and old scripts, and returns the character
/// and its length.
fn unicode_escape(letters: &[Letter]) -> Option<(char, usize)> {
    let ([first, u], rest) = letters.split_first_chunk()?;
    let digits: String = rest.get(..4)?.iter().map(|it| it.value).collect();
    let is = char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?;
    (matches!(first.value, '\\' | '%') && u.value == 'u').then_some((is, 6))
}

/// Restores `&lang`, which old HTML parsers take for the bracket `〈`, one of three code points.
pub(super) fn restore_lang_entity(letters: Vec<Letter>) -> Vec<Letter> {
    let is_bracket = |letter: &Letter| matches!(letter.value, '\u{2329}' | '\u{27e8}' | '\u{3008}');
    let mut plain = Vec::with_capacity(letters.len());
    let mut rest = letters.into_iter().peekable();
    while let Some(letter) = rest.next() {
        let follows = rest.peek().is_some_and(|next| next.value == '=');
        if is_bracket(&letter) && follows {
            plain.extend("&lang".chars().map(|is| Letter {
                value: is,
                source: letter.source.clone(),
            }));
        } else {
            plain.push(letter);
        }
    }
    plain
}
