//! What a query alone decides, before a body is read.

use super::super::Sender as By;
use super::*;

fn admitted(gate: &Gate, query: &str) -> Result<By, Reason> {
    gate.admit(query, at(NOW)).map_err(Refused::reason)
}

/// Without one of its parameters.
fn without(query: &str, name: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.starts_with(name));
    pairs.collect::<Vec<_>>().join("&")
}

#[test]
fn a_query_that_can_never_be_valid_is_refused_without_the_body() {
    let (plain, (sealed, _)) = (wechat().query(), wechat().push(FOLLOW));
    let old = wechat().at(NOW - 601);
    let foreign = Sender {
        token: "OtherToken",
        ..wechat()
    };
    let unsigned = without(&sealed, "signature=");
    for (query, in_plain_mode, in_safe_mode) in [
        (plain.as_str(), Ok(By::HasToken), Err(Reason::Unencrypted)),
        (&sealed, Ok(By::HasToken), Ok(By::HasToken)),
        (&unsigned, Err(Reason::Signature), Ok(By::Unknown)),
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
        // Its body may be signed with ours all the same.
        (
            &foreign.push(FOLLOW).0,
            Err(Reason::Signature),
            Ok(By::Unknown),
        ),
        (
            &without(&plain, "signature="),
            Err(Reason::Signature),
            Err(Reason::Signature),
        ),
        (
            &format!("{plain}&msg_signature="),
            Ok(By::HasToken),
            Err(Reason::Signature),
        ),
        (
            &format!("{plain}&msg_signature={}", "A".repeat(40)),
            Ok(By::HasToken),
            Err(Reason::Signature),
        ),
        (
            &format!("{plain}&msg_signature={}", "a".repeat(41)),
            Ok(By::HasToken),
            Err(Reason::Signature),
        ),
    ] {
        assert_eq!(
            admitted(&plain_gate(), query),
            in_plain_mode,
            "plain: {query}"
        );
        assert_eq!(
            admitted(&sealed_gate(), query),
            in_safe_mode,
            "safe: {query}"
        );
    }
}

#[test]
fn a_push_that_is_not_signed_in_its_query_is_taken_by_its_body() {
    let (query, body) = wechat().push(FOLLOW);
    let query = without(&query, "signature=");
    assert_eq!(outcome(&sealed_gate(), &query, &body), Ok("subscribe"));
}
