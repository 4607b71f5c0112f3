//! Tests of the verifier as a whole. `admission`: checks by the query alone; `independent`: pushes
//! of another implementation; `forged`: forgeries; `cost`: expensive inputs; `diagnosed`: diagnoses
//! and replays.

mod admission;
mod cost;
mod diagnosed;
mod forged;
mod independent;

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeEncrypt, KeyIvInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::Encryptor;
use sha1::{Digest as _, Sha1};

use super::*;

const APP_ID: &str = "wx0123456789abcdef";
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFA";
const PREVIOUS_KEY: &str = "previouspreviouspreviouspreviousprevious123";
const OTHER_KEY: &str = "otherotherotherotherotherotherotherother123";
const NOW: i64 = 1_700_000_010;
const NONCE: &str = "1320562132";

const FOLLOW: &str = "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n\
    <FromUserName><![CDATA[o6_bmjrPTlm6_2sgVt7hMZOPfL2M]]></FromUserName>\n\
    <CreateTime>1700000000</CreateTime>\n<MsgType><![CDATA[event]]></MsgType>\n\
    <Event><![CDATA[subscribe]]></Event>\n<EventKey><![CDATA[qrscene_123]]></EventKey>\n\
    <Ticket><![CDATA[gQH47joAAAAAAAAAASxodHRw]]></Ticket>\n</xml>";

/// A sender of pushes: WeChat, or an attacker with some of its secrets.
#[derive(Clone)]
struct Sender {
    token: &'static str,
    key: &'static str,
    app_id: &'static str,
    timestamp: String,
    nonce: String,
}

/// WeChat, with the secrets of the verifier.
fn wechat() -> Sender {
    Sender {
        token: "CallbackToken1",
        key: KEY,
        app_id: APP_ID,
        timestamp: NOW.to_string(),
        nonce: NONCE.to_owned(),
    }
}

impl Sender {
    fn at(self, seconds: i64) -> Self {
        Self {
            timestamp: seconds.to_string(),
            ..self
        }
    }

    /// The query of plain mode; with an `echostr`, that of URL verification.
    fn query(&self) -> String {
        let Self {
            timestamp, nonce, ..
        } = self;
        let signature = signature(&[self.token, timestamp, nonce]);
        format!("signature={signature}&timestamp={timestamp}&nonce={nonce}&openid=o6_bmjrPTlm6")
    }

    /// The query with a signature over the encrypted part.
    fn sealed_query(&self, sealed: &str) -> String {
        let parts = [self.token, &self.timestamp, &self.nonce, sealed];
        let query = self.query();
        format!(
            "{query}&encrypt_type=aes&msg_signature={}",
            signature(&parts)
        )
    }

    fn seal(&self, message: &[u8]) -> String {
        let mut plain = vec![b'r'; 16];
        plain.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        plain.extend(message);
        plain.extend(self.app_id.as_bytes());
        let pad = 32 - plain.len() % 32;
        plain.resize(plain.len() + pad, u8::try_from(pad).unwrap());
        STANDARD.encode(self.encrypt(plain))
    }

    fn encrypt(&self, mut plain: Vec<u8>) -> Vec<u8> {
        let key: EncodingAesKey = self.key.parse().unwrap();
        let key = key.expose();
        let vector = key.first_chunk::<16>().unwrap();
        let length = plain.len();
        Encryptor::<Aes256>::new(key.into(), vector.into())
            .encrypt_padded::<NoPadding>(&mut plain, length)
            .unwrap();
        plain
    }

    /// A push in safe mode.
    fn push(&self, message: &str) -> (String, String) {
        let sealed = self.seal(message.as_bytes());
        (self.sealed_query(&sealed), envelope(&sealed))
    }
}

fn envelope(sealed: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n\
         <Encrypt><![CDATA[{sealed}]]></Encrypt>\n</xml>"
    )
}

fn signature(parts: &[&str]) -> String {
    let mut parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    parts.sort_unstable();
    let digest = Sha1::digest(parts.concat());
    let digits: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn verifier_with(token: &str, keys: Option<AesKeys>, app_id: &str) -> PushVerifier {
    let token = token.parse().unwrap();
    PushVerifier::new(Credentials { token, keys }, app_id)
}

fn keys(current: &str, previous: Option<&str>) -> AesKeys {
    AesKeys {
        current: current.parse().unwrap(),
        previous: previous.map(|key| key.parse().unwrap()),
    }
}

/// For the safe and the compatible mode.
fn encrypted_verifier() -> PushVerifier {
    let keys = keys(KEY, Some(PREVIOUS_KEY));
    verifier_with(wechat().token, Some(keys), APP_ID)
}

/// For plain mode.
fn plain_verifier() -> PushVerifier {
    verifier_with(wechat().token, None, APP_ID)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// The verifier's result: the name of the event, or the reason.
fn outcome(verifier: &PushVerifier, query: &str, body: &str) -> Result<&'static str, Reason> {
    let push = verifier.verify(query, body.as_bytes(), at(NOW));
    assert!(
        push.is_err() || verifier.check_query(query, at(NOW)).is_ok(),
        "{query}"
    );
    push.map(|push| name(&push.content))
        .map_err(Rejected::reason)
}

fn name(content: &Content) -> &'static str {
    match content {
        Content::Event(event) => event.kind.as_str(),
        Content::Other => "other",
        Content::Unreadable(flaw) => match flaw {
            MessageError::Syntax => "syntax",
            MessageError::Repeated(_) => "repeated",
            MessageError::Missing(_) => "missing",
            MessageError::Invalid(_) => "invalid",
            MessageError::Encrypted => "sealed",
        },
    }
}

