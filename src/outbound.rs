//! The one HTTP client for calls that leave the service: deadlines, no redirects, no proxy variables, bounded bodies.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Response, redirect};
use secrecy::{ExposeSecret, SecretString};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// How long a TCP and TLS handshake may take, so that a dead host leaves time for its twin.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A last resort above every caller's own deadline.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Below the minute after which load balancers commonly drop idle connections; chosen, not measured.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds the client. `extra_ca` is a PEM bundle that is trusted besides the built-in roots.
///
/// # Errors
/// When the bundle holds no certificate that can be read.
pub fn http_client(extra_ca: Option<&[u8]>) -> Result<Client, ClientError> {
    builder(extra_ca)?.build().map_err(ClientError)
}

/// Builds a client without a connection pool: each request has a connection of its own.
///
/// For calls that must not be repeated. A peer may close an idle connection at the very moment at which a request is
/// written to it, and then nobody knows whether the request was seen.
///
/// # Errors
/// As [`http_client`].
pub fn unpooled_http_client(extra_ca: Option<&[u8]>) -> Result<Client, ClientError> {
    // Without room for an idle connection none is shared either, so that this holds for HTTP/2 too.
    let builder = builder(extra_ca)?.pool_max_idle_per_host(0);
    builder.build().map_err(ClientError)
}

fn builder(extra_ca: Option<&[u8]>) -> Result<ClientBuilder, ClientError> {
    // Fails when a provider is installed already, which is what we want.
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
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("wxqr/", env!("CARGO_PKG_VERSION"))))
}

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client cannot be built")]
pub struct ClientError(#[source] reqwest::Error);

/// Reads a body of at most `cap` bytes into memory and stops reading beyond it.
///
/// # Errors
/// When the body is longer or ends early. Cancel safe: a dropped read closes the connection.
pub async fn read_capped(mut response: Response, cap: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(reqwest::Error::without_url)?
    {
        if body.len() + chunk.len() > cap {
            return Err(BodyError::TooLarge { cap });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A body could not be read whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than we take.
    #[error("the body is longer than {cap} bytes")]
    TooLarge {
        /// The bound, in bytes.
        cap: usize,
    },
    /// The connection failed in the middle.
    #[error("the body broke off")]
    Broken(#[from] reqwest::Error),
}

/// Asks a URL on this machine, once, and tells whether the answer was a success.
///
/// # Errors
/// Why there was no answer within `deadline`.
pub async fn is_healthy(url: &url::Url, deadline: Duration) -> Result<bool, HealthError> {
    let client = http_client(None)?;
    let response = client
        .get(url.clone())
        .timeout(deadline)
        .send()
        .await
        .map_err(reqwest::Error::without_url)?;
    Ok(response.status().is_success())
}

/// A local service could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// There is no client to ask with.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// There is no answer.
    #[error("no answer")]
    Silent(#[from] reqwest::Error),
}

/// Asks a host for an answer, whatever it is.
///
/// # Errors
/// How far the question came within `deadline`, which is for the body too.
pub async fn probe(
    client: &Client,
    url: url::Url,
    deadline: Duration,
) -> Result<Response, ProbeError> {
    Ok(client.get(url).timeout(deadline).send().await?)
}

/// As [`probe`], with an API key of our own service.
///
/// # Errors
/// As [`probe`].
pub async fn probe_with_key(
    client: &Client,
    url: url::Url,
    key: &SecretString,
    deadline: Duration,
) -> Result<Response, ProbeError> {
    let request = client.get(url).bearer_auth(key.expose_secret());
    Ok(request.timeout(deadline).send().await?)
}

/// Why a host gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The name has no address.
    #[error("its name is not known to DNS")]
    Name,
    /// The operating system made no connection.
    #[error("no connection: {0}")]
    Connect(String),
    /// There is a connection, but TLS did not come about.
    #[error("no TLS: {0}")]
    Tls(String),
    /// Nobody took the connection in time.
    #[error("no connection within {} s", CONNECT_TIMEOUT.as_secs())]
    ConnectTimeout,
    /// There is a connection, but nothing came in time.
    #[error("a connection, but no answer in time")]
    Silent,
    /// There was a connection, but what came is no HTTP.
    #[error("a connection, but no HTTP answer")]
    NoHttp,
}

impl From<reqwest::Error> for ProbeError {
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

/// What TLS says, however deep: `io::Error` hides what it wraps from the chain of sources.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|cause| {
        cause.downcast_ref::<rustls::Error>().or_else(|| {
            let wrapped = cause.downcast_ref::<io::Error>()?.get_ref()?;
            tls_error(wrapped)
        })
    })
}
