//! Parameters in disguise: what editors, mail programs and chats make of a query. [`find`] is the one place that decides.
//!
//! An entity (`&amp;permanent=true`), an escape (`%26permanent%3Dtrue`), a full-width letter (`＆permanent＝true`), a second `?`
//! or an invisible character leaves a query well-formed, but with a foreign name or a longer value in place of the parameter that
//! was meant. Ignoring it would answer another code than was asked for.
//!
//! It must not know which parameters there are: the caller names them.

use std::fmt;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::decoded;

/// How often escapes and entities are undone. Each program in between adds one layer at most; chosen.
const MOST_LAYERS: usize = 8;

/// Names shorter than this also occur in key lists of others, as in `utm_content=a;lang=en`.
const UNMISTAKABLE: usize = 8;

/// The most letters that are looked at for a name. Ours have 14 at most.
const LONGEST_NAME: usize = 64;

/// The longest excerpt of a query in [`Flaw`], in characters.
const LONGEST_EXCERPT: usize = 40;

/// A parameter that would not be read as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disguised<'n> {
    /// The parameter that was meant.
    pub name: &'n str,
    /// What hides it.
    pub flaw: Flaw,
}

/// What hides a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// Something else was sent for `&` or `=`.
    Sent {
        /// What was sent.
        sent: String,
        /// What it stands for.
        meant: &'static str,
    },
    /// The name has other characters in it, which may be invisible. This is how it was sent, in ASCII.
    Name(String),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sent { sent, meant } => write!(f, "\"{sent}\" stands for \"{meant}\""),
            Self::Name(sent) => write!(f, "its name is written \"{sent}\""),
        }
    }
}

/// The first of these parameters that a query holds in disguise.
///
/// A value may hold a `&` of its own (`scene_str=A%26B`); it is refused only where a parameter of ours visibly follows. A value
/// whose `=` is escaped too was written by a program and is taken at its word, but for the long names of ours in a value of
/// ours (`scene_str=a%26permanent%3Dtrue`). What other programs add is left alone, links in their values included.
pub fn find<'n>(query: &str, names: &[&'n str]) -> Option<Disguised<'n>> {
    query
        .split('&')
        .filter(|piece| can_hide(piece))
        .map(|piece| Piece::new(format!("&{piece}")))
        .find_map(|piece| piece.disguised(names))
}

/// Whether a piece has more than plain letters: most have not, and cost nothing.
fn can_hide(piece: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=".contains(&byte);
    let start = piece.get(..3).unwrap_or_default();
    start.eq_ignore_ascii_case("amp") || !piece.bytes().all(is_plain)
}

/// What stands between two `&`, with the first of them, undone.
struct Piece {
    /// As it was sent.
    sent: String,
    letters: Vec<Letter>,
}

/// A character, and where in the piece it was sent.
#[derive(Debug, Clone)]
struct Letter {
    is: char,
    at: Range<usize>,
}

/// A name behind a separator, by places in the letters.
struct Part {
    separator: usize,
    name: Range<usize>,
    /// The `=` that follows.
    equals: Option<usize>,
}

/// What is behind the `=` of a piece, for a strict reader.
struct Value {
    /// Where it begins in what was sent.
    start: usize,
    /// Whether it is of a parameter of ours.
    is_ours: bool,
    /// The `?` of a link in it, by places in the letters.
    query_of_link: Option<usize>,
    /// The `://` of a link in it.
    scheme: Option<usize>,
}

impl Piece {
    fn new(sent: String) -> Self {
        let letter = |(at, is): (usize, char)| Letter {
            is,
            at: at..at + is.len_utf8(),
        };
        let mut letters: Vec<Letter> = sent.char_indices().map(letter).collect();
        for layer in 0..MOST_LAYERS {
            let before = letters.len();
            letters = without_entities(&without_escapes(&letters));
            // The first may have changed widths only, of a `％` for example.
            if letters.len() == before && layer > 0 {
                break;
            }
        }
        Self {
            sent,
            letters: with_lang(letters),
        }
    }

