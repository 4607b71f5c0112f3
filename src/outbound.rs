//! HTTP client for all outgoing calls: timeouts, no redirects, no proxy variables, bounded bodies.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Timeout of the TCP and TLS handshake, short enough to leave time for a second host.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Timeout of a call whose caller sets none.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Idle timeout of pooled connections: below the minute after which load balancers commonly drop
/// them; chosen, not measured.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds the client. `extra_ca` is a PEM bundle that is trusted in addition to the built-in roots.
/// `from` is the local address of its connections; `0.0.0.0` lets the system choose one, of IPv4.
///
/// # Errors
/// If the bundle contains no valid certificate.
pub fn http_client(extra_ca: Option<&[u8]>, from: Option<IpAddr>) -> Result<Client, ClientError> {
    builder(extra_ca, from)?.build().map_err(ClientError)
}

/// Builds a client without connection pool: each request has a connection of its own.
///
/// For calls that must not be repeated. A peer may close an idle connection while a request is
/// written to it, and then it is unknown whether the request was processed.
///
/// # Errors
/// See [`http_client`].
pub fn unpooled_http_client(
    extra_ca: Option<&[u8]>,
    from: Option<IpAddr>,
) -> Result<Client, ClientError> {
    // Zero idle connections also disable sharing under HTTP/2.
    let builder = builder(extra_ca, from)?.pool_max_idle_per_host(0);
    builder.build().map_err(ClientError)
}

fn builder(extra_ca: Option<&[u8]>, from: Option<IpAddr>) -> Result<ClientBuilder, ClientError> {
    // Fails if a provider is already installed, which is fine.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let built_in = TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| Certificate::from_der(der));
    let mut roots: Vec<Certificate> = built_in.collect::<Result<_, _>>().map_err(ClientError)?;
    if let Some(pem) = extra_ca {
        roots.extend(Certificate::from_pem_bundle(pem).map_err(ClientError)?);
    }
    Ok(Client::builder()
        .tls_certs_only(roots)
        .local_address(from)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("wxqr/", env!("CARGO_PKG_VERSION"))))
}

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built")]
pub struct ClientError(#[source] reqwest::Error);

/// Whether what is sent there can be read by others on its way: the URL is neither https nor of
/// this machine.
pub fn is_exposed(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    url.scheme() != "https" && !is_local
}

/// Reads a body of at most `cap` bytes, and stops reading beyond it.
///
/// # Errors
/// If the body is longer or truncated. Cancel safe: a dropped read closes the connection.
pub async fn read_capped(mut response: Response, cap: usize) -> Result<Vec<u8>, ResponseBodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        if body.len() + chunk.len() > cap {
            return Err(ResponseBodyError::TooLarge { cap });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ResponseBodyError {
    #[error("the body is longer than {cap} bytes")]
    TooLarge {
        /// The limit, in bytes.
        cap: usize,
    },
    /// The connection failed within the body.
    #[error("the body ended early")]
    Broken(#[from] reqwest::Error),
}

/// Sends one health check to a URL on this machine, and returns whether the status is a success.
///
/// # Errors
/// If there was no answer within `deadline`.
pub async fn is_healthy(url: &Url, deadline: Duration) -> Result<bool, HealthError> {
    let client = http_client(None, None)?;
    let response = client
        .get(url.clone())
        .timeout(deadline)
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    Ok(response.status().is_success())
}

/// Why a health check has no result.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("no answer")]
    Silent(#[from] reqwest::Error),
}

/// Sends one request to test a connection; any HTTP answer is a success.
///
/// # Errors
/// The step that failed within `deadline`, which includes the body.
pub async fn check_connection(
    client: &Client,
    url: Url,
    deadline: Duration,
) -> Result<Response, ConnectionError> {
    Ok(client.get(url).timeout(deadline).send().await?)
}

/// Like [`check_connection`], with an API key of this service.
///
/// # Errors
/// See [`check_connection`].
pub async fn check_connection_with_key(
    client: &Client,
    url: Url,
    key: &SecretString,
    deadline: Duration,
) -> Result<Response, ConnectionError> {
    let request = client.get(url).bearer_auth(key.expose_secret());
    Ok(request.timeout(deadline).send().await?)
}

/// Why a host does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The host name does not resolve.
    #[error("DNS does not know its name")]
    Name,
    #[error("no connection: {0}")]
    Connect(String),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout,
    #[error("connected, but no answer in time")]
    Silent,
    /// Connected, but the answer is not HTTP.
    #[error("connected, but the answer is not HTTP")]
    NoHttp,
}

impl From<reqwest::Error> for ConnectionError {
    fn from(error: reqwest::Error) -> Self {
        if let Some(cause) = tls_error(&error) {
            return Self::Tls(cause.to_string());
        }
        match (error.is_connect(), error.is_timeout()) {
            (true, true) => Self::ConnectTimeout,
            (false, true) => Self::Silent,
            (false, false) => Self::NoHttp,
            (true, false) if causes(&error).any(|cause| cause.to_string() == "dns error") => {
                Self::Name
            }
            (true, false) => {
                let refused = causes(&error).find_map(|cause| cause.downcast_ref::<io::Error>());
                Self::Connect(
                    refused.map_or("unknown".to_owned(), |error| error.kind().to_string()),
                )
            }
        }
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Finds the TLS error at any depth: `io::Error` does not list the error that it wraps as a source.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| {
        cause.downcast_ref::<rustls::Error>().or_else(|| {
            let wrapped = cause.downcast_ref::<io::Error>()?.get_ref()?;
            tls_error(wrapped)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_to_another_machine_is_exposed() {
        for (url, want) in [
            ("https://qr.example.com", false),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080/wx", false),
            ("http://localhost", false),
            ("http://qr.example.com", true),
            ("http://localhost.example.com", true),
            ("http://127.0.0.1.example.com:80", true),
            ("http://10.0.0.7:8080", true),
            ("http://[::ffff:10.0.0.7]/", true),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_exposed(&url), want, "{url}");
        }
    }
}
