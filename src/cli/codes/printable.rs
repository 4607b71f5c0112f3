//! Texts of others on a terminal.

/// A text without what would move a terminal's cursor or break a line.
pub(super) fn printable(text: &str) -> String {
    let letters = text.chars();
    letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}