    fn disguised<'n>(&self, names: &[&'n str]) -> Option<Disguised<'n>> {
        let own_name = plain(&self.own_name());
        let value = self.value(names.iter().any(|name| plain(name) == own_name));
        self.parts().into_iter().find_map(|part| {
            let written = plain(&self.written_name(&part)?);
            let name = *names.iter().find(|name| plain(name) == written)?;
            let is_plain = part.separator == 0 && written == own_name;
            let is_hidden = !is_plain && self.follows(&part, name, &value);
            is_hidden.then(|| Disguised {
                name,
                flaw: self.flaw(&part, name),
            })
        })
    }

    /// The name as a strict reader has it.
    fn own_name(&self) -> String {
        let piece = &self.sent[1..];
        let name = piece.split_once('=').map_or(piece, |(name, _)| name);
        decoded(name).unwrap_or_default()
    }

    /// What the places of names depend on, found once.
    fn value(&self, is_ours: bool) -> Value {
        let start = self.sent.find('=').unwrap_or(self.sent.len());
        let first = self
            .letters
            .iter()
            .position(|letter| letter.at.start > start)
            .unwrap_or(self.letters.len());
        let letters = || (first..self.letters.len()).map(|at| (at, self.letters[at].is));
        let mut path = letters().skip_while(|&(_, is)| is != '/');
        let query_of_link = path.find(|&(_, is)| is == '?').map(|(at, _)| at);
        let is_scheme = |&(at, _): &(usize, char)| {
            let letter = |at: usize| self.letters.get(at).map(|letter| letter.is);
            (letter(at), letter(at + 1), letter(at + 2)) == (Some(':'), Some('/'), Some('/'))
        };
        Value {
            start,
            is_ours,
            query_of_link,
            scheme: letters().find(is_scheme).map(|(at, _)| at),
        }
    }

    fn parts(&self) -> Vec<Part> {
        let value_start = self.sent.find('=').unwrap_or(self.sent.len());
        let is_separator = |letter: &Letter| match letter.is {
            '&' | ';' | '?' => true,
            ' ' => letter.at.start > value_start,
            _ => false,
        };
        let separators: Vec<usize> = (0..self.letters.len())
            .filter(|&at| is_separator(&self.letters[at]))
            .collect();
        let ends = separators.iter().skip(1).copied();
        let ends = ends.chain([self.letters.len()]);
        let parts = separators.iter().zip(ends).map(|(&separator, end)| {
            let content = separator + 1..end;
            let equals = content.clone().find(|&at| self.letters[at].is == '=');
            Part {
                separator,
                name: content.start..equals.unwrap_or(end),
                equals,
            }
        });
        parts.collect()
    }

    /// The name of a part without what programs and people put around and into it; none where it is too long for a name.
    fn written_name(&self, part: &Part) -> Option<String> {
        let letters = self.letters[part.name.clone()].iter();
        let visible = letters.filter(|letter| !is_invisible(letter.is));
        let text: String = visible.take(LONGEST_NAME + 1).map(|it| it.is).collect();
        let text = text.trim();
        // Markup around it, and the brackets of PHP's lists.
        let text = text.split("</").next().unwrap_or_default();
        let text = text.rsplit_once('>').map_or(text, |(_, name)| name);
        let text = text.split('[').next().unwrap_or_default();
        // Another sign in the place of `=`.
        let text = match part.equals {
            Some(_) => text,
            None => text.split([':', ' ']).next().unwrap_or_default(),
        };
        // Some sanitisers drop the semicolon of an entity.
        let text = match self.letters[part.separator].is {
            '&' => without_amp(text),
            _ => text,
        };
        let name = text
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let name: String = name.collect();
        (name.len() <= LONGEST_NAME).then_some(name)
    }

    /// Whether a name in this place is a parameter rather than a part of a value.
    fn follows(&self, part: &Part, name: &str, value: &Value) -> bool {
        let separator = &self.letters[part.separator];
        if separator.at.start <= value.start {
            return true;
        }
        let Some(equals) = part.equals else {
            return false;
        };
        let is_long = name.len() >= UNMISTAKABLE;
        if self.is_escaped(equals) {
            // As programs write a value, which may well have these signs in it.
            return value.is_ours && separator.is == '&' && is_long;
        }
        if separator.is == ' ' {
            return value.is_ours && is_long;
        }
        let comes_before =
            |place: Option<usize>| place.is_some_and(|place| place <= part.separator);
        if value.is_ours {
            separator.is != '?' || !comes_before(value.scheme)
        } else {
            (separator.is == '&' || is_long) && !comes_before(value.query_of_link)
        }
    }

    /// Whether an ASCII sign was sent as its own escape, `%3D` for `=`.
    fn is_escaped(&self, letter: usize) -> bool {
        let sent = self.sent_at(letter);
        let mut utf8 = [0; 4];
        let itself = &*self.letters[letter].is.encode_utf8(&mut utf8);
        sent != itself && percent_decode_str(sent).eq(itself.bytes())
    }

    fn flaw(&self, part: &Part, name: &str) -> Flaw {
        let separator = self.sent_at(part.separator);
        let first = self.letters.get(part.name.start);
        if separator != "&" {
            let is_lang = first.is_some_and(|first| first.at == self.letters[part.separator].at);
            return Flaw::Sent {
                sent: excerpt(separator),
                meant: if is_lang { "&lang" } else { "&" },
            };
        }
        let equals = part.equals.map_or("=", |at| self.sent_at(at));
        if equals != "=" {
            return Flaw::Sent {
                sent: excerpt(equals),
                meant: "=",
            };
        }
        let sent = match (first, part.equals) {
            (Some(first), Some(equals)) => {
                &self.sent[first.at.start..self.letters[equals].at.start]
            }
            (Some(first), None) => &self.sent[first.at.start..],
            (None, _) => name,
        };
        let rest = without_amp(sent);
        match sent
            .strip_suffix(rest)
            .filter(|amp| !amp.is_empty() && rest == name)
        {
            Some(amp) => Flaw::Sent {
                sent: format!("&{amp}"),
                meant: "&",
            },
            None => Flaw::Name(in_ascii(sent)),
        }
    }

    fn sent_at(&self, letter: usize) -> &str {
        &self.sent[self.letters[letter].at.clone()]
    }
}

