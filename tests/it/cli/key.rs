//! `wxqr key`: what it prints, and that the service takes its entries.

use reqwest::StatusCode;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::answer::Answer;
use crate::support::process::run;
use crate::support::served::Served;

/// The secret and the entry, which are all that is on standard output.
async fn made(name: &str, scopes: &str) -> (String, String) {
    let output = run(&["key", name, "--scope", scopes], &[]).await;
    assert_eq!(output.status, 0, "{output:?}");
    let lines: Vec<_> = output.stdout.lines().collect();
    let [secret, entry] = lines[..] else {
        unreachable!("{output:?}");
    };
    assert!(!output.stderr.contains(secret), "{output:?}");
    (secret.to_owned(), entry.to_owned())
}

#[tokio::test]
async fn a_key_that_is_made_opens_the_service_by_its_hashed_entry() {
    let (secret, entry) = made("shop", "stats+permanent").await;
    let (other_secret, other_entry) = made("desk", "mint").await;
    let hash = Sha256::digest(&secret);
    let hash = hash
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    assert_eq!(entry, format!("shop:sha256:{hash}:stats+permanent"));
    assert!(secret.starts_with("wxqr_"), "{secret}");

    // A scope that is given twice is one.
    let (_, twice) = made("desk", "mint+stats+mint").await;
    assert!(twice.ends_with(":mint+stats"), "{twice}");

    let keys = format!("{entry},{other_entry}");
    let served = Served::with(&[("WXQR_API_KEYS", &keys)]).await;
    let url = |path: &str| format!("http://{}{path}", served.addresses.http);
    let me = |key: &str| Answer::to(served.client.get(url("/api/me")).bearer_auth(key));
    let answer = me(&secret).await;
    let want = json!({"name": "shop", "scopes": ["permanent", "stats"]});
    assert_eq!(answer.json(), want);
    assert_eq!(me(&other_secret).await.field("name"), "desk");
    for wrong in [&hash, &format!("sha256:{hash}"), &entry] {
        assert_eq!(me(wrong).await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }

    let code = json!({"scene_str": "door", "permanent": true});
    let request = served.client.post(url("/api/codes")).json(&code);
    let created = Answer::to(request.bearer_auth(&secret)).await;
    assert_eq!(created.field("created_by"), "shop");
    let listed = served.client.get(url("/api/codes")).bearer_auth(&secret);
    let listed = Answer::to(listed).await.json();
    assert_eq!(listed["items"][0]["created_by"], "shop", "{listed}");

    served.get(&format!("/nothing/{secret}")).await;
    let line = served.process.wait_for_line("/nothing/").await;
    assert!(line.contains("/nothing/********"), "{line}");
    assert!(!served.process.stderr().contains(&secret));
}

#[tokio::test]
async fn what_is_no_name_and_no_scope_makes_no_key() {
    for arguments in [
        &["key"][..],
        &["key", "shop"],
        &["key", "--scope", "mint"],
        &["key", "a:b", "--scope", "mint"],
        &["key", "店", "--scope", "mint"],
        &["key", "sha256", "--scope", "mint"],
        &["key", "shop", "--scope", ""],
        &["key", "shop", "--scope", "mint,stats"],
        &["key", "shop", "--scope", "Mint"],
    ] {
        let output = run(arguments, &[]).await;
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (2, ""),
            "{arguments:?}"
        );
        let says = ["accepted: ", "required arguments"];
        let said = says.iter().any(|says| output.stderr.contains(says));
        assert!(said, "{arguments:?}: {}", output.stderr);
    }
}
