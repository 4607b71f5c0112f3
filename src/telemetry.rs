//! Logs and metrics: their set-up, and the functions that record metrics.
//!
//! Depends on no other module. Labels are route templates, outcomes and errcodes: never a scene, an
//! openid, a path or a key.

mod json_lines;
mod known_labels;
mod log_buffer;
mod logging;
mod names;
mod rate_limited_log;
mod request_metrics;

use std::error::Error;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

#[cfg(test)]
pub(crate) use self::known_labels::QUOTA_ERRCODES;
pub use self::logging::{LogFormat, LogSettings, flush_log, print_message, start_logging};
use self::names::{
    ACCOUNT_FAULT, ANONYMOUS_BUDGET_REMAINING, BUILD_INFO, CALLBACK_REJECTED, CALLS_STOPPED,
    CODE_LOOKUPS, HTTP_CONNECTIONS, HTTP_DURATION, HTTP_REQUESTS, LAST_PUSH, LOG_LINES_LOST,
    MINTS_IN_FLIGHT, PERMANENT_CODES, PERMANENT_LIMIT, RELAY_REQUESTS, SCANS, STORE_COMMANDS,
    STORE_COMMITS, STORE_DAMAGED, STORE_UP, TOKEN_EXPIRY, TOKEN_REFRESHES, TOKEN_RETRIES,
    UPSTREAM_DURATION, UPSTREAM_REQUESTS, VISITOR_PACE_EXCEEDED, WEBHOOK_ATTEMPTS,
    WEBHOOK_LAG_EVENTS, WEBHOOK_LAG_SECONDS,
};
pub(crate) use self::rate_limited_log::RateLimitedLog;
pub(crate) use self::request_metrics::{code_lookup, http_request};

/// Outcomes of webhooks.
const WEBHOOK_OUTCOMES: [&str; 5] = ["ok", "refused", "gone", "timeout", "unreachable"];

