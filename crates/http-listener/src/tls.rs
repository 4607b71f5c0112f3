//! TLS for listeners that have no proxy in front.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// Certificate and key of a listener that serves HTTPS. Clones share them.
#[derive(Clone)]
pub struct TlsConfig(Arc<ServerConfig>);

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").finish_non_exhaustive()
    }
}

/// The certificate or its key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the certificate and its key cannot be used for TLS")]
pub struct TlsConfigError(#[from] rustls::Error);

impl TlsConfig {
    /// Takes a certificate (DER) whose issuer clients trust, and its key (PKCS#8 DER).
    ///
    /// Accepts TLS 1.2 and 1.3, and offers HTTP/1.1 by ALPN.
    ///
    /// # Errors
    /// When they cannot be parsed, or the key is not that of the certificate.
    pub fn new(certificate: Vec<u8>, key: Vec<u8>) -> Result<Self, TlsConfigError> {
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

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0))
    }
}
