//! Interoperability with `tests/callback/wechat.py`, which shares no code with the service: the
//! test vectors in `vectors.json`, and new pushes if Python is installed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde::Deserialize;
use serde_json::json;

use super::*;

const VECTORS: &str = include_str!("../../../../../tests/callback/vectors.json");
const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/callback/wechat.py"
);

/// Encryption backends of the script.
const BACKENDS: [&str; 2] = ["cryptography", "openssl"];

/// Exit code of the script if the backend is not installed.
const NOT_INSTALLED: i32 = 3;

#[derive(Deserialize)]
struct Vector {
    name: String,
    token: String,
    encoding_aes_key: String,
    app_id: String,
    timestamp: String,
    nonce: String,
    message: String,
    body: String,
    encrypt: String,
    pad: u8,
    signature: String,
    msg_signature: String,
    openid: String,
    created_at: i64,
    /// Kind, scene, and whether there is a ticket; `None` for a message that is not an event.
    want: Option<(String, Option<String>, bool)>,
}

impl Vector {
    fn open(&self, keys: Option<AesKeys>, body: &str) -> Result<Push, Rejected> {
        let query = format!(
            "signature={}&timestamp={}&nonce={}&encrypt_type=aes&msg_signature={}",
            self.signature, self.timestamp, self.nonce, self.msg_signature
        );
        let now = at(self.timestamp.parse().unwrap());
        verifier_with(&self.token, keys, &self.app_id).verify(&query, body.as_bytes(), now)
    }

    fn check(&self, content: &Content) {
        let Some((kind, scene, has_ticket)) = &self.want else {
            return assert_eq!(content, &Content::Other, "{}", self.name);
        };
        let Content::Event(event) = content else {
            panic!("{}: {content:?}", self.name);
        };
        assert_eq!(event.kind.as_str(), kind, "{}", self.name);
        assert_eq!(event.openid.as_str(), self.openid, "{}", self.name);
        assert_eq!(event.created_at, at(self.created_at), "{}", self.name);
        let scan = event.scan.as_ref();
        let got = scan.map(|scan| scan.scene.as_str());
        assert_eq!(got, scene.as_deref(), "{}", self.name);
        let ticket = scan.and_then(|scan| scan.ticket.as_ref());
        assert_eq!(ticket.is_some(), *has_ticket, "{}", self.name);
    }
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(VECTORS).unwrap()
}

#[test]
fn test_vectors_of_another_implementation_decrypt() {
    let vectors = vectors();
    for vector in &vectors {
        let current = keys(&vector.encoding_aes_key, None);
        let push = vector.open(Some(current), &vector.body).unwrap();
        assert!(!push.needed_previous_key, "{}", vector.name);
        vector.check(&push.content);
        let before = keys(OTHER_KEY, Some(&vector.encoding_aes_key));
        let push = vector.open(Some(before), &vector.body).unwrap();
        assert!(push.needed_previous_key, "{}", vector.name);
        vector.check(&push.content);
        let push = vector.open(None, &vector.message).unwrap();
        assert!(!push.needed_previous_key, "{}", vector.name);
        vector.check(&push.content);
    }
    let pads: Vec<u8> = vectors.iter().map(|vector| vector.pad).collect();
    assert_eq!(pads, [1, 1, 16, 16, 17, 17, 31, 31, 32, 32]);
}