/// Upper bounds of the histogram buckets, in seconds: from a memory cache hit to a visitor's
/// longest wait.
const BUCKETS: &[f64] = &[
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Installs the metrics recorder, for the whole process. It has no idle timeout, because handles
/// are kept.
///
/// # Errors
/// If another recorder is already installed.
pub fn start_metrics() -> Result<PrometheusHandle, BuildError> {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = RECORDER.get() {
        return Ok(handle.clone());
    }
    let handle = PrometheusBuilder::new()
        .set_buckets(BUCKETS)?
        .install_recorder()?;
    describe();
    known_labels::start();
    request_metrics::start();
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(RECORDER.get_or_init(|| handle).clone())
}

fn describe() {
    describe_counter!(HTTP_REQUESTS, "Requests answered");
    describe_histogram!(
        HTTP_DURATION,
        "Seconds from a request to its answer's first byte"
    );
    describe_counter!(UPSTREAM_REQUESTS, "Calls to WeChat, retries included");
    describe_histogram!(UPSTREAM_DURATION, "Seconds that a call to WeChat took");
    describe_counter!(CODE_LOOKUPS, "Requests for a code, by where it came from");
    describe_counter!(TOKEN_REFRESHES, "Access tokens fetched, by reason");
    describe_counter!(
        TOKEN_RETRIES,
        "Codes requested again with a newer access token, by what happened to the one before"
    );
    describe_gauge!(TOKEN_EXPIRY, "When the access token ends, in unix seconds");
    describe_gauge!(
        ACCOUNT_FAULT,
        "1 while WeChat refuses for a reason that only the account's owner can fix"
    );
    describe_gauge!(
        CALLS_STOPPED,
        "1 while calls of an API are stopped, because WeChat's quota is used up"
    );
    describe_gauge!(STORE_UP, "1 while the database answers");
    describe_gauge!(
        STORE_DAMAGED,
        "1 from when damage is found in the file of SQLite"
    );
    describe_counter!(STORE_COMMITS, "Transactions committed by writes");
    describe_counter!(STORE_COMMANDS, "Writes in these transactions");
    describe_gauge!(
        ANONYMOUS_BUDGET_REMAINING,
        "Codes that visitors may still create today, over all replicas"
    );
    describe_counter!(
        VISITOR_PACE_EXCEEDED,
        "New codes of visitors that WXQR_VISITOR_PACE refused"
    );
    describe_gauge!(
        PERMANENT_CODES,
        "Permanent codes in the ledger, unknown outcomes included"
    );
    describe_gauge!(PERMANENT_LIMIT, "Permanent codes in the ledger at most");
    describe_counter!(
        SCANS,
        "Events stored, each once; and other and unreadable pushes, repeats included"
    );
    describe_counter!(
        CALLBACK_REJECTED,
        "Requests to the callback that did not prove to be WeChat's, by reason"
    );
    describe_gauge!(
        LAST_PUSH,
        "When WeChat pushed last, in unix seconds; 0 before the first push since the start"
    );
    describe_counter!(RELAY_REQUESTS, "Pushes passed on to the relay, by outcome");
    describe_counter!(
        WEBHOOK_ATTEMPTS,
        "Webhooks sent, retries included, by outcome"
    );
    describe_gauge!(
        WEBHOOK_LAG_EVENTS,
        "Events stored and not delivered by webhooks"
    );
    describe_gauge!(
        WEBHOOK_LAG_SECONDS,
        "Age of the oldest event that webhooks have not delivered, in seconds"
    );
    describe_counter!(
        LOG_LINES_LOST,
        "Log lines dropped because standard error was not read in time"
    );
    describe_gauge!(HTTP_CONNECTIONS, "Open connections of clients");
    describe_gauge!(
        MINTS_IN_FLIGHT,
        "New codes that are waiting for WeChat, or for their turn to call it"
    );
    metrics_process::Collector::default().describe();
    describe_gauge!(BUILD_INFO, "Always 1; the label says the version");
}

/// Counts one call to WeChat.
pub(crate) fn upstream_call(api: &'static str, outcome: String, took: Duration) {
    counter!(UPSTREAM_REQUESTS, "api" => api, "outcome" => outcome).increment(1);
    histogram!(UPSTREAM_DURATION, "api" => api).record(took);
}

/// Sets whether an errcode that only the account's owner can resolve is present.
pub(crate) fn account_fault(errcode: i64, is_present: bool) {
    gauge!(ACCOUNT_FAULT, "errcode" => errcode.to_string()).set(if is_present { 1.0 } else { 0.0 });
}

/// Sets by which quota's errcode the calls of an API are stopped, if by any.
pub(crate) fn calls_stopped(api: &'static str, errcode: Option<i64>) {
    for known in known_labels::QUOTA_ERRCODES {
        let is_stopped = errcode == Some(known);
        gauge!(CALLS_STOPPED, "api" => api, "errcode" => known.to_string()).set(if is_stopped {
            1.0
        } else {
            0.0
        });
    }
}

/// Counts an access token obtained.
pub(crate) fn token_refreshed(reason: &'static str, expires_at: Timestamp) {
    debug_assert!(known_labels::has(TOKEN_REFRESHES, reason), "{reason}");
    counter!(TOKEN_REFRESHES, "reason" => reason).increment(1);
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds fit a float for millions of years"
    )]
    gauge!(TOKEN_EXPIRY).set(expires_at.as_second() as f64);
}

/// Counts a mint that is retried with a newer token.
pub(crate) fn token_retry(reason: &'static str) {
    debug_assert!(known_labels::has(TOKEN_RETRIES, reason), "{reason}");
    counter!(TOKEN_RETRIES, "reason" => reason).increment(1);
}

/// Counts a stored event, or another push.
pub(crate) fn scan(event: &'static str) {
    debug_assert!(known_labels::has(SCANS, event), "{event}");
    counter!(SCANS, "event" => event).increment(1);
}

/// Counts a rejected request to the callback.
pub(crate) fn callback_rejected(reason: &'static str) {
    debug_assert!(known_labels::has(CALLBACK_REJECTED, reason), "{reason}");
    counter!(CALLBACK_REJECTED, "reason" => reason).increment(1);
}

