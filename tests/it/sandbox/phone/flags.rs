//! The callback of `wxqr sandbox`, which its flags set, and that of `wxqr demo`.

use serde_json::json;
use wechat_sandbox::{CallbackToken, EncodingAesKey};

use super::{APP_ID, APP_SECRET, KEY, OPENID, Phone, TOKEN, opened_by_all};
use crate::support::answer::Answer;
use crate::support::client;
use crate::support::owner::{Owner, Reply};
use crate::support::process::{Process, run};

/// Flags after those of the callback's address, and what comes of them.
struct Flags {
    given: &'static [&'static str],
    mode: &'static str,
    format: &'static str,
    /// The labels of what is made up.
    printed: &'static [&'static str],
}

const FLAGS: [Flags; 4] = [
    Flags {
        given: &[],
        mode: "plain",
        format: "xml",
        printed: &["Token:"],
    },
    Flags {
        given: &["--callback-token", TOKEN, "--encoding-aes-key", KEY],
        mode: "safe",
        format: "xml",
        printed: &[],
    },
    Flags {
        given: &[
            "--callback-token",
            TOKEN,
            "--encoding-aes-key",
            KEY,
            "--callback-mode",
            "compatible",
            "--callback-format",
            "json",
        ],
        mode: "compatible",
        format: "json",
        printed: &[],
    },
    Flags {
        given: &["--callback-mode", "safe"],
        mode: "safe",
        format: "xml",
        printed: &["Token:", "EncodingAESKey:"],
    },
];

#[tokio::test]
async fn the_sandbox_pushes_to_its_callback_url() {
    let owner = Owner::spawn(|_| Reply::success()).await;
    let account = format!("{APP_ID}:{APP_SECRET}");
    for (flags, name) in FLAGS
        .into_iter()
        .zip(["--callback-url", "--callback"].into_iter().cycle())
    {
        let given = flags.given;
        let listen = ["sandbox", "--listen", "127.0.0.1:0", "--account", &account];
        let callback = [name, &owner.url];
        let process = Process::start(&[&listen[..], &callback, given].concat(), &[]);
        let line = process.wait_for_line("SANDBOX").await;
        let base = line.split_whitespace().last().unwrap();
        let phone = Phone {
            base: base.trim_end_matches('/').to_owned(),
            ..Phone::spawn().await
        };
        let code = phone.code("poster-7").await;
        let answer = phone.press(&code, "follow", OPENID).await.json();
        assert_eq!(answer["body"], "success", "{given:?}: {answer}");
        check_what_is_printed(&process.stdout(), flags.printed);
        let push = owner.seen().pop().unwrap();
        assert_eq!(push.body.contains("EventKey"), flags.mode != "safe");
        assert_eq!(push.body.contains("Encrypt"), flags.mode != "plain");
        assert_eq!(push.body.starts_with('{'), flags.format == "json");
        if flags.printed.is_empty()
            && let Some(opened) = opened_by_all(&[(push.query, push.body)])
        {
            assert_eq!(opened[0]["mode"], flags.mode);
        }
    }
}

/// What is made up is printed, and in the form that is taken; what was given is not.
fn check_what_is_printed(said: &str, labels: &[&str]) {
    assert!(!said.contains(TOKEN) && !said.contains(KEY), "{said}");
    let printed = |label: &str| {
        let value = said.lines().find_map(|line| line.strip_prefix(label));
        assert_eq!(value.is_some(), labels.contains(&label), "{label} {said}");
        value.map(str::trim)
    };
    let token = printed("Token:").map(str::parse::<CallbackToken>);
    assert!(token.is_none_or(|token| token.is_ok()), "{said}");
    let key = printed("EncodingAESKey:").map(str::parse::<EncodingAesKey>);
    assert!(key.is_none_or(|key| key.is_ok()), "{said}");
}

#[tokio::test]
async fn a_callback_that_the_console_would_not_take_is_wrong_usage() {
    let url = ["--callback-url", "http://localhost/"];
    for wrong in [
        &["--callback-token", TOKEN][..],
        &["--encoding-aes-key", KEY],
        &["--callback-mode", "safe"],
        &["--callback-format", "json"],
        &["--callback-url", "ftp://localhost/"],
        &["--callback-url", "/callback"],
        &[&url[..], &["--callback-token", "a-b"]].concat(),
        &[&url[..], &["--encoding-aes-key", "short"]].concat(),
        &[&url[..], &["--callback-mode", "none"]].concat(),
    ] {
        let arguments = [&["sandbox", "--listen", "127.0.0.1:0"], wrong].concat();
        let output = run(&arguments, &[]).await;
        assert_eq!(output.status, 2, "{wrong:?}: {output:?}");
    }
}

#[tokio::test]
async fn the_demo_has_a_callback_of_its_own() {
    let process = Process::start(&["demo", "--listen", "127.0.0.1:0"], &[]);
    let line = process.wait_for_line("Page:").await;
    let base = line.split_whitespace().last().unwrap();
    let press = async |scene: &str, pressed: &str| {
        let code = client().get(format!("{base}qrcode.json?scene_id={scene}"));
        let url = Answer::to(code).await.field("url");
        let pressed = client()
            .post(url)
            .body(format!("do={pressed}&openid={OPENID}"));
        Answer::to(pressed).await.json()
    };
    let followed = press("123", "follow").await;
    assert_eq!(followed["event_key"], "qrscene_123");
    assert_eq!(followed["attempts"], 1, "{followed}");
    assert_eq!(followed["status"], 200);
    let scanned = press("123", "scan").await;
    for pressed in [followed, scanned] {
        let reply = pressed["reply"]["text"].as_str().unwrap();
        assert!(reply.contains("You scanned the demo's code"), "{reply}");
    }
    press("123", "unfollow").await;
    let followed = press("124", "follow").await;
    let reply = followed["reply"]["text"].as_str().unwrap();
    assert!(reply.contains("Thank you"), "{reply}");
    assert_eq!(press("124", "scan").await["reply"], json!(null));
}
