//! Bounds on the cost of malicious bodies. Without the token, no body gets past the envelope; these
//! do.

use std::time::{Duration, Instant};

use super::*;

/// Maximum cost of a body: ten milliseconds in a release build. Debug builds get a margin for slow
/// code on a busy machine; superlinear work takes seconds even there.
const LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 500 } else { 10 });

/// The fastest of several runs.
fn fastest(mut work: impl FnMut()) -> Duration {
    (0..5)
        .map(|_| {
            let started = Instant::now();
            work();
            started.elapsed()
        })
        .min()
        .unwrap_or_default()
}

/// A body of maximum length.
fn fill(head: &str, part: &str, tail: &str) -> String {
    let room = PushVerifier::MAX_BODY - head.len() - tail.len();
    format!("{head}{}{tail}", part.repeat(room / part.len()))
}

#[test]
fn malicious_bodies_cost_linear_time() {
    let entities: Vec<_> = (1..20)
        .map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(50)))
        .collect();
    let entities = entities.concat();
    let laughs =
        format!("<!DOCTYPE xml [<!ENTITY e0 \"ha\">{entities}]><xml><Event>&e19;</Event></xml>");
    let big_entity = fill(
        "<!DOCTYPE xml [<!ENTITY a \"",
        "a",
        "\">]><xml>&a;&a;&a;</xml>",
    );
    let bodies = [
        laughs,
        big_entity,
        fill("<xml><Event>", "&a;", "</Event></xml>"),
        fill("<xml><Event>", "&amp;", "</Event></xml>"),
        fill("<xml><Event>", "<![CDATA[]]>", "</Event></xml>"),
        fill("<xml>", "<a>", ""),
        fill("<xml>", "<a/>", "</xml>"),
        fill("<xml ", "a='b' ", "></xml>"),
        fill("<xml>", "<!-- -->", "</xml>"),
        fill("<xml>", "<!--", ""),
        fill("<xml><Event>", "<![CDATA[", ""),
        fill("<!DOCTYPE a [", "<!ENTITY", ""),
        fill("<!DOCTYPE a [", "[", ""),
        fill("", "<?", ""),
        fill("", "<", ""),
        fill("<xml>", "<EventKey/>", "</xml>"),
        fill("{\"a\":", "[", "}"),
        fill("{\"Event\":", "[", "}"),
        fill("{\"Event\":", "{\"a\":", "}"),
        fill("{\"a\":", "9", "}"),
        fill("{\"Event\":", "9", "}"),
        fill("{\"Event\":\"", "\\u0000", "\"}"),
        fill("{", "\"a\":1,", "\"a\":1}"),
        fill("{", "\"Event\":1,", "\"Event\":1}"),
        fill("", "\u{feff}", ""),
        fill("<xml><Encrypt>", "A", "</Encrypt></xml>"),
    ];
    for body in bodies {
        let (sealed_query, sealed_body) = wechat().push(&body);
        let query = wechat().query();
        let shown: String = body.chars().take(40).collect();
        for (verifier, query, body) in [
            (plain_verifier(), &query, &body),
            (encrypted_verifier(), &sealed_query, &body),
            (encrypted_verifier(), &sealed_query, &sealed_body),
        ] {
            let took = fastest(|| {
                verifier.verify(query, body.as_bytes(), at(NOW)).ok();
            });
            assert!(took < LIMIT, "{took:?} for {shown}");
        }
    }
}

/// The largest message, truncated at every length of the first blocks, and right behind its head.
#[test]
fn truncated_ciphertexts_are_rejected_in_linear_time() {
    let sender = wechat();
    let sealed = STANDARD
        .decode(sender.seal(" ".repeat(47_000).as_bytes()))
        .unwrap();
    let cuts = (0..200).chain((0..sealed.len()).step_by(992));
    for length in cuts {
        let cut = STANDARD.encode(&sealed[..length]);
        let (query, body) = (sender.sealed_query(&cut), envelope(&cut));
        let mut got = Ok("");
        let took = fastest(|| got = outcome(&encrypted_verifier(), &query, &body));
        let want = if length == 0 {
            Reason::Unencrypted
        } else {
            Reason::Cipher
        };
        assert_eq!(got, Err(want), "{length} bytes");
        assert!(took < LIMIT, "{took:?} for {length} bytes");
    }
}
