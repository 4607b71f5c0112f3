//! WeChat's pushes: queries, envelopes, ciphertexts, and messages in XML and JSON.
//!
//! Signs the inputs, so that the fuzzer reaches the code behind the signature check.

use std::fmt::Write as _;

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use sha1::{Digest, Sha1};

use crate::event::Event;
use crate::push::{AesKeys, Content, Credentials, Push, PushVerifier, Rejected};

const TOKEN: &str = "FuzzToken";
/// The base64 of `abcdefghijklmnopabcdefghijklmnop`.
const KEY: &str = "YWJjZGVmZ2hpamtsbW5vcGFiY2RlZmdoaWprbG1ub3A";
const KEY_BYTES: &[u8; 32] = b"abcdefghijklmnopabcdefghijklmnop";
const APP_ID: &str = "wxfuzz";
const TIMESTAMP: &str = "1700000000";
/// Not digits, so that timestamp and nonce can be split in one way only.
const NONCE: &str = "n";
const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);

/// A push; its first byte selects the kind of input.
pub fn callback(data: &[u8]) {
    let Some((way, rest)) = data.split_first() else {
        return;
    };
    match way % 5 {
        0 => unsigned(rest),
        1 => message(rest),
        2 => envelope(rest),
        3 => ciphertext(rest),
        _ => plaintext(rest),
    }
}

/// Unsigned query and body, separated by a line break.
fn unsigned(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let query = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let body = parts.next().unwrap_or_default();
    for verifier in [plain_verifier(), encrypted_verifier()] {
        assert!(open(&verifier, &query, body).is_err());
        assert!(verifier.verify_url(&query, NOW).is_err());
    }
}

/// A message must parse alike in plain and in safe mode.
fn message(data: &[u8]) {
    let plain = open(&plain_verifier(), &query(&[]), data);
    let mut whole = vec![0; 16];
    let length = u32::try_from(data.len()).expect("an input is far below 4 GiB");
    whole.extend(length.to_be_bytes());
    whole.extend(data);
    whole.extend(APP_ID.as_bytes());
    let pad = 32 - whole.len() % 32;
    let filler = u8::try_from(pad).expect("a pad has 32 bytes at most");
    whole.resize(whole.len() + pad, filler);
    let sealed = push(&STANDARD.encode(encrypted(whole)));
    if data.len() < PushVerifier::MAX_BODY / 2 {
        let content = |opened: Result<Push, Rejected>| {
            let content = opened.map(|push| push.content);
            content.map_err(Rejected::reason)
        };
        assert_eq!(content(plain), content(sealed));
    }
}

/// A body with a signature over its first `Encrypt`, as far as it can be found.
fn envelope(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let start = text.find("Encrypt").map_or(0, |at| at + "Encrypt".len());
    let sealed: String = text[start..]
        .chars()
        .skip_while(|char| !char.is_ascii_alphanumeric())
        .take_while(|char| char.is_ascii_alphanumeric() || "+/=".contains(*char))
        .collect();
    check(open(&encrypted_verifier(), &query(&[&sealed]), data));
}

/// Bytes that are not encrypted.
fn ciphertext(data: &[u8]) {
    assert!(push(&STANDARD.encode(data)).is_err());
    check(push(&String::from_utf8_lossy(data)));
}

/// A plaintext, padding included.
fn plaintext(data: &[u8]) {
    let mut whole = data.to_vec();
    whole.truncate(data.len() / 32 * 32);
    check(push(&STANDARD.encode(encrypted(whole))));
}

fn check(opened: Result<Push, Rejected>) {
    if let Ok(push) = opened
        && let Content::Event(event) = push.content
    {
        assert!(event.key.len() <= Event::MAX_KEY && !event.key.contains('\0'));
        assert!(!event.openid.as_str().is_empty());
    }
}

fn push(sealed: &str) -> Result<Push, Rejected> {
    let body = format!("<xml><Encrypt><![CDATA[{sealed}]]></Encrypt></xml>");
    open(&encrypted_verifier(), &query(&[sealed]), body.as_bytes())
}

fn open(verifier: &PushVerifier, query: &str, body: &[u8]) -> Result<Push, Rejected> {
    let opened = verifier.verify(query, body, NOW);
    assert!(opened.is_err() || verifier.check_query(query, NOW).is_ok());
    opened
}

/// A signed query; the signature covers the encrypted part, if there is one.
fn query(sealed: &[&str]) -> String {
    let name = if sealed.is_empty() {
        "signature"
    } else {
        "msg_signature"
    };
    let mut parts = [&[TOKEN, TIMESTAMP, NONCE], sealed].concat();
    parts.sort_unstable();
    let digest = Sha1::digest(parts.concat());
    let mut query = format!("timestamp={TIMESTAMP}&nonce={NONCE}&{name}=");
    for byte in digest {
        write!(query, "{byte:02x}").expect("a string takes all that is written");
    }
    query
}

fn encrypted(mut plain: Vec<u8>) -> Vec<u8> {
    let length = plain.len();
    let vector = KEY_BYTES.first_chunk::<16>().expect("a key has 32 bytes");
    cbc::Encryptor::<Aes256>::new(KEY_BYTES.into(), vector.into())
        .encrypt_padded::<NoPadding>(&mut plain, length)
        .expect("it has whole blocks");
    plain
}

fn plain_verifier() -> PushVerifier {
    verifier(None)
}

fn encrypted_verifier() -> PushVerifier {
    verifier(Some(AesKeys {
        current: KEY.parse().expect("it is a key"),
        previous: None,
    }))
}

fn verifier(keys: Option<AesKeys>) -> PushVerifier {
    let token = TOKEN.parse().expect("it is a token");
    PushVerifier::new(Credentials { token, keys }, APP_ID)
}
