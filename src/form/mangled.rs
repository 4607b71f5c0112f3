//! Detection of mangled query parameters: double encoding and other changes by editors, mail
//! programs and chats. [`find`] is the entry point.
//!
//! An HTML entity (`&amp;permanent=true`), a second percent-encoding (`%26permanent%3Dtrue`), a
//! full-width character (`＆permanent＝true`), a second `?` or an invisible character leaves a
//! query well-formed, but with an unknown name or a longer value instead of the intended parameter.
//! Ignoring that parameter would answer with another code than requested.
//!
//! Independent of the parameters that exist: the caller passes their names.

mod decode;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use percent_encoding::percent_decode_str;

use super::decoded;
use crate::text::is_word_character;
use decode::{Letter, decode_html_entities, percent_decode, restore_lang_entity};

/// Maximum number of encoding layers that are decoded. Each program on the way adds one at most;
/// chosen.
const MAX_LAYERS: usize = 8;

/// Names shorter than this also occur in other programs' lists of keys, as in
/// `utm_content=a;lang=en`.
const DISTINCTIVE_LEN: usize = 8;

/// Maximum length of a candidate name. The service's names have 14 characters at most.
const MAX_NAME_LEN: usize = 64;

/// Maximum length of an excerpt of the query in [`Mangling`], in characters.
const MAX_EXCERPT_LEN: usize = 40;

/// A parameter that a strict parser would miss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MangledParameter<'n> {
    /// The intended parameter.
    pub name: &'n str,
    pub mangling: Mangling,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mangling {
    /// `&` or `=` was replaced.
    Separator {
        /// The replacement, as sent.
        sent: String,
        meant: &'static str,
    },
    /// The name contains other characters, which may be invisible. It is given as sent, in ASCII.
    Name(String),
}

impl fmt::Display for Mangling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Separator { sent, meant } => write!(f, "\"{sent}\" stands for \"{meant}\""),
            Self::Name(sent) => write!(f, "its name is written \"{sent}\""),
        }
    }
}

/// Finds the first of these parameters that is mangled in a query.
///
/// A value may legitimately contain `&` (`scene_str=A%26B`), and is refused only if a known
/// parameter evidently follows. A value whose `=` is escaped too was encoded by a program and is
/// accepted, except for long known names in the value of a known parameter
/// (`scene_str=a%26permanent%3Dtrue`). Parameters of other programs are ignored, including links in
/// their values.
pub fn find<'n>(query: &str, names: &[&'n str]) -> Option<MangledParameter<'n>> {
    query
        .split('&')
        .filter(|segment| needs_inspection(segment))
        .map(|segment| Segment::new(format!("&{segment}")))
        .find_map(|segment| segment.find_mangled(names))
}

/// Whether a segment contains special characters. Most do not, and skip the decoding.
fn needs_inspection(segment: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=".contains(&byte);
    let start = segment.get(..3).unwrap_or_default();
    start.eq_ignore_ascii_case("amp") || !segment.bytes().all(is_plain)
}

/// The text between two `&`, with the leading one, decoded.
struct Segment {
    /// As sent.
    sent: String,
    letters: Vec<Letter>,
}

/// A possible parameter after a separator, by indices of decoded characters.
struct Candidate {
    separator: usize,
    name: Range<usize>,
    /// Index of the following `=`.
    equals: Option<usize>,
}

/// The value of the segment, as a strict parser sees it.
struct ParameterValue {
    /// Its start in the segment as sent.
    start: usize,
    /// Whether it belongs to a known parameter.
    is_known: bool,
    /// Index of the `?` of a link within it.
    query_of_link: Option<usize>,
    /// Index of the `://` of a link within it.
    scheme: Option<usize>,
}

impl Segment {
    fn new(sent: String) -> Self {
        let letter = |(at, is): (usize, char)| Letter {
            value: is,
            source: at..at + is.len_utf8(),
        };
        let mut letters: Vec<Letter> = sent.char_indices().map(letter).collect();
        for layer in 0..MAX_LAYERS {
            let before = letters.len();
            letters = decode_html_entities(&percent_decode(&letters));
            // The first pass may only normalize widths, such as that of `％`.
            if letters.len() == before && layer > 0 {
                break;
            }
        }
        Self {
            sent,
            letters: restore_lang_entity(letters),
        }
    }

