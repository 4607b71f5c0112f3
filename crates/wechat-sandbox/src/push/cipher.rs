//! WeChat's message signature (SHA-1) and encryption (AES-256-CBC), written from its documents.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::{Decryptor, Encryptor};
use sha1::{Digest as _, Sha1};

/// The padding's block size in bytes. It is not the cipher's, which is 16.
const BLOCK: usize = 32;

/// Encrypts `random || length || message || AppID`, padded, into base64: the field `Encrypt`.
pub(crate) fn encrypt(key: &[u8; 32], random: [u8; 16], message: &str, app_id: &str) -> String {
    let length = u32::try_from(message.len()).expect("a message is far below 4 GiB");
    let mut bytes = random.to_vec();
    bytes.extend(length.to_be_bytes());
    bytes.extend(message.as_bytes());
    bytes.extend(app_id.as_bytes());
    // At least one byte: a text of whole blocks gets another block.
    let pad = BLOCK - bytes.len() % BLOCK;
    let filler = u8::try_from(pad).expect("a pad has 32 bytes at most");
    bytes.resize(bytes.len() + pad, filler);

    let vector = key.first_chunk::<16>().expect("a key has 32 bytes");
    let length = bytes.len();
    Encryptor::<Aes256>::new(key.into(), vector.into())
        .encrypt_padded::<NoPadding>(&mut bytes, length)
        .expect("what is filled up to 32 bytes has whole blocks");
    STANDARD.encode(bytes)
}

/// Decrypts what [`encrypt`] makes. None for what is no message, or for another `AppID`.
pub(crate) fn decrypt(key: &[u8; 32], encrypted: &str, app_id: &str) -> Option<String> {
    let mut bytes = STANDARD.decode(encrypted).ok()?;
    let vector = key.first_chunk::<16>().expect("a key has 32 bytes");
    let padded = Decryptor::<Aes256>::new(key.into(), vector.into())
        .decrypt_padded::<NoPadding>(&mut bytes)
        .ok()?;
    let pad = usize::from(*padded.last()?);
    let (clear, filler) = padded.split_at_checked(padded.len().checked_sub(pad)?)?;
    let is_pad = (1..=BLOCK).contains(&pad) && filler.iter().all(|byte| usize::from(*byte) == pad);
    let (length, rest) = clear.get(16..)?.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length).try_into().ok()?;
    let (message, account) = rest.split_at_checked(length)?;
    let message = str::from_utf8(message).ok()?;
    (is_pad && account == app_id.as_bytes()).then(|| message.to_owned())
}

/// Signs: SHA-1 over the parts, sorted as bytes and concatenated, in lower-case hex.
pub(crate) fn signature(mut parts: Vec<&str>) -> String {
    parts.sort_unstable();
    let mut digits = String::with_capacity(40);
    for byte in Sha1::digest(parts.concat()) {
        digits.extend([byte >> 4, byte & 15].map(hex_digit));
    }
    digits
}

fn hex_digit(value: u8) -> char {
    char::from_digit(value.into(), 16).expect("half a byte is below 16")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::push::callback::EncodingAesKey;

    /// Made by `tests/callback/wechat.py`, with every kind of pad and of key.
    const VECTORS: &str = include_str!("../../../../tests/callback/vectors.json");

    #[derive(Deserialize)]
    struct Vector {
        name: String,
        token: String,
        encoding_aes_key: String,
        app_id: String,
        timestamp: String,
        nonce: String,
        /// In hex.
        random: String,
        message: String,
        pad: usize,
        encrypt: String,
        signature: String,
        msg_signature: String,
    }

    #[test]
    fn encryption_matches_another_implementation() {
        let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
        let mut pads: Vec<_> = vectors.iter().map(|vector| vector.pad).collect();
        pads.dedup();
        assert_eq!(pads, [1, 16, 17, 31, 32]);
        for vector in vectors {
            let key: EncodingAesKey = vector.encoding_aes_key.parse().unwrap();
            let random = u128::from_str_radix(&vector.random, 16).unwrap();
            let got = encrypt(
                key.bytes(),
                random.to_be_bytes(),
                &vector.message,
                &vector.app_id,
            );
            assert_eq!(got, vector.encrypt, "{}", vector.name);
            let stamp = vec![&*vector.token, &*vector.timestamp, &*vector.nonce];
            let got = signature(stamp.clone());
            assert_eq!(got, vector.signature, "{}", vector.name);
            let got = signature([&stamp[..], &[&*vector.encrypt]].concat());
            assert_eq!(got, vector.msg_signature, "{}", vector.name);
        }
    }

    #[test]
    fn the_parts_of_a_signature_are_sorted_as_bytes() {
        // Capitals come before small letters, digits before both.
        assert_eq!(signature(vec!["b", "a", "B", "1"]), signature(vec!["1Bab"]),);
        assert_eq!(
            signature(vec!["abc"]),
            "a9993e364706816aba3e25717850c26c9cd0d89d",
            "the example of FIPS 180"
        );
    }
}
