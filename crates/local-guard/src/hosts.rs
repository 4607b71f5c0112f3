//! Host names that no stranger can point at this machine.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::uri::Authority;
use url::Url;

use crate::error::ForeignRequest;

/// Top-level names that the public DNS does not delegate, so that a stranger can own no name below
/// them: those that RFC 6761 reserves, `.local` of RFC 6762 with the private ones of its appendix
/// G, and `.home.arpa` of RFC 8375.
const PRIVATE_SUFFIXES: [&str; 10] = [
    ".corp",
    ".home",
    ".home.arpa",
    ".internal",
    ".intranet",
    ".lan",
    ".local",
    ".localhost",
    ".private",
    ".test",
];

/// The host names by which a tool may be called. Clones share one list.
///
/// Names that no stranger can rebind are always trusted: IP literals, names without a dot, as
/// machines and containers have, and names below a suffix that no public name has, such as
/// `.local`.
#[derive(Debug, Clone)]
pub struct TrustedHosts {
    names: Arc<[String]>,
    setting: &'static str,
}

impl TrustedHosts {
    /// Trusts these names, without ports, in any case. `setting` is where a user adds one, for
    /// messages.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>, setting: &'static str) -> Self {
        let names = names.into_iter();
        Self {
            names: names.map(|name| normalized(name.as_ref())).collect(),
            setting,
        }
    }

    /// Trusts the host of a URL; none if it has no host, or is no URL.
    pub fn of_url(url: &str, setting: &'static str) -> Self {
        let url = Url::parse(url).ok();
        Self::new(url.as_ref().and_then(Url::host_str), setting)
    }

    /// Trusts more names.
    #[must_use]
    pub fn and(&self, names: &[&str]) -> Self {
        let old = self.names.iter().map(String::as_str);
        Self::new(old.chain(names.iter().copied()), self.setting)
    }

    /// Accepts a request without a host (HTTP/1.0) too: every browser names one, so nothing can be
    /// rebound.
    pub(crate) fn check(&self, host: Option<&Authority>) -> Result<(), ForeignRequest> {
        if host.is_none_or(|host| self.contains(host.host())) {
            Ok(())
        } else {
            Err(ForeignRequest::UnknownHost {
                setting: self.setting,
            })
        }
    }

    fn contains(&self, host: &str) -> bool {
        let host = normalized(host);
        is_ip_literal(&host) || is_private_name(&host) || self.names.contains(&host)
    }
}

fn is_ip_literal(host: &str) -> bool {
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    host.parse::<Ipv4Addr>().is_ok() || inner.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok())
}

/// A name without a dot, or below one of [`PRIVATE_SUFFIXES`]. One of digits is none: browsers read
/// it as an address.
fn is_private_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_plain)
    };
    let is_single = !host.contains('.') && !host.starts_with(|first: char| first.is_ascii_digit());
    host.split('.').all(is_label)
        && (is_single || PRIVATE_SUFFIXES.iter().any(|end| host.ends_with(end)))
}

/// Normalizes a host name: lower case, without the dot of the DNS root.
pub(crate) fn normalized(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.to_ascii_lowercase()
}
