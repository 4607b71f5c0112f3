//! WeChat's pushes, made here from its documents, for tests that send many.

use std::fmt::Write as _;

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Encryptor;
use jiff::Timestamp;
use sha1::{Digest as _, Sha1};
use wxqr::clock::{Clock as _, SystemClock};

use super::app::APP_ID;

/// What the tests' service has as its callback token.
pub(crate) const TOKEN: &str = "callbacktokenOfTheTests";

/// What it has as its `EncodingAESKey`: 42 characters of base64 and one that stands for nothing but
/// zeros.
pub(crate) const AES_KEY: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXowMTIzNDU";

/// Two followers.
pub(crate) const ALICE: &str = "oAlice0000000000000000000001";
pub(crate) const BOB: &str = "oBob000000000000000000000002";

/// An event of a follower.
#[derive(Debug, Clone)]
pub(crate) struct PushedEvent {
    pub(crate) openid: String,
    pub(crate) event: &'static str,
    pub(crate) key: String,
    pub(crate) ticket: Option<String>,
    pub(crate) at: Timestamp,
}

impl PushedEvent {
    /// A follower scans a code.
    pub(crate) fn scan(openid: &str, scene: &str, ticket: &str) -> Self {
        Self {
            openid: openid.to_owned(),
            event: "SCAN",
            key: scene.to_owned(),
            ticket: Some(ticket.to_owned()),
            at: SystemClock.now(),
        }
    }

    /// A follow through a code.
    pub(crate) fn follow(openid: &str, scene: &str, ticket: &str) -> Self {
        Self {
            event: "subscribe",
            key: format!("qrscene_{scene}"),
            ..Self::scan(openid, scene, ticket)
        }
    }

    /// A follower leaves.
    pub(crate) fn leave(openid: &str) -> Self {
        Self {
            event: "unsubscribe",
            key: String::new(),
            ticket: None,
            ..Self::scan(openid, "", "")
        }
    }

    /// The body.
    pub(crate) fn xml(&self) -> String {
        let mut xml = format!(
            "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName><FromUserName><![CDATA[{}]]></FromUserName>\
             <CreateTime>{}</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{}]]></Event>\
             <EventKey><![CDATA[{}]]></EventKey>",
            self.openid,
            self.at.as_second(),
            self.event,
            self.key
        );
        if let Some(ticket) = &self.ticket {
            write!(xml, "<Ticket><![CDATA[{ticket}]]></Ticket>").unwrap();
        }
        xml + "</xml>"
    }
}

/// The query that WeChat signs, without the question mark.
pub(crate) fn signed_query(openid: &str) -> String {
    signed_by(TOKEN, openid, SystemClock.now())
}

/// The same with another token or at another time.
pub(crate) fn signed_by(token: &str, openid: &str, at: Timestamp) -> String {
    let timestamp = at.as_second().to_string();
    let nonce = "1320562132";
    let signature = signature(&[token, &timestamp, nonce]);
    format!("signature={signature}&timestamp={timestamp}&nonce={nonce}&openid={openid}")
}

/// The query and the body of a message in safe mode.
pub(crate) fn sealed(openid: &str, message: &str) -> (String, String) {
    let encrypted = STANDARD.encode(encrypted(message));
    let plain = signed_query(openid);
    let part = |name: &str| {
        let value = plain.split('&').find_map(|pair| pair.strip_prefix(name));
        value.unwrap().to_owned()
    };
    let (timestamp, nonce) = (part("timestamp="), part("nonce="));
    let signature = signature(&[TOKEN, &timestamp, &nonce, &encrypted]);
    let query = format!("{plain}&encrypt_type=aes&msg_signature={signature}");
    let body = format!(
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    );
    (query, body)
}

/// 16 random bytes, the length, the message, the account; padded to 32.
fn encrypted(message: &str) -> Vec<u8> {
    let key = STANDARD.decode(format!("{AES_KEY}=")).unwrap();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    let mut plain = [&[7; 16][..], &length, message.as_bytes(), APP_ID.as_bytes()].concat();
    let pad = 32 - plain.len() % 32;
    plain.resize(plain.len() + pad, u8::try_from(pad).unwrap());
    let (length, iv) = (plain.len(), key[..16].to_vec());
    let cipher = Encryptor::<Aes256>::new_from_slices(&key, &iv).unwrap();
    cipher
        .encrypt_padded::<NoPadding>(&mut plain, length)
        .unwrap()
        .to_vec()
}

fn signature(parts: &[&str]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_unstable();
    let digest = Sha1::digest(parts.concat());
    digest.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}
