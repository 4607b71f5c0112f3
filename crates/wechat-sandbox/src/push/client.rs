//! The HTTP client for requests to callbacks: deadlines, no redirects, no proxy variables, bounded
//! bodies.

use std::time::Duration;

use reqwest::{Certificate, Client, redirect};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::push::response::DeliveryError;

/// How long a TCP and TLS handshake may take, of the five seconds that a push has.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A last resort above every caller's own deadline.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Below the minute after which load balancers commonly drop idle connections; chosen, not
/// measured.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Builds the client, which trusts the roots that are built in.
///
/// # Panics
/// Never: only a certificate that cannot be read would make it fail.
pub(crate) fn http_client() -> Client {
    // Fails when a provider is installed already, which is what we want.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let roots = TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|der| Certificate::from_der(der).expect("a built-in root can be read"));
    Client::builder()
        .tls_certs_only(roots)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("wxqr/", env!("CARGO_PKG_VERSION")))
        .build()
        .expect("the built-in roots can be read")
}

/// Reads a body of at most `cap` bytes into memory. Cancel safe: a dropped read closes the
/// connection.
///
/// # Errors
/// When the body is longer or ends early.
pub(crate) async fn read_capped(
    mut response: reqwest::Response,
    cap: usize,
) -> Result<Vec<u8>, DeliveryError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > cap {
            return Err(DeliveryError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
