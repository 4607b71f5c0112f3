//! Labels that are known before anything happens. Their metrics are there from the start, at 0:
//! Prometheus does not count the first event of a counter that appears with it.

use metrics::{counter, gauge, histogram};

use super::names::{
    ACCOUNT_FAULT, CALLBACK_REJECTED, CALLS_STOPPED, CODE_LOOKUPS, HTTP_DURATION, HTTP_REQUESTS,
    LAST_PUSH, LOG_LINES_LOST, RELAY_REQUESTS, SCANS, STORE_COMMANDS, STORE_COMMITS, STORE_DAMAGED,
    TOKEN_REFRESHES, TOKEN_RETRIES, UPSTREAM_REQUESTS, VISITOR_PACE_EXCEEDED,
};

/// Counters with one label: its name, and its values.
const LABELLED: &[(&str, &str, &[&str])] = &[
    (
        CODE_LOOKUPS,
        "result",
        &["memory", "store", "minted", "joined", "stale", "refused"],
    ),
    (
        TOKEN_REFRESHES,
        "reason",
        &["first", "ahead", "expired", "refused", "forced", "shared"],
    ),
    (
        TOKEN_RETRIES,
        "reason",
        &["superseded", "revoked", "never_accepted"],
    ),
    (
        SCANS,
        "event",
        &["subscribe", "scan", "unsubscribe", "other", "unreadable"],
    ),
    (
        CALLBACK_REJECTED,
        "reason",
        &[
            "too_large",
            "query",
            "unencrypted",
            "envelope",
            "markup",
            "signature",
            "stale",
            "cipher",
            "app_id",
            "swapped",
        ],
    ),
    (
        RELAY_REQUESTS,
        "outcome",
        &["ok", "refused", "timeout", "unreachable", "invalid", "busy"],
    ),
];

const UNLABELLED: &[&str] = &[
    LOG_LINES_LOST,
    STORE_COMMANDS,
    STORE_COMMITS,
    VISITOR_PACE_EXCEEDED,
];

/// The route of the code's page, with the statuses of a good answer and of the failures that an
/// alert counts. Under a public URL with a path, requests that carry the path have a route of their
/// own, which begins with them.
const VISITORS_ROUTE: &str = "/qrcode";
const VISITORS_STATUSES: &[&str] = &["200", "500", "502", "503", "504"];

/// Of the errcodes the one that an alert waits for: WeChat's own stock of permanent codes is used
/// up.
const UPSTREAM_OUTCOMES: &[&str] = &["ok", "timeout", "unreachable", "invalid", "45029"];
const UPSTREAM_APIS: &[&str] = &["token", "create"];

/// The most frequent of the faults that the account's owner resolves: an address that is not on the
/// IP allow-list.
const FREQUENT_FAULT: &str = "40164";

/// The errcodes that stop the calls of an API: the quota of the day, and that of the minute.
pub(crate) const QUOTA_ERRCODES: [i64; 2] = [45009, 45011];

/// Shows all metrics whose labels are known.
pub(super) fn start() {
    for (name, label, values) in LABELLED {
        for value in *values {
            counter!(*name, *label => *value).increment(0);
        }
    }
    for name in UNLABELLED {
        counter!(*name).increment(0);
    }
    for status in VISITORS_STATUSES {
        counter!(HTTP_REQUESTS, "route" => VISITORS_ROUTE, "method" => "GET", "status" => *status)
            .increment(0);
    }
    // A histogram is shown from when it is registered, without an observation.
    let _ = histogram!(HTTP_DURATION, "route" => VISITORS_ROUTE);
    for api in UPSTREAM_APIS {
        for outcome in UPSTREAM_OUTCOMES {
            counter!(UPSTREAM_REQUESTS, "api" => *api, "outcome" => *outcome).increment(0);
        }
    }
    for api in UPSTREAM_APIS {
        for errcode in QUOTA_ERRCODES {
            let errcode = errcode.to_string();
            gauge!(CALLS_STOPPED, "api" => *api, "errcode" => errcode).set(0.0);
        }
    }
    gauge!(ACCOUNT_FAULT, "errcode" => FREQUENT_FAULT).set(0.0);
    gauge!(STORE_DAMAGED).set(0.0);
    // No push yet.
    gauge!(LAST_PUSH).set(0.0);
}

/// The values of a counter's label.
pub(super) fn values(counter: &str) -> impl Iterator<Item = &'static str> {
    let of_counter = LABELLED.iter().filter(move |(name, ..)| *name == counter);
    of_counter.flat_map(|(_, _, values)| *values).copied()
}

/// Whether a counter's label value is in the table, for the assertions that keep it whole.
pub(super) fn has(counter: &str, value: &str) -> bool {
    values(counter).any(|known| known == value)
}
