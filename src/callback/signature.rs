//! WeChat's signature: SHA-1 over the sorted parts, in a row, as lower-case hex.

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

/// Whether `given` is the signature of these parts, in whatever order they come. Takes the same time wherever the first
/// difference is.
pub(super) fn is_of(given: &str, mut parts: Vec<&str>) -> bool {
    // By bytes, as `str` compares.
    parts.sort_unstable();
    let digest = parts
        .iter()
        .fold(Sha1::new(), Sha1::chain_update)
        .finalize();
    let expected: Vec<u8> = digest.iter().flat_map(|byte| hex(*byte)).collect();
    expected.ct_eq(given.as_bytes()).into()
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)])
}
