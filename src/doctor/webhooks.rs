//! Checks of webhooks: whether the receiver's host answers, and how far events are delivered.

use std::sync::Arc;
use std::time::Duration;

use super::finding::{Finding, Issue, WEBHOOK};
use super::hosts::{self, CHECK_TIMEOUT};
use crate::app::{self, Stores};
use crate::clock::Clock;
use crate::config::{Config, ExtraCa};
use crate::outbound;
use crate::telemetry::Causes;
use crate::webhooks::{
    AttemptFailure, LONGEST_BACKOFF, RECEIVER_TIMEOUT, WebhookHealth, WebhookSettings,
    WebhookStatus,
};

/// The age of a waiting event at which the line becomes a warning. Below it, a back-off may be all
/// that it waits for.
const LATE: Duration = Duration::from_mins(20);
const _: () = assert!(LATE.as_secs() > LONGEST_BACKOFF.as_secs());

// The advice below says it.
const _: () = assert!(RECEIVER_TIMEOUT.as_secs() == 5);

/// Asks the receiver's host whether it is there, without an event, then reads the progress, if the
/// database is there.
pub(super) async fn check(
    config: &Config,
    settings: &WebhookSettings,
    stores: Option<&Stores>,
    clock: &Arc<dyn Clock>,
) -> Finding {
    let host = &settings.url;
    let extra_ca = config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem);
    let Ok(client) = outbound::http_client(extra_ca, None) else {
        return Finding::skipped(WEBHOOK, "a certificate in WXQR_EXTRA_CA_FILE");
    };
    // Without path and query, which may be secrets. Any answer will do.
    let answer = outbound::check_connection(&client, host.origin(), CHECK_TIMEOUT).await;
    if let Err(error) = answer {
        let cause = format!("{host} cannot be reached: {error}");
        let action = hosts::remedy(&error, "WXQR_WEBHOOK_URL");
        return Finding::failed(WEBHOOK, Issue::new(cause, action));
    }
    let answers = Finding::fine(WEBHOOK, format!("{host} answers"));
    let Some(stores) = stores else {
        return answers;
    };
    match app::monitor(stores, Arc::clone(clock)).status().await {
        Ok(None) => answers.and("nothing is sent before the service has started"),
        Ok(Some(status)) => progress(answers, &status),
        Err(error) => {
            let action = "check the log of the database";
            Finding::failed(WEBHOOK, Issue::new(Causes(&error).to_string(), action))
        }
    }
}

fn progress(answers: Finding, status: &WebhookStatus) -> Finding {
    let waiting = waiting(status);
    match (status.health(), status.progress.last_failure) {
        (WebhookHealth::Stopped, _) => Finding::failed(
            WEBHOOK,
            Issue::new(
                format!("the receiver answered 410, so nothing is sent to it; {waiting}"),
                "restart the service with the right WXQR_WEBHOOK_URL, or without one",
            ),
        ),
        (WebhookHealth::Failing, Some(failure)) => {
            let (cause, action) = explain(failure);
            let attempts = status.progress.failures;
            let cause = format!("{cause}, {attempts} times in a row; {waiting}");
            Finding::failed(WEBHOOK, Issue::new(cause, action))
        }
        (WebhookHealth::Ok | WebhookHealth::Failing, _) if status.lag.age > LATE => {
            Finding::warned(
                WEBHOOK,
                Issue::new(waiting, "see that the service runs with this database"),
            )
        }
        (WebhookHealth::Ok | WebhookHealth::Failing, _) => answers.and(&waiting),
    }
}

fn waiting(status: &WebhookStatus) -> String {
    let delivered = match status.progress.delivered_at {
        Some(at) => format!(
            "the last delivery was at {}",
            at.strftime("%Y-%m-%dT%H:%M:%SZ")
        ),
        None => "nothing was delivered yet".to_owned(),
    };
    format!("{delivered}, events that wait: {}", status.lag.events)
}

fn explain(failure: AttemptFailure) -> (String, &'static str) {
    match failure.reason.status() {
        Some(status) => (
            format!("the receiver answers {status}"),
            "see the receiver's log; it must answer 200 to 299",
        ),
        None => (
            format!("the receiver fails ({})", failure.reason.as_str()),
            "see that the receiver runs, and answers within 5 s",
        ),
    }
}