#[test]
fn url_verification_requires_a_valid_signature() {
    let right = format!("{}&echostr=4375120948345356249", wechat().query());
    for verifier in [plain_verifier(), encrypted_verifier()] {
        let got = verifier.verify_url(&right, at(NOW));
        assert_eq!(got.as_deref(), Ok("4375120948345356249"));
    }
    let stranger = Sender {
        token: "CallbackToken2",
        ..wechat()
    };
    for (query, want) in [
        (format!("{}&echostr=1", stranger.query()), Reason::Signature),
        (
            right.replace("signature=", "signature=0"),
            Reason::Signature,
        ),
        (right.replace("nonce=1", "nonce=2"), Reason::Signature),
        (
            right.replace("signature=", "msg_signature="),
            Reason::Signature,
        ),
        (
            right.replace("timestamp=1", "timestamp=2"),
            Reason::Signature,
        ),
        (right.replace("echostr", "echo"), Reason::Query),
        (right.replace("nonce", "once"), Reason::Query),
        (right.replace("timestamp", "time"), Reason::Query),
        (format!("{right}&echostr=2"), Reason::Query),
        (format!("{right}&signature=2"), Reason::Query),
        (String::new(), Reason::Query),
    ] {
        let got = plain_verifier().verify_url(&query, at(NOW));
        assert_eq!(got.map_err(Rejected::reason), Err(want), "query {query}");
    }
}

#[test]
fn the_replay_window_is_ten_minutes() {
    for (seconds, want) in [
        (NOW - 601, Err(Reason::Stale)),
        (NOW - 600, Ok("subscribe")),
        (NOW + 600, Ok("subscribe")),
        (NOW + 601, Err(Reason::Stale)),
        (1, Err(Reason::Stale)),
    ] {
        let sender = wechat().at(seconds);
        let (query, body) = sender.push(FOLLOW);
        assert_eq!(
            outcome(&encrypted_verifier(), &query, &body),
            want,
            "{seconds}"
        );
        let got = outcome(&plain_verifier(), &sender.query(), FOLLOW);
        assert_eq!(got, want, "{seconds} in plain mode");
        let query = format!("{}&echostr=1", sender.query());
        let got = plain_verifier().verify_url(&query, at(NOW));
        assert_eq!(got.is_ok(), want.is_ok(), "{seconds} with an echo");
    }
}

#[test]
fn with_a_key_only_the_encrypted_part_is_read() {
    let (query, body) = wechat().push(FOLLOW);
    let scan = FOLLOW.replace("subscribe", "SCAN");
    // Compatible mode: plain fields beside the encrypted part, and here they contradict it.
    let both = body.replace("</xml>", scan.strip_prefix("<xml>").unwrap());
    let both = both.replacen(
        "<ToUserName><![CDATA[gh_0123456789ab]]></ToUserName>\n",
        "",
        1,
    );
    let plain = wechat().query();
    let empty = "<xml><Encrypt></Encrypt></xml>";
    for (query, body, want) in [
        (&query, &body, Ok("subscribe")),
        (&query, &both, Ok("subscribe")),
        (&plain, &body, Err(Reason::Signature)),
        (&plain, &both, Err(Reason::Signature)),
        (&plain, &scan, Err(Reason::Unencrypted)),
        (&query, &scan, Err(Reason::Unencrypted)),
        (&query, &empty.to_owned(), Err(Reason::Unencrypted)),
        (&query, &String::new(), Err(Reason::Envelope)),
        (&query, &body.replace("</xml>", ""), Err(Reason::Envelope)),
        (
            &query,
            &body.replace("</xml>", "<Encrypt>AAAA</Encrypt></xml>"),
            Err(Reason::Envelope),
        ),
        (
            &query,
            &format!("<!DOCTYPE xml>{body}"),
            Err(Reason::Markup),
        ),
        (
            &query.replace("msg_signature", "signature_of_msg"),
            &body,
            Err(Reason::Signature),
        ),
        // `signature` does not cover the body, so it is irrelevant here.
        (
            &query.replacen("signature=", "x=", 1),
            &body,
            Ok("subscribe"),
        ),
        (&format!("{query}&nonce=1"), &body, Err(Reason::Query)),
    ] {
        let got = outcome(&encrypted_verifier(), query, body);
        assert_eq!(got, want, "query {query}\nbody {body}");
    }
}

