//! Checks by the query alone, before the body is read.

use super::super::QuerySignature as By;
use super::*;

fn checked(verifier: &PushVerifier, query: &str) -> Result<By, Reason> {
    verifier
        .check_query(query, at(NOW))
        .map_err(Rejected::reason)
}

/// The query without one of its parameters.
fn without(query: &str, name: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.starts_with(name));
    pairs.collect::<Vec<_>>().join("&")
}

#[test]
fn invalid_queries_are_rejected_before_the_body_is_read() {
    let (plain, (sealed, _)) = (wechat().query(), wechat().push(FOLLOW));
    let old = wechat().at(NOW - 601);
    let foreign = Sender {
        token: "OtherToken",
        ..wechat()
    };
    let unsigned = without(&sealed, "signature=");
    for (query, in_plain_mode, in_safe_mode) in [
        (plain.as_str(), Ok(By::Valid), Err(Reason::Unencrypted)),
        (&sealed, Ok(By::Valid), Ok(By::Valid)),
        (&unsigned, Err(Reason::Signature), Ok(By::Unproven)),
        ("", Err(Reason::Query), Err(Reason::Query)),
        ("x=1", Err(Reason::Query), Err(Reason::Query)),
        (
            &without(&sealed, "nonce="),
            Err(Reason::Query),
            Err(Reason::Query),
        ),
        (
            &without(&sealed, "timestamp="),
            Err(Reason::Query),
            Err(Reason::Query),
        ),
        (
            &format!("{sealed}&nonce=1"),
            Err(Reason::Query),
            Err(Reason::Query),
        ),
        (&old.query(), Err(Reason::Stale), Err(Reason::Stale)),
        (&old.push(FOLLOW).0, Err(Reason::Stale), Err(Reason::Stale)),
        (
            &without(&old.push(FOLLOW).0, "signature="),
            Err(Reason::Signature),
            Err(Reason::Signature),
        ),
        (
            &foreign.query(),
            Err(Reason::Signature),
            Err(Reason::Signature),
        ),
        // `msg_signature` may be valid all the same.
        (
            &foreign.push(FOLLOW).0,
            Err(Reason::Signature),
            Ok(By::Unproven),
        ),
        (
            &without(&plain, "signature="),
            Err(Reason::Signature),
            Err(Reason::Signature),
        ),
        (
            &format!("{plain}&msg_signature="),
            Ok(By::Valid),
            Err(Reason::Signature),
        ),
        (
            &format!("{plain}&msg_signature={}", "A".repeat(40)),
            Ok(By::Valid),
            Err(Reason::Signature),
        ),
        (
            &format!("{plain}&msg_signature={}", "a".repeat(41)),
            Ok(By::Valid),
            Err(Reason::Signature),
        ),
    ] {
        assert_eq!(
            checked(&plain_verifier(), query),
            in_plain_mode,
            "plain: {query}"
        );
        assert_eq!(
            checked(&encrypted_verifier(), query),
            in_safe_mode,
            "safe: {query}"
        );
    }
}

#[test]
fn msg_signature_alone_is_sufficient() {
    let (query, body) = wechat().push(FOLLOW);
    let query = without(&query, "signature=");
    assert_eq!(
        outcome(&encrypted_verifier(), &query, &body),
        Ok("subscribe")
    );
}
