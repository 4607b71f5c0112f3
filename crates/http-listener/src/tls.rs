//! TLS on a listener.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What the listener proves itself with. Clones are handles to the same.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// The certificate and the key are of no use.
#[derive(Debug, thiserror::Error)]
#[error("the certificate and its key cannot be used for TLS")]
pub struct TlsError(#[from] rustls::Error);

impl Tls {
    /// Of one certificate (DER) that clients trust the issuer of, and its key (PKCS#8 DER). TLS 1.2 and 1.3, HTTP/1.1.
    ///
    /// # Errors
    /// When they cannot be read, or are not of one pair.
    pub fn new(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(certificate)],
                PrivatePkcs8KeyDer::from(key).into(),
            )?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}
