//! Which addresses are special, so that an allowed *name* cannot be pointed at them.
//!
//! Sources: IANA special-purpose registries (RFC 6890 and its updates), RFC 6052 (NAT64), RFC 3056 (6to4),
//! RFC 4380 (Teredo), and the cloud providers' documents for metadata services outside 169.254.0.0/16.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Routed on the public Internet.
    Public,
    /// The host itself, or nowhere: never dialled by a host or CIDR rule.
    Loopback,
    /// A cloud provider's metadata or control service: dialled only when a rule names exactly this address.
    Metadata,
    /// Private, link-local, multicast, reserved: dialled only when a rule names a network that holds it.
    Special,
}

/// Classifies an address. Addresses that embed an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo) take
/// the class of the embedded one where that is worse.
pub fn classify(address: IpAddr) -> AddressClass {
    match address.to_canonical() {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(v4: Ipv4Addr) -> AddressClass {
    const METADATA: [Ipv4Addr; 7] = [
        Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google Cloud, and most others
        Ipv4Addr::new(169, 254, 170, 2),   // AWS container credentials
        Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS Pod Identity
        Ipv4Addr::new(169, 254, 0, 23),    // Tencent Cloud
        Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
        Ipv4Addr::new(168, 63, 129, 16),   // Azure WireServer, in public space
        Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud
    ];
    let [a, b, c, _] = v4.octets();
    if METADATA.contains(&v4) {
        AddressClass::Metadata
    } else if a == 127 || a == 0 {
        AddressClass::Loopback
    } else if v4.is_private()
        || v4.is_link_local()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
        || (a == 100 && (64..128).contains(&b)) // shared address space, RFC 6598
        || (a == 192 && b == 0 && c == 0) // IETF protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relay anycast
        || (a == 198 && (18..20).contains(&b)) // benchmarking; also our synthetic addresses
        || a >= 240
    {
        AddressClass::Special
    } else {
        AddressClass::Public
    }
}

fn classify_v6(v6: Ipv6Addr) -> AddressClass {
    const METADATA: [Ipv6Addr; 3] = [
        Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),       // Google Cloud
        Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle Cloud
        Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),        // Scaleway
    ];
    let s = v6.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    if METADATA.contains(&v6) || (s[0] == 0xfd00 && s[1] == 0xec2) {
        return AddressClass::Metadata;
    }
    if v6.is_loopback() || v6.is_unspecified() {
        return AddressClass::Loopback;
    }
    let inner = match s {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(embedded(high, low)), // NAT64, RFC 6052
        [0x2002, high, low, ..] => Some(embedded(high, low)),               // 6to4
        [0x2001, 0, _, _, _, _, high, low] => Some(embedded(!high, !low)),  // Teredo
        [0, 0, 0, 0, 0, 0, high, low] => Some(embedded(high, low)),         // IPv4-compatible
        [.., 0 | 0x200, 0x5efe, high, low] => Some(embedded(high, low)),    // ISATAP, RFC 5214
        _ => None,
    };
    let inner = inner.map(classify_v4);
    if let Some(class @ (AddressClass::Loopback | AddressClass::Metadata)) = inner {
        return class;
    }
    // Global unicast is 2000::/3; everything else is reserved, local or multicast. Of 2000::/3, transition and
    // documentation prefixes are not ordinary destinations either.
    let public = s[0] & 0xe000 == 0x2000
        && inner.is_none()
        && !(s[0] == 0x2001 && s[1] < 0x200)
        && !(s[0] == 0x2001 && s[1] == 0xdb8)
        && !(s[0] == 0x3fff && s[1] < 0x1000);
    if public { AddressClass::Public } else { AddressClass::Special }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_recognised_in_every_disguise() {
        use AddressClass::*;
        for (text, class) in [
            ("93.184.216.34", Public),
            ("2606:2800:220:1::1", Public),
            ("127.0.0.1", Loopback),
            ("0.0.0.0", Loopback),
            ("::1", Loopback),
            ("::", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::127.0.0.1", Loopback),
            ("64:ff9b::7f00:1", Loopback),
            ("10.1.2.3", Special),
            ("172.16.0.1", Special),
            ("192.168.1.1", Special),
            ("100.64.0.1", Special),
            ("169.254.1.1", Special),
            ("198.18.0.1", Special),
            ("224.0.0.1", Special),
            ("255.255.255.255", Special),
            ("fe80::1", Special),
            ("fc00::1", Special),
            ("fec0::1", Special),
            ("ff02::1", Special),
            ("2001:db8::1", Special),
            ("64:ff9b::a00:1", Special),
            ("64:ff9b:1::1", Special),
            ("2002:0a00:0001::1", Special),
            ("169.254.169.254", Metadata),
            ("169.254.170.23", Metadata),
            ("169.254.0.23", Metadata),
            ("::ffff:169.254.169.254", Metadata),
            ("64:ff9b::a9fe:a9fe", Metadata),
            ("2606:2800:220:1:0:5efe:a9fe:a9fe", Metadata),
            ("2606:2800:220:1:200:5efe:a9fe:a9fe", Metadata),
            ("2002:a9fe:a9fe::1", Metadata),
            ("2001:0:1:2:3:4:5601:5601", Metadata),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("192.0.0.192", Metadata),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("fd00:c1::a9fe:a9fe", Metadata),
            ("fd00:42::42", Metadata),
        ] {
            assert_eq!(classify(text.parse().unwrap()), class, "{text}");
        }
    }
}
