//! Checks of the callback: reachability, URL verification, accepted pushes.

use std::net::SocketAddr;

use secrecy::SecretString;
use wechat::push::{Credentials, PushVerifier};

use super::finding::{CALLBACK, Finding, Issue};
use super::hosts::CHECK_TIMEOUT;
use super::pushes::{self, PushHealth};
use crate::clock::Clock;
use crate::config::{Config, ExtraCa, local_url};
use crate::outbound::{self, ClientError, ConnectionError};
use crate::text::random_token;

/// Maximum length of the answer, in bytes: enough for the service's own.
const MAX_ANSWER: usize = 1024;

/// Statuses of a proxy whose backend is not running.
const GATEWAY_ERRORS: [u16; 3] = [502, 503, 504];

/// Remedy if something else answers.
const FORWARD_UNCHANGED: &str = "run the service with these settings, and make the proxy forward this path with its query unchanged";

/// Sends WeChat's URL verification request to the public URL, then evaluates the push counts of the
/// running service. A service that is not running or cannot be reached from here is not a failure:
/// WeChat may be able to reach it.
///
/// `key` is an API key of the service with the scope `stats`, if there is one.
pub(super) async fn check(
    config: &Config,
    credentials: &Credentials,
    clock: &dyn Clock,
    key: Option<&SecretString>,
) -> Finding {
    let (public, asked) = match &config.public_url {
        None => (None, Finding::skipped(CALLBACK, "WXQR_PUBLIC_URL")),
        Some(url) => (
            Some(url.as_str()),
            check_url(config, credentials, url.as_str(), clock).await,
        ),
    };
    if asked.is_failure() {
        return asked;
    }
    let unknown = |action| Issue::new("whether pushes are accepted is not known", action);
    let Some(key) = key else {
        return asked.but(&unknown("read callback in GET /api/account yourself, or give doctor a key of the scope stats in WXQR_API_KEYS that is not hashed"));
    };
    let bases = keyed_bases(config.listen, public.filter(|_| asked.is_fine()));
    match pushes::fetch_first(config, &bases, key)
        .await
        .map(|pushes| pushes.health())
    {
        None => asked.but(&unknown(
            "run the service with these settings: /api/account answers neither on this machine at WXQR_LISTEN nor over https at \
             WXQR_PUBLIC_URL",
        )),
        Some(PushHealth::Healthy(detail)) => asked.and(&detail),
        Some(PushHealth::Suspect(issue)) => Finding::warned(CALLBACK, issue),
        Some(PushHealth::Failing(issue)) => Finding::failed(CALLBACK, issue),
    }
}

/// Returns the base URLs that an API key may be sent to: this machine's loopback, then the public
/// URL over TLS. Without TLS the key could be read in transit.
fn keyed_bases(listen: SocketAddr, public: Option<&str>) -> Vec<String> {
    let ip = listen.ip();
    let local = (ip.is_loopback() || ip.is_unspecified())
        .then(|| local_url(listen).as_str().trim_end_matches('/').to_owned());
    let public = public.filter(|base| base.starts_with("https://"));
    local.into_iter().chain(public.map(str::to_owned)).collect()
}

/// Sends WeChat's URL verification request.
async fn check_url(
    config: &Config,
    credentials: &Credentials,
    base: &str,
    clock: &dyn Clock,
) -> Finding {
    let address = format!("{base}/callback");
    let verifier = PushVerifier::new(credentials.clone(), config.account.app_id.as_str());
    let echo = random_token();
    let query = verifier.url_verification_query(&echo, clock.now());
    match send(config, &format!("{address}?{query}")).await {
        Ok((200, body)) if body == echo.as_bytes() => {
            let mode = mode(credentials);
            let detail = format!("{address} answers as WeChat expects, {mode}");
            Finding::fine(CALLBACK, detail)
        }
        Ok((status, _)) if GATEWAY_ERRORS.contains(&status) => {
            unanswered(&address, &format!("HTTP {status}"))
        }
        Ok((status, _)) => {
            let cause = format!("{address} does not answer as WeChat expects (HTTP {status})");
            Finding::failed(CALLBACK, Issue::new(cause, FORWARD_UNCHANGED))
        }
        Err(RequestError::Connection(
            error @ (ConnectionError::Tls(_) | ConnectionError::NoHttp),
        )) => {
            let cause = format!("{address} cannot be checked: {error}");
            let action = "check WXQR_PUBLIC_URL, and the certificate there";
            Finding::failed(CALLBACK, Issue::new(cause, action))
        }
        Err(error) => unanswered(&address, &error.to_string()),
    }
}

fn unanswered(address: &str, reason: &str) -> Finding {
    Finding::skipped(
        CALLBACK,
        format!("a running service at {address} ({reason})"),
    )
}

fn mode(credentials: &Credentials) -> &'static str {
    match credentials.keys {
        Some(_) => "safe mode",
        None => "plain mode",
    }
}

/// Why there is no answer. The messages do not contain the signed query.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

/// Returns status and body of the answer.
async fn send(config: &Config, url: &str) -> Result<(u16, Vec<u8>), RequestError> {
    let url = url.parse().expect("the settings hold an address");
    let extra_ca = config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem);
    let client = outbound::http_client(extra_ca, None)?;
    let answer = outbound::check_connection(&client, url, CHECK_TIMEOUT).await?;
    let status = answer.status().as_u16();
    let body = outbound::read_capped(answer, MAX_ANSWER).await;
    // A longer body is not the expected answer either.
    Ok((status, body.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_key_is_sent_over_loopback_or_tls_only() {
        let (http, https) = ("http://qr.example.com", "https://qr.example.com");
        for (listen, public, want) in [
            (
                "127.0.0.1:8080",
                Some(https),
                &["http://127.0.0.1:8080", https][..],
            ),
            ("0.0.0.0:8080", Some(http), &["http://127.0.0.1:8080"]),
            ("[::]:8080", None, &["http://[::1]:8080"]),
            ("192.0.2.1:8080", Some(https), &[https]),
            ("192.0.2.1:8080", Some(http), &[]),
            ("192.0.2.1:8080", None, &[]),
        ] {
            let got = keyed_bases(listen.parse().unwrap(), public);
            assert_eq!(got, want, "{listen}, {public:?}");
        }
    }
}
