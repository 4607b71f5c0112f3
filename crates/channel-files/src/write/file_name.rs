//! File names that every system takes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// The longest name without its number and extension, in characters. Windows allows 260 for the
/// whole path.
const MAX_CHARS: usize = 80;

/// What Windows keeps for devices, whatever the extension.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Gives files names that differ, also where case does not count.
#[derive(Debug, Default)]
pub struct FileNames {
    /// The names given, folded, with the last number that was tried for each.
    given: HashMap<String, u32>,
}

impl FileNames {
    /// The file name for a text, without extension. Equal ones are numbered: `a`, `a (2)`.
    pub fn name(&mut self, text: &str) -> String {
        let safe = safe(text);
        let key = folded(&safe);
        if let Entry::Vacant(new) = self.given.entry(key.clone()) {
            new.insert(1);
            return safe;
        }
        loop {
            let number = self.given.entry(key.clone()).or_default();
            *number += 1;
            let numbered = format!("{safe} ({number})");
            if self.given.insert(folded(&numbered), 1).is_none() {
                return numbered;
            }
        }
    }
}

/// What names of the same file share where case does not count. Windows compares by upper case, and
/// macOS by lower case, where `ẞ` and `ß` are one letter.
fn folded(name: &str) -> String {
    name.to_lowercase().to_uppercase()
}

/// A text as the name of a file: no path, no device of Windows, nothing that cannot be seen.
fn safe(text: &str) -> String {
    let is_unsafe = |letter: char| {
        letter.is_control()
            || "\\/:*?\"<>|".contains(letter)
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}')
    };
    let replaced = text.chars().take(MAX_CHARS);
    let replaced: String = replaced
        .map(|letter| if is_unsafe(letter) { '_' } else { letter })
        .collect();
    let is_trimmed = |letter: char| letter == '.' || letter.is_whitespace();
    let trimmed = replaced.trim_matches(is_trimmed);
    match trimmed {
        "" => "_".to_owned(),
        name if is_device(name) => format!("_{name}"),
        name => name.to_owned(),
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.trim_end().to_lowercase();
    let is_port = ["com", "lpt"].iter().any(|port| {
        let number = stem.strip_prefix(port);
        number.is_some_and(|number| {
            let mut digits = number.chars();
            let is_digit = digits.next().is_some_and(|it| "0123456789¹²³".contains(it));
            is_digit && digits.next().is_none()
        })
    });
    is_port || DEVICES.contains(&stem.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_on_windows() {
        for (text, want) in [
            ("南京路店 🎪", "南京路店 🎪"),
            ("../../x", "_.._x"),
            ("..", "_"),
            ("", "_"),
            ("C:\\a\"b\"<c>|d?*", "C__a_b__c__d__"),
            ("a.\u{202e}gnp.exe", "a._gnp.exe"),
            ("CON", "_CON"),
            ("con.png", "_con.png"),
            ("NUL .txt", "_NUL .txt"),
            ("Com1", "_Com1"),
            ("LPT¹", "_LPT¹"),
            ("COM10", "COM10"),
            ("console", "console"),
            (" a. . ", "a"),
            ("a\nb\0", "a_b_"),
        ] {
            assert_eq!(safe(text), want, "input {text:?}");
        }
        assert_eq!(safe(&"长".repeat(100)).chars().count(), MAX_CHARS);
    }

    #[test]
    fn equal_names_are_numbered() {
        let mut names = FileNames::default();
        let given = ["a", "A", "a (2)", "a", "b", "a/b", "a?b"].map(|text| names.name(text));
        let want = ["a", "A (2)", "a (2) (2)", "a (3)", "b", "a_b", "a_b (2)"];
        assert_eq!(given, want);
        let letters = ["ς", "σ", "Σ", "ß", "ẞ", "ss"].map(|text| names.name(text));
        let want = ["ς", "σ (2)", "Σ (3)", "ß", "ẞ (2)", "ss (3)"];
        assert_eq!(letters, want);
    }
}
