//! Random text and bytes, from the operating system.

/// WeChat's alphabet for tokens and ids: 64 characters, so six bits choose one without bias.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns `length` random characters of `A-Za-z0-9-_`.
pub(crate) fn url_safe(length: usize) -> String {
    let mut bytes = vec![0; length];
    fill(&mut bytes);
    bytes
        .into_iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 63)]))
        .collect()
}

/// Returns `length` random characters of `A-Za-z0-9`.
pub(crate) fn alphanumeric(length: usize) -> String {
    let characters = std::iter::repeat_with(|| url_safe(length));
    let characters = characters.flat_map(String::into_bytes).map(char::from);
    let characters = characters.filter(char::is_ascii_alphanumeric);
    characters.take(length).collect()
}

pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system has randomness");
}