#[test]
fn a_changed_vector_is_refused() {
    let open = |vector: &Vector| {
        let body = envelope(&vector.encrypt);
        let current = keys(&vector.encoding_aes_key, None);
        vector.open(Some(current), &body).map_err(Rejected::reason)
    };
    for mut vector in vectors() {
        assert!(open(&vector).is_ok(), "{}", vector.name);
        for place in 0..vector.encrypt.len() {
            let right = vector.encrypt.clone();
            let other = if right.as_bytes()[place] == b'A' {
                "B"
            } else {
                "A"
            };
            vector.encrypt.replace_range(place..=place, other);
            let got = open(&vector).map(|_| ());
            assert_eq!(got, Err(Reason::Signature), "{} at {place}", vector.name);
            vector.encrypt = right;
        }
        for place in 0..vector.msg_signature.len() {
            let right = vector.msg_signature.clone();
            let other = if right.as_bytes()[place] == b'0' {
                "1"
            } else {
                "0"
            };
            vector.msg_signature.replace_range(place..=place, other);
            let got = open(&vector).map(|_| ());
            assert_eq!(got, Err(Reason::Signature), "{} at {place}", vector.name);
            vector.msg_signature = right;
        }
    }
}

/// Output of the script; `None` if Python or the backend is not installed.
fn script(backend: &str, task: &str, input: &str) -> Option<String> {
    let mut child = Command::new("python3")
        .args([SCRIPT, backend, task])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    // The script may end without reading its input.
    child.stdin.take()?.write_all(input.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(NOT_INSTALLED) {
        return None;
    }
    assert!(output.status.success(), "the script fails with {backend}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Reports a skipped test; with `REQUIRE_PYTHON`, fails it.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skipped_unless(done: bool) {
    if !done {
        let required = std::env::var_os("REQUIRE_PYTHON").is_some();
        let needs = "Python with its package cryptography, or with openssl";
        assert!(!required, "REQUIRE_PYTHON is set, and there is no {needs}");
        eprintln!("skipped: there is no {needs}");
    }
}

#[test]
fn test_vectors_match_the_script() {
    let mut done = false;
    for backend in BACKENDS {
        if let Some(got) = script(backend, "vectors", "") {
            done = true;
            assert!(
                got == VECTORS,
                "{backend}: `python3 tests/callback/wechat.py {backend} vectors` is not vectors.json"
            );
        }
    }
    skipped_unless(done);
}

/// Messages of every length up to a few blocks, in any script, with any key.
fn pushes() -> impl Strategy<Value = (String, String, String)> {
    let message = prop_oneof!["[ -~]{0,80}", "\\PC{0,60}", "[\u{0}-\u{ff}]{0,60}"];
    let app_id = "[A-Za-z0-9_-]{1,20}";
    (message, app_id, "[A-Za-z0-9+/]{43}")
}

#[test]
fn pushes_encrypted_by_the_script_decrypt() {
    let mut runner = TestRunner::deterministic();
    let made: Vec<_> = (0..200)
        .map(|_| pushes().new_tree(&mut runner).unwrap().current())
        .collect();
    let mut done = false;
    for (backend, count) in BACKENDS.into_iter().zip([200, 20]) {
        let made = &made[..count];
        let asked: Vec<_> = made
            .iter()
            .map(|(message, app_id, key)| {
                let push = json!({
                    "token": "Token1", "encoding_aes_key": key, "app_id": app_id, "message": message,
                    "timestamp": "1700000010", "nonce": NONCE, "random": "00ff".repeat(8),
                });
                format!("{push}\n")
            })
            .collect();
        let Some(answers) = script(backend, "seal", &asked.concat()) else {
            continue;
        };
        done = true;
        assert_eq!(answers.lines().count(), count, "{backend}");
        for ((message, app_id, key), answer) in made.iter().zip(answers.lines()) {
            let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
            let sealed = answer["encrypt"].as_str().unwrap();
            let keys = keys(key, None);
            let opened = cipher::open(sealed, &keys, app_id).unwrap();
            assert_eq!(opened.message, message.as_bytes(), "{backend}");
            let parts = vec!["Token1", "1700000010", NONCE];
            let whole = [&parts[..], &[sealed]].concat();
            let given = |name: &str| answer[name].as_str().unwrap();
            assert!(signature::verify(given("signature"), parts));
            assert!(signature::verify(given("msg_signature"), whole));
        }
    }
    skipped_unless(done);
}
