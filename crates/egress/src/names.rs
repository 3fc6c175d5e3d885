//! Synthetic addresses: what the stub DNS tells a cell instead of a name's real ones.
//!
//! A connection to a synthetic address is a connection to its name, so the door knows which name a program
//! meant although `connect` only carries an address. They keep their meaning as long as the cell runs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nanoclaw_request::DnsName;

/// 198.18.0.0/15, for benchmarks between networks (RFC 2544): never a real destination.
const V4_BASE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);

/// A /96 of unique local addresses (RFC 4193).
const V6_BASE: Ipv6Addr = Ipv6Addr::new(0xfd6e, 0x6e6f, 0x636c, 0, 0, 0, 0, 0);

/// Most names in a table.
const MOST_NAMES: usize = 0xffff;

/// A bounded, append-only table of names and their synthetic addresses.
#[derive(Debug)]
pub(crate) struct SyntheticNames {
    capacity: usize,
    numbers: HashMap<DnsName, u32>,
    names: Vec<DnsName>,
}

/// The two addresses of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyntheticPair {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl SyntheticNames {
    /// A table with these names, and at most `more` others; never more than 65,535 in all.
    pub(crate) fn new<'a>(known: impl Iterator<Item = &'a DnsName>, more: usize) -> Self {
        let mut table = Self { capacity: MOST_NAMES, numbers: HashMap::new(), names: Vec::new() };
        for name in known {
            table.assign(name);
        }
        table.capacity = table.names.len().saturating_add(more).min(MOST_NAMES);
        table
    }

    pub(crate) fn get(&self, name: &DnsName) -> Option<SyntheticPair> {
        self.numbers.get(name).map(|number| SyntheticPair::numbered(*number))
    }

    /// The addresses of `name`, new ones if it has none yet; `None` where the table is full.
    pub(crate) fn assign(&mut self, name: &DnsName) -> Option<SyntheticPair> {
        if let Some(pair) = self.get(name) {
            return Some(pair);
        }
        if self.names.len() >= self.capacity {
            return None;
        }
        self.names.push(name.clone());
        let number = u32::try_from(self.names.len()).ok()?;
        self.numbers.insert(name.clone(), number);
        Some(SyntheticPair::numbered(number))
    }

    /// The name that `address` was made for.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<&DnsName> {
        let number = match address.to_canonical() {
            IpAddr::V4(v4) => v4.to_bits().checked_sub(V4_BASE.to_bits())?,
            IpAddr::V6(v6) => u32::try_from(v6.to_bits().checked_sub(V6_BASE.to_bits())?).ok()?,
        };
        self.names.get(usize::try_from(number).ok()?.checked_sub(1)?)
    }
}

impl SyntheticPair {
    fn numbered(number: u32) -> Self {
        Self {
            v4: Ipv4Addr::from_bits(V4_BASE.to_bits() | number),
            v6: Ipv6Addr::from_bits(V6_BASE.to_bits() | u128::from(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        DnsName::parse(text).unwrap()
    }

    #[test]
    fn names_that_are_known_from_the_start_take_no_place_of_others() {
        let mut names = SyntheticNames::new([name("a.com"), name("a.com")].iter(), 1);
        assert_eq!(names.get(&name("a.com")).unwrap().v4, Ipv4Addr::new(198, 18, 0, 1));
        assert!(names.assign(&name("b.com")).is_some());
        assert_eq!(names.assign(&name("c.com")), None);
    }

    #[test]
    fn a_name_keeps_its_addresses_and_they_lead_back_to_it() {
        let mut names = SyntheticNames::new([].iter(), 2);
        let first = names.assign(&name("a.com")).unwrap();
        let second = names.assign(&name("b.com")).unwrap();
        assert_eq!(first.v4, Ipv4Addr::new(198, 18, 0, 1));
        assert_eq!(names.assign(&name("a.com")), Some(first));
        assert_eq!(names.name_of(first.v4.into()), Some(&name("a.com")));
        assert_eq!(names.name_of(first.v4.to_ipv6_mapped().into()), Some(&name("a.com")));
        assert_eq!(names.name_of(second.v6.into()), Some(&name("b.com")));
        assert_eq!(names.assign(&name("c.com")), None, "the table is full");
        for other in ["198.18.0.0", "198.18.0.3", "198.17.255.255", "fd6e:6e6f:636c::", "fd6e:6e6f:636c::1:0:1"] {
            assert_eq!(names.name_of(other.parse().unwrap()), None, "{other}");
        }
    }
}
