//! Visitors as the limits count them: IPv4 addresses and IPv6 /64 networks.

use std::net::{IpAddr, Ipv4Addr};

/// A visitor: an IPv4 address, or an IPv6 /64, the smallest prefix that one subscriber has.
///
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, on a dual-stack listener) counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Visitor {
    /// One IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 /64, as its first 64 bits.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_addresses_are_aggregated_by_64_bit_prefix() {
        let ipv4 = Visitor::V4(Ipv4Addr::new(192, 0, 2, 1));
        for (address, want) in [
            ("192.0.2.1", ipv4),
            ("::ffff:192.0.2.1", ipv4),
            ("::192.0.2.1", Visitor::V6(0)),
            ("::1", Visitor::V6(0)),
            ("2001:db8:1:2::", Visitor::V6(0x2001_0db8_0001_0002)),
            (
                "2001:db8:1:2:ffff:ffff:ffff:ffff",
                Visitor::V6(0x2001_0db8_0001_0002),
            ),
            ("2001:db8:1:3::", Visitor::V6(0x2001_0db8_0001_0003)),
            (
                "ffff:eeee:dddd:cccc:bbbb::",
                Visitor::V6(0xffff_eeee_dddd_cccc),
            ),
        ] {
            let visitor = Visitor::from(address.parse::<IpAddr>().unwrap());
            assert_eq!(visitor, want, "address {address}");
        }
    }
}
