//! Proposes scenes for names.

use pinyin::ToPinyin;
use sha2::{Digest, Sha256};

/// The longest readable part of a proposed scene, in characters: with the longest hash it stays
/// below the 64 that a scene may have.
const MAX_READABLE: usize = 40;

/// Lengths of the hash. Six characters, 30 bits, are short to read; a longer one follows where two
/// names would share it.
const HASH_LENGTHS: [usize; 3] = [6, 12, 20];

/// Digits of the hash: lower case, without the letters that are read as digits.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Proposes scenes for a name, the best first. The same name always gets the same ones.
///
/// A name of ASCII letters, digits, `.`, `_` and `-` is its own scene. Of any other, these and the
/// pinyin of its Chinese characters are kept, followed by a hash of the whole name.
pub fn scene_candidates(name: &str) -> Vec<String> {
    let itself = Some(name).filter(|name| is_scene(name)).map(str::to_owned);
    let readable = readable(name);
    let hash = hash(name);
    let hashed = HASH_LENGTHS.iter().map(|&length| match readable.as_str() {
        "" => hash[..length].to_owned(),
        readable => format!("{readable}-{}", &hash[..length]),
    });
    itself.into_iter().chain(hashed).collect()
}

/// Whether a name needs no change to be a scene. One that starts with a dot could be a reserved one
/// or the name of a hidden file.
fn is_scene(name: &str) -> bool {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    (1..=MAX_READABLE).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(is_plain)
        && !name.starts_with("wxqr.")
}

/// The part of a name that ASCII can show, in words joined by `-`.
fn readable(name: &str) -> String {
    let mut words = String::new();
    let mut is_in_chinese = false;
    for letter in name.chars() {
        let syllable = letter.to_pinyin().map(pinyin::Pinyin::plain);
        let is_chinese = syllable.is_some();
        let kept = match syllable {
            Some(syllable) => syllable.replace('ü', "v"),
            None if letter.is_ascii_alphanumeric() => letter.to_string(),
            None => String::new(),
        };
        let begins_word = kept.is_empty() || is_chinese != is_in_chinese;
        if begins_word && !words.is_empty() && !words.ends_with('-') {
            words.push('-');
        }
        if words.len() + kept.len() > MAX_READABLE {
            break;
        }
        words.push_str(&kept);
        is_in_chinese = is_chinese;
    }
    words.trim_end_matches('-').to_owned()
}

/// A hash of the name as text, as long as the longest of [`HASH_LENGTHS`].
fn hash(name: &str) -> String {
    let digest = Sha256::digest(name);
    let digits = digest.iter().take(HASH_LENGTHS[2]);
    let digits = digits.map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    digits.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_proposed_scene_is_readable() {
        for (name, want) in [
            ("shop-01", "shop-01"),
            ("A.b_C", "A.b_C"),
            ("南京路店", "nanjingludian-"),
            ("上海 Nanjing Road 3 号", "shanghai-Nanjing-Road-3-hao-"),
            ("Shop 01", "Shop-01-"),
            ("wxqr.a", "wxqr-a-"),
            ("../../x", "x-"),
            ("女装", "nvzhuang-"),
        ] {
            let proposed = &scene_candidates(name)[0];
            assert!(proposed.starts_with(want), "{name}: {proposed}");
        }
        assert_eq!(scene_candidates("🎪")[0].len(), HASH_LENGTHS[0]);
    }

    /// A change of the hash or of the pinyin would create a second code for a name.
    #[test]
    fn a_proposed_scene_is_stable() {
        assert_eq!(scene_candidates("南京路店")[0], "nanjingludian-t78sms");
    }

    #[test]
    fn proposed_scenes_differ_and_fit() {
        let names = [
            "a b",
            "a  b",
            "a-b",
            "A b",
            "店",
            "電",
            &"长".repeat(100),
            &"x".repeat(100),
        ];
        let scenes: Vec<_> = names
            .iter()
            .flat_map(|name| scene_candidates(name))
            .collect();
        let different: HashSet<_> = scenes.iter().collect();
        assert_eq!(different.len(), scenes.len(), "{scenes:?}");
        assert!(scenes.iter().all(|scene| (1..=64).contains(&scene.len())));
    }
}
