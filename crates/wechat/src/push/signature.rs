//! WeChat's signature: SHA-1 over the concatenation of the sorted parts, in lower-case hex.

use sha1::{Digest as _, Sha1};
use subtle::ConstantTimeEq as _;

/// Computes the signature of these parts, in any order.
pub(super) fn compute(mut parts: Vec<&str>) -> String {
    // By bytes, as WeChat does.
    parts.sort_unstable();
    let digest = parts
        .iter()
        .fold(Sha1::new(), Sha1::chain_update)
        .finalize();
    digest.iter().flat_map(|byte| hex(*byte)).collect()
}

/// Constant-time comparison with the signature of these parts.
pub(super) fn verify(given: &str, parts: Vec<&str>) -> bool {
    compute(parts).as_bytes().ct_eq(given.as_bytes()).into()
}

/// Whether it has the form of a signature.
pub(super) fn is_well_formed(given: &str) -> bool {
    given.len() == 40
        && given
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(byte: u8) -> [char; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [byte >> 4, byte & 15].map(|half| DIGITS[usize::from(half)].into())
}
