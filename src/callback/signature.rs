//! WeChat's signature: SHA-1 over the sorted parts, in a row, as lower-case hex.

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

/// The signature of these parts, in whatever order they come.
pub(super) fn of(mut parts: Vec<&str>) -> String {
    // By bytes, as `str` compares.
    parts.sort_unstable();
    let digest = parts
        .iter()
        .fold(Sha1::new(), Sha1::chain_update)
        .finalize();
    digest.iter().flat_map(|byte| hex(*byte)).collect()
}

/// Whether `given` is the signature of these parts. Takes the same time wherever the first difference is.
pub(super) fn is_of(given: &str, parts: Vec<&str>) -> bool {
    of(parts).as_bytes().ct_eq(given.as_bytes()).into()
}

/// Whether it is one at all, of whatever.
pub(super) fn is_one(given: &str) -> bool {
    given.len() == 40
        && given
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(byte: u8) -> [char; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)].into())
}
