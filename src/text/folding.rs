//! Case folding, for searches.

/// Folds the case of a text, so that two spellings of a word are one: `Straße` and `STRASSE`.
/// Letters of every script are folded, because databases fold some only.
///
/// Through upper case, which joins letters with one capital: final sigma, dotless i, sharp s.
pub fn folded(text: &str) -> String {
    let upper = text.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_word_are_one() {
        for (text, want) in [
            ("", ""),
            ("Poster 7", "poster 7"),
            ("ÉCOLE", "école"),
            ("Straße", "strasse"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("ЁЛКА", "ёлка"),
            ("ＡＢＣ", "ａｂｃ"),
            ("海报 A", "海报 a"),
            ("50%_\\", "50%_\\"),
        ] {
            assert_eq!(folded(text), want, "input {text:?}");
            assert_eq!(folded(&folded(text)), want, "input {text:?}, twice");
        }
    }
}
