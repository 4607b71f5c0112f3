//! Opens what WeChat has sealed: AES-256-CBC, the vector being the key's first half, around
//! `random(16) || length(4, big endian) || message || AppID`, padded to 32 bytes.
//!
//! The cipher notices no change by itself: only what `msg_signature` covers may come here.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Decryptor;

use super::Reason;
use super::credentials::{AesKeys, EncodingAesKey};

/// WeChat pads to two of the cipher's blocks, so that a pad has 1 to 32 bytes; usual unpadders know 16 at most.
const BLOCK: usize = 32;

/// Bytes in front of the length that only make equal messages differ.
const RANDOM: usize = 16;

/// Why a key does not open a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closed {
    /// What comes out has not the form of a message.
    Garbled,
    /// A message, but with the `AppID` of another account.
    NotOurs,
}

/// What was sealed.
pub(super) struct Opened {
    pub(super) message: Vec<u8>,
    /// Whether the current key could not open it.
    pub(super) needed_previous_key: bool,
}

/// Opens a message with the current key if it can, else with the previous one.
pub(super) fn open(sealed: &str, keys: &AesKeys, app_id: &str) -> Result<Opened, Reason> {
    let opened = |message, needed_previous_key| Opened {
        message,
        needed_previous_key,
    };
    let sealed = STANDARD.decode(sealed).map_err(|_| Reason::Cipher)?;
    let closed = match open_with(&keys.current, sealed.clone(), app_id) {
        Ok(message) => return Ok(opened(message, false)),
        Err(closed) => closed,
    };
    let Some(previous) = &keys.previous else {
        return Err(closed.into());
    };
    match open_with(previous, sealed, app_id) {
        Ok(message) => Ok(opened(message, true)),
        // The wrong key garbles; the right one tells whose message it is.
        Err(Closed::Garbled) => Err(closed.into()),
        Err(Closed::NotOurs) => Err(Reason::AppId),
    }
}

fn open_with(key: &EncodingAesKey, mut sealed: Vec<u8>, app_id: &str) -> Result<Vec<u8>, Closed> {
    if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
        return Err(Closed::Garbled);
    }
    let key = key.expose();
    let vector = key.first_chunk::<16>().expect("a key has 32 bytes");
    let padded = Decryptor::<Aes256>::new(key.into(), vector.into())
        .decrypt_padded::<NoPadding>(&mut sealed)
        .map_err(|_| Closed::Garbled)?;
    let (message, account) = parts(padded).ok_or(Closed::Garbled)?;
    if account == app_id.as_bytes() {
        Ok(message.to_vec())
    } else {
        Err(Closed::NotOurs)
    }
}

/// Message and `AppID`.
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

impl From<Closed> for Reason {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Garbled => Self::Cipher,
            Closed::NotOurs => Self::AppId,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pad_has_one_to_thirty_two_equal_bytes() {
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
    fn a_length_stays_within_what_there_is() {
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
