//! Forged pushes: none is accepted, and none causes a panic.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// `SplitMix64`: deterministic, so every run has the same forgeries.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn hex(&mut self, count: usize) -> String {
        let digits = b"0123456789abcdef";
        (0..count)
            .map(|_| char::from(digits[self.below(16)]))
            .collect()
    }
}

/// A forgery, with the verifier to try it on.
struct Forgery {
    verifier: PushVerifier,
    query: String,
    body: Vec<u8>,
}

impl Forgery {
    fn sealed(query: String, body: impl Into<Vec<u8>>) -> Self {
        Self {
            verifier: encrypted_verifier(),
            query,
            body: body.into(),
        }
    }

    fn plain(query: String, body: impl Into<Vec<u8>>) -> Self {
        Self {
            verifier: plain_verifier(),
            query,
            body: body.into(),
        }
    }
}

/// A genuine event, different every time.
fn message(rng: &mut SplitMix64) -> String {
    let scene = format!("qrscene_{}", rng.next());
    FOLLOW.replace("qrscene_123", &scene)
}

/// WeChat at some time within the replay window.
fn genuine(rng: &mut SplitMix64) -> Sender {
    let mut sender = wechat().at(NOW - 600 + i64::try_from(rng.below(1200)).unwrap());
    sender.nonce = rng.next().to_string();
    sender
}

/// A sender without the Token.
fn without_token(rng: &mut SplitMix64) -> Sender {
    let token = ["CallbackToken2", "callbacktoken1", "weixin"][rng.below(3)];
    Sender {
        token,
        ..genuine(rng)
    }
}

/// A time outside of the replay window.
fn other_time(rng: &mut SplitMix64) -> i64 {
    let off = 601 + i64::try_from(rng.below(100_000)).unwrap();
    if rng.below(2) == 0 {
        NOW - off
    } else {
        NOW + off
    }
}

fn with_changed_byte(rng: &mut SplitMix64, text: &str) -> String {
    let place = rng.below(text.len());
    let mut bytes = text.as_bytes().to_vec();
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).unwrap()
}

const DOCTYPE: &str = "<!DOCTYPE xml [<!ENTITY a \"b\">]>";

type Forger = fn(&mut SplitMix64) -> Forgery;

