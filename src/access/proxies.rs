//! Trusted proxies: the client's address from `X-Forwarded-For`. [`TrustedProxies`] is the type to
//! read first.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// Networks whose `X-Forwarded-For` is trusted. Empty by default, and then the header is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The accepted form, in one line for error messages.
    pub const FORM: &'static str =
        "networks as in 10.0.0.0/8 or fd00::/8, or single addresses, comma-separated";

    /// Finds the client's address: the right-most untrusted hop. Each proxy appends the address of
    /// its peer on the right, so what is left of an untrusted address may be forged.
    ///
    /// `peer` is the peer of the connection. `forwarded_for` are the lines of `X-Forwarded-For` in
    /// their order, together one list; a line that is not text may be replaced by any text that is
    /// not an address. If all hops are trusted proxies, the client is the left-most one.
    ///
    /// A hop that is not an address (an empty one too) ends the search at the last valid one: its
    /// proxy does not name its peer, so nothing left of it is trustworthy. The clients behind that
    /// proxy then share its address.
    pub fn client_address<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl IntoIterator<Item = &'a str>,
    ) -> ClientAddress {
        let peer = peer.to_canonical();
        let lines: Vec<&str> = forwarded_for.into_iter().collect();
        if lines.is_empty() {
            return ClientAddress::new(peer, Forwarded::Absent);
        }
        let mut address = peer;
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.contains(address) {
                break;
            }
            match hop_address(hop) {
                Some(hop) => address = hop,
                None => return ClientAddress::new(address, Forwarded::Malformed),
            }
        }
        if self.contains(peer) {
            ClientAddress::new(address, Forwarded::Trusted)
        } else {
            ClientAddress::new(address, Forwarded::UntrustedPeer)
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The client's address, and how it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address; an IPv4-mapped IPv6 address is given as IPv4.
    pub address: IpAddr,
    pub forwarded: Forwarded,
}

impl ClientAddress {
    fn new(address: IpAddr, forwarded: Forwarded) -> Self {
        Self { address, forwarded }
    }
}

/// How `X-Forwarded-For` was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// There was no such header.
    Absent,
    /// The header was used.
    Trusted,
    /// The header was ignored because the peer is not a trusted proxy: a forged header, or a proxy
    /// that is missing in `WXQR_TRUSTED_PROXIES`. Worth one line in the log.
    UntrustedPeer,
    /// The header was used up to a hop that is not an address. Worth one line in the log.
    Malformed,
}

/// Parses an address with an optional port: `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:443`.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim_matches([' ', '\t']);
    let bare = hop
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => hop
            .parse()
            .ok()
            .or_else(|| hop.parse().ok().map(|hop: SocketAddr| hop.ip())),
    };
    address.map(|address| address.to_canonical())
}

impl FromStr for TrustedProxies {
    type Err = ProxiesError;

