//! Which proxies are believed, and so whose address a request comes from. [`TrustedProxies`] is the type to read first.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net};

/// The networks whose `X-Forwarded-For` is believed. None by default, and then the header means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The form that is read, in one line for a message.
    pub const FORM: &'static str =
        "networks as in 10.0.0.0/8 or fd00::/8, or single addresses, comma-separated";

    /// Finds who asks: the right-most hop that is not one of the proxies, because every proxy adds the address that it saw
    /// on the right, and what stands left of an address that we do not trust may be made up.
    ///
    /// `peer` is the other end of the connection. `forwarded_for` are the lines of `X-Forwarded-For` in the order in which
    /// they came, together one list; what is not text in a line may be replaced by anything that is no address. Where every
    /// hop is a proxy of ours, the left-most one asks.
    ///
    /// A hop that is no address (an empty one too) ends the search at the last good one: whoever wrote it does not say whom
    /// it saw, so that nothing left of it can be believed. Its visitors then share the address of that last proxy.
    pub fn trace<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl IntoIterator<Item = &'a str>,
    ) -> Trace {
        let peer = peer.to_canonical();
        let lines: Vec<&str> = forwarded_for.into_iter().collect();
        if lines.is_empty() {
            return Trace::new(peer, Forwarded::Absent);
        }
        let mut address = peer;
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.contains(address) {
                break;
            }
            match hop_address(hop) {
                Some(hop) => address = hop,
                None => return Trace::new(address, Forwarded::Garbled),
            }
        }
        if self.contains(peer) {
            Trace::new(address, Forwarded::Believed)
        } else {
            Trace::new(address, Forwarded::FromStranger)
        }
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// Who asks. An IPv4 address is never written as an IPv6 one.
    pub address: IpAddr,
    /// What became of the header.
    pub forwarded: Forwarded,
}

impl Trace {
    fn new(address: IpAddr, forwarded: Forwarded) -> Self {
        Self { address, forwarded }
    }
}

/// What became of `X-Forwarded-For`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// There was none.
    Absent,
    /// It was read.
    Believed,
    /// It was not looked at, because the peer is not one of the proxies: somebody pretends, or a proxy is missing in
    /// `WXQR_TRUSTED_PROXIES`. Worth a line in the log, once.
    FromStranger,
    /// It was read as far as it makes sense, which was too short. Worth a line in the log, once.
    Garbled,
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:443`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:443`.
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

    /// Reads networks and addresses, comma-separated; white space around them is ignored.
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

/// A network of IPv4 addresses in the form that addresses have when they are compared with it.
fn canonical(network: IpNet) -> IpNet {
    /// Bits in front of the IPv4 address in `::ffff:192.0.2.1`.
    const MAPPED: u8 = 96;
    match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(address), length @ MAPPED..) => {
            Ipv4Net::new(address, length - MAPPED).map_or(network, IpNet::V4)
        }
        _ => network,
    }
}

/// Which entry of a list was refused, and why. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {position} {problem}")]
pub struct ProxiesError {
    /// Position in the list, from 1.
    pub position: usize,
    /// What is wrong with it.
    pub problem: ProxyProblem,
}

/// Why a network was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyProblem {
    /// Neither a network nor an address.
    #[error("is neither a network nor an address")]
    Form,
    /// An address inside the network instead of its first one: one of the two parts is a slip.
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
    fn networks_are_written_out() {
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
    fn the_right_most_hop_that_is_no_proxy_asks() {
        use Forwarded::{Absent, Believed, FromStranger, Garbled};
        let proxies = proxies("10.0.0.0/8, fd00::/8");
        for (peer, lines, address, forwarded) in [
            ("10.0.0.1", &[][..], "10.0.0.1", Absent),
            ("192.0.2.1", &[], "192.0.2.1", Absent),
            ("::ffff:192.0.2.1", &[], "192.0.2.1", Absent),
            ("192.0.2.1", &["198.51.100.7"], "192.0.2.1", FromStranger),
            ("192.0.2.1", &["?"], "192.0.2.1", FromStranger),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7", Believed),
            (
                "::ffff:10.0.0.1",
                &["::ffff:198.51.100.7"],
                "198.51.100.7",
                Believed,
            ),
            // What a visitor makes up stands on the left of what the proxies add.
            (
                "10.0.0.1",
                &["1.1.1.1, 198.51.100.7"],
                "198.51.100.7",
                Believed,
            ),
            (
                "10.0.0.1",
                &["10.0.0.9,198.51.100.7,10.0.0.2"],
                "198.51.100.7",
                Believed,
            ),
            (
                "10.0.0.1",
                &["1.1.1.1", "198.51.100.7", "fd00::2\t, 10.0.0.2 "],
                "198.51.100.7",
                Believed,
            ),
            (
                "10.0.0.1",
                &["198.51.100.7", "10.0.0.2"],
                "198.51.100.7",
                Believed,
            ),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3", Believed),
            ("fd00::1", &["[2001:db8::7]:51234"], "2001:db8::7", Believed),
            ("fd00::1", &["[2001:db8::7]"], "2001:db8::7", Believed),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7", Believed),
            ("fd00::1", &["198.51.100.7:443"], "198.51.100.7", Believed),
            // Nothing left of what is no address.
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1", Garbled),
            (
                "10.0.0.1",
                &["198.51.100.7, _hidden, 10.0.0.2"],
                "10.0.0.2",
                Garbled,
            ),
            ("10.0.0.1", &["198.51.100.7,"], "10.0.0.1", Garbled),
            ("10.0.0.1", &["198.51.100.7", ""], "10.0.0.1", Garbled),
            (
                "10.0.0.1",
                &["unknown, 198.51.100.7"],
                "198.51.100.7",
                Believed,
            ),
        ] {
            let got = proxies.trace(peer.parse().unwrap(), lines.iter().copied());
            let want = Trace::new(address.parse().unwrap(), forwarded);
            assert_eq!(got, want, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_hop_is_an_address_and_perhaps_a_port() {
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
    fn without_proxies_nothing_is_believed() {
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        let got = TrustedProxies::default().trace(peer, ["198.51.100.7"]);
        assert_eq!(got, Trace::new(peer, Forwarded::FromStranger));
    }
}