/// One generator for each kind of forgery.
const FORGERS: &[Forger] = &[
    // Noise.
    |rng| {
        let (query, body) = (rng.bytes(80), rng.bytes(200));
        Forgery::sealed(String::from_utf8_lossy(&query).into_owned(), body)
    },
    // Missing parameters.
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        let parts: Vec<&str> = query.split('&').collect();
        // The last of them is the signature that counts, the second and third are what it covers.
        let kept = parts[..parts.len() - 1 - rng.below(5)].join("&");
        Forgery::sealed(kept, body)
    },
    // Signed with another token, in either mode.
    |rng| {
        let (query, body) = without_token(rng).push(&message(rng));
        Forgery::sealed(query, body)
    },
    |rng| Forgery::plain(without_token(rng).query(), message(rng)),
    // A random signature.
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        let (rest, _) = query.rsplit_once('=').unwrap();
        Forgery::sealed(format!("{rest}={}", rng.hex(40)), body)
    },
    |rng| {
        let query = format!(
            "signature={}&timestamp={NOW}&nonce={}",
            rng.hex(40),
            rng.next()
        );
        Forgery::plain(query, message(rng))
    },
    // A signature in capitals, truncated, or extended.
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        let (rest, signature) = query.rsplit_once('=').unwrap();
        let changed = match rng.below(3) {
            0 => format!("{}A", signature.to_uppercase()),
            1 => signature[..rng.below(40)].to_owned(),
            _ => format!("{signature}{}", rng.hex(1)),
        };
        Forgery::sealed(format!("{rest}={changed}"), body)
    },
    // A plain push although a key is configured, with a recorded query.
    |rng| Forgery::sealed(genuine(rng).query(), message(rng)),
    |rng| {
        let sender = genuine(rng);
        let sealed = sender.seal(message(rng).as_bytes());
        Forgery::sealed(sender.sealed_query(&sealed), message(rng))
    },
    // A recorded query with another message.
    |rng| {
        let (query, _) = genuine(rng).push(&message(rng));
        let (_, body) = genuine(rng).push(&message(rng));
        Forgery::sealed(query, body)
    },
    // A changed byte, a truncated body.
    |rng| {
        let sender = genuine(rng);
        let sealed = sender.seal(message(rng).as_bytes());
        let query = sender.sealed_query(&sealed);
        Forgery::sealed(query, envelope(&with_changed_byte(rng, &sealed)))
    },
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        let end = rng.below(body.len());
        Forgery::sealed(query, &body.as_bytes()[..end])
    },
    // Outside of the replay window, before and after.
    |rng| {
        let (query, body) = genuine(rng).at(other_time(rng)).push(&message(rng));
        Forgery::sealed(query, body)
    },
    |rng| {
        let query = genuine(rng).at(other_time(rng)).query();
        Forgery::plain(query, message(rng))
    },
    // An old push with a new timestamp.
    |rng| {
        let old = genuine(rng).at(other_time(rng));
        let (query, body) = old.push(&message(rng));
        let query = query.replace(&old.timestamp, &NOW.to_string());
        Forgery::sealed(query, body)
    },
    // An old push whose nonce resembles the present time, with the two exchanged.
    |rng| {
        let mut old = genuine(rng).at(other_time(rng));
        old.nonce = (NOW - 600 + i64::try_from(rng.below(1200)).unwrap()).to_string();
        let stale = message(rng).replace("1700000000", &old.timestamp);
        let (query, body) = old.push(&stale);
        let (then, nonce) = (old.timestamp, old.nonce);
        let query = query.replace(
            &format!("timestamp={then}&nonce={nonce}"),
            &format!("timestamp={nonce}&nonce={then}"),
        );
        Forgery::sealed(query, body)
    },
    // A duplicate parameter, the valid one first or last.
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        let name = ["signature", "msg_signature", "timestamp", "nonce"][rng.below(4)];
        let query = match rng.below(2) {
            0 => format!("{query}&{name}=1"),
            _ => format!("{name}=1&{query}"),
        };
        Forgery::sealed(query, body)
    },
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        let more = format!("<Encrypt>{}</Encrypt>", rng.hex(64));
        let body = match rng.below(2) {
            0 => body.replace("<xml>", &format!("<xml>{more}")),
            _ => body.replace("</xml>", &format!("{more}</xml>")),
        };
        Forgery::sealed(query, body)
    },
    // Misspelled parameter names.
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        let (name, other) = [
            ("msg_signature", "msg_signature[]"),
            ("msg_signature", "Msg_Signature"),
            ("timestamp", "timestamp%00"),
            ("nonce", "nonce%20"),
        ][rng.below(4)];
        Forgery::sealed(query.replace(name, other), body)
    },
    // Characters moved between adjacent signed parts.
    |rng| {
        let sender = genuine(rng);
        let sealed = sender.seal(message(rng).as_bytes());
        let query = sender.sealed_query(&sealed);
        let (taken, left) = sealed.split_at(1 + rng.below(80));
        let nonce = format!("nonce={}", sender.nonce);
        Forgery::sealed(
            query.replace(&nonce, &format!("{nonce}{taken}")),
            envelope(left),
        )
    },
    |rng| {
        let sender = genuine(rng);
        let sealed = sender.seal(message(rng).as_bytes());
        let query = sender.sealed_query(&sealed);
        let (left, taken) = sender.nonce.split_at(1 + rng.below(sender.nonce.len() - 1));
        let nonce = format!("nonce={}", sender.nonce);
        Forgery::sealed(
            query.replace(&nonce, &format!("nonce={left}")),
            envelope(&format!("{taken}{sealed}")),
        )
    },
    // Declarations.
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        Forgery::sealed(query, format!("{DOCTYPE}{body}"))
    },
    |rng| Forgery::plain(genuine(rng).query(), format!("{DOCTYPE}{}", message(rng))),
    |rng| {
        let message = message(rng).replace("<![CDATA[event]]>", "&event;");
        Forgery::plain(genuine(rng).query(), message)
    },
    // Too long.
    |rng| {
        let (query, body) = genuine(rng).push(&message(rng));
        Forgery::sealed(
            query,
            format!("{body}{}", " ".repeat(PushVerifier::MAX_BODY)),
        )
    },
    // Signed by a sender that has the Token but not the key.
    |rng| {
        let sender = Sender {
            key: OTHER_KEY,
            ..genuine(rng)
        };
        let (query, body) = sender.push(&message(rng));
        Forgery::sealed(query, body)
    },
    |rng| {
        let sender = genuine(rng);
        let blocks = rng.below(8);
        let sealed = STANDARD.encode(rng.bytes(blocks * 32));
        Forgery::sealed(sender.sealed_query(&sealed), envelope(&sealed))
    },
    |rng| {
        let sender = genuine(rng);
        let sealed = STANDARD
            .decode(sender.seal(message(rng).as_bytes()))
            .unwrap();
        let sealed = STANDARD.encode(&sealed[..rng.below(sealed.len())]);
        Forgery::sealed(sender.sealed_query(&sealed), envelope(&sealed))
    },
    // Another account's push, with this Token and key.
    |rng| {
        let sender = Sender {
            app_id: "wx0123456789abcdee",
            ..genuine(rng)
        };
        let (query, body) = sender.push(&message(rng));
        Forgery::sealed(query, body)
    },
];