    /// Parses networks and addresses, comma-separated; white space around them is ignored.
    fn from_str(text: &str) -> Result<Self, ProxiesError> {
        text.split(',')
            .enumerate()
            .map(|(index, entry)| {
                network(entry.trim()).map_err(|problem| ProxiesError {
                    position: index + 1,
                    problem,
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, ProxyProblem> {
    let network: IpNet = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| ProxyProblem::Form)?;
    if network.trunc() == network {
        Ok(canonical(network))
    } else {
        Err(ProxyProblem::HostBits)
    }
}

/// Turns an IPv4-mapped IPv6 network into IPv4, the form in which addresses are compared.
fn canonical(network: IpNet) -> IpNet {
    /// Bits before the IPv4 address in `::ffff:192.0.2.1`.
    const MAPPED: u8 = 96;
    match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(address), length @ MAPPED..) => {
            Ipv4Net::new(address, length - MAPPED).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// An invalid entry in a list of networks. Quotes no part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {position} {problem}")]
pub struct ProxiesError {
    /// Position in the list, from 1.
    pub position: usize,
    pub problem: ProxyProblem,
}

/// Why a network is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyProblem {
    #[error("is neither a network nor an address")]
    Form,
    /// Bits are set after the prefix: either the address or the prefix length is wrong.
    #[error("has bits set behind its prefix length")]
    HostBits,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(text: &str) -> TrustedProxies {
        text.parse().unwrap()
    }

    #[test]
    fn networks_parse_and_host_bits_are_refused() {
        let refused = |position, problem| Err(ProxiesError { position, problem });
        for (text, want) in [
            ("10.0.0.0/8", Ok("10.0.0.0/8")),
            (
                " 10.0.0.0/8 ,fd00::/8,\n192.0.2.7",
                Ok("10.0.0.0/8 fd00::/8 192.0.2.7/32"),
            ),
            ("::1", Ok("::1/128")),
            ("0.0.0.0/0, ::/0", Ok("0.0.0.0/0 ::/0")),
            (
                "::ffff:10.0.0.0/104, ::ffff:192.0.2.7",
                Ok("10.0.0.0/8 192.0.2.7/32"),
            ),
            ("", refused(1, ProxyProblem::Form)),
            ("10.0.0.0/8,", refused(2, ProxyProblem::Form)),
            ("10.0.0.0/33", refused(1, ProxyProblem::Form)),
            ("10.0.0.0/-1", refused(1, ProxyProblem::Form)),
            ("10.0.0/8", refused(1, ProxyProblem::Form)),
            ("10.0.0.0/255.0.0.0", refused(1, ProxyProblem::Form)),
            ("proxy.example.com", refused(1, ProxyProblem::Form)),
            ("*", refused(1, ProxyProblem::Form)),
            ("10.0.0.1/8", refused(1, ProxyProblem::HostBits)),
            ("::1,fd00::1/8", refused(2, ProxyProblem::HostBits)),
        ] {
            let got = text.parse::<TrustedProxies>().map(|proxies| {
                let networks: Vec<_> = proxies.0.iter().map(IpNet::to_string).collect();
                networks.join(" ")
            });
            assert_eq!(got, want.map(str::to_owned), "input {text:?}");
        }
    }

    #[test]
    fn the_client_is_the_right_most_untrusted_hop() {
        use Forwarded::{Absent, Malformed, Trusted, UntrustedPeer};
        let proxies = proxies("10.0.0.0/8, fd00::/8");
        for (peer, lines, address, forwarded) in [
            ("10.0.0.1", &[][..], "10.0.0.1", Absent),
            ("192.0.2.1", &[], "192.0.2.1", Absent),
            ("::ffff:192.0.2.1", &[], "192.0.2.1", Absent),
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1", UntrustedPeer),
            ("192.0.2.1", &["?"], "192.0.2.1", UntrustedPeer),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7", Trusted),
            (
                "::ffff:10.0.0.1",
                &["::ffff:198.51.100.7"],
                "198.51.100.7",
                Trusted,
            ),
            // A visitor's forged hops are left of those that the proxies append.
            (
                "10.0.0.1",
                &["1.1.1.1, 198.51.100.7"],
                "198.51.100.7",
                Trusted,
            ),
            (
                "10.0.0.1",
                &["10.0.0.9,198.51.100.7,10.0.0.2"],
                "198.51.100.7",
                Trusted,
            ),
            (
                "10.0.0.1",
                &["1.1.1.1", "198.51.100.7", "fd00::2\t, 10.0.0.2 "],
                "198.51.100.7",
                Trusted,
            ),
            (
                "10.0.0.1",
                &["198.51.100.7", "10.0.0.2"],
                "198.51.100.7",
                Trusted,
            ),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3", Trusted),
            ("fd00::1", &["[2001:db8::7]:51234"], "2001:db8::7", Trusted),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7", Trusted),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7", Trusted),
            ("fd00::1", &["198.51.100.7:443"], "198.51.100.7", Trusted),
            // Nothing left of a malformed hop is used.
            (
                "10.0.0.1",
                &["198.51.100.7, unknown"],
                "10.0.0.1",
                Malformed,
            ),
            (
                "10.0.0.1",
                &["198.51.100.7, _hidden, 10.0.0.2"],
                "10.0.0.2",
                Malformed,
            ),
            ("10.0.0.1", &["198.51.100.7,"], "10.0.0.1", Malformed),
            ("10.0.0.1", &["198.51.100.7", ""], "10.0.0.1", Malformed),
            (
                "10.0.0.1",
                &["unknown, 198.51.100.7"],
                "198.51.100.7",
                Trusted,
            ),
        ] {
            let got = proxies.client_address(peer.parse().unwrap(), lines.iter().copied());
            let want = ClientAddress::new(address.parse().unwrap(), forwarded);
            assert_eq!(got, want, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_hop_is_an_address_with_an_optional_port() {
        for (hop, want) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:1", Some("192.0.2.1")),
            ("[2001:db8::1]:65535", Some("2001:db8::1")),
            ("[::ffff:192.0.2.1]", Some("192.0.2.1")),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2", None),
            ("192.0.02.1", None),
            ("0x7f.1", None),
            ("192.0.2.1/32", None),
            ("[192.0.2.1]", None),
            ("[2001:db8::1", None),
            ("[[2001:db8::1]]", None),
            ("[2001:db8::1]:", None),
            ("fe80::1%eth0", None),
            ("\"192.0.2.1\"", None),
            ("192.0.2.1 192.0.2.2", None),
            ("for=192.0.2.1", None),
            ("localhost", None),
            ("", None),
        ] {
            let want = want.map(|address| address.parse().unwrap());
            assert_eq!(hop_address(hop), want, "hop {hop:?}");
        }
    }

    #[test]
    fn without_trusted_proxies_x_forwarded_for_is_ignored() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let got = TrustedProxies::default().client_address(peer, ["198.51.100.7"]);
        assert_eq!(got, ClientAddress::new(peer, Forwarded::UntrustedPeer));
    }
}