#[test]
fn without_a_key_the_plain_part_is_read() {
    let query = wechat().query();
    let (sealed_query, sealed_body) = wechat().push(FOLLOW);
    let both = FOLLOW.replace("</xml>", "<Encrypt>AAAA</Encrypt></xml>");
    let stranger = Sender {
        token: "CallbackToken2",
        ..wechat()
    };
    for (query, body, want) in [
        (&query, FOLLOW, Ok("subscribe")),
        (&query, &both, Ok("subscribe")),
        (&query, "<xml></xml>", Ok("other")),
        (&query, "{\"MsgType\":\"text\"}", Ok("other")),
        (&sealed_query, &sealed_body, Ok("sealed")),
        (&query, "", Ok("syntax")),
        (&query, "<xml>", Ok("syntax")),
        (&query, &FOLLOW.replace("FromUser", "User"), Ok("missing")),
        (&query, &FOLLOW.replace("17000", "x"), Ok("invalid")),
        (
            &query,
            &FOLLOW.replace("Ticket", "EventKey"),
            Ok("repeated"),
        ),
        (&query, "<!DOCTYPE xml><xml></xml>", Err(Reason::Markup)),
        (&stranger.query(), FOLLOW, Err(Reason::Signature)),
        (&stranger.query(), "", Err(Reason::Signature)),
        (&format!("{query}&timestamp=1"), FOLLOW, Err(Reason::Query)),
    ] {
        let got = outcome(&plain_verifier(), query, body);
        assert_eq!(got, want, "query {query}\nbody {body}");
    }
    let push = plain_verifier().verify(&query, FOLLOW.as_bytes(), at(NOW));
    assert!(!push.unwrap().needed_previous_key);
}

#[test]
fn genuine_unreadable_pushes_are_not_rejected_as_forged() {
    for (message, want) in [
        ("", Ok("syntax")),
        ("hello", Ok("syntax")),
        ("{\"MsgType\":", Ok("syntax")),
        (&FOLLOW.replace("CreateTime", "Time"), Ok("missing")),
        ("<!DOCTYPE xml><xml></xml>", Err(Reason::Markup)),
        (FOLLOW, Ok("subscribe")),
    ] {
        let (query, body) = wechat().push(message);
        let got = outcome(&encrypted_verifier(), &query, &body);
        assert_eq!(got, want, "message {message}");
    }
}

#[test]
fn key_rotation_the_previous_key_still_decrypts() {
    for (key, want) in [
        (KEY, Ok(false)),
        (PREVIOUS_KEY, Ok(true)),
        (OTHER_KEY, Err(Reason::Cipher)),
    ] {
        let (query, body) = Sender { key, ..wechat() }.push(FOLLOW);
        let got = encrypted_verifier().verify(&query, body.as_bytes(), at(NOW));
        let got = got
            .map(|push| push.needed_previous_key)
            .map_err(Rejected::reason);
        assert_eq!(got, want, "key {key}");
        let alone = verifier_with(wechat().token, Some(keys(KEY, None)), APP_ID);
        let got = outcome(&alone, &query, &body).is_ok();
        assert_eq!(got, key == KEY, "key {key}, without one before");
    }
}

#[test]
fn a_push_for_another_app_id_is_rejected() {
    for app_id in [
        "wx0123456789abcde0",
        "wx0123456789abcde",
        "wx0123456789abcdef0",
        "",
    ] {
        for key in [KEY, PREVIOUS_KEY] {
            let sender = Sender {
                key,
                app_id,
                ..wechat()
            };
            let (query, body) = sender.push(FOLLOW);
            let alone = verifier_with(wechat().token, Some(keys(key, None)), APP_ID);
            let got = outcome(&alone, &query, &body);
            assert_eq!(got, Err(Reason::AppId), "account {app_id:?}");
            let got = outcome(&encrypted_verifier(), &query, &body);
            assert_eq!(got, Err(Reason::AppId), "account {app_id:?}, two keys");
        }
    }
}

#[test]
fn a_body_is_at_most_64_kib() {
    let room = PushVerifier::MAX_BODY - FOLLOW.len();
    let query = wechat().query();
    for (more, want) in [(0, Ok("subscribe")), (1, Err(Reason::TooLarge))] {
        let body = format!("{FOLLOW}{}", " ".repeat(room + more));
        assert_eq!(outcome(&plain_verifier(), &query, &body), want);
    }
}

#[test]
fn every_rejection_has_the_same_message() {
    for (index, reason) in Reason::ALL.into_iter().enumerate() {
        let refused = encrypted_verifier().refused(reason, None, at(NOW));
        assert_eq!(refused.to_string(), "not from WeChat");
        let others = &Reason::ALL[..index];
        assert!(others.iter().all(|other| other.as_str() != reason.as_str()));
    }
}

#[test]
fn debug_output_has_no_secret() {
    let (query, body) = wechat().push(FOLLOW);
    let verifier = encrypted_verifier();
    let push = verifier.verify(&query, body.as_bytes(), at(NOW));
    let shown = format!("{verifier:?} {push:?}");
    let key = format!("{:?}", KEY.parse::<EncodingAesKey>().unwrap().expose());
    for secret in [wechat().token, KEY, PREVIOUS_KEY, &key, "o6_bmjr"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