#[test]
fn none_of_100_000_forged_pushes_is_accepted() {
    let mut rng = SplitMix64(1);
    let mut reasons = BTreeSet::new();
    for (round, forger) in FORGERS.iter().cycle().take(100_000).enumerate() {
        let Forgery {
            verifier,
            query,
            body,
        } = forger(&mut rng);
        match verifier.verify(&query, &body, at(NOW)) {
            Err(refused) => reasons.insert(refused.reason().as_str()),
            Ok(push) => panic!("forger {}: {push:?}\n{query}", round % FORGERS.len()),
        };
    }
    let all: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(reasons, all, "every check has refused something");
}

type EchoForger = fn(&mut SplitMix64) -> String;

const ECHO_FORGERS: &[EchoForger] = &[
    |rng| String::from_utf8_lossy(&rng.bytes(80)).into_owned(),
    |rng| format!("echostr={}", rng.next()),
    |rng| format!("{}&echostr={}", without_token(rng).query(), rng.next()),
    |rng| {
        let (signature, nonce) = (rng.hex(40), rng.next());
        format!("signature={signature}&timestamp={NOW}&nonce={nonce}&echostr=1")
    },
    |rng| {
        let late = genuine(rng).at(other_time(rng));
        format!("{}&echostr={}", late.query(), rng.next())
    },
    |rng| {
        let late = genuine(rng).at(other_time(rng));
        let query = late.query().replace(&late.timestamp, &NOW.to_string());
        format!("{query}&echostr={}", rng.next())
    },
    |rng| {
        let query = format!("{}&echostr={}", genuine(rng).query(), rng.next());
        let name = ["signature", "timestamp", "nonce", "echostr"][rng.below(4)];
        match rng.below(4) {
            0 => format!("{query}&{name}=1"),
            1 => format!("{name}=1&{query}"),
            2 => query.replace(name, &name.to_uppercase()),
            _ => query.replace(name, &format!("{name}[]")),
        }
    },
    |rng| {
        let query = genuine(rng).query();
        // The signature is the first parameter.
        let place = "signature=".len() + rng.below(40);
        let digit = if &query[place..=place] == "0" {
            "1"
        } else {
            "0"
        };
        format!(
            "{}{digit}{}&echostr={}",
            &query[..place],
            &query[place + 1..],
            rng.next()
        )
    },
    // Signed over an encrypted part, which proves nothing about a query without one.
    |rng| {
        let (query, _) = genuine(rng).push(&message(rng));
        let query = query.replacen("signature=", "x=", 1);
        let query = query.replace("msg_signature=", "signature=");
        format!("{query}&echostr={}", rng.next())
    },
    |rng| {
        let echo = ["", "%0D%0A", "a%20b", "%E4%B8%AD", "%00"][rng.below(5)];
        format!("{}&echostr={echo}", genuine(rng).query())
    },
];

#[test]
fn none_of_100_000_forged_url_verifications_is_echoed() {
    let mut rng = SplitMix64(2);
    for (round, forger) in ECHO_FORGERS.iter().cycle().take(100_000).enumerate() {
        let query = forger(&mut rng);
        for verifier in [encrypted_verifier(), plain_verifier()] {
            let got = verifier.verify_url(&query, at(NOW));
            let kind = round % ECHO_FORGERS.len();
            assert!(got.is_err(), "forger {kind}: {got:?} for {query}");
        }
    }
}

