//! Would WeChat find the callback, and are its pushes accepted there?

use std::net::SocketAddr;

use secrecy::SecretString;
use uuid::Uuid;

use super::pushes::{self, Judgement};
use super::{CALLBACK, Finding, PROBE_DEADLINE, Trouble};
use crate::callback::{Credentials, PushVerifier};
use crate::clock::Clock;
use crate::config::{Config, ExtraCa, local_url};
use crate::outbound::{self, ClientError, ProbeError};

/// Room for our own answer and for nothing much longer.
const MAX_ANSWER: usize = 1024;

/// What a proxy says of a service that does not run.
const NOBODY_BEHIND_IT: [u16; 3] = [502, 503, 504];

/// What to do where something else answers.
const LET_IT_PASS: &str = "run the service with these settings, and let the proxy pass this path on with its query as it is";

/// Asks the callback as WeChat's console would, at the address that WeChat would use, and then the service what has come
/// there. A service that does not run yet, or cannot be reached from here, is no failure: WeChat may reach it.
///
/// `key` is an API key of the service with the scope `stats`, if there is one.
pub(super) async fn check(
    config: &Config,
    credentials: &Credentials,
    clock: &dyn Clock,
    key: Option<&SecretString>,
) -> Finding {
    let (public, asked) = match &config.public_url {
        None => (
            None,
            Finding::skipped(CALLBACK, "WXQR_PUBLIC_URL to be asked"),
        ),
        Some(url) => (
            Some(url.as_str()),
            check_address(config, credentials, url.as_str(), clock).await,
        ),
    };
    if asked.is_failure() {
        return asked;
    }
    let Some(key) = key else {
        return asked.and("whether pushes are accepted is not known without a key of the scope stats in WXQR_API_KEYS");
    };
    let bases = keyed_bases(config.listen, public.filter(|_| asked.is_fine()));
    match pushes::ask_first(config, &bases, key)
        .await
        .map(|pushes| pushes.judge())
    {
        None => asked.and(
            "whether pushes are accepted is not known: /api/account answers neither on this machine at WXQR_LISTEN nor over https at \
             WXQR_PUBLIC_URL",
        ),
        Some(Judgement::Fine(detail)) => asked.and(&detail),
        Some(Judgement::Doubtful(trouble)) => Finding::warned(CALLBACK, trouble),
        Some(Judgement::Refused(trouble)) => Finding::failed(CALLBACK, trouble),
    }
}

/// Where an API key may be sent, in the order to try: this machine's loopback, then the public address over TLS. Anything else
/// could read the key on the way.
fn keyed_bases(listen: SocketAddr, public: Option<&str>) -> Vec<String> {
    let ip = listen.ip();
    let local = (ip.is_loopback() || ip.is_unspecified())
        .then(|| local_url(listen).as_str().trim_end_matches('/').to_owned());
    let public = public.filter(|base| base.starts_with("https://"));
    local.into_iter().chain(public.map(str::to_owned)).collect()
}

/// Asks as WeChat's console would.
async fn check_address(
    config: &Config,
    credentials: &Credentials,
    base: &str,
    clock: &dyn Clock,
) -> Finding {
    let address = format!("{base}/callback");
    let verifier = PushVerifier::new(credentials.clone(), config.account.app_id.as_str());
    let echo = Uuid::now_v7().simple().to_string();
    let question = verifier.url_verification_query(&echo, clock.now());
    match ask(config, &format!("{address}?{question}")).await {
        Ok((200, body)) if body == echo.as_bytes() => {
            let mode = mode(credentials);
            let detail = format!("{address} answers as WeChat expects, {mode}");
            Finding::fine(CALLBACK, detail)
        }
        Ok((status, _)) if NOBODY_BEHIND_IT.contains(&status) => {
            unanswered(&address, &format!("HTTP {status}"))
        }
        Ok((status, _)) => {
            let happened = format!("{address} does not answer as WeChat expects (HTTP {status})");
            Finding::failed(CALLBACK, Trouble::new(happened, LET_IT_PASS))
        }
        Err(Unasked::Silent(error @ (ProbeError::Tls(_) | ProbeError::NoHttp))) => {
            let happened = format!("{address} cannot be asked: {error}");
            let action = "check WXQR_PUBLIC_URL, and the certificate there";
            Finding::failed(CALLBACK, Trouble::new(happened, action))
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

/// Why there is no answer. Neither names the signed query.
#[derive(Debug, thiserror::Error)]
enum Unasked {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Silent(#[from] ProbeError),
}

/// The status and the body of the answer.
async fn ask(config: &Config, url: &str) -> Result<(u16, Vec<u8>), Unasked> {
    let url = url.parse().expect("the settings hold an address");
    let extra_ca = config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem);
    let client = outbound::http_client(extra_ca)?;
    let answer = outbound::probe(&client, url, PROBE_DEADLINE).await?;
    let status = answer.status().as_u16();
    let body = outbound::read_capped(answer, MAX_ANSWER).await;
    // A long page is not the answer either.
    Ok((status, body.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_to_loopback_first_and_nowhere_else_without_tls() {
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