/// Sets the time of WeChat's last push.
pub(crate) fn push(at: Timestamp) {
    #[expect(
        clippy::cast_precision_loss,
        reason = "seconds fit a float for millions of years"
    )]
    gauge!(LAST_PUSH).set(at.as_second() as f64);
}

/// Counts a push that was relayed.
pub(crate) fn relay_request(outcome: &'static str) {
    debug_assert!(known_labels::has(RELAY_REQUESTS, outcome), "{outcome}");
    counter!(RELAY_REQUESTS, "outcome" => outcome).increment(1);
}

/// Shows the counts of webhooks at 0, from when they are switched on.
pub(crate) fn start_webhook_counts() {
    for outcome in WEBHOOK_OUTCOMES {
        counter!(WEBHOOK_ATTEMPTS, "outcome" => outcome).increment(0);
    }
}

/// Counts a webhook that was sent.
pub(crate) fn webhook_attempt(outcome: &'static str) {
    counter!(WEBHOOK_ATTEMPTS, "outcome" => outcome).increment(1);
}

/// Sets what webhooks have not delivered: how many events, and the age of the oldest.
pub(crate) fn webhook_lag(events: u64, age: Duration) {
    gauge!(WEBHOOK_LAG_EVENTS).set(as_float(events));
    gauge!(WEBHOOK_LAG_SECONDS).set(age.as_secs_f64());
}

/// Sets whether the database answers.
pub(crate) fn store_up(up: bool) {
    gauge!(STORE_UP).set(if up { 1.0 } else { 0.0 });
}

/// Sets whether damage was found in SQLite's file.
pub(crate) fn store_damaged(damaged: bool) {
    gauge!(STORE_DAMAGED).set(if damaged { 1.0 } else { 0.0 });
}

/// Counts a transaction that wrote so many commands.
pub(crate) fn store_commit(commands: usize) {
    counter!(STORE_COMMITS).increment(1);
    counter!(STORE_COMMANDS).increment(commands as u64);
}

/// Sets the number of mints left for visitors today.
pub(crate) fn anonymous_budget_remaining(left: u64) {
    gauge!(ANONYMOUS_BUDGET_REMAINING).set(as_float(left));
}

/// Counts a mint that the rate limit of all visitors refused.
pub(crate) fn visitor_pace_exceeded() {
    counter!(VISITOR_PACE_EXCEEDED).increment(1);
}

/// Sets the number of permanent codes and its limit.
pub(crate) fn permanent_stock(used: u64, limit: u64) {
    gauge!(PERMANENT_CODES).set(as_float(used));
    gauge!(PERMANENT_LIMIT).set(as_float(limit));
}

/// Sets the gauges that are read when metrics are asked for, and the process's own.
pub(crate) fn read_gauges(connections: usize, mints_in_flight: usize) {
    gauge!(HTTP_CONNECTIONS).set(as_float(connections as u64));
    gauge!(MINTS_IN_FLIGHT).set(as_float(mints_in_flight as u64));
    metrics_process::Collector::default().collect();
}

/// Counts log lines that were dropped.
fn log_lines_lost(lines: u64) {
    counter!(LOG_LINES_LOST).increment(lines);
}

#[expect(clippy::cast_precision_loss, reason = "our counts are far below 2^52")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// Formats an error with its chain of causes in one line, for any log format. Repeated text is left
/// out: some errors already include that of their cause.
pub(crate) struct Causes<'a>(pub(crate) &'a dyn Error);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        f.write_str(&text.replace(['\r', '\n'], " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Link {
        said: &'static str,
        source: Option<Box<Link>>,
    }

    #[test]
    fn an_error_chain_is_one_line_without_repetition() {
        let chain = [
            "no token",
            "the call failed: no\nroute",
            "no\nroute",
            "os error 7",
        ];
        let error = chain
            .into_iter()
            .rev()
            .fold(None, |source, said| Some(Box::new(Link { said, source })));
        let error = error.expect("the chain has links");
        assert_eq!(
            Causes(&*error).to_string(),
            "no token: the call failed: no route: os error 7"
        );
    }
}