/// Truncation attack: the signature covers a concatenation, so a follower could prepare a message
/// that still decrypts without its first blocks. The part before has no room for them.
#[test]
fn truncation_attack_cannot_remove_leading_blocks() {
    let inner = FOLLOW.replace("<![CDATA[", "").replace("]]>", "");
    let inner = inner.replace("</xml>", "<Content><![CDATA[");
    let rest = "]]></Content>\n</xml>";
    let length = u32::try_from(inner.len() + rest.len()).unwrap();
    // 96 bytes are removed and 16 are garbled: what follows is read as length and message.
    let head = format!("{:92}", "<xml><MsgType>text</MsgType><Content><![CDATA[");
    let message = [
        head.as_bytes(),
        &length.to_be_bytes(),
        inner.as_bytes(),
        rest.as_bytes(),
    ]
    .concat();
    let sender = Sender {
        token: "zzz",
        nonce: "9".to_owned(),
        ..wechat()
    };
    let verifier = verifier_with(sender.token, Some(keys(KEY, None)), APP_ID);
    let sealed = sender.seal(&message);
    let query = sender.sealed_query(&sealed);
    assert_eq!(outcome(&verifier, &query, &envelope(&sealed)), Ok("other"));
    // Without the verifier's checks it would succeed: signature and form are valid.
    let (taken, left) = sealed.split_at(128);
    let parts = ["zzz", &sender.timestamp, &format!("9{taken}"), left];
    let signed = query.ends_with(&signature(&parts));
    let opened = cipher::open(left, &keys(KEY, None), APP_ID).unwrap();
    let event = content(document::read(&opened.message)).map(|content| name(&content));
    assert_eq!((signed, event), (true, Ok("subscribe")));

    for count in 1..=128 {
        let (taken, left) = sealed.split_at(count);
        let nonce = taken.replace('+', "%2B").replace('/', "%2F");
        let query = query.replace("nonce=9", &format!("nonce=9{nonce}"));
        let got = outcome(&verifier, &query, &envelope(left));
        assert!(got.is_err(), "{count} characters moved: {got:?}");
    }
}

proptest! {
    #[test]
    fn any_changed_signed_byte_is_rejected(scene in "[a-z]{0,90}", place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let sender = wechat();
        let sealed = sender.seal(FOLLOW.replace("123", &scene).as_bytes());
        let query = sender.sealed_query(&sealed);
        prop_assert_eq!(outcome(&encrypted_verifier(), &query, &envelope(&sealed)), Ok("subscribe"));
        // Everything but the names, the plain signature and unsigned parameters.
        let signed = [&sender.timestamp, &sender.nonce, query.rsplit_once('=').unwrap().1, &sealed];
        let mut bytes = signed.concat().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let mut rest = bytes.as_slice();
        let [timestamp, nonce, signature, sealed] =
            signed.map(|part| String::from_utf8_lossy(rest.split_off(..part.len()).unwrap()).into_owned());
        let query = format!("timestamp={timestamp}&nonce={nonce}&msg_signature={signature}");
        prop_assert!(outcome(&encrypted_verifier(), &query, &envelope(&sealed)).is_err());
    }

    #[test]
    fn a_truncated_message_is_refused(scene in "[a-z]{0,90}", end in any::<prop::sample::Index>()) {
        let sender = wechat();
        let (query, body) = sender.push(&FOLLOW.replace("123", &scene));
        let cut = &body[..end.index(body.len())];
        prop_assert!(outcome(&encrypted_verifier(), &query, cut).is_err());
        let sealed = STANDARD.decode(sender.seal(FOLLOW.as_bytes())).unwrap();
        let cut = STANDARD.encode(&sealed[..end.index(sealed.len())]);
        let signed = sender.sealed_query(&cut);
        prop_assert!(outcome(&encrypted_verifier(), &signed, &envelope(&cut)).is_err());
    }

    #[test]
    fn noise_is_refused_and_breaks_nothing(query in ".{0,80}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        for verifier in [encrypted_verifier(), plain_verifier()] {
            prop_assert!(verifier.verify(&query, &body, at(NOW)).is_err());
            prop_assert!(verifier.verify_url(&query, at(NOW)).is_err());
        }
    }

    #[test]
    fn noise_that_is_signed_breaks_nothing(body in prop::collection::vec(any::<u8>(), 0..200), markup in "[<>/!?\\[\\]&;#x{}\":,a-eA-E \\-]{0,80}") {
        let sender = wechat();
        for body in [body.as_slice(), markup.as_bytes(), format!("<xml>{markup}</xml>").as_bytes()] {
            plain_verifier().verify(&sender.query(), body, at(NOW)).ok();
            let sealed = sender.seal(body);
            let got = encrypted_verifier().verify(&sender.sealed_query(&sealed), envelope(&sealed).as_bytes(), at(NOW));
            prop_assert!(!matches!(got.map_err(Rejected::reason), Err(reason) if reason != Reason::Markup));
            let sealed = STANDARD.encode(body);
            let got = encrypted_verifier().verify(&sender.sealed_query(&sealed), envelope(&sealed).as_bytes(), at(NOW));
            prop_assert!(got.is_err());
        }
    }
}
