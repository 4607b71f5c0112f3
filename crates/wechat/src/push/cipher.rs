//! Encryption of pushes and of their replies: AES-256-CBC, the IV being the first half of the key,
//! over `random(16) || length(4, big endian) || message || AppID` with PKCS#7 padding to 32 bytes.
//!
//! CBC does not authenticate: only text that `msg_signature` covers may be passed in.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::{Decryptor, Encryptor};

use super::credentials::{AesKeys, EncodingAesKey};
use super::rejected::Reason;

/// Padding block of WeChat's PKCS#7 variant, 1 to 32 bytes. It is two cipher blocks, so the padding
/// of the `cbc` crate (16 bytes at most) does not apply.
const BLOCK: usize = 32;

/// Length of the random prefix, which makes equal messages differ.
const RANDOM: usize = 16;

/// Why a key does not decrypt a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecryptError {
    /// The plaintext does not have the form of a message.
    Malformed,
    /// A message for the `AppID` of another account.
    OtherAccount,
}

/// A decrypted message.
pub(super) struct Opened {
    pub(super) message: Vec<u8>,
    /// Whether the current key failed.
    pub(super) needed_previous_key: bool,
}

/// Decrypts a message with the current key or, during a key rotation, with the previous one.
pub(super) fn open(sealed: &str, keys: &AesKeys, app_id: &str) -> Result<Opened, Reason> {
    let opened = |message, needed_previous_key| Opened {
        message,
        needed_previous_key,
    };
    let sealed = STANDARD.decode(sealed).map_err(|_| Reason::Cipher)?;
    let error = match open_with(&keys.current, sealed.clone(), app_id) {
        Ok(message) => return Ok(opened(message, false)),
        Err(error) => error,
    };
    let Some(previous) = &keys.previous else {
        return Err(error.into());
    };
    match open_with(previous, sealed, app_id) {
        Ok(message) => Ok(opened(message, true)),
        // A wrong key yields no message; the key that yields one decides whose it is.
        Err(DecryptError::Malformed) => Err(error.into()),
        Err(DecryptError::OtherAccount) => Err(Reason::AppId),
    }
}

/// Encrypts a message. With a new random prefix, so that equal messages differ.
pub(super) fn seal(message: &str, key: &EncodingAesKey, app_id: &str) -> String {
    let length = u32::try_from(message.len()).expect("a reply is far below 4 GiB");
    let mut bytes = random_bytes::<RANDOM>().to_vec();
    bytes.extend(length.to_be_bytes());
    bytes.extend(message.as_bytes());
    bytes.extend(app_id.as_bytes());
    // At least one byte of padding.
    let end = bytes.len() + BLOCK - bytes.len() % BLOCK;
    let pad = u8::try_from(end - bytes.len()).expect("a pad has 32 bytes at most");
    bytes.resize(end, pad);
    let key = key.expose();
    let vector = key.first_chunk::<16>().expect("a key has 32 bytes");
    Encryptor::<Aes256>::new(key.into(), vector.into())
        .encrypt_padded::<NoPadding>(&mut bytes, end)
        .expect("whole blocks");
    STANDARD.encode(bytes)
}

/// A random number, for the nonce of a signature.
pub(super) fn random_number() -> u32 {
    u32::from_be_bytes(random_bytes())
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    bytes
}

fn open_with(
    key: &EncodingAesKey,
    mut sealed: Vec<u8>,
    app_id: &str,
) -> Result<Vec<u8>, DecryptError> {
    if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
        return Err(DecryptError::Malformed);
    }
    let key = key.expose();
    let vector = key.first_chunk::<16>().expect("a key has 32 bytes");
    let padded = Decryptor::<Aes256>::new(key.into(), vector.into())
        .decrypt_padded::<NoPadding>(&mut sealed)
        .map_err(|_| DecryptError::Malformed)?;
    let (message, account) = parts(padded).ok_or(DecryptError::Malformed)?;
    if account == app_id.as_bytes() {
        Ok(message.to_vec())
    } else {
        Err(DecryptError::OtherAccount)
    }
}

/// Splits the plaintext into message and `AppID`.
fn parts(padded: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, rest) = unpadded(padded)?.split_at_checked(RANDOM)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length).try_into().ok()?;
    rest.split_at_checked(length)
}

fn unpadded(padded: &[u8]) -> Option<&[u8]> {
    let pad = *padded.last()?;
    let end = padded.len().checked_sub(usize::from(pad))?;
    let (content, padding) = padded.split_at_checked(end)?;
    let is_pad = (1..=BLOCK).contains(&usize::from(pad)) && padding.iter().all(|byte| *byte == pad);
    is_pad.then_some(content)
}

impl From<DecryptError> for Reason {
    fn from(error: DecryptError) -> Self {
        match error {
            DecryptError::Malformed => Self::Cipher,
            DecryptError::OtherAccount => Self::AppId,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_pkcs7_with_blocks_of_32_bytes() {
        let padded = |length: usize, pad: u8| [vec![0; length], vec![pad; pad.into()]].concat();
        for pad in 1..=32 {
            let length = 64 - usize::from(pad);
            let whole = padded(length, pad);
            assert_eq!(unpadded(&whole), Some(&whole[..length]), "pad {pad}");
            if pad > 1 {
                let mut bent = whole;
                bent[length] ^= 1;
                assert_eq!(unpadded(&bent), None, "bent pad {pad}");
            }
        }
        assert_eq!(unpadded(&padded(32, 32)).map(<[u8]>::len), Some(32));
        assert_eq!(unpadded(&padded(0, 32)), Some(&[][..]));
        assert_eq!(unpadded(&padded(31, 33)), None);
        assert_eq!(unpadded(&[0; 32]), None);
        assert_eq!(unpadded(&[32; 31]), None);
        assert_eq!(unpadded(&[]), None);
    }

    #[test]
    fn a_length_field_is_bounds_checked() {
        let padded = |length: u32, content: &str| {
            let mut bytes = vec![7; RANDOM];
            bytes.extend(length.to_be_bytes());
            bytes.extend(content.as_bytes());
            bytes.push(1);
            bytes
        };
        for (length, content, want) in [
            (2, "hiwx1", Some(("hi", "wx1"))),
            (0, "wx1", Some(("", "wx1"))),
            (3, "wx1", Some(("wx1", ""))),
            (4, "wx1", None),
            (u32::MAX, "wx1", None),
        ] {
            let bytes = padded(length, content);
            let want = want
                .map(|(message, account): (&str, &str)| (message.as_bytes(), account.as_bytes()));
            assert_eq!(parts(&bytes), want, "length {length} of {content:?}");
        }
        assert_eq!(parts(&[1; 20]), None);
    }
}