    fn find_mangled<'n>(&self, names: &[&'n str]) -> Option<MangledParameter<'n>> {
        let strict_name = normalized(&self.strict_name());
        let value = self.value(names.iter().any(|name| normalized(name) == strict_name));
        self.candidates().into_iter().find_map(|candidate| {
            let written = normalized(&self.candidate_name(&candidate)?);
            let name = *names.iter().find(|name| normalized(name) == written)?;
            let is_plain = candidate.separator == 0 && written == strict_name;
            let is_mangled = !is_plain && self.is_parameter(&candidate, name, &value);
            is_mangled.then(|| MangledParameter {
                name,
                mangling: self.mangling(&candidate, name),
            })
        })
    }

    /// The name that a strict parser sees.
    fn strict_name(&self) -> Cow<'_, str> {
        let segment = &self.sent[1..];
        let name = segment.split_once('=').map_or(segment, |(name, _)| name);
        decoded(name).unwrap_or_default()
    }

    /// Finds the positions in the value that decide about candidates, once for all of them.
    fn value(&self, is_known: bool) -> ParameterValue {
        let start = self.sent.find('=').unwrap_or(self.sent.len());
        let first = self
            .letters
            .iter()
            .position(|letter| letter.source.start > start)
            .unwrap_or(self.letters.len());
        let letters = || (first..self.letters.len()).map(|at| (at, self.letters[at].value));
        let mut path = letters().skip_while(|&(_, is)| is != '/');
        let query_of_link = path.find(|&(_, is)| is == '?').map(|(at, _)| at);
        let is_scheme = |&(at, _): &(usize, char)| {
            let letter = |at: usize| self.letters.get(at).map(|letter| letter.value);
            (letter(at), letter(at + 1), letter(at + 2)) == (Some(':'), Some('/'), Some('/'))
        };
        ParameterValue {
            start,
            is_known,
            query_of_link,
            scheme: letters().find(is_scheme).map(|(at, _)| at),
        }
    }

    fn candidates(&self) -> Vec<Candidate> {
        let value_start = self.sent.find('=').unwrap_or(self.sent.len());
        let is_separator = |letter: &Letter| match letter.value {
            '&' | ';' | '?' => true,
            ' ' => letter.source.start > value_start,
            _ => false,
        };
        let separators: Vec<usize> = (0..self.letters.len())
            .filter(|&at| is_separator(&self.letters[at]))
            .collect();
        let ends = separators.iter().skip(1).copied();
        let ends = ends.chain([self.letters.len()]);
        let parts = separators.iter().zip(ends).map(|(&separator, end)| {
            let content = separator + 1..end;
            let equals = content.clone().find(|&at| self.letters[at].value == '=');
            Candidate {
                separator,
                name: content.start..equals.unwrap_or(end),
                equals,
            }
        });
        parts.collect()
    }

    /// The name of a candidate without markup, brackets and invisible characters; `None` if it is
    /// too long for a name.
    fn candidate_name(&self, candidate: &Candidate) -> Option<String> {
        let letters = self.letters[candidate.name.clone()].iter();
        let visible = letters.filter(|letter| !is_invisible(letter.value));
        let text: String = visible.take(MAX_NAME_LEN + 1).map(|it| it.value).collect();
        let text = text.trim();
        // Markup around it, and the brackets of PHP arrays.
        let text = text.split("</").next().unwrap_or_default();
        let text = text.rsplit_once('>').map_or(text, |(_, name)| name);
        let text = text.split('[').next().unwrap_or_default();
        // Another character instead of `=`.
        let text = match candidate.equals {
            Some(_) => text,
            None => text.split([':', ' ']).next().unwrap_or_default(),
        };
        // Some sanitizers drop the semicolon of an entity.
        let text = match self.letters[candidate.separator].value {
            '&' => strip_amp(text),
            _ => text,
        };
        let name: String = text.chars().filter(|&c| is_word_character(c)).collect();
        (name.len() <= MAX_NAME_LEN).then_some(name)
    }

    /// Whether a candidate is a parameter and not a part of a value.
    fn is_parameter(&self, candidate: &Candidate, name: &str, value: &ParameterValue) -> bool {
        let separator = &self.letters[candidate.separator];
        if separator.source.start <= value.start {
            return true;
        }
        let Some(equals) = candidate.equals else {
            return false;
        };
        let is_long = name.len() >= DISTINCTIVE_LEN;
        if self.is_escaped(equals) {
            // A program has encoded the value, which may legitimately contain these characters.
            return value.is_known && separator.value == '&' && is_long;
        }
        if separator.value == ' ' {
            return value.is_known && is_long;
        }
        let comes_before =
            |place: Option<usize>| place.is_some_and(|place| place <= candidate.separator);
        if value.is_known {
            separator.value != '?' || !comes_before(value.scheme)
        } else {
            (separator.value == '&' || is_long) && !comes_before(value.query_of_link)
        }
    }

    /// Whether an ASCII character was sent percent-encoded, such as `%3D` for `=`.
    fn is_escaped(&self, letter: usize) -> bool {
        let sent = self.sent_at(letter);
        let mut utf8 = [0; 4];
        let itself = &*self.letters[letter].value.encode_utf8(&mut utf8);
        sent != itself && percent_decode_str(sent).eq(itself.bytes())
    }

    fn mangling(&self, candidate: &Candidate, name: &str) -> Mangling {
        let separator = self.sent_at(candidate.separator);
        let first = self.letters.get(candidate.name.start);
        if separator != "&" {
            let is_lang =
                first.is_some_and(|first| first.source == self.letters[candidate.separator].source);
            return Mangling::Separator {
                sent: excerpt(separator),
                meant: if is_lang { "&lang" } else { "&" },
            };
        }
        let equals = candidate.equals.map_or("=", |at| self.sent_at(at));
        if equals != "=" {
            return Mangling::Separator {
                sent: excerpt(equals),
                meant: "=",
            };
        }
        let sent = match (first, candidate.equals) {
            (Some(first), Some(equals)) => {
                &self.sent[first.source.start..self.letters[equals].source.start]
            }
            (Some(first), None) => &self.sent[first.source.start..],
            (None, _) => name,
        };
        let rest = strip_amp(sent);
        match sent
            .strip_suffix(rest)
            .filter(|amp| !amp.is_empty() && rest == name)
        {
            Some(amp) => Mangling::Separator {
                sent: format!("&{amp}"),
                meant: "&",
            },
            None => Mangling::Name(escape_non_ascii(sent)),
        }
    }

    fn sent_at(&self, letter: usize) -> &str {
        &self.sent[self.letters[letter].source.clone()]
    }
}

/// Removes case, `_` and `-`, which misspelling checks handle, not this module.
fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '-'], "")
}

fn strip_amp(mut name: &str) -> &str {
    while let Some((start, rest)) = name.split_at_checked(3)
        && start.eq_ignore_ascii_case("amp")
    {
        name = rest;
    }
    name
}

/// Decodes escaped non-ASCII characters, so that readers recognize them.
fn excerpt(sent: &str) -> String {
    let shown = decoded(sent).ok();
    let shown = shown.filter(|text| !text.is_ascii() && !text.chars().any(char::is_control));
    let shown = shown.unwrap_or(Cow::Borrowed(sent));
    shown.chars().take(MAX_EXCERPT_LEN).collect()
}

/// Makes invisible characters visible.
fn escape_non_ascii(sent: &str) -> String {
    let escaped = percent_encoding::utf8_percent_encode(sent, percent_encoding::CONTROLS);
    escaped.to_string().chars().take(MAX_EXCERPT_LEN).collect()
}

/// Whether a character is invisible: control characters, and all that Unicode says to ignore where
/// they have no glyph (`Default_Ignorable_Code_Point`), such as zero-width characters,
/// bidirectional and byte-order marks, soft hyphens, fillers, variation selectors and tags.
pub fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests;
