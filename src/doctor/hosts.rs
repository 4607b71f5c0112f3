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
    for base in &config.upstream.api_bases {
        let what = format!("{HOST} {}", authority(base));
        let started = Instant::now();
        match outbound::check_connection(&client, base.clone(), CHECK_TIMEOUT).await {
            Ok(_) => {
                answered = true;
                let detail = format!("answers after {} ms", started.elapsed().as_millis());
                report(Finding::fine(what, detail));
            }
            Err(error) => {
                let issue = Issue::new(error.to_string(), remedy(&error, "WXQR_API_BASE"));
                report(Finding::failed(what, issue));
            }
        }
    }
    answered
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
