//! Checks of the account: IP allow-list, access token, and the creation of a code.

use wechat::scene::{CodeSpec, Lifetime, SceneText, TemporaryScene};
use wechat::{Api, ApiError, Class, Errcode, TokenSource};

use super::finding::{ALLOW_LIST, CODES, Finding, Issue, Report, TOKEN};
use super::wechat_errors::{defect, describe, stopped, wechat_issue};
use crate::codes::{
    FinishMint, MINT_TIMEOUT, MintDependencies, MintError, Priority, TokenError, UncountedMints,
};
use crate::telemetry::Causes;

/// Lifetime of the code that the check creates.
const LIFETIME_SECONDS: u64 = 60;

/// Checks the access token, and with it whether WeChat allows this address.
pub(super) async fn check_token(deps: &MintDependencies, report: Report<'_>) -> bool {
    let is_shared = deps.wechat.token_source() == TokenSource::Classic
        && matches!(deps.store.classic_token().await, Ok(Some((_, end))) if deps.clock.now() < end);
    match deps.tokens.get().await {
        Ok(_) => {
            report_token(deps, is_shared, report);
            true
        }
        Err(error) => {
            report_token_error(&error, report);
            false
        }
    }
}

/// A shared token proves nothing about the allow-list, because it took no call from this address.
fn report_token(deps: &MintDependencies, is_shared: bool, report: Report<'_>) {
    report(if is_shared {
        Finding::skipped(
            ALLOW_LIST,
            "a call for a token, but the service's token is used",
        )
    } else {
        Finding::fine(ALLOW_LIST, "WeChat accepts calls from this address")
    });
    report(Finding::fine(TOKEN, token_detail(deps)));
}

fn report_token_error(error: &TokenError, report: Report<'_>) {
    let issue = token_issue(error);
    if error.refusal().is_some_and(is_address_error) {
        report(Finding::failed(ALLOW_LIST, issue));
        report(Finding::skipped(TOKEN, "the allow-list"));
    } else {
        report(Finding::skipped(ALLOW_LIST, "a token"));
        report(Finding::failed(TOKEN, issue));
    }
}

fn token_detail(deps: &MintDependencies) -> String {
    let source = match deps.wechat.token_source() {
        TokenSource::Stable => "stable",
        TokenSource::Classic => "classic, shared through the database",
    };
    let now = deps.clock.now();
    let left = deps.tokens.expires_at();
    let left = left.map_or(0, |end| now.duration_until(end).as_secs());
    format!("{source}, valid for {left} s")
}

fn is_address_error(refusal: &ApiError) -> bool {
    refusal.errcode == Errcode(40164) || refusal.errcode.class() == Class::AccountBlocked
}

fn token_issue(error: &TokenError) -> Issue {
    match error {
        TokenError::WeChat(error) => wechat_issue(error),
        TokenError::CircuitOpen(stop) => stopped(stop.errcode, stop.retry_after),
        TokenError::Database(error) => Issue::new(
            format!(
                "no token is fetched without the database: {}",
                Causes(error)
            ),
            "see the line \"store\"",
        ),
        TokenError::ForcedTooOften => Issue::new(error.to_string(), "try again in a minute"),
        TokenError::TaskAborted(aborted) => defect(aborted),
    }
}

/// Checks the creation of a code, under a reserved scene. The code is not stored.
pub(super) async fn check_codes(deps: &MintDependencies, report: Report<'_>) {
    let spec = CodeSpec::Temporary {
        scene: TemporaryScene::Text(SceneText::reserved("doctor")),
        lifetime: Lifetime::try_from(LIFETIME_SECONDS).expect("it is within the bounds"),
    };
    let deadline = tokio::time::Instant::now() + MINT_TIMEOUT;
    deps.breaker.refresh(Api::Create).await;
    let finding = match deps.create(&spec, Priority::High, deadline).await {
        Ok(_) => {
            let count = FinishMint {
                uncounted: UncountedMints {
                    mints: 1,
                    anonymous: 0,
                },
                ..FinishMint::default()
            };
            deps.store.finish_mint(count).await.ok();
            let detail =
                format!("WeChat created one of {LIFETIME_SECONDS} s, from the day's quota");
            Finding::fine(CODES, detail)
        }
        Err(error) => Finding::failed(CODES, mint_issue(&error)),
    };
    report(finding);
}

fn mint_issue(error: &MintError) -> Issue {
    match error {
        MintError::WeChat(wechat::Error::Refused(refusal))
            if refusal.errcode.class() == Class::TokenInvalid =>
        {
            Issue::new(
                describe(refusal),
                "another program fetches tokens of this account: make all of them use stable_token (WXQR_TOKEN_SOURCE=stable)",
            )
        }
        MintError::WeChat(error) | MintError::MinuteLimit(error) => wechat_issue(error),
        MintError::Token(error) => token_issue(error),
        MintError::CircuitOpen(stop) => stopped(stop.errcode, stop.retry_after),
        other => defect(other),
    }
}
