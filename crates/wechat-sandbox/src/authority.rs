//! A certificate authority that lives as long as the process, and a certificate of it for WeChat's
//! hosts: for SDKs whose host names are fixed.
//!
//! The authority's key can impersonate any host to a client that trusts the authority. So the key
//! never leaves memory, and is gone once the certificate is signed; what may be written down is the
//! authority's certificate.

use std::fmt;
use std::net::IpAddr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// The hosts of WeChat that an Official Account's SDK calls, as its documents name them.
pub const WECHAT_HOSTS: [&str; 8] = [
    "api.weixin.qq.com",
    "api2.weixin.qq.com",
    "sh.api.weixin.qq.com",
    "sz.api.weixin.qq.com",
    "hk.api.weixin.qq.com",
    "file.api.weixin.qq.com",
    "mp.weixin.qq.com",
    "open.weixin.qq.com",
];

/// The authority's name in its certificate.
pub const AUTHORITY_NAME: &str = "wxqr sandbox CA, for tests only";

/// Before now, for clients whose clock is behind.
const BEFORE: SignedDuration = SignedDuration::from_hours(24);

/// After now. The longest that browsers accept of a server's certificate is 398 days.
const AFTER: SignedDuration = SignedDuration::from_hours(397 * 24);

/// A TLS server's certificate and key, and the authority that its clients have to trust.
pub struct TlsIdentity {
    /// The authority's certificate, as PEM.
    pub authority: String,
    /// The server's certificate, as DER.
    pub certificate: Vec<u8>,
    /// The server's private key, as PKCS#8 DER.
    pub key: Vec<u8>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the certificate cannot be made")]
pub struct CertificateError(#[from] Error);

impl TlsIdentity {
    /// A new authority and a server's certificate for [`WECHAT_HOSTS`], `localhost`, its two
    /// addresses and `hosts`, which are names or addresses.
    ///
    /// # Errors
    /// When a host is no name that a certificate can hold.
    pub fn new(hosts: &[String], now: Timestamp) -> Result<Self, CertificateError> {
        let authority_key = KeyPair::generate()?;
        let authority = authority_params(now)?;
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let certificate = server_params(hosts, now)?.signed_by(&key, &issuer)?;
        Ok(Self {
            authority: authority_certificate.pem(),
            certificate: certificate.der().to_vec(),
            key: key.serialize_der(),
        })
    }
}

fn authority_params(now: Timestamp) -> Result<CertificateParams, Error> {
    let mut params = dated(CertificateParams::new(Vec::new())?, now);
    params.distinguished_name = named(AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn server_params(hosts: &[String], now: Timestamp) -> Result<CertificateParams, Error> {
    let mut names: Vec<String> = WECHAT_HOSTS.map(str::to_owned).into();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let unspecified = |host: &str| host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
    for host in hosts {
        if !names.contains(host) && !unspecified(host) {
            names.push(host.clone());
        }
    }
    let mut params = dated(CertificateParams::new(names)?, now);
    params.distinguished_name = named("wxqr sandbox");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// Dates the certificate, in whole days.
fn dated(mut params: CertificateParams, now: Timestamp) -> CertificateParams {
    let day = |at: Timestamp| {
        let date = at.to_zoned(TimeZone::UTC).date();
        let positive = |number: i8| u8::try_from(number).expect("months and days are positive");
        date_time_ymd(
            date.year().into(),
            positive(date.month()),
            positive(date.day()),
        )
    };
    params.not_before = day(now - BEFORE);
    params.not_after = day(now + AFTER);
    params
}
