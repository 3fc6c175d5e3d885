//! Addresses and networks in rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::display::shown;
use crate::{IpNet, ValueError};

/// Reads `ADDRESS` or `ADDRESS/PREFIX`. Refuses host bits, everything that covers the loopback, and IPv4 written as IPv6.
pub(crate) fn network(text: &str) -> Result<IpNet, ValueError> {
    let net = any_network(text)?;
    check_reach(text, net)?;
    Ok(net)
}

/// Reads the same, the loopback included.
pub(crate) fn any_network(text: &str) -> Result<IpNet, ValueError> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| {
        ValueError::new(
            format!("`{}` is not an IP address or network", shown(text)),
            "write an address such as `10.1.2.3` or a network such as `10.0.0.0/8` or `fd00::/8`",
        )
    })?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => width,
        Some(digits) => prefix_length(text, digits, width)?,
    };
    let net = IpNet::new(address, prefix).ok_or_else(|| {
        ValueError::new(
            format!("`{}` has bits set behind its prefix", shown(text)),
            format!("write the network `{}/{prefix}`, or the address alone `{address}`", masked(address, prefix)),
        )
    })?;
    check_form(text, net)?;
    Ok(net)
}

fn prefix_length(text: &str, digits: &str, width: u8) -> Result<u8, ValueError> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    plain.then(|| digits.parse::<u8>().ok()).flatten().filter(|n| *n <= width).ok_or_else(|| {
        ValueError::new(
            format!("`{}` has no valid prefix length", shown(text)),
            format!("write a whole number from 0 to {width} after the `/`"),
        )
    })
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

fn check_form(text: &str, net: IpNet) -> Result<(), ValueError> {
    if net.prefix() == 0 {
        return Err(ValueError::new(
            format!("`{}` is every address there is", shown(text)),
            "name the hosts or the networks that are meant",
        ));
    }
    if let IpAddr::V6(v6) = net.address()
        && let Some(v4) = v6.to_ipv4_mapped()
        && net.prefix() >= 96
    {
        return Err(ValueError::new(
            format!("`{}` is IPv4 written as IPv6", shown(text)),
            format!("write `{}`", IpNet::new(v4.into(), net.prefix() - 96).map_or_else(|| v4.to_string(), ipv4_text)),
        ));
    }
    Ok(())
}

fn check_reach(text: &str, net: IpNet) -> Result<(), ValueError> {
    let covers = |address: IpAddr, prefix: u8| {
        net.contains(address) || IpNet::new(address, prefix).is_some_and(|own| own.contains(net.address()))
    };
    // 0.0.0.0/8 and `::` are "this host": connecting to them reaches the loopback (RFC 1122, 3.2.1.3).
    let loopback = covers(Ipv4Addr::new(127, 0, 0, 0).into(), 8)
        || covers(Ipv4Addr::UNSPECIFIED.into(), 8)
        || covers(Ipv6Addr::LOCALHOST.into(), 128)
        || covers(Ipv6Addr::UNSPECIFIED.into(), 128);
    if loopback {
        return Err(ValueError::new(
            format!("`{}` covers this host's loopback", shown(text)),
            "name one service of this host as `host-service:127.0.0.1:PORT`",
        ));
    }
    Ok(())
}

fn ipv4_text(net: IpNet) -> String {
    if net.is_single() { net.address().to_string() } else { net.to_string() }
}
