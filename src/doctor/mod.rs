//! Diagnostic checks of a configuration, one line each, in order of dependency.
//!
//! [`examine`] is the entry point. It uses the same modules as the service, so its results apply to
//! the service; a running service is not disturbed. No finding contains a secret.

mod account;
mod callback;
mod database;
mod finding;
mod hosts;
mod pushes;
mod webhooks;
mod wechat_errors;

use std::sync::Arc;

use secrecy::SecretString;
use tokio_util::task::TaskTracker;
use wechat::TokenSource;

pub use self::finding::Finding;
use self::finding::{ALLOW_LIST, CALLBACK, CODES, HOST, Report, SETTINGS, STORE, TOKEN};
use crate::app::{self, Stores};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigErrors};

/// Reports all errors in the settings, and skips all other checks.
pub fn report_config_errors(errors: &ConfigErrors, report: &mut dyn FnMut(Finding)) {
    for line in errors.lines() {
        // Each line already names what is accepted.
        report(Finding::failed(SETTINGS, line));
    }
    for what in [STORE, HOST, ALLOW_LIST, TOKEN, CODES, CALLBACK] {
        report(Finding::skipped(what, "the settings"));
    }
}

/// Runs all checks, and reports each finding as soon as it is known. Creates one temporary code.
/// Not cancel safe: a classic token that WeChat has just issued would be lost.
///
/// `key` is an API key of the running service with the scope `stats`, to read its push counts.
pub async fn examine(config: &Config, key: Option<&SecretString>, report: Report<'_>) {
    report(Finding::fine(
        SETTINGS,
        format!("AppID {}", config.account.app_id.as_str()),
    ));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let stores = check_account(config, Arc::clone(&clock), report).await;
    for limitation in config.limitations() {
        report(Finding::limitation(&limitation));
    }
    if let Some(credentials) = &config.scans.callback {
        report(callback::check(config, credentials, &*clock, key).await);
    }
    if let Some(settings) = &config.webhook {
        report(webhooks::check(config, settings, stores.as_ref(), &clock).await);
    }
}

/// Checks everything that the creation of a code depends on, and then the creation. Returns the
/// database, if it is ready to use.
async fn check_account(
    config: &Config,
    clock: Arc<dyn Clock>,
    report: Report<'_>,
) -> Option<Stores> {
    let ready = database::check(config, &clock, report).await;
    check_calls(config, clock, ready.clone(), report).await;
    ready
}

async fn check_calls(
    config: &Config,
    clock: Arc<dyn Clock>,
    store: Option<Stores>,
    report: Report<'_>,
) {
    let store = match (store, config.upstream.token_source) {
        (None, TokenSource::Stable) => Some(database::open_in_memory(config, &clock).await),
        (store, _) => store,
    };
    if !hosts::check(config, report).await {
        skip_calls("a host that answers", report);
        return;
    }
    let Some(store) = store else {
        // A classic token that is not shared through the database invalidates that of a running
        // service.
        skip_calls("the database, where the classic token is shared", report);
        return;
    };
    let deps = app::mint_dependencies(config, store.codes, clock, &TaskTracker::new())
        .expect("the hosts were asked with such a client");
    if account::check_token(&deps, report).await {
        account::check_codes(&deps, report).await;
    } else {
        report(Finding::skipped(CODES, "a token"));
    }
}

fn skip_calls(needs: &str, report: Report<'_>) {
    for what in [ALLOW_LIST, TOKEN, CODES] {
        report(Finding::skipped(what, needs));
    }
}