/// Without what [`Flaw`] is not about: case, `_` and `-`.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '-'], "")
}

fn without_amp(mut name: &str) -> &str {
    while let Some((start, rest)) = name.split_at_checked(3)
        && start.eq_ignore_ascii_case("amp")
    {
        name = rest;
    }
    name
}

/// As a reader knows it: an escaped character that is not ASCII as itself.
fn excerpt(sent: &str) -> String {
    let shown = decoded(sent).ok();
    let shown = shown.filter(|text| !text.is_ascii() && !text.chars().any(char::is_control));
    let shown = shown.unwrap_or_else(|| sent.to_owned());
    shown.chars().take(LONGEST_EXCERPT).collect()
}

/// So that what cannot be seen is seen.
fn in_ascii(sent: &str) -> String {
    let escaped = percent_encoding::utf8_percent_encode(sent, percent_encoding::CONTROLS);
    escaped.to_string().chars().take(LONGEST_EXCERPT).collect()
}

/// Zero-width characters, marks of direction and byte order, soft hyphens and control characters.
pub fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        )
}

/// ASCII for the full-width and small forms that input methods write, and for other spaces and hyphens.
fn in_usual_width(letter: char) -> char {
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

/// Undoes one layer of `%HH`, and the widths. What is no UTF-8 becomes U+FFFD.
fn without_escapes(letters: &[Letter]) -> Vec<Letter> {
    let mut plain = Vec::with_capacity(letters.len());
    let mut at = 0;
    while at < letters.len() {
        let bytes = escaped_bytes(&letters[at..]);
        if bytes.is_empty() {
            plain.push(Letter {
                is: in_usual_width(letters[at].is),
                at: letters[at].at.clone(),
            });
            at += 1;
            continue;
        }
        // Each byte was three letters.
        let span = |from: usize, count: usize| {
            letters[at + 3 * from].at.start..letters[at + 3 * (from + count) - 1].at.end
        };
        let mut byte = 0;
        for chunk in bytes.utf8_chunks() {
            for is in chunk.valid().chars() {
                plain.push(Letter {
                    is: in_usual_width(is),
                    at: span(byte, is.len_utf8()),
                });
                byte += is.len_utf8();
            }
            for _ in chunk.invalid() {
                plain.push(Letter {
                    is: char::REPLACEMENT_CHARACTER,
                    at: span(byte, 1),
                });
                byte += 1;
            }
        }
        at += 3 * bytes.len();
    }
    plain
}

/// The bytes of the `%HH` in a row with which these letters begin.
fn escaped_bytes(letters: &[Letter]) -> Vec<u8> {
    let byte = |three: &[Letter]| {
        let [percent, high, low] = three else {
            return None;
        };
        let digit = |letter: &Letter| letter.is.to_digit(16);
        let value = digit(high)? * 16 + digit(low)?;
        (percent.is == '%').then(|| u8::try_from(value).ok())?
    };
    letters.chunks(3).map_while(byte).collect()
}

/// Undoes one layer of entities and of `\u0026`.
fn without_entities(letters: &[Letter]) -> Vec<Letter> {
    let mut plain = Vec::with_capacity(letters.len());
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let escape = entity(rest).or_else(|| unicode_escape(rest));
        let (is, count) = escape.unwrap_or((letters[at].is, 1));
        let mut start = letters[at].at.start;
        // The piece's own separator stays one, whatever it is taken for, as in `&nbsp;lang=en`.
        if at == 0 && is != '&' {
            plain.push(Letter { is: '&', at: 0..1 });
            start = 1;
        }
        plain.push(Letter {
            is: in_usual_width(is),
            at: start..letters[at + count - 1].at.end,
        });
        at += count;
    }
    plain
}

