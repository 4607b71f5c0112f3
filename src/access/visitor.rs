//! Who a visitor is: an address, as coarse as addresses are given out.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whom a limit counts as one: an IPv4 address, or an IPv6 /64, which is what one subscriber has at least.
///
/// An IPv4 address is the same visitor on an IPv6 listener, where it comes as `::ffff:192.0.2.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Visitor {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 /64, by its first 64 bits.
    V6(u64),
}

impl From<IpAddr> for Visitor {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Self::V6(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

impl fmt::Display for Visitor {
    /// The address, or the network as in `2001:db8:0:1::/64`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => {
                let first = Ipv6Addr::from_bits(u128::from(*prefix) << 64);
                write!(f, "{first}/64")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_an_ipv4_address_or_an_ipv6_network() {
        for (address, want) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::192.0.2.1", "::/64"),
            ("::1", "::/64"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::", "2001:db8:1:3::/64"),
            ("ffff:eeee:dddd:cccc:bbbb::", "ffff:eeee:dddd:cccc::/64"),
        ] {
            let visitor = Visitor::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(visitor.to_string(), want, "address {address}");
        }
    }
}
