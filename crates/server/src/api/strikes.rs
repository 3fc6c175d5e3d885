//! Callers who fail to show who they are: after some failures they have to wait. Strangers are told apart by where they come
//! from, and whoever has a good certificate by that, so that neighbours hold nobody up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Whoever fails.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// Somebody from there. Of IPv6 it is the beginning of a network: see [`network`].
    Address(IpAddr),
    /// Whoever has the certificate of this operator, with a token that is not good.
    Person(String),
}

/// Most failures of one source at once.
const MOST_AT_ONCE: f64 = 20.0;
/// After so long, one of them is forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(3);
/// Most sources that are remembered; for one more, the one that failed longest ago is forgotten.
const MOST_SOURCES: usize = 4096;

impl Source {
    /// Somebody from there.
    pub(super) fn of(address: IpAddr) -> Self {
        Self::Address(network(address))
    }
}

/// Failures that are not forgotten yet, and the last of them.
struct Failed {
    count: f64,
    last: Instant,
}

impl Failed {
    fn at(&self, now: Instant) -> f64 {
        let forgiven = now.saturating_duration_since(self.last).as_secs_f64() / FORGIVEN_AFTER.as_secs_f64();
        (self.count - forgiven).max(0.0)
    }
}

/// The failures of all sources.
#[derive(Default)]
pub(super) struct Strikes(Mutex<BTreeMap<Source, Failed>>);

impl Strikes {
    /// Whether they are heard, and how long they would have to wait otherwise.
    pub(super) fn heard(&self, source: &Source, now: Instant) -> Result<(), Duration> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.get(source).map_or(0.0, |failed| failed.at(now));
        let over = count + 1.0 - MOST_AT_ONCE;
        if over <= 0.0 { Ok(()) } else { Err(FORGIVEN_AFTER.mul_f64(over)) }
    }

    /// They have failed.
    pub(super) fn failed(&self, source: Source, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.get(&source).map_or(0.0, |failed| failed.at(now));
        all.insert(source, Failed { count: count + 1.0, last: now });
        if all.len() > MOST_SOURCES {
            let oldest = all.iter().min_by_key(|(_, failed)| failed.last).map(|(source, _)| source.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
    }
}

/// What one caller has at hand of IPv6 is a network of 64 bits and not an address.
pub(super) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn a_source_that_fails_often_waits_and_others_do_not() {
        let (strikes, now) = (Strikes::default(), Instant::now());
        let (one, other) = (at("192.0.2.1"), at("192.0.2.2"));
        for _ in 0..20 {
            strikes.heard(&one, now).unwrap();
            strikes.failed(one.clone(), now);
        }
        assert_eq!(strikes.heard(&one, now), Err(FORGIVEN_AFTER));
        strikes.heard(&other, now).unwrap();
        strikes.heard(&Source::Person("anna".to_owned()), now).unwrap();
        strikes.heard(&one, now + FORGIVEN_AFTER).unwrap();
    }

    #[test]
    fn neighbours_in_ipv6_are_one_source() {
        let (strikes, now) = (Strikes::default(), Instant::now());
        for n in 0..20u128 {
            strikes.failed(Source::of(Ipv6Addr::from_bits(0x2001_0db8 << 96 | n).into()), now);
        }
        assert!(strikes.heard(&at("2001:db8::ffff"), now).is_err());
        assert!(strikes.heard(&at("2001:db8:0:1::1"), now).is_ok());
    }

    #[test]
    fn sources_without_end_take_no_memory_without_end() {
        let (strikes, now) = (Strikes::default(), Instant::now());
        for n in 0..u32::try_from(MOST_SOURCES).unwrap() + 10 {
            let source = Source::of(std::net::Ipv4Addr::from_bits(n).into());
            strikes.failed(source, now + Duration::from_millis(u64::from(n)));
        }
        assert_eq!(strikes.0.lock().unwrap().len(), MOST_SOURCES);
    }
}