/// The character of the entity with which these letters begin, and how many they are.
fn entity(letters: &[Letter]) -> Option<(char, usize)> {
    /// `&#x0000FF06;` and shorter.
    const LONGEST: usize = 12;
    let (first, rest) = letters.split_first()?;
    let end = rest.iter().take(LONGEST).position(|it| it.is == ';')?;
    let name: String = rest[..end].iter().map(|it| it.is).collect();
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
    (first.is == '&').then_some((is, end + 2))
}

/// The character of the `\u0026` or `%u0026` with which these letters begin, as JSON and old scripts write it.
fn unicode_escape(letters: &[Letter]) -> Option<(char, usize)> {
    let ([first, u], rest) = letters.split_first_chunk()?;
    let digits: String = rest.get(..4)?.iter().map(|it| it.is).collect();
    let is = char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?;
    (matches!(first.is, '\\' | '%') && u.is == 'u').then_some((is, 6))
}

/// Undoes `&lang`, which old readers of HTML take for the bracket `〈`, in three characters of Unicode.
fn with_lang(letters: Vec<Letter>) -> Vec<Letter> {
    let is_bracket = |letter: &Letter| matches!(letter.is, '\u{2329}' | '\u{27e8}' | '\u{3008}');
    let mut plain = Vec::with_capacity(letters.len());
    let mut rest = letters.into_iter().peekable();
    while let Some(letter) = rest.next() {
        let follows = rest.peek().is_some_and(|next| next.is == '=');
        if is_bracket(&letter) && follows {
            plain.extend("&lang".chars().map(|is| Letter {
                is,
                at: letter.at.clone(),
            }));
        } else {
            plain.push(letter);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
