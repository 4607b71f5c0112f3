//! Checks of the API hosts: DNS, connection, TLS and HTTP.

use std::time::{Duration, Instant};

use url::Url;

use super::finding::{Finding, HOST, Issue, Report};
use crate::config::{Config, ExtraCa};
use crate::outbound::{self, ConnectionError};
use crate::telemetry::Causes;

/// Timeout of a request to a host. A visitor waits no longer by default, so a host that is slower
/// is of little use, although a call of the service may take longer at the last host.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Checks each API host, and returns whether any of them answers.
pub(super) async fn check(config: &Config, report: Report<'_>) -> bool {
    let extra_ca = config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem);
    let client = match outbound::http_client(extra_ca, config.upstream.outbound_address) {
        Ok(client) => client,
        Err(error) => {
            let issue = Issue::new(Causes(&error).to_string(), "check WXQR_EXTRA_CA_FILE");
            report(Finding::failed(HOST, issue));
            return false;
        }
    };
    let mut answered = false;
    let bases = &config.upstream.api_bases;
    for base in bases {
        let what = format!("{HOST} {}", authority(base));
        let started = Instant::now();
        match outbound::check_connection(&client, base.clone(), CHECK_TIMEOUT).await {
            Ok(_) => {
                answered = true;
                report(answered_after(&what, started.elapsed(), bases.len() > 1));
            }
            Err(error) => {
                let issue = Issue::new(error.to_string(), remedy(&error, "WXQR_API_BASE"));
                report(Finding::failed(what, issue));
            }
        }
    }
    answered
}

/// The finding of a host that answers: a warning if calls turn to another one before.
fn answered_after(what: &str, took: Duration, has_others: bool) -> Finding {
    let detail = format!("answers after {} ms", took.as_millis());
    if !has_others || took < wechat::ATTEMPT_TIMEOUT {
        return Finding::fine(what, detail);
    }
    let patience = wechat::ATTEMPT_TIMEOUT.as_secs_f32();
    let cause = format!("{detail}, and calls turn to the next host after {patience} s");
    Finding::warned(what, Issue::new(cause, "check the network in between"))
}

fn authority(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What to do where the host of a setting does not answer.
pub(super) fn remedy(error: &ConnectionError, variable: &str) -> String {
    match error {
        ConnectionError::Name => format!("check {variable}, and the DNS of this machine"),
        ConnectionError::Connect(_) | ConnectionError::ConnectTimeout => {
            format!("check {variable}, and that a firewall lets this machine connect to it")
        }
        ConnectionError::Tls(_) => {
            "check this machine's clock; if a device on the way decrypts TLS, name its CA in WXQR_EXTRA_CA_FILE".to_owned()
        }
        ConnectionError::Silent | ConnectionError::NoHttp => {
            format!("check {variable}, and the network in between")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_calls_would_give_up_is_a_warning() {
        for (milliseconds, has_others, line) in [
            (2499, true, "ok    host a: answers after 2499 ms"),
            (2500, false, "ok    host a: answers after 2500 ms"),
            (
                2500,
                true,
                "warn  host a: answers after 2500 ms, and calls turn to the next host after 2.5 s; check the network in between",
            ),
        ] {
            let finding = answered_after("host a", Duration::from_millis(milliseconds), has_others);
            assert_eq!(finding.to_string(), line);
        }
    }
}
